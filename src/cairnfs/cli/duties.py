"""Commands about single chunkservers: drain, maintenance, forget; and how fast copies may be: tune."""

import time
from collections.abc import Sequence

import click

from cairnfs.cli.common import FileSystem, Options, common_options, document, line, note, table
from cairnfs.errors import NoSuchServerError
from cairnfs.observe.progress import bar
from cairnfs.units import format_size, format_time, parse_size, parse_time
from cairnfs.wire.duties import DrainPlan, MaintenancePlan, Speeds, Stuck
from cairnfs.wire.status import ClusterStatus, ServerStatus

LOOK_S = 1.0


def find_server(found: ClusterStatus, name: str) -> ServerStatus:
    """Return the server that is meant by its id or address.

    Raises:
        NoSuchServerError: none, or several.
    """
    exact = [one for one in found.servers if name in (one.address, f"{one.server:016x}", f"{one.server:x}")]
    started = exact or [one for one in found.servers if f"{one.server:016x}".startswith(name.lower())]
    if len(started) != 1:
        raise NoSuchServerError(server=f"{name}: {len(started)} servers are called so" if started else name)
    return started[0]


@click.command()
@click.argument("server")
@click.option("--disk", metavar="FOLDER", help="only this data folder of the server")
@click.option("--start", "action", flag_value="start", help="begin")
@click.option("--cancel", "action", flag_value="cancel", help="give up: what is there counts again")
@click.option("--wait", is_flag=True, help="wait until nothing is needed there any more")
@common_options
def drain(server: str, disk: str | None, action: str | None, wait: bool, *, options: Options) -> int:
    """Say what it takes to empty SERVER (id or address), begin it with --start, look on with no option.

    Its chunks are copied to other servers, as fast as `cairn tune` says. It goes on serving reads; nothing is deleted
    from a server, so a drain can be cancelled at any time. It may be switched off when nothing there is needed.

    Exit code 0: nothing there is needed. 1: something is.
    """
    with options.connect() as fs:
        found = find_server(fs.status(), server)
        disk_id = _disk_of(found, disk) if disk is not None else 0
        plan: DrainPlan = fs.drain(found.server, disk=disk_id, action=action or "plan")
        if wait:
            plan = _wait(fs, plan)
    if options.as_json:
        document(plan)
    else:
        _show_drain(plan)
    return 1 if plan.left else 0


def _disk_of(found: ServerStatus, folder: str) -> int:
    for disk in found.disks:
        if folder in (disk.folder, f"{disk.disk:x}", f"{disk.disk:016x}"):
            if disk.failed:
                raise click.UsageError(f"{disk.folder} has failed already, nothing is left to drain: {disk.failed}")
            return disk.disk
    known = ", ".join(disk.folder for disk in found.disks) or "none is known, the server is not there"
    raise click.UsageError(f"{found.address} has no data folder {folder}; it has {known}")


def _wait(fs: FileSystem, plan: DrainPlan) -> DrainPlan:
    """Look again and again until nothing is left. Ctrl-C ends the looking, not the drain."""
    if not plan.draining:
        raise click.UsageError("--wait goes with a drain that has begun: add --start")
    with bar(f"draining {plan.address}") as tell:
        first = plan.left_bytes
        while plan.left:  # ends with the drain
            tell(max(0, first - plan.left_bytes), max(1, first))
            time.sleep(LOOK_S)
            plan = fs.drain(plan.server, disk=plan.disk)
    return plan


def _show_drain(plan: DrainPlan) -> None:
    what = f"disk {plan.folder} of {plan.address}" if plan.folder else f"chunkserver {plan.address}"
    state = "is being drained" if plan.draining else "is not being drained"
    line(f"{what} {state}: {plan.replicas} replicas, {format_size(plan.size_bytes)}")
    if not plan.left:
        line("nothing there is needed: it can be taken away" if plan.exact else "it is empty: it can be taken away")
        return
    speed = f" at {format_size(plan.bytes_s)}/s" if plan.bytes_s else ""
    needs_s = plan.left_bytes / plan.bytes_s if plan.bytes_s else 0.0
    size = format_size(plan.left_bytes)
    line(f"to be copied: {plan.left} replicas, {size}, about {format_time(needs_s)}{speed}" if plan.exact else
         f"still there: {plan.left} replicas, at most {size}")  # fmt: skip
    line(f"free elsewhere: {format_size(plan.room_bytes)}")
    if plan.alone:
        line(f"at risk until then: {plan.alone} chunks have no other copy")
    if plan.room_bytes < plan.left_bytes:
        note("warning: there is not enough room elsewhere: add a server or a disk, or delete something")
    _show_stuck(plan.stuck)
    if not plan.draining:
        line("begin with --start")


def _show_stuck(stuck: Sequence[Stuck]) -> None:
    if stuck:
        line()
        rows = [(f"{one.handle:016x}", _text(one.path), one.why) for one in stuck]
        table(("chunk", "file", "why it is still needed"), rows)


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape") or "(deleted, or shared)"


@click.command()
@click.argument("server")
@click.option("--for", "length", metavar="TIME", help="from now on, for example 30m; at most 7d")
@click.option("--end", is_flag=True, help="it is over")
@common_options
def maintenance(server: str, length: str | None, end: bool, *, options: Options) -> int:
    """Say that SERVER (id or address) will be away for a while: nothing is copied because of that.

    Without an option: what hangs on it now. Chunks that have one copy left are copied all the same. Until it is back
    it gets no new chunks.

    Exit code 0: everything can be read without it. 1: something cannot.
    """
    if length is not None and end:
        raise click.UsageError("--for or --end, not both")
    try:
        for_s = 0.0 if end else parse_time(length) if length is not None else None
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    with options.connect() as fs:
        found = find_server(fs.status(), server)
        plan: MaintenancePlan = fs.maintain(found.server, for_s=for_s)
    if options.as_json:
        document(plan)
        return 1 if plan.alone else 0
    left = f"in maintenance for another {format_time(plan.left_s)}" if plan.left_s else "not in maintenance"
    line(f"chunkserver {plan.address} is {left}: {plan.replicas} replicas")
    if plan.one_left:
        line(f"without it {plan.one_left} chunks have one copy: they are copied as soon as it is silent")
    if plan.alone:
        line(f"without it {plan.alone} chunks cannot be read:")
        _show_stuck(plan.stuck)
    else:
        line("without it everything can be read")
    return 1 if plan.alone else 0


@click.command()
@click.argument("server")
@common_options
def forget(server: str, *, options: Options) -> int:
    """Count no more on SERVER (id or address), which will not come back: a start does not wait for its report.

    Refused while it is there, and while chunks have no copy elsewhere. Should it come back, it is a new server.
    """
    with options.connect() as fs:
        found = find_server(fs.status(), server)
        fs.forget_server(found.server)
    if options.as_json:
        document({"server": f"{found.server:016x}", "address": found.address})
    else:
        line(f"forgotten: {found.address}")
    return 0


@click.command()
@click.option("--repair", metavar="SPEED", help="what each server takes in, and gives, for copies: 50M; 0: as set up")
@click.option("--cluster", metavar="SPEED", help="the same for the whole cluster; 0: as set up, which is no limit")
@click.option("--balance", metavar="SPEED", help="moves that even out disks, in the whole cluster; 0: as set up")
@common_options
def tune(repair: str | None, cluster: str | None, balance: str | None, *, options: Options) -> int:
    """Show how fast copies and moves may be, or change it while they run. Speeds are bytes a second.

    It holds from the next heartbeat on, and outlives restarts. Raises, which writers wait for, have no limit.
    """
    try:
        given = {
            name: parse_size(value)
            for name, value in (("repair", repair), ("cluster", cluster), ("balance", balance))
            if value is not None
        }
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    with options.connect() as fs:
        speeds: Speeds = fs.tune(**given)
    if options.as_json:
        document(speeds)
        return 0
    line(f"repairs, each server: {_speed(speeds.repair_bytes_s)} in, and as much out")
    line(f"repairs, all servers: {_speed(speeds.cluster_bytes_s)}")
    line(f"            balance: {_speed(speeds.balance_bytes_s)}")
    line(f"      at this moment: {speeds.running} repairs run, {speeds.waiting} chunks are in need")
    return 0


def _speed(bytes_s: int) -> str:
    return f"{format_size(bytes_s)}/s" if bytes_s else "no limit"
