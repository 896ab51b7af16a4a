"""Deciding about bookkeeping: servers seen, clients forgotten."""

from cairnfs.ids import ClientId
from cairnfs.meta.commands import ForgetClients, Forgotten, SeeServer
from cairnfs.meta.decide.base import Choice, Decision
from cairnfs.meta.records import ClientForgotten, Record, ServerSeen
from cairnfs.meta.tables import CLIENTS, SERVERS, U64, decode_client, decode_server, key
from cairnfs.meta.views import MetaRead
from cairnfs.wire.base import Done


def see_server(view: MetaRead, command: SeeServer, choice: Choice) -> Decision[Done]:
    raw = view.get(SERVERS, key(command.server))
    if raw is not None:
        row = decode_server(raw)
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


def forget_clients(view: MetaRead, command: ForgetClients, _choice: Choice) -> Decision[Forgotten]:
    records: list[Record] = []
    for raw, value in view.scan(CLIENTS):
        if len(records) == command.limit:
            return Decision(Forgotten(clients=len(records), more=True), records)
        row, client = decode_client(value), ClientId(U64.unpack(raw)[0])
        if row.heard_ns < command.removed_before_ns:
            records.append(ClientForgotten(client=client, removed=True))
        elif row.heard_ns < command.before_ns and row.lowest <= row.highest:
            records.append(ClientForgotten(client=client, removed=False))
    return Decision(Forgotten(clients=len(records), more=False), records)
