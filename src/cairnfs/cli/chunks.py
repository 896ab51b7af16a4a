"""`cairn chunks`: a file's chunks as the master knows them, beside what each chunkserver says it holds."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import click

from cairnfs.cli.common import Options, common_options, document, line, remote, table
from cairnfs.env.real import real_env
from cairnfs.errors import CairnError
from cairnfs.ids import BootId, ChunkHandle
from cairnfs.rpc.caller import Caller
from cairnfs.tasks import gather_settled
from cairnfs.units import format_size
from cairnfs.wire.status import ChunkStatus, GetReplicaInfo, ReplicaInfo, ReplicaStatus

ASK_S = 2.0
HEADINGS = ("chunk", "handle", "version", "length", "state", "lease", "server", "holds", "current", "checksum", "role")


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


@click.command()
@click.argument("path")
@common_options
def chunks(path: str, *, options: Options) -> None:
    """Show the chunks of a file: versions, primary, lease, and each replica's version and checksum.

    Equal checksums mean equal bytes. A replica that is not current is served to nobody and will be replaced.
    """
    with options.connect(path) as fs:
        known = list(fs.chunk_table(remote(path)))
    found = look(known)
    if options.as_json:
        document([as_json(chunk) for chunk in found])
    elif found:
        print_table(found)
    else:
        line(f"{remote(path)} has no chunks")


def look(known: Sequence[ChunkStatus]) -> list[Chunk]:
    """Ask every chunkserver that the master names what it holds."""
    return asyncio.run(_look(known))


def print_table(found: Sequence[Chunk]) -> None:
    """Print one row a replica; what is the same for the whole chunk stands in its first row."""
    table(HEADINGS, [row for chunk in found for row in _rows(chunk)], right=(0, 3, 5))


def as_json(chunk: Chunk) -> dict[str, object]:
    known = chunk.known
    return {
        "index": known.index,
        "handle": f"{known.handle:016x}",
        "version": str(known.version),
        "length": known.length,
        "closed": known.closed,
        "goal": known.goal,
        "references": known.references,
        "primary": f"{known.primary:016x}" if known.primary else None,
        "lease_left_s": known.lease_left_s,
        "replicas": [_replica_json(replica) for replica in chunk.replicas],
    }


def _replica_json(replica: Replica) -> dict[str, object]:
    known, held = replica.known, replica.held
    return {
        "server": f"{known.server:016x}",
        "address": known.address,
        "live": known.live,
        "current": known.current,
        "version": str(held.version if held else known.version),
        "answered": held is not None,
        "present": held.present if held else None,
        "length": held.length if held else None,
        "checksum": f"{held.digest:016x}" if held and held.present else None,
        "is_primary": held.is_primary if held else False,
        "served": held.served if held else None,
    }


def _rows(chunk: Chunk) -> list[tuple[str, ...]]:
    known = chunk.known
    lease = f"{known.lease_left_s:.0f} s" if known.primary else "-"
    state = "closed" if known.closed else "open"
    first = (str(known.index), f"{known.handle:016x}", str(known.version), format_size(known.length), state, lease)
    blank = ("",) * len(first)
    rows = [(*(blank if number else first), *_cells(replica, known)) for number, replica in enumerate(chunk.replicas)]
    return rows or [(*first, "none", "", "", "", "")]


def _cells(replica: Replica, chunk: ChunkStatus) -> tuple[str, ...]:
    known, held = replica.known, replica.held
    current = "yes" if known.current else "stale"
    role = "primary" if chunk.primary and known.server == chunk.primary else ""
    if held is None:
        return known.address, str(known.version), current, "no answer", role
    if not held.present:
        return known.address, "-", "absent", "-", role
    return known.address, str(held.version), current, f"{held.digest:016x}", role


async def _look(known: Sequence[ChunkStatus]) -> list[Chunk]:
    env = real_env()
    caller = Caller(env, role="tool", boot=BootId(env.random.getrandbits(63)))
    try:
        return [Chunk(chunk, await _ask_all(caller, chunk)) for chunk in known]
    finally:
        await caller.close()


async def _ask_all(caller: Caller, chunk: ChunkStatus) -> list[Replica]:
    asked = [_ask(caller, replica.address, chunk.handle) for replica in chunk.replicas]
    answers = await gather_settled(*asked)
    held: list[ReplicaInfo | None] = []
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, CairnError):
            raise answer
        held.append(None if isinstance(answer, BaseException) else answer)
    return [Replica(replica, info) for replica, info in zip(chunk.replicas, held, strict=True)]


async def _ask(caller: Caller, address: str, handle: ChunkHandle) -> ReplicaInfo:
    return await caller.call(address, GetReplicaInfo(handle=handle), timeout_s=ASK_S)
