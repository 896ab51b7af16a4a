"""Deciding about chunkservers: seen, ordered by an operator, forgotten; and about speeds."""

from msgspec.structs import replace

from cairnfs.errors import NoSuchServerError
from cairnfs.ids import ServerId
from cairnfs.meta.commands import ForgetServer, OrderServer, SeeServer, Tune
from cairnfs.meta.decide.base import Choice, Decision
from cairnfs.meta.records import ServerForgotten, ServerOrdered, ServerSeen, Tuned
from cairnfs.meta.servers import ServerRow, get_server, get_tuning
from cairnfs.meta.views import MetaRead
from cairnfs.wire.base import Done


def see_server(view: MetaRead, command: SeeServer, choice: Choice) -> Decision[Done]:
    row = get_server(view, command.server)
    if row is not None:
        known = (row.boot, row.address, row.rack, row.disks)
        if known == (command.boot, command.address, command.rack, command.disks):
            return Decision(Done())
    record = ServerSeen(
        server=command.server,
        boot=command.boot,
        address=command.address,
        rack=command.rack,
        disks=command.disks,
        now_ns=choice.now_ns,
    )
    return Decision(Done(), [record])


def order_server(view: MetaRead, command: OrderServer, _choice: Choice) -> Decision[Done]:
    row = _known(view, command.server)
    disks = [disk for disk in row.draining_disks if disk not in command.keep_disks]
    record = ServerOrdered(
        server=command.server,
        draining=row.draining if command.draining is None else command.draining,
        draining_disks=[*disks, *(disk for disk in command.drain_disks if disk not in disks)],
        maintenance_until_ns=(
            row.maintenance_until_ns if command.maintenance_until_ns is None else command.maintenance_until_ns
        ),
    )
    now = (row.draining, row.draining_disks, row.maintenance_until_ns)
    if now == (record.draining, record.draining_disks, record.maintenance_until_ns):
        return Decision(Done())
    return Decision(Done(), [record])


def forget_server(view: MetaRead, command: ForgetServer, _choice: Choice) -> Decision[Done]:
    _ = _known(view, command.server)
    return Decision(Done(), [ServerForgotten(server=command.server)])


def _known(view: MetaRead, server: ServerId) -> ServerRow:
    row = get_server(view, server)
    if row is None:
        raise NoSuchServerError(server=f"{server:x}")
    return row


def tune(view: MetaRead, command: Tune, _choice: Choice) -> Decision[Done]:
    row = get_tuning(view)
    wanted = {
        name: value
        for name in ("repair_bytes_s", "cluster_bytes_s", "balance_bytes_s")
        if (value := getattr(command, name)) is not None
    }
    new = replace(row, **wanted)
    if new == row:
        return Decision(Done())
    record = Tuned(
        repair_bytes_s=new.repair_bytes_s, cluster_bytes_s=new.cluster_bytes_s, balance_bytes_s=new.balance_bytes_s
    )
    return Decision(Done(), [record])
