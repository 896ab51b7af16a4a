"""Rows of the chunkservers: what was seen of them, and what an operator has said about them and about speeds."""

import msgspec

from cairnfs.ids import BootId, DiskId, ServerId
from cairnfs.meta.tables import META, SERVERS, U64, encode, key
from cairnfs.meta.views import MetaRead, MetaWrite
from cairnfs.wire.base import Part

TUNING_KEY = b"tuning"


class ServerRow(Part):
    """A chunkserver as last seen, and what an operator wants of it."""

    boot: BootId
    address: str
    rack: str
    disks: list[DiskId]
    seen_ns: int
    draining: bool = False
    """Its replicas are copied to others until it can be switched off."""
    draining_disks: list[DiskId] = []  # noqa: RUF012  (msgspec copies it)
    maintenance_until_ns: int = 0
    """Until then, by the wall clock, its silence is expected."""


class TuningRow(Part):
    """Speeds in bytes a second that an operator has set while the cluster runs; 0: as the master's settings say."""

    repair_bytes_s: int = 0
    cluster_bytes_s: int = 0
    balance_bytes_s: int = 0


decode_server = msgspec.msgpack.Decoder(ServerRow).decode
_decode_tuning = msgspec.msgpack.Decoder(TuningRow).decode


def get_server(view: MetaRead, server: ServerId) -> ServerRow | None:
    raw = view.get(SERVERS, key(server))
    return None if raw is None else decode_server(raw)


def put_server(txn: MetaWrite, server: ServerId, row: ServerRow) -> None:
    txn.put(SERVERS, key(server), encode(row))


def servers(view: MetaRead) -> list[tuple[ServerId, ServerRow]]:
    """Return every chunkserver that was ever seen and not forgotten, in order of their ids."""
    return [(ServerId(U64.unpack(raw)[0]), decode_server(value)) for raw, value in view.scan(SERVERS)]


def get_tuning(view: MetaRead) -> TuningRow:
    raw = view.get(META, TUNING_KEY)
    return TuningRow() if raw is None else _decode_tuning(raw)


def put_tuning(txn: MetaWrite, row: TuningRow) -> None:
    txn.put(META, TUNING_KEY, encode(row))
