"""Records about chunkservers."""

from msgspec.structs import replace

from cairnfs.meta.records import ServerForgotten, ServerOrdered, ServerSeen, Tuned
from cairnfs.meta.servers import ServerRow, TuningRow, get_server, put_server, put_tuning
from cairnfs.meta.tables import SERVERS, key
from cairnfs.meta.views import MetaWrite


def server_seen(txn: MetaWrite, record: ServerSeen) -> None:
    seen = {
        "boot": record.boot,
        "address": record.address,
        "rack": record.rack,
        "disks": record.disks,
        "seen_ns": record.now_ns,
    }
    row = get_server(txn, record.server)
    # What an operator said of it outlives its restarts.
    put_server(txn, record.server, ServerRow(**seen) if row is None else replace(row, **seen))  # type: ignore[arg-type]


def server_ordered(txn: MetaWrite, record: ServerOrdered) -> None:
    row = get_server(txn, record.server)
    assert row is not None, record
    new = replace(
        row,
        draining=record.draining,
        draining_disks=record.draining_disks,
        maintenance_until_ns=record.maintenance_until_ns,
    )
    put_server(txn, record.server, new)


def server_forgotten(txn: MetaWrite, record: ServerForgotten) -> None:
    txn.delete(SERVERS, key(record.server))


def tuned(txn: MetaWrite, record: Tuned) -> None:
    put_tuning(
        txn,
        TuningRow(
            repair_bytes_s=record.repair_bytes_s,
            cluster_bytes_s=record.cluster_bytes_s,
            balance_bytes_s=record.balance_bytes_s,
        ),
    )
