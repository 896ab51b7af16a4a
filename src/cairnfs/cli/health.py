"""Commands about the cluster as a whole: status, df."""

import time
from collections.abc import Callable, Iterator
from enum import IntEnum

import click

from cairnfs.cli.common import Options, common_options, document, line, plain, table
from cairnfs.cli.progress import counting
from cairnfs.errors import CairnError
from cairnfs.units import format_size, format_time
from cairnfs.wire.status import ClusterStatus, ServerStatus

WAIT_LOOK_S = 0.5
"""Between two looks of `cairn status --wait`."""


class Health(IntEnum):
    """The exit code of `cairn status`."""

    HEALTHY = 0
    DEGRADED = 1
    AT_RISK = 2


@click.command()
@click.option("--wait", "waits", is_flag=True, help="wait until the cluster is healthy, and show how far it is")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="with --wait: longest wait [no limit]")
@common_options
def status(*, waits: bool, timeout: float | None, options: Options) -> int:
    """Say how the cluster is: one sentence, then the servers.

    Exit code 0: healthy. 1: degraded, it works and heals. 2: data is at risk.
    """
    with options.connect() as fs:
        found: ClusterStatus = until_healthy(fs.status, timeout_s=timeout) if waits else fs.status()
    health, sentence = judge(found)
    if options.as_json:
        document({"health": health.name.lower(), "sentence": sentence, **plain(found)})
        return int(health)
    line(sentence)
    for warning in found.warnings:
        line(f"warning: {warning}")
    if found.servers:
        line()
        _servers(found.servers)
    line()
    for name, value in _facts(found):
        line(f"{name:>12}: {value}")
    return int(health)


def judge(found: ClusterStatus) -> tuple[Health, str]:
    """Return how bad it is, and one sentence that says so to a person."""
    live = sum(server.state == "live" for server in found.servers)
    who = f"{live} of {len(found.servers)} chunkservers live"
    if found.chunks_missing and not found.safe_start:
        some = ", ".join(f"{handle:016x}" for handle in found.missing_handles[:3])
        return Health.AT_RISK, f"data at risk: {found.chunks_missing} chunks have no copy ({some}); {who}"
    if found.chunks_one_copy:
        return Health.AT_RISK, f"data at risk: {found.chunks_one_copy} chunks have one copy only; {who}"
    reasons = list(_faults(found, live))
    if reasons:
        return Health.DEGRADED, f"degraded: {', '.join(reasons)}; {who}"
    return Health.HEALTHY, f"healthy: all {found.chunks} chunks have enough copies; {who}"


def starting(found: ClusterStatus) -> str:
    """Say how far a master is that has just started."""
    share = min(1.0, found.chunks_reported / found.chunks) if found.chunks else 1.0
    told, held = replicas_told(found)
    return (
        f"starting: {found.servers_reported} of {len(found.servers)} chunkservers have reported, "
        f"{told:,} of {held:,} replicas, {int(100 * share)} % of chunks; "
        "the master waits for the others before it repairs or deletes"
    )


def replicas_told(found: ClusterStatus) -> tuple[int, int]:
    """Return (replicas that the master has been told of, those that are on the disks of servers that registered)."""
    told = [server.replicas for server in found.servers]
    held = [sum(disk.replicas for disk in server.disks if not disk.failed) for server in found.servers]
    return sum(told), sum(map(max, told, held))


def until_healthy(
    ask: Callable[[], ClusterStatus], *, timeout_s: float | None, pause_s: float = WAIT_LOOK_S
) -> ClusterStatus:
    """Ask until the cluster is healthy or the time is over; return the last answer. A silent master is asked again.

    Raises:
        CairnError: the first question was not answered, or asking again would not help.
    """
    found = ask()
    sentence = judge(found)[1]
    ends_s = float("inf") if timeout_s is None else time.monotonic() + timeout_s
    with counting("replicas told") as tell:
        while judge(found)[0] is not Health.HEALTHY and time.monotonic() < ends_s:
            tell(*replicas_told(found), sentence)
            time.sleep(pause_s)
            try:
                found = ask()
                sentence = judge(found)[1]
            except CairnError as error:
                if error.retry == "never":
                    raise
                sentence = f"no answer: {error}"
    return found


def _faults(found: ClusterStatus, live: int) -> Iterator[str]:
    if found.safe_start:
        yield starting(found)
    if not found.servers:
        yield "no chunkserver has registered"
    elif live < len(found.servers):
        silent = [
            server.address + (" (maintenance)" if server.maintenance_s else "")
            for server in found.servers
            if server.state != "live"
        ]
        yield f"not live: {', '.join(silent)}"
    if found.chunks_below_goal:
        running = f" ({found.repairs_running} being copied)" if found.repairs_running else ""
        yield f"{found.chunks_below_goal} chunks have too few copies{running}"
    slow = [server.address for server in found.servers if server.slow_s]
    if slow:
        yield f"much slower than the others: {', '.join(slow)}"
    failed = [disk.folder for server in found.servers for disk in server.disks if disk.failed]
    if failed:
        yield f"failed disks: {', '.join(failed)}"
    fixed = [disk.folder for server in found.servers for disk in server.disks if disk.read_only]
    if fixed:
        yield f"read-only disks, which serve what they have and take nothing: {', '.join(fixed)}"
    heard = [server for server in found.servers if server.state == "live"]
    taking = [disk for server in heard for disk in server.disks if not (disk.failed or disk.read_only)]
    full = [disk.folder for disk in taking if not disk.free]
    if full:
        yield f"full disks: {', '.join(full)}"


def _servers(servers: list[ServerStatus]) -> None:
    rows = [
        (
            f"{server.server:016x}",
            server.address,
            _state(server),
            format_time(server.heard_s),
            str(server.replicas),
            str(server.primaries),
            format_size(sum(disk.free for disk in server.disks if not disk.read_only)),
            format_size(sum(disk.total for disk in server.disks)),
            server.rack,
        )
        for server in servers
    ]
    headings = ("server", "address", "state", "heard", "replicas", "primary of", "free", "total", "rack")
    table(headings, rows, right=(3, 4, 5, 6, 7))


def _state(server: ServerStatus) -> str:
    """Return how it is, and what an operator wants of it."""
    duties = [server.state]
    if server.draining:
        duties.append("draining")
    if server.maintenance_s:
        duties.append(f"maintenance {format_time(server.maintenance_s)}")
    if server.slow_s:
        duties.append("slow")
    return ", ".join(duties)


def _facts(found: ClusterStatus) -> list[tuple[str, str]]:
    return [
        ("cluster", f"{found.cluster}, epoch {found.epoch}, master up {format_time(found.uptime_s)}"),
        ("names", f"{found.files} files, {found.folders} folders, {found.trash_entries} in the trash"),
        ("chunks", f"{found.chunks}, {found.open_chunks} open, {found.chunks_below_goal} below goal, "
                   f"{found.chunks_above_goal} above, {found.garbage} replicas to delete"),
        ("copies", f"{found.repairs_running} repairs run, {found.repairs_waiting} chunks are in need, "
                   f"{found.moves_running} moves even out disks"),
        ("metadata", f"{format_size(found.metadata_bytes)}, log at {found.log_index}"),
        ("durability", f"{found.durability}: an append is acknowledged when it is "
                       + ("flushed on every member" if found.durability == "disk" else "in every member's memory")),
    ]  # fmt: skip


@click.command()
@common_options
def df(*, options: Options) -> None:
    """Show how much room each disk and the cluster has. A file takes its size times its copies."""
    with options.connect() as fs:
        found: ClusterStatus = fs.status()
    disks = [(server, disk) for server in found.servers for disk in server.disks]
    counted = [disk for server, disk in disks if server.state != "dead" and not disk.failed]
    free = sum(disk.free for disk in counted if not disk.read_only)
    total = sum(disk.total for disk in counted)
    if options.as_json:
        document({"free": free, "total": total, "disks": [
            {"server": server.address, "state": server.state, **plain(disk)} for server, disk in disks
        ]})  # fmt: skip
        return
    rows = [
        (server.address, disk.folder, format_size(disk.total), format_size(disk.total - disk.free),
         format_size(disk.free), disk.failed or ("read-only" if disk.read_only else server.state))
        for server, disk in disks
    ]  # fmt: skip
    rows.append(("all", "", format_size(total), format_size(total - free), format_size(free), ""))
    table(("server", "folder", "total", "used", "free", "state"), rows, right=(2, 3, 4))
