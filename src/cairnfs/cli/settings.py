"""Settings and where each comes from: flag > CAIRN_* > --config > ./cairn.toml > ~/.config/cairn > /etc/cairn.

A file has a table for each role:

    [master]
    lease_s = "60s"              # times and sizes as numbers or as people write them
    [client]
    master = ["127.0.0.1:7400"]

and a variable is named CAIRN_<ROLE>_<KEY>, lists with commas: CAIRN_CHUNKSERVER_DATA=/disk1,/disk2. `CAIRN_MASTER` is
short for the master's address in client and chunkserver. The files are merged key by key. What nobody knows is an error
that names the nearest thing we know, because a setting that is silently ignored is worse than none.
"""

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

import msgspec

from cairnfs.config import ChunkserverConfig, ClientConfig, MasterConfig
from cairnfs.errors import SettingError
from cairnfs.units import parse_size, parse_time

C = TypeVar("C", MasterConfig, ChunkserverConfig, ClientConfig)

ROLES: dict[str, type[msgspec.Struct]] = {
    "master": MasterConfig,
    "chunkserver": ChunkserverConfig,
    "client": ClientConfig,
}
FILE_NAME = "cairn.toml"
DEFAULT = "default"
VARIABLES_OF_THE_COMMAND = ("CAIRN_CONFIG", "CAIRN_DEBUG", "CAIRN_LOG_FORMAT", "CAIRN_LOG_LEVEL", "CAIRN_MASTER")
"""What else begins with CAIRN_ and is ours."""


@dataclass(frozen=True, slots=True)
class Loaded(Generic[C]):
    """Settings of one role, and for each key the place that decided it."""

    config: C
    sources: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Layer:
    source: str
    values: dict[str, Any]


def load(kind: type[C], *, flags: Mapping[str, object], config_file: str | None = None) -> Loaded[C]:
    """Return the settings of the role that `kind` is of. A flag that is None or () was not given.

    Raises:
        SettingError: unknown key, wrong type, or a file that is no TOML.
    """
    role = next(name for name, struct in ROLES.items() if struct is kind)
    merged: dict[str, Any] = {}
    sources: dict[str, str] = dict.fromkeys(kind.__struct_fields__, DEFAULT)
    defaults = kind()
    for layer in reversed(list(_layers(role, flags, config_file))):
        for key, value in layer.values.items():
            _check_key(key, kind.__struct_fields__, f"{layer.source} [{role}]")
            parsed = _parsed(key, value, layer.source)
            many = isinstance(getattr(defaults, key), tuple)
            merged[key] = _parts(parsed) if many and isinstance(parsed, str) else parsed
            sources[key] = layer.source
    try:
        return Loaded(msgspec.convert(merged, kind, strict=False), sources)
    except msgspec.ValidationError as error:
        key = str(error).rpartition("$.")[2].rstrip("`").partition("[")[0]
        where = f" (from {sources[key]})" if key in sources else ""
        raise SettingError(what=f"setting {role}.{key}{where}: {error}") from error


def parse_pairs(pairs: Iterable[str]) -> dict[str, str]:
    """Return what `--set key=value` options say.

    Raises:
        SettingError: no `=` inside.
    """
    result = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise SettingError(what=f"--set {pair}: expected key=value")
        result[key.strip()] = value
    return result


def files_looked_at(config_file: str | None) -> list[Path]:
    """Return the files in order of weight, whether or not they exist."""
    named = config_file or os.environ.get("CAIRN_CONFIG")
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    found = [Path(FILE_NAME), home / "cairn" / FILE_NAME, Path("/etc/cairn") / FILE_NAME]
    return [Path(named), *found] if named else found


def default_data(role: str) -> str:
    """Return the folder of a role that names none: for root a place of the system, else one of the user."""
    if os.geteuid() == 0:
        return f"/var/lib/cairn/{role}"
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return str(Path(base) / "cairn" / role)


def _layers(role: str, flags: Mapping[str, object], config_file: str | None) -> Iterator[_Layer]:
    yield _Layer("flag", {key: value for key, value in flags.items() if value not in (None, ())})
    yield from _variables(role)
    named = config_file or os.environ.get("CAIRN_CONFIG")
    for path in files_looked_at(config_file):
        if path.is_file():
            yield _Layer(str(path), _file(path).get(role, {}))
        elif named is not None and path == Path(named):
            raise SettingError(what=f"no settings file at {path}")


def _variables(role: str) -> Iterator[_Layer]:
    """Yield a layer a variable, so that each value can name its own."""
    known = {f"CAIRN_{name}_{key}".upper() for name, kind in ROLES.items() for key in kind.__struct_fields__}
    prefix = f"CAIRN_{role}_".upper()
    for name, value in os.environ.items():
        if name.startswith("CAIRN_") and name not in VARIABLES_OF_THE_COMMAND:
            _check_key(name, sorted(known), "the environment")
            if name.startswith(prefix):
                yield _Layer(name, {name.removeprefix(prefix).lower(): value})
    if role != "master" and os.environ.get("CAIRN_MASTER"):
        yield _Layer("CAIRN_MASTER", {"master": os.environ["CAIRN_MASTER"]})


def _file(path: Path) -> dict[str, dict[str, Any]]:
    try:
        tables = tomllib.loads(path.read_text())
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits, and tables without end
        raise SettingError(what=f"{path} is not TOML: {error}") from error
    except OSError as error:
        raise SettingError(what=f"cannot read {path}: {error.strerror}") from error
    for name, table in tables.items():
        _check_key(name, list(ROLES), str(path))
        if not isinstance(table, dict):
            raise SettingError(what=f"{path}: {name} is a table: write [{name}]")
        for key in table:
            _check_key(key, ROLES[name].__struct_fields__, f"{path} [{name}]")
    return tables


def _parsed(key: str, value: object, source: str) -> object:
    """Return sizes and times as numbers and lists as lists; types are checked later."""
    if not isinstance(value, str):
        return list(value) if isinstance(value, tuple) else value
    try:
        if key.endswith("_bytes"):
            return parse_size(value)
        if key.endswith("_s"):
            return parse_time(value)
    except ValueError as error:
        raise SettingError(what=f"setting {key} (from {source}): {error}") from error
    return value


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _check_key(key: str, known: Iterable[str], where: str) -> None:
    if key not in known:
        _refuse_unknown(key, list(known), where)


def _refuse_unknown(key: str, known: list[str], where: str) -> NoReturn:
    import difflib

    nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    raise SettingError(what=f"unknown setting {key!r} in {where}; did you mean {nearest[0]!r}?")
