"""What must hold of a whole cluster at any moment, seen from outside: invariants of the servers, looked at as they run.

The users' side (acks, reads, names) is in `workload` and `model`. Numbers are those of docs/TESTING.md, where the list
says what each means. Continuous claims are looked at every half second of virtual time, after every recovery, and at
the end; claims about rest (Q) once all is mended and quiet.
"""

from collections.abc import Callable
from functools import lru_cache

from cairnfs.chunkserver.format import parse_handle
from cairnfs.ids import NO_VERSION, ChunkHandle, ChunkVersion, DiskId, Epoch, ServerId
from cairnfs.meta import read
from cairnfs.meta.check import check as check_metadata
from cairnfs.meta.tables import CHUNKS, U64, ChunkRow, decode_chunk
from cairnfs.meta.views import MetaRead
from cairnfs.sim.cluster import MASTER, SimCluster
from cairnfs.sim.model import ViolationError
from cairnfs.sim.options import Mode, Options

LOOK_S = 0.5
REST_S = 600.0
"""How long a healed cluster may take to have all its copies again."""
TASKS_MAX = 400
"""Of one server at rest: a leak shows as more (invariant 34)."""


@lru_cache(maxsize=100_000)
def _handle_of(path: str) -> ChunkHandle | None:
    """Return the chunk of which a file is a copy that counts. All paths are looked at twice a second."""
    is_apart = "/trash/" in path or "/quarantine/" in path
    return None if is_apart else parse_handle(path.rpartition("/")[2])


class Watch:
    """Looks at the servers again and again, and remembers what may only grow."""

    def __init__(self, cluster: SimCluster, options: Options) -> None:
        self._cluster, self._options = cluster, options
        self._versions: dict[tuple[DiskId, ChunkHandle], ChunkVersion] = {}
        self._epochs: dict[str, Epoch] = {}
        self._rows: dict[ChunkHandle, ChunkVersion] = {}
        self._owners: dict[ChunkHandle, int] = {}
        self._decoded: dict[bytes, tuple[bytes, ChunkRow]] = {}
        """What the last look has read of each chunk, and what it means."""
        self.looks = 0
        self.is_over = False

    async def run(self) -> None:
        """Look every half second until it is over."""
        while not self.is_over:
            self.look()
            await self._cluster.pause(LOOK_S)

    def look(self) -> None:
        """Check every continuous claim once. Raises ViolationError."""
        self.looks += 1
        rows = self._look_at_master()
        self._look_at_replicas()
        self._look_at_primaries()
        if rows is not None:
            self._look_at_sets(rows)
            if self._options.mode is not Mode.BEYOND:
                self._look_for_copies(rows)

    # ------------------------------------------------------------------ the master

    def _look_at_master(self) -> dict[ChunkHandle, ChunkRow] | None:
        """13, 14, 21: versions and epochs never sink, handles are never used again."""
        master = self._cluster.master
        if master is None or not master.is_started or not self._cluster.world.is_up(MASTER):
            return None
        self._rise("the master's epoch", master.epoch)
        with master.reign.store.read() as view:
            rows = self._each_chunk(view)
        for handle, row in rows.items():
            before = self._rows.get(handle, NO_VERSION)
            if row.version < before:
                raise ViolationError(f"13: the record of chunk {handle:016x} went from {before} back to {row.version}")
        gone = [handle for handle in self._rows if handle not in rows and handle in self._owners]
        for handle in gone:
            self._owners[handle] = 0
        for handle in rows:
            if self._owners.get(handle, 1) == 0:
                raise ViolationError(f"21: chunk {handle:016x} was removed, and is there again")
            self._owners[handle] = 1
        self._rows.update({handle: row.version for handle, row in rows.items()})
        return rows

    def _each_chunk(self, view: MetaRead) -> dict[ChunkHandle, ChunkRow]:
        """As `read.each_chunk`; a record whose bytes are those of the last look is not decoded again."""
        last, self._decoded = self._decoded, {}
        for raw, value in view.scan(CHUNKS):
            known = last.get(raw)
            self._decoded[raw] = known if known is not None and known[0] == value else (value, decode_chunk(value))
        return {ChunkHandle(U64.unpack(raw)[0]): row for raw, (_, row) in self._decoded.items()}

    def _rise(self, what: str, epoch: Epoch) -> None:
        if epoch < self._epochs.get(what, Epoch(0)):
            raise ViolationError(f"26: {what} went from {self._epochs[what]} back to {epoch}")
        self._epochs[what] = epoch

    # ------------------------------------------------------------------ chunkservers

    def _look_at_replicas(self) -> None:
        """13, 26: what a server holds durably never goes back; 14: it is nothing that was never issued."""
        master = self._cluster.master
        issued = master.reign.highest_version if master is not None and master.is_started else None
        present: dict[tuple[DiskId, ChunkHandle], None] = {}
        disks: dict[DiskId, None] = {}
        for name, server in self._cluster.servers.items():
            store = server.context.store
            self._rise(f"the epoch that {name} ({store.server_id:x}) has seen", store.max_epoch)
            disks.update(dict.fromkeys(store.disks))
            for handle, replica in store.replicas.items():
                state = replica.state
                promised = max(state.version, state.promised)
                # By disk: what a failed one held comes back with it, after what was made in its place was deleted.
                key = (replica.disk_id, handle)
                present[key] = None
                if not state.incomplete and promised < self._versions.get(key, NO_VERSION):
                    before = self._versions[key]
                    raise ViolationError(f"13: {name} went from {before} back to {promised} for chunk {handle:016x}")
                # A joiner begins with nothing in the place of what was deleted.
                if not replica.gone and not state.incomplete:
                    self._versions[key] = promised
                if issued is not None and promised > issued:
                    raise ViolationError(f"14: {name} has {promised} of chunk {handle:016x}, which was never given out")
        for key in [key for key in self._versions if key[0] in disks and key not in present]:
            del self._versions[key]

    def _look_at_primaries(self) -> None:
        """12: at most one server can complete an ack of a chunk; 15: its set is that of its lease."""
        able: dict[ChunkHandle, str] = {}
        for name, server in self._cluster.servers.items():
            for primary in server.context.chunks.primaries():
                chunk = primary.chunk
                lease = chunk.lease
                if lease is None or not chunk.is_member_of(lease.version):
                    continue
                members = {member.server: member.boot for member in lease.members}
                if all(self._would_confirm(server_id, boot, chunk.handle, lease.version)
                       for server_id, boot in members.items()):  # fmt: skip
                    other = able.setdefault(chunk.handle, name)
                    if other != name:
                        raise ViolationError(
                            f"12: {other} and {name} can both complete acks of chunk {chunk.handle:016x}"
                        )

    def _would_confirm(self, server_id: ServerId, boot: int, handle: ChunkHandle, version: ChunkVersion) -> bool:
        for server in self._cluster.servers.values():
            if server.server_id == server_id:
                chunk = server.context.chunks.find(handle)
                return server.context.boot == boot and chunk is not None and chunk.is_member_of(version)
        return False

    def _look_at_sets(self, rows: dict[ChunkHandle, ChunkRow]) -> None:
        """16: what the master calls current is current: at the record's version or above, and whole."""
        master = self._cluster.master
        assert master is not None, "it was there a moment ago"
        lives = {(server.server_id, server.context.boot): server for server in self._cluster.servers.values()}
        for handle, row in rows.items():
            for session in master.reign.live_current(row, handle):
                server = lives.get((session.server, session.boot))
                if server is not None:
                    replica = server.context.store.replicas.get(handle)
                    if replica is None or replica.gone:
                        continue  # quarantined or deleted a moment ago: the next heartbeat tells
                    has = max(replica.state.version, replica.state.promised)
                    if has < row.version and not replica.state.incomplete:
                        what = f"chunk {handle:016x} counts as current at {row.version}"
                        raise ViolationError(f"16: {what} on a server that has {has}")

    def _look_for_copies(self, rows: dict[ChunkHandle, ChunkRow]) -> None:
        """24, 29: no path removes the last copy: some disk has the file of every chunk that is used.

        Looked at while all servers are up: after a power loss a file may be in a journal only, until that is replayed.
        """
        if len(self._cluster.servers) < len(self._cluster.names):
            return
        held: dict[ChunkHandle, None] = {}
        for name in self._cluster.names:
            for path, _ in self._cluster.files_on(name):
                handle = _handle_of(path)
                if handle is not None:
                    held[handle] = None
        for handle, row in rows.items():
            if handle not in held and row.length > 0 and not row.is_new:
                raise ViolationError(f"24: no disk has a copy of chunk {handle:016x}, which a file uses")


# ---------------------------------------------------------------------- at rest


async def check_rest(cluster: SimCluster, options: Options) -> None:
    """6, 20, 22, 25, 27, 34: when all is mended, every chunk has its copies, all are equal, and nothing is left over.

    Raises:
        ViolationError: which claim does not hold, and of what.
    """
    goal = min(options.replicas, options.chunkservers)
    await _until(
        cluster, lambda: _lacking(cluster, goal) == [], lambda: f"27: copies are missing: {_lacking(cluster, goal)}"
    )
    for handle, row in _rows(cluster).items():
        hosts = [cluster.name_of(server) for server, _ in row.members]
        digests = {name: digest for name, digest in cluster.digests(handle).items() if name in hosts}
        if len({*digests.values()}) > 1:
            raise ViolationError(f"6: the copies of chunk {handle:016x} differ: {digests}")
    assert cluster.master is not None, "it was started"
    with cluster.master.reign.store.read() as view:
        faults = check_metadata(view)
    if faults:
        raise ViolationError(f"20, 22: the metadata are not consistent: {faults[:3]}")
    for name in [MASTER, *cluster.names]:
        tasks = len(cluster.world.tasks_of(name))
        if tasks > TASKS_MAX:
            raise ViolationError(f"34: {name} has {tasks} tasks at rest")


def _rows(cluster: SimCluster) -> dict[ChunkHandle, ChunkRow]:
    assert cluster.master is not None, "it was started"
    with cluster.master.reign.store.read() as view:
        return dict(read.each_chunk(view))


def _lacking(cluster: SimCluster, goal: int) -> list[str]:
    """Return the chunks with fewer copies than wanted, as the master counts them and as the disks have them."""
    assert cluster.master is not None, "it was started"
    reign = cluster.master.reign
    lacking = []
    for handle, row in _rows(cluster).items():
        current = [cluster.name_of(session.server) for session in reign.live_current(row, handle)]
        held = cluster.digests(handle)
        found = current if row.is_new and not held else [name for name in current if name in held]
        if len(found) < min(goal, row.goal):
            lacking.append(f"{handle:016x} on {current}")
    return lacking


async def _until(cluster: SimCluster, claim: Callable[[], bool], what: Callable[[], str]) -> None:
    end_s = cluster.world.loop.time() + REST_S
    while not claim():
        if cluster.world.loop.time() > end_s:
            raise ViolationError(f"{what()}, {REST_S:g} s after everything was mended")
        await cluster.pause(1.0)
