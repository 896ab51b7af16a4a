"""The door through which every error leaves: one line, a hint, an exit code."""

import json
import subprocess
import sys

import pytest

from cairnfs import errors
from cairnfs.cli.main import COMMANDS, exit_code


def cairn(*arguments, **environment):
    import os

    clean = {name: value for name, value in os.environ.items() if not name.startswith("CAIRN_")}
    command = [sys.executable, "-m", "cairnfs", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**clean, **environment}, check=False)


def test_an_error_is_one_line_with_a_hint_and_no_traceback():
    ended = cairn("ls", "--master", "127.0.0.1:1")
    lines = ended.stderr.splitlines()
    assert ended.returncode == 4
    assert lines[0].startswith("cairn: no master at 127.0.0.1:1")
    assert lines[1].startswith("hint: ")
    assert len(lines) == 2


def test_debug_shows_the_traceback():
    ended = cairn("ls", "--master", "127.0.0.1:1", CAIRN_DEBUG="1")
    assert "Traceback" in ended.stderr


def test_an_unknown_command_names_the_nearest():
    ended = cairn("snapshoot")
    assert ended.returncode == 2
    assert "did you mean 'snapshot'" in ended.stderr


def test_an_unknown_setting_is_refused_before_anything_is_done():
    ended = cairn("ls", CAIRN_CLIENT_MASTR="x:1")
    assert ended.returncode == 7
    assert "did you mean 'CAIRN_CLIENT_MASTER'" in ended.stderr


def test_without_asserts_nothing_starts():
    """Goal: `python -O` would take the protocol's invariants away, so the command refuses it."""
    command = [sys.executable, "-O", "-m", "cairnfs", "--version"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 7
    assert "asserts" in ended.stderr


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_of_the_table_exists_and_explains_itself(name):
    from importlib import import_module

    entry = COMMANDS[name]
    command = getattr(import_module(entry.module), entry.attribute)
    assert command.help
    assert command.name == name


def test_listing_the_commands_loads_none_of_them():
    program = (
        "import sys; from cairnfs.cli.main import run; run(['--help']); "
        "print(sorted(name for name in sys.modules if name.startswith(('cairnfs.cli.', 'cairnfs.master', 'rich'))))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "['cairnfs.cli.lazy', 'cairnfs.cli.main']"


@pytest.mark.parametrize(
    "error, code",
    [
        (errors.NotFoundError(path="/x"), 3),
        (errors.ConnectError(address="a:1", why="refused"), 4),
        (errors.ExistsError(path="/x"), 5),
        (errors.NotEmptyError(path="/x"), 5),
        (errors.TooFewCopiesError(what="chunk", have=1, need=2), 6),
        (errors.AddressInUseError(address="a:1"), 7),
        (errors.PeerError(what="odd", peer="a:1"), 1),
    ],
)
def test_exit_codes_are_by_class(error, code):
    assert exit_code(error) == code


def test_config_says_where_each_value_comes_from(tmp_path):
    (tmp_path / "named.toml").write_text("[client]\nreadahead_bytes = '1M'\n")
    ended = cairn("config", "--json", "--config", str(tmp_path / "named.toml"), CAIRN_MASTER_REPLICAS="2")
    found = {f"{each['role']}.{each['key']}": (each["value"], each["source"]) for each in json.loads(ended.stdout)}
    assert found["client.readahead_bytes"] == (1024 * 1024, str(tmp_path / "named.toml"))
    assert found["master.replicas"] == (2, "CAIRN_MASTER_REPLICAS")
    assert found["master.lease_s"] == (60.0, "default")


def test_a_reader_that_goes_away_is_no_error():
    """Goal: `cairn config | true` says nothing on stderr."""
    command = f"{sys.executable} -m cairnfs config | true"
    ended = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert ended.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell):
    ended = cairn("completion", shell)
    assert ended.returncode == 0
    assert "_CAIRN_COMPLETE" in ended.stdout
