"""`cairn deletions`: what the brake on deletions holds, and the word that lets it go. Rule 22."""

import time

import click

from cairnfs.cli.common import Options, common_options, document, line, note, table
from cairnfs.ids import NO_SERVER, ServerId
from cairnfs.units import SECOND_NS
from cairnfs.wire.operating import HeldDeletions


@click.command()
@click.option("--release", metavar="SERVER|all", help="delete what is held on one server (id or address), or on all")
@click.option("--accept-restore", is_flag=True, help="metadata came from a backup: what is newer may go, for good")
@common_options
def deletions(release: str | None, accept_restore: bool, *, options: Options) -> int:
    """Show which deletions wait for an operator, and let them go.

    A chunkserver that suddenly holds very many replicas that no file needs, and that nobody deleted, may be right (it
    was away for long) or a sign that the metadata is not what it was. Deletions beyond 5 % of its replicas and 1,000
    in an hour therefore wait. Look at `cairn status` first: if chunks are missing, release nothing.

    After `cairn master restore` all of them wait, and what is newer than the backup is counted apart. Take what you
    need from there, then accept the restore: from then on the usual rules hold.

    Exit code 0: nothing waits, or it was released. 1: deletions wait.
    """
    with options.connect() as fs:
        if accept_restore:
            fs.accept_restore()
        held, restored_ns = fs.deletions(), fs.restored_ns()
        if release is not None:
            return _release(fs.release_deletions(_server(release, held)), options)
    if restored_ns:
        made = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(restored_ns / SECOND_NS))
        note(f"the metadata came from a backup of {made}: all deletions wait until `cairn deletions --accept-restore`")
    if options.as_json:
        document([_as_json(one) for one in held])
    elif held:
        rows = [
            (f"{one.server:016x}", one.address, str(one.orphans), str(one.stale), str(one.newer), str(one.released),
             " ".join(f"{handle:x}" for handle in one.handles[:3]))
            for one in held
        ]  # fmt: skip
        table(("server", "address", "orphans", "stale", "newer", "released", "chunks, some"), rows, right=(2, 3, 4, 5))
    else:
        line("no deletions wait for an operator")
    return 1 if restored_ns or any(one.orphans + one.stale > one.released for one in held) else 0


def _release(count: int, options: Options) -> int:
    if options.as_json:
        document({"released": count})
    elif count:
        line(f"{count} deletions released; the replicas stay in the trash of their servers for its grace time")
    else:
        line("no deletions wait for an operator")
    return 0


def _server(name: str, held: list[HeldDeletions]) -> ServerId:
    """Return the server that is meant. Raises UsageError: nothing is held there."""
    if name == "all":
        return NO_SERVER
    for one in held:
        if name in (one.address, f"{one.server:016x}", f"{one.server:x}"):
            return one.server
    raise click.UsageError(f"no deletions wait on a server {name}; `cairn deletions` lists where some do")


def _as_json(one: HeldDeletions) -> dict[str, object]:
    return {
        "server": f"{one.server:016x}",
        "address": one.address,
        "orphans": one.orphans,
        "stale": one.stale,
        "newer": one.newer,
        "released": one.released,
        "handles": [f"{handle:016x}" for handle in one.handles],
    }
