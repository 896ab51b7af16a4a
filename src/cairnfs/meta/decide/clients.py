"""Deciding about bookkeeping: clients forgotten."""

from cairnfs.ids import ClientId
from cairnfs.meta.commands import ForgetClients, Forgotten
from cairnfs.meta.decide.base import Choice, Decision
from cairnfs.meta.records import ClientForgotten, Record
from cairnfs.meta.tables import CLIENTS, U64, decode_client
from cairnfs.meta.views import MetaRead


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
