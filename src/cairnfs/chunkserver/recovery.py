"""What a restart finds on one disk. Runs as one job; idempotent: a crash in the middle only means doing it again.

    1. read all journal segments, oldest first, each to its torn tail
    2. per replica: newest header; slots and bytes of the journal beside those of the .sum file
    3. write the journal's bytes to their places, find each block's newest state that fits its bytes
    4. write headers and slots anew, flush everything; only then may the segments be removed

A closed replica that the journal does not mention is taken at its word; reads and scrubs verify it. Nothing is ever
deleted here: what cannot be understood goes to the quarantine. Rules 4, 16 and 24.
"""

from dataclasses import dataclass, field

from cairnfs.checksum import crc32c
from cairnfs.chunkserver.format import (
    HEADER_BYTES,
    HEADER_SLOT_BYTES,
    PAIR_BYTES,
    QUARANTINE,
    ROOT,
    SLOT_BYTES,
    SLOTS_START,
    TRASH,
    DiskFile,
    ReplicaState,
    Slot,
    data_name,
    pack_header,
    pack_slot,
    parse_handle,
    replica_folder,
    sum_name,
    unpack_header,
    unpack_slot,
)
from cairnfs.chunkserver.moves import move_replicas
from cairnfs.chunkserver.replay import Replayed, Replays, read_journal
from cairnfs.env import File, Files
from cairnfs.ids import NO_VERSION, ChunkHandle, ClusterId, Epoch, format_handle


@dataclass(slots=True)
class Found:
    """One replica as it is after recovery."""

    state: ReplicaState
    sequence: int
    blocks: list[Slot] = field(default_factory=list)
    length: int = 0
    last_stamp: int = 0
    unbroken: bool = False


@dataclass(slots=True)
class Recovered:
    """All of a disk."""

    replicas: list[Found] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    lost: list[ChunkHandle] = field(default_factory=list)
    """In the quarantine, now or since an earlier start."""
    epoch: Epoch = NO_VERSION.epoch
    segments: list[int] = field(default_factory=list)


def recover(files: Files, content: DiskFile, *, wall_ns: int, checks_place: bool = True) -> Recovered:
    """Bring one formatted folder to a state in which all that counts is in place and flushed.

    Raises:
        OSError: the disk has failed.
    """
    replays = read_journal(files, content.disk_id, block_bytes=content.block_bytes)
    result = Recovered(damaged=replays.damaged, epoch=replays.epoch, segments=replays.segments)
    handles = list_replicas(files)
    for handle in replays.by_handle:
        handles.setdefault(handle, None)
    recovery = Recovery(files, content, replays, result, wall_ns, checks_place)
    for handle in handles:
        recovery.recover_replica(handle)
    files.sync_all()
    result.lost = list_quarantine(files)
    return result


def list_replicas(files: Files) -> dict[ChunkHandle, None]:
    """Return the handles of all replicas whose files stand where they should, in the order of their folders. A job."""
    found: dict[ChunkHandle, None] = {}
    for outer in files.listing(ROOT):
        if len(outer) != 2:
            continue
        for inner in files.listing(f"{ROOT}/{outer}"):
            for name in files.listing(f"{ROOT}/{outer}/{inner}"):
                handle = parse_handle(name)
                if handle is not None and replica_folder(handle) == f"{ROOT}/{outer}/{inner}":
                    found[handle] = None
    return found


def list_quarantine(files: Files) -> list[ChunkHandle]:
    """Return what was here and is no more: rule 3 must not take it for a replica that never was."""
    found = (parse_handle(name.partition("-")[2]) for name in files.listing(QUARANTINE))
    return list(dict.fromkeys(handle for handle in found if handle is not None))


@dataclass(slots=True)
class Recovery:
    """Goes through the replicas of a folder, one after the other."""

    files: Files
    content: DiskFile
    replays: Replays
    result: Recovered
    wall_ns: int
    checks_place: bool

    def recover_replica(self, handle: ChunkHandle) -> None:
        """Add one replica to the result, or move it away with a line in `damaged`."""
        files, replayed = self.files, self.replays.by_handle.get(handle)
        if replayed is not None and replayed.gone:
            self._finish_trash(handle)
            return
        sums = self._read_sums(handle)
        header = self._newest_header(handle, sums, replayed)
        if header is None:
            self._without_header(handle, sums)
            return
        state, cluster, sequence = header
        if cluster != self.content.cluster:
            self._set_aside(handle, f"of another cluster, {cluster}")
            return
        if not files.exists(data_name(handle)) and not (replayed is not None and replayed.header is not None):
            self._set_aside(handle, "no .dat file")
            return
        found = Found(state, sequence)
        slots = _parse_slots(handle, sums, checks_place=self.checks_place)
        if replayed is None and state.closed:
            self._trust_closed(found, slots)
        else:
            self._verify_all(found, slots, replayed)
        self.result.epoch = max(self.result.epoch, state.epoch)

    def _read_sums(self, handle: ChunkHandle) -> memoryview:
        if not self.files.exists(sum_name(handle)):
            return memoryview(b"")
        file = self.files.open(sum_name(handle))
        try:
            buffer = memoryview(bytearray(file.size()))
            return buffer[: file.read_into(0, buffer)]
        finally:
            file.close()

    def _newest_header(
        self, handle: ChunkHandle, sums: memoryview, replayed: Replayed | None
    ) -> tuple[ReplicaState, ClusterId, int] | None:
        places = (sums[0:HEADER_BYTES], sums[HEADER_SLOT_BYTES : HEADER_SLOT_BYTES + HEADER_BYTES])
        headers = [header for header in map(unpack_header, places) if header is not None and header[0].handle == handle]
        if replayed is not None and replayed.header is not None:
            headers.append(replayed.header)
        return max(headers, key=lambda header: header[2], default=None)

    # -------------------------------------------------------- what cannot be used

    def _without_header(self, handle: ChunkHandle, sums: memoryview) -> None:
        name = data_name(handle)
        if not any(sums) and self._size(name) == 0:
            # A create that never became durable: two empty files that nobody was told of.
            self.files.unlink(name)
            self.files.unlink(sum_name(handle))
            return
        self._set_aside(handle, "no intact header")

    def _set_aside(self, handle: ChunkHandle, why: str) -> None:
        self.result.damaged.append(f"{self.files.root}/{sum_name(handle)}: {why}; moved to {QUARANTINE}")
        move_replicas(self.files, [(handle, f"{QUARANTINE}/{self.wall_ns}-{format_handle(handle)}")])

    def _finish_trash(self, handle: ChunkHandle) -> None:
        if self.files.exists(data_name(handle)) or self.files.exists(sum_name(handle)):
            move_replicas(self.files, [(handle, f"{TRASH}/{self.wall_ns}-{format_handle(handle)}")])

    def _size(self, name: str) -> int:
        if not self.files.exists(name):
            return 0
        file = self.files.open(name)
        try:
            return file.size()
        finally:
            file.close()

    # -------------------------------------------------------- what can

    def _trust_closed(self, found: Found, slots: list[list[Slot]]) -> None:
        state, block_bytes = found.state, self.content.block_bytes
        count = -(-state.closed_length // block_bytes)
        for block in range(count):
            expected = min(block_bytes, state.closed_length - block * block_bytes)
            fitting = [slot for slot in _candidates(slots, block) if slot.length == expected]
            if not fitting:
                self._set_aside(state.handle, f"closed, but block {block} has no checksum")
                return
            found.blocks.append(fitting[0])
        if self._size(data_name(state.handle)) < state.closed_length:
            self._set_aside(state.handle, "closed, but the .dat file is too short")
            return
        found.length, found.unbroken = state.closed_length, True
        found.last_stamp = _highest(slots, None)
        self.result.replicas.append(found)

    def _verify_all(self, found: Found, slots: list[list[Slot]], replayed: Replayed | None) -> None:
        handle, block_bytes = found.state.handle, self.content.block_bytes
        self.files.make_folder(replica_folder(handle))
        data = self.files.open(data_name(handle), create=True)
        try:
            if replayed is not None:
                slots = replayed.merge(slots, block_bytes)
                replayed.write_bytes(data, block_bytes)
            found.last_stamp = _highest(slots, replayed)
            _verify_blocks(found, data, slots, block_bytes)
            data.truncate(found.length)
        finally:
            data.close()
        state = found.state
        if state.closed and found.length != state.closed_length:
            self._set_aside(handle, f"closed with {state.closed_length} bytes, but {found.length} are intact")
            return
        found.unbroken = state.closed
        self._write_sums(found)
        self.result.replicas.append(found)

    def _write_sums(self, found: Found) -> None:
        handle = found.state.handle
        header = pack_header(found.state, cluster=ClusterId(self.content.cluster), sequence=found.sequence)
        slots = bytearray()
        for block, slot in enumerate(found.blocks):
            slots += pack_slot(handle, block, slot) + bytes(SLOT_BYTES)
        file = self.files.open(sum_name(handle), create=True)
        try:
            # Sector by sector this is the state that was verified or the one it was verified from: both do.
            file.write(0, [header.ljust(HEADER_SLOT_BYTES, b"\0")])
            file.write(SLOTS_START, [slots])
            file.truncate(SLOTS_START + len(slots))
        finally:
            file.close()


def _parse_slots(handle: ChunkHandle, sums: memoryview, *, checks_place: bool) -> list[list[Slot]]:
    found: list[list[Slot]] = []
    for block, place in enumerate(range(SLOTS_START, len(sums) - PAIR_BYTES + 1, PAIR_BYTES)):
        pair = sums[place : place + SLOT_BYTES], sums[place + SLOT_BYTES : place + PAIR_BYTES]
        slots = [unpack_slot(handle, block, one, checks_place=checks_place) for one in pair]
        found.append([slot for slot in slots if slot is not None])
    return found


def _candidates(slots: list[list[Slot]], block: int) -> list[Slot]:
    """Return the states a block may be in, newest first."""
    return sorted(slots[block], key=lambda slot: -slot.stamp) if block < len(slots) else []


def _highest(slots: list[list[Slot]], replayed: Replayed | None) -> int:
    stamps = [slot.stamp for block in slots for slot in block]
    return max([*stamps, replayed.last_stamp if replayed is not None else 0], default=0)


def _verify_blocks(found: Found, data: File, slots: list[list[Slot]], block_bytes: int) -> None:
    buffer = memoryview(bytearray(block_bytes))
    for block in range(len(slots)):
        count = data.read_into(block * block_bytes, buffer)
        fitting = None
        for slot in _candidates(slots, block):
            if slot.length <= count and crc32c(buffer[: slot.length]) == slot.crc:
                fitting = slot
                break
        if fitting is None:
            return
        found.blocks.append(fitting)
        found.length += fitting.length
        if fitting.length < block_bytes:
            return
