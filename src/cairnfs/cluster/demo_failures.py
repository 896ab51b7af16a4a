"""The demo's failures: the primary killed while eight producers append, its return, the master killed under load."""

import time
from concurrent.futures import ThreadPoolExecutor

from cairnfs.cluster.demo_files import store_big
from cairnfs.cluster.demo_stage import BOARDS, LOG, PRODUCERS, Stage
from cairnfs.cluster.processes import MASTER
from cairnfs.cluster.replicas import ask
from cairnfs.wire.status import ChunkStatus

WARM_UP_RECORDS = 300
MORE_RECORDS = 100
PATIENCE_S = 30.0
MASTER_AWAY_S = 1.0


def start_producers(stage: Stage) -> None:
    """Let the producers append, and wait until records have been acked."""
    stage.teller.chapter(f"Let {PRODUCERS} producers append to {LOG} at the same time")
    took_s = stage.wait(
        f"{WARM_UP_RECORDS} records are acknowledged", lambda: _acked(stage) >= WARM_UP_RECORDS, PATIENCE_S
    )
    stage.teller.say(f"{_acked(stage)} records acknowledged, the first {WARM_UP_RECORDS} after {took_s:.1f} s")


def stop_producers(stage: Stage) -> None:
    """End the producers; none may wait for an ack for ever or have seen an error."""
    stage.teller.chapter("End the producers")
    faults = stage.producers.stop()
    stage.check(f"all {PRODUCERS} producers ended in good order, after {_acked(stage)} records", not faults)
    for fault in faults:
        stage.teller.say(fault)


def kill_primary(stage: Stage) -> str:
    """SIGKILL the primary of the chunk that is appended to; return its name."""
    stage.teller.chapter("Kill the primary of the chunk that they append to (SIGKILL)")
    before = stage.tail_chunk()
    victim = stage.name_of(before, before.primary)
    address = stage.cluster.addresses[victim]
    held = ask([address], before.handle)[0]
    acked = _acked(stage)
    stage.cluster.kill(victim)
    stage.teller.say(f"killed {victim} ({address}) after {acked} acknowledged records")
    says_so = held is not None and held.is_primary and held.version == before.version
    stage.check(f"{victim} was primary of chunk {before.handle:016x} at version {before.version}", says_so)

    took_s = stage.wait(
        "appends go on", lambda: _acked(stage) >= acked + MORE_RECORDS and _moved_on(stage, before), PATIENCE_S
    )
    after = stage.tail_chunk()
    now = stage.name_of(after, after.primary)
    stage.teller.say(f"before: version {before.version}, primary {victim}")
    stage.teller.say(f"after:  version {after.version}, primary {now}, {took_s:.1f} s later with new records acked")
    stage.check("another server is primary, at a higher version", now != victim and after.version > before.version)
    return victim


def _moved_on(stage: Stage, before: ChunkStatus) -> bool:
    chunk = stage.tail_chunk()
    return chunk.version > before.version and chunk.primary not in (0, before.primary)


def bring_back(stage: Stage, victim: str) -> None:
    """Start the killed server again: what it missed is stale, and nobody reads it, whatever a cache says."""
    stage.teller.chapter(f"Start {victim} again: what it holds is stale, and a warm cache still points at it")
    paths = [LOG, *stage.boards]
    chunks = [(path, chunk) for path in paths for chunk in stage.fs.chunk_table(path)]
    address = stage.cluster.addresses[victim]
    stage.cluster.restart(victim)
    stale = []
    for path, chunk in chunks:
        held = ask([address], chunk.handle)[0]
        if held is not None and held.present and held.version < chunk.version:
            stale.append((path, f"{chunk.handle:016x}", f"{chunk.version}", f"{held.version}", "stale"))
    stage.teller.table(("file", "chunk", "current version", f"held by {victim}", ""), stale)
    stage.check(f"{victim} came back with {len(stale)} stale replicas", len(stale) > 0)

    boards = [path for path in stage.boards if path.startswith(BOARDS)]
    fresh = [stage.reader.read_bytes(path) == stage.boards[path] for path in boards]
    stage.check(f"the client with the old cache reads fresh bytes from all {len(fresh)} boards", all(fresh))


def store_big_through_a_master_crash(stage: Stage) -> None:
    """Write the large file, and kill the master when about a third is written."""
    stage.teller.chapter("Store a large file; kill the master in the middle of it, and start it again")
    written = _Counted()
    with stage.teller.bar("large file", stage.big_bytes) as bar, ThreadPoolExecutor(1) as pool:
        written.bar = bar
        # The children are started from this thread: they live as long as the thread that starts them.
        task = pool.submit(store_big, stage, written)
        while written.count < stage.big_bytes // 3 and not task.done():
            time.sleep(0.01)
        acked = _acked(stage)
        stage.cluster.kill(MASTER)
        time.sleep(MASTER_AWAY_S)
        meanwhile, pieces = _acked(stage) - acked, written.count
        stage.cluster.restart(MASTER)
        task.result()
    stage.teller.say(f"the master was killed at {pieces * 100 // stage.big_bytes} % and away for {MASTER_AWAY_S:g} s;")
    stage.teller.say(f"{meanwhile} records were acknowledged without it: primaries go on while their leases last")
    acked = _acked(stage)
    stage.wait("appends go on after the master's return", lambda: _acked(stage) > acked, PATIENCE_S)


class _Counted:
    """Counts what a bar is told."""

    def __init__(self) -> None:
        self.count = 0
        self.bar: object = None

    def advance(self, count: int) -> None:
        self.count += count
        self.bar.advance(count)  # type: ignore[attr-defined]


def _acked(stage: Stage) -> int:
    return len(stage.producers.acknowledged())
