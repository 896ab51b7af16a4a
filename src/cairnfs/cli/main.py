"""`cairn`: the table of commands, and the one door through which every error leaves.

An error is one line `cairn: what happened` and, if a person can do something, one line `hint: ...`, both on stderr.
Its exit code says which class it was of, so that scripts need not read text. CAIRN_DEBUG=1 shows the traceback.
"""

import os
import sys
import traceback
from typing import NoReturn

import click

from cairnfs.cli.lazy import Lazy, LazyGroup, ReaderGoneError
from cairnfs.errors import CairnError
from cairnfs.errors import chunks as of_chunks
from cairnfs.errors import cluster as of_cluster
from cairnfs.errors import conversation as of_conversation
from cairnfs.errors import namespace as of_namespace

GENERAL, USAGE, NOT_FOUND, UNREACHABLE, IN_THE_WAY, NOT_NOW, REFUSED = range(1, 8)
INTERRUPTED = 130
READER_GONE = 141
"""As a shell shows a process that SIGPIPE ended: `cairn cat /big | head` is no failure of ours."""

EPILOG = """\b
Exit codes:
  0  done                               4  no answer from master or chunkserver
  1  any other error                    5  something is in the way: exists, not empty,
  2  wrong usage                           a folder where a file should be
  3  not found                          6  not now: too few copies, disk or quota full, busy
  130 Ctrl-C, 141 reader went away      7  a server cannot start: settings, port, folder
`cairn status`, `cairn fsck`: 0 healthy, 1 degraded, 2 data at risk. `cairn drain`, `cairn maintenance`: 1 needed.

\b
Paths are /path or cairn://host:port/path. Settings: flag, CAIRN_* variable, --config FILE,
./cairn.toml, ~/.config/cairn/cairn.toml, /etc/cairn/cairn.toml; `cairn config` shows them.
"""

_IN = "cairnfs.cli."
COMMANDS = {
    "up": Lazy(_IN + "up", "up", "start a whole cluster on this machine"),
    "init": Lazy(_IN + "servers", "init", "make a new cluster in a folder"),
    "master": Lazy(_IN + "servers", "master", "run the master"),
    "chunkserver": Lazy(_IN + "servers", "chunkserver", "run a chunkserver"),
    "status": Lazy(_IN + "health", "status", "say how the cluster is"),
    "fsck": Lazy(_IN + "fsck", "fsck", "look whether files have all their copies, and whether those are whole"),
    "deletions": Lazy(_IN + "deletions", "deletions", "show and release deletions that wait for an operator"),
    "drain": Lazy(_IN + "duties", "drain", "empty a chunkserver or one of its disks"),
    "maintenance": Lazy(_IN + "duties", "maintenance", "say that a chunkserver will be away for a while"),
    "forget": Lazy(_IN + "duties", "forget", "count no more on a chunkserver that will not come back"),
    "tune": Lazy(_IN + "duties", "tune", "show or change how fast copies and moves may be"),
    "config": Lazy(_IN + "servers", "config", "show each setting and where it comes from"),
    "ls": Lazy(_IN + "names", "ls", "list a folder"),
    "tree": Lazy(_IN + "names", "tree", "list a folder and all below it as a tree"),
    "stat": Lazy(_IN + "names", "stat", "show what is known about a file or folder"),
    "mkdir": Lazy(_IN + "names", "mkdir", "make folders"),
    "mv": Lazy(_IN + "names", "mv", "move or rename"),
    "rm": Lazy(_IN + "trash", "rm", "move to the trash, or remove at once"),
    "trash": Lazy(_IN + "trash", "trash", "list what can be undeleted"),
    "undelete": Lazy(_IN + "trash", "undelete", "take back from the trash"),
    "snapshot": Lazy(_IN + "trash", "snapshot", "copy a file or folder at once, copy-on-write"),
    "put": Lazy(_IN + "copying", "put", "copy local files into the cluster"),
    "get": Lazy(_IN + "copying", "get", "copy files of the cluster to this machine"),
    "cp": Lazy(_IN + "copying", "cp", "copy inside the cluster"),
    "cat": Lazy(_IN + "content", "cat", "print files"),
    "head": Lazy(_IN + "content", "head", "print the first lines"),
    "tail": Lazy(_IN + "content", "tail", "print the last lines, and follow"),
    "append": Lazy(_IN + "appending", "append", "append records, each whole or not at all"),
    "du": Lazy(_IN + "names", "du", "show how much a folder holds"),
    "quota": Lazy(_IN + "quotas", "quota", "limit what folders may hold, and show how much they hold"),
    "df": Lazy(_IN + "health", "df", "show how much room the cluster has"),
    "chunks": Lazy(_IN + "chunks", "chunks", "show a file's chunks and their replicas"),
    "sim": Lazy(_IN + "sim", "sim", "simulate whole clusters from a seed"),
    "completion": Lazy(_IN + "servers", "completion", "print the completion script of a shell"),
}


@click.command(
    cls=LazyGroup,
    table=COMMANDS,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="cairnfs", prog_name="cairn")
def cairn() -> None:
    """CairnFS: a distributed file system that one command starts."""


def main() -> NoReturn:
    """Run the command of `sys.argv` and exit. One of the three doors of docs/STYLE.md, 21."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Return the exit code of a command; whatever went wrong has been said on stderr."""
    if not __debug__:
        return _say("asserts guard the protocol: run without `python -O` and PYTHONOPTIMIZE", "", REFUSED)
    try:
        result = cairn.main(arguments, prog_name="cairn", standalone_mode=False)
        sys.stdout.flush()
    except Exception as error:
        return _end(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    return result if isinstance(result, int) else 0


def _end(error: Exception) -> int:
    """Say what went wrong, if anything did, and return the exit code."""
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case click.Abort():
            return INTERRUPTED
        case ReaderGoneError() | BrokenPipeError():
            _forget_stdout()
            return READER_GONE
    if os.environ.get("CAIRN_DEBUG", "0") not in ("", "0"):
        traceback.print_exception(error)
    return _say(*_told(error))


def _told(error: Exception) -> tuple[str, str, int]:
    """Return what happened, what can be done, and the exit code."""
    match error:
        case click.ClickException():
            usage = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
            return error.format_message(), f"see `{usage} --help`" if usage else "", error.exit_code
        case CairnError():
            return str(error), error.hint, exit_code(error)
        case OSError():
            return _words(error), "", NOT_FOUND if isinstance(error, FileNotFoundError) else GENERAL
    hint = "this is a bug of CairnFS; CAIRN_DEBUG=1 shows where it happened"
    return f"{type(error).__name__}: {error}", hint, GENERAL


def _words(error: OSError) -> str:
    """Return "no such file or directory: notes.txt" without the number."""
    if error.strerror is None:
        return str(error)
    what = error.strerror[:1].lower() + error.strerror[1:]
    return f"{what}: {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else what


def exit_code(error: CairnError) -> int:
    """Return the number of the table in `cairn --help`."""
    for kinds, code in _CODES:
        if isinstance(error, kinds):
            return code
    return GENERAL


_CODES: tuple[tuple[tuple[type[Exception], ...], int], ...] = (
    ((of_namespace.BadNameError, of_conversation.BadRequestError), USAGE),
    ((FileNotFoundError, of_cluster.NoSuchServerError), NOT_FOUND),
    (
        (
            of_conversation.ConnectError,
            of_conversation.ConnectionLostError,
            of_conversation.CallTimeoutError,
            of_cluster.NotLeaderError,
        ),
        UNREACHABLE,
    ),
    (
        (
            of_cluster.SettingError,
            of_cluster.AddressInUseError,
            of_cluster.FolderInUseError,
            of_cluster.FormatError,
            of_conversation.WrongClusterError,
            of_conversation.ProtocolVersionError,
        ),
        REFUSED,
    ),
    (
        (
            of_cluster.TooFewCopiesError,
            of_cluster.NoCopyError,
            of_cluster.DiskFullError,
            of_conversation.BusyError,
            of_conversation.ShutdownError,
            of_chunks.NotReadableError,
            of_namespace.QuotaError,
            of_namespace.NotCountedError,
        ),
        NOT_NOW,
    ),
    ((OSError,), IN_THE_WAY),
)


def _say(what: str, hint: str, code: int) -> int:
    lines = f"cairn: {what}\n" + (f"hint: {hint}\n" if hint else "")
    sys.stderr.buffer.write(lines.encode(errors="surrogateescape"))
    sys.stderr.flush()
    return code


def _forget_stdout() -> None:
    """Python flushes stdout at exit; with nobody reading it that would be one more error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
