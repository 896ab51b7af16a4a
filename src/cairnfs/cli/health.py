"""Commands about the cluster as a whole: status, df."""

from collections.abc import Iterator
from enum import IntEnum

import click

from cairnfs.cli.common import Options, common_options, document, line, plain, table
from cairnfs.units import format_size, format_time
from cairnfs.wire.status import ClusterStatus, ServerStatus


class Health(IntEnum):
    """The exit code of `cairn status`."""

    HEALTHY = 0
    DEGRADED = 1
    AT_RISK = 2


@click.command()
@common_options
def status(*, options: Options) -> int:
    """Say how the cluster is: one sentence, then the servers.

    Exit code 0: healthy. 1: degraded, it works and heals. 2: data is at risk.
    """
    with options.connect() as fs:
        found: ClusterStatus = fs.status()
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
    return (
        f"starting: {int(100 * share)} % of chunks reported, {found.servers_reported} of {len(found.servers)} "
        "chunkservers; the master waits for the others before it repairs or deletes"
    )


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
    heard = [server for server in found.servers if server.state == "live"]
    full = [disk.folder for server in heard for disk in server.disks if not disk.free and not disk.failed]
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
            format_size(sum(disk.free for disk in server.disks)),
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
    free, total = sum(disk.free for disk in counted), sum(disk.total for disk in counted)
    if options.as_json:
        document({"free": free, "total": total, "disks": [
            {"server": server.address, "state": server.state, **plain(disk)} for server, disk in disks
        ]})  # fmt: skip
        return
    rows = [
        (server.address, disk.folder, format_size(disk.total), format_size(disk.total - disk.free),
         format_size(disk.free), disk.failed or server.state)
        for server, disk in disks
    ]  # fmt: skip
    rows.append(("all", "", format_size(total), format_size(total - free), format_size(free), ""))
    table(("server", "folder", "total", "used", "free", "state"), rows, right=(2, 3, 4))
