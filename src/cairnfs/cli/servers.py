"""Commands of who runs a cluster: init, master, chunkserver, config, completion."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import click
import msgspec

from cairnfs.cli.common import document, line, table
from cairnfs.cli.lazy import Lazy, LazyGroup
from cairnfs.cli.serve import ServeOptions, serve, serve_options
from cairnfs.cli.settings import ROLES, default_data, files_looked_at, load, parse_pairs
from cairnfs.config import ChunkserverConfig, ClusterConfig, MasterConfig
from cairnfs.errors import FormatError, SettingError
from cairnfs.units import format_size, parse_size


class Size(click.ParamType[int]):
    """A size as people write it."""

    name = "size"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


_OF_MASTER = {
    "backup": Lazy("cairnfs.cli.backups", "backup", "copy the metadata of a master, running or not"),
    "restore": Lazy("cairnfs.cli.backups", "restore", "make a metadata folder from a backup"),
    "check": Lazy("cairnfs.cli.metadata", "check_metadata", "look for faults in metadata or a backup"),
    "dump": Lazy("cairnfs.cli.metadata", "dump_metadata", "write all metadata as lines of JSON"),
    "load": Lazy("cairnfs.cli.metadata", "load_metadata", "make a metadata folder from a dump"),
}

_config = click.option("--config", metavar="FILE", help="settings file, read before the others")
_set = click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="any other setting; see `cairn config`")
_listen = click.option("--listen", multiple=True, metavar="HOST:PORT", help="address to bind; port 0 is any free one")
_advertise = click.option("--advertise", metavar="HOST:PORT", help="address for others, if not the bound one")


@click.command()
@click.argument("folder", required=False)
@click.option("--chunk-size", type=Size(), metavar="SIZE", help="largest chunk; 64 MiB as in the paper by default")
@click.option("--block-size", type=Size(), metavar="SIZE", help="bytes under one checksum; 64 KiB by default")
@click.option("--copies-min", type=click.IntRange(1, 16), help="fewest copies behind an ack; 2 by default")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def init(folder: str | None, as_json: bool, **sizes: int | None) -> None:
    """Make a new cluster: its name and its empty metadata, in FOLDER. Sizes cannot be changed later."""
    where = folder or default_data("master")
    cluster = initialise_folder(where, cluster_config(**sizes))
    if as_json:
        document({"folder": where, "cluster": cluster})
    else:
        line(f"made cluster {cluster} in {where}")
        line(f"start it: cairn master --data {where}")


def cluster_config(*, chunk_size: int | None, block_size: int | None, copies_min: int | None) -> ClusterConfig:
    """Return what was named, and defaults for the rest.

    Raises:
        SettingError: sizes that do not fit each other.
    """
    given = {"chunk_bytes": chunk_size, "block_bytes": block_size, "copies_min": copies_min}
    config = ClusterConfig(**{name: value for name, value in given.items() if value is not None})
    limits = ClusterConfig()
    fits = 0 < config.block_bytes <= config.chunk_bytes <= limits.chunk_bytes
    if not fits or config.chunk_bytes % config.block_bytes or config.chunk_bytes // config.block_bytes > 1024:
        raise SettingError(
            what=f"chunks of {format_size(config.chunk_bytes)} with blocks of {format_size(config.block_bytes)}: "
            f"a chunk is 1 to 1024 whole blocks and at most {format_size(limits.chunk_bytes)}"
        )
    return config


def initialise_folder(folder: str, config: ClusterConfig) -> str:
    """Make a cluster in `folder` and return its id.

    Raises:
        FormatError, ExistsError: there is one already; it was not touched.
    """
    from cairnfs.env.real import real_env
    from cairnfs.master.server import initialise

    Path(folder).mkdir(parents=True, exist_ok=True)

    async def make() -> str:
        return str(await initialise(real_env(), folder, config))

    return asyncio.run(make())


@click.group(cls=LazyGroup, table=_OF_MASTER, invoke_without_command=True)
@click.option("--data", metavar="FOLDER", help="folder of the metadata, made by `cairn init`")
@_listen
@_advertise
@_set
@_config
@serve_options
def master(*, serving: ServeOptions, config: str | None, pairs: tuple[str, ...], **flags: object) -> None:
    """Run the master of a cluster until Ctrl-C or SIGTERM.

    With a command: work on metadata, of a master that does not run (backup: or that does).
    """
    if click.get_current_context().invoked_subcommand is not None:
        return
    settings = load(MasterConfig, flags=_flags(flags, pairs), config_file=config).config
    if not settings.data:
        settings = msgspec.structs.replace(settings, data=default_data("master"))
    if not Path(settings.data).is_dir():
        raise FormatError(where=settings.data, why=f"no such folder: `cairn init {settings.data}` makes a new cluster")

    from cairnfs.master.server import Master

    serve(lambda env: Master(env, settings), serving=serving, listen=settings.listen, fast_loop=True)


@click.command()
@click.option("--data", multiple=True, metavar="FOLDER", help="one for each disk")
@click.option("--master", metavar="HOST:PORT", help="address of the master")
@click.option("--rack", metavar="NAME", help="servers of one rack may fail together")
@_listen
@_advertise
@_set
@_config
@serve_options
def chunkserver(*, serving: ServeOptions, config: str | None, pairs: tuple[str, ...], **flags: object) -> None:
    """Run a chunkserver until Ctrl-C or SIGTERM. Its folders are made if they are missing."""
    settings = load(ChunkserverConfig, flags=_flags(flags, pairs), config_file=config).config
    if not settings.data:
        settings = msgspec.structs.replace(settings, data=(default_data("chunkserver"),))
    for folder in settings.data:
        Path(folder).mkdir(parents=True, exist_ok=True)

    from cairnfs.chunkserver.server import Chunkserver

    serve(lambda env: Chunkserver(env, settings), serving=serving, listen=settings.listen, fast_loop=True)


def _flags(flags: Mapping[str, object], pairs: tuple[str, ...]) -> dict[str, object]:
    return {**parse_pairs(pairs), **{key: value for key, value in flags.items() if value not in (None, ())}}


@click.command()
@_config
@click.option("--json", "as_json", is_flag=True, help="print one JSON document")
def config(config: str | None, as_json: bool) -> None:
    """Show each setting, its value and where it comes from.

    Name a setting in a file as `key = value` under its [role], or as variable CAIRN_<ROLE>_<KEY>.
    """
    rows = [
        (role, key, getattr(loaded.config, key), source)
        for role, kind in ROLES.items()
        for loaded in [load(kind, flags={}, config_file=config)]  # type: ignore[type-var]
        for key, source in loaded.sources.items()
    ]
    if as_json:
        document([{"role": role, "key": key, "value": value, "source": source} for role, key, value, source in rows])
        return
    table(("setting", "value", "from"), [(f"{role}.{key}", _shown(value), source) for role, key, value, source in rows])
    line()
    line("files looked at: " + ", ".join(str(path) for path in files_looked_at(config)))


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of SHELL. For bash: eval "$(cairn completion bash)"."""
    from click.shell_completion import get_completion_class

    from cairnfs.cli.main import cairn

    kind = get_completion_class(shell)
    assert kind is not None, shell
    line(kind(cairn, {}, "cairn", "_CAIRN_COMPLETE").source())
