"""A file's chunks from both sides: what the master knows, and what each chunkserver says it holds.

Used by `cairn chunks`, and by the demo to compare checksums of all replicas.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from cairnfs.env.real import real_env
from cairnfs.errors import CairnError
from cairnfs.ids import BootId, ChunkHandle
from cairnfs.rpc.caller import Caller
from cairnfs.tasks import gather_settled
from cairnfs.units import format_size
from cairnfs.wire.status import ChunkStatus, GetReplicaInfo, ReplicaInfo, ReplicaStatus

ASK_S = 2.0
HEADINGS = ("chunk", "handle", "version", "length", "state", "lease", "server", "holds", "current", "checksum", "role")
NUMBERS = (0, 3, 5)
"""Columns of `rows` that hold numbers."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica from both sides; `held` is None if its server did not answer."""

    known: ReplicaStatus
    held: ReplicaInfo | None


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk and its replicas."""

    known: ChunkStatus
    replicas: list[Replica]


def look(known: Sequence[ChunkStatus]) -> list[Chunk]:
    """Ask every chunkserver that the master names what it holds of these chunks."""
    return asyncio.run(_look(known))


def ask(addresses: Sequence[str], handle: ChunkHandle) -> list[ReplicaInfo | None]:
    """Ask chunkservers what they hold of one chunk; None for one that does not answer."""
    return asyncio.run(_ask_alone(addresses, handle))


def rows(found: Sequence[Chunk]) -> list[tuple[str, ...]]:
    """Return one row a replica, under `HEADINGS`; what belongs to the whole chunk stands in its first row."""
    return [row for chunk in found for row in _rows(chunk)]


async def _look(known: Sequence[ChunkStatus]) -> list[Chunk]:
    caller = _caller()
    try:
        found = []
        for chunk in known:
            held = await _ask_all(caller, [replica.address for replica in chunk.replicas], chunk.handle)
            found.append(Chunk(chunk, [Replica(*pair) for pair in zip(chunk.replicas, held, strict=True)]))
        return found
    finally:
        await caller.close()


async def _ask_alone(addresses: Sequence[str], handle: ChunkHandle) -> list[ReplicaInfo | None]:
    caller = _caller()
    try:
        return await _ask_all(caller, addresses, handle)
    finally:
        await caller.close()


def _caller() -> Caller:
    env = real_env()
    return Caller(env, role="tool", boot=BootId(env.random.getrandbits(63)))


async def _ask_all(caller: Caller, addresses: Sequence[str], handle: ChunkHandle) -> list[ReplicaInfo | None]:
    request = GetReplicaInfo(handle=handle)
    answers = await gather_settled(*(caller.call(address, request, timeout_s=ASK_S) for address in addresses))
    held: list[ReplicaInfo | None] = []
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, CairnError):
            raise answer
        held.append(None if isinstance(answer, BaseException) else answer)
    return held


def _rows(chunk: Chunk) -> list[tuple[str, ...]]:
    known = chunk.known
    lease = f"{known.lease_left_s:.0f} s" if known.primary else "-"
    state = "closed" if known.closed else "open"
    first = (str(known.index), f"{known.handle:016x}", str(known.version), format_size(known.length), state, lease)
    blank = ("",) * len(first)
    cells = [_cells(replica, known) for replica in chunk.replicas] or [("none", "", "", "", "")]
    return [(*(blank if number else first), *cell) for number, cell in enumerate(cells)]


def _cells(replica: Replica, chunk: ChunkStatus) -> tuple[str, ...]:
    known, held = replica.known, replica.held
    role = "primary" if chunk.primary and known.server == chunk.primary else ""
    current = "yes" if known.current else "stale"
    if held is None:
        return known.address, str(known.version), current if known.live else "gone", "no answer", role
    if not held.present:
        return known.address, "-", "absent", "-", role
    return known.address, str(held.version), current, f"{held.digest:016x}", role
