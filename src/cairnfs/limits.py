"""Numbers of the protocol and of the formats, each with unit, reason and source.

What an operator may change is in `config.py`; what tests and simulations scale (chunk and block size) travels there
as well and only defaults to the figures here. Rule 27: everything has a limit.
"""

from dataclasses import dataclass

from cairnfs.units import GIB, KIB, MIB

# ---- data (GFS paper, sections 2.5, 3.3 and 5.2)
CHUNK_BYTES = 64 * MIB
"""Largest size of a chunk. GFS paper, section 2.5."""
BLOCK_BYTES = 64 * KIB
"""One checksum each. GFS paper, section 5.2."""
BLOCKS_PER_CHUNK = CHUNK_BYTES // BLOCK_BYTES
RECORD_BYTES_MAX = CHUNK_BYTES // 4
"""Largest record of a record append, so that padding wastes at most a quarter. GFS paper, section 3.3."""
RECORD_WINDOW = 1024
"""Sequences of one record writer that may be unacknowledged at once: a reader's position knows so many of each."""
RECORD_WRITERS_MAX = 1024
"""Writers that a reader of records remembers, those heard last: what bounds its memory and its positions."""
RECORDS_PENDING_BYTES = 16 * MIB
"""Unacknowledged bytes of one record writer, by default; then `put` waits."""
SMALL_MUTATION_BYTES = 64 * KIB
"""Up to here a mutation carries its bytes with the request and goes through the journal. Rules 10 and 24."""
PIECE_BYTES = 1 * MIB
"""What a client pushes or reads at a time by default: large against a message, small against a socket's patience."""
READ_PIECE_BYTES = 2 * MIB
"""What a client reads at a time in a large read: each piece costs both sides about as much as a MiB of copying."""
PUSH_BYTES = 2 * MIB
"""What a large write pushes at a time: fewer messages than pieces; cut-through keeps the latency of the chain."""
REPLICAS_DEFAULT = 3
REPLICAS_MAX = 16

# ---- frames (docs/PROTOCOL.md)
HEAD_BYTES_MAX = 1 * MIB
"""Largest message head; a page of a report or listing must fit."""
PAYLOAD_BYTES_MAX = 4 * MIB
"""Largest payload of one frame: checked before any allocation."""
READ_AHEAD_BYTES = 16 * KIB
"""What a connection receives at a time while it waits for headers: many small frames, or the start of a large one."""
PROTOCOL_MIN = 1
PROTOCOL_MAX = 1
READ_BYTES_MAX = PAYLOAD_BYTES_MAX
PUSHES_MAX = BLOCKS_PER_CHUNK
"""Pushes that one mutation may name: a whole chunk in the smallest pieces worth a push. Rule 27."""
JOINED_BYTES_MAX = 16 * KIB
"""A payload up to this size is copied into one buffer with its header: cheaper than one more buffer in the call."""
SEND_QUEUE_BYTES = 1 * MIB
"""More unsent bytes than this, and a sender waits: as much as `Connection.drain` leaves."""
INFLIGHT_REQUESTS_MAX = 256
"""Requests of one connection that a server works on at once; beyond, it stops reading."""
INFLIGHT_BYTES_MAX = 64 * MIB
"""Payload bytes a server holds for one connection's requests."""
CONNECTIONS_MAX = 4096
HELLO_TIMEOUT_S = 5.0
"""A peer that has not said hello by then is a scanner, not a peer."""
WRITE_STALL_S = 30.0
"""A peer that takes no byte for so long is gone."""

# ---- names
NAME_BYTES_MAX = 255
PATH_BYTES_MAX = 4096
SYMLINKS_MAX = 40
QUOTAS_MAX = 10_000
"""Folders with limits: a picture of the cluster looks at all of them."""
LIST_PAGE_MAX = 1000
"""Entries of a listing in one answer."""
XATTR_BYTES_MAX = 64 * KIB

# ---- waits (design.md section 6); all in seconds
ORDER_TIMEOUT_S = 1.0
"""Rule 20: an order unanswered for so long is reported by the primary."""
PROBE_TIMEOUT_S = 0.5
"""Rule 20: the master probes once, so long, before it raises without the silent."""
ORDER_BYTES_PER_S = 32 * MIB
"""A large mutation has a second more for each so many bytes before a wait for it counts as silence: a slow disk is not
a dead server. Ours: rule 20 speaks of orders that a disk takes in no time."""
FENCE_ANSWER_S = 20.0
"""Rule 6: an overwrite that still waits for the fence is answered so that its client hears that the primary lives."""
PENDING_READ_S = 1.0
"""Rule 7: a read that touches pending bytes waits so long, then it is refused and reported."""
READAHEAD_AGE_S = 1.0
"""Contract 4: sequential reads may return bytes at most so old."""
HEDGE_DELAY_MIN_S = 0.005
"""A second replica is asked after the 95th percentile of recent reads, but no sooner: a busy client is late itself."""
HEDGE_DELAY_MAX_S = 0.5
"""And no later."""
HEDGE_DELAY_START_S = 0.1
"""While fewer reads than HEDGE_SAMPLES_MIN tell how long one takes; the first ones connect as well."""
HEDGE_BYTES_PER_S = 8 * MIB
"""Time that the bytes of an answer get besides: two thirds of a line of 100 Mbit/s, which may carry more."""
HEDGE_SAMPLES_MIN = 16
HEDGE_SHARE = 0.05
"""Second requests for each read, on average, while all servers speak: what hedging may cost a cluster that is well."""
HEDGE_BURST = 10
"""Second requests that may be saved up: the first moments after a server stopped."""
SILENT_S = 0.5
"""A server from which nothing is heard for so long costs a reader no more: half of what a read may wait in all."""
SILENT_MAX_S = 1.0
"""The same where answers take long: twice their 95th percentile, but no more."""
META_CALL_S = 10.0
DATA_CALL_S = 60.0
RETRY_PAUSE_MIN_S = 0.01
RETRY_PAUSE_MAX_S = 1.0
"""Pauses between attempts double from the one to the other."""
CLOCK_DRIFT = 0.05
"""Bound on how much faster one clock runs than another; decides only freshness. Contract 6."""

# ---- caches and queues
LOCATIONS_MAX = 100_000
"""Chunk locations a client remembers."""
UNSYNCED_BYTES_MAX = 64 * MIB
"""Contract 5: written bytes a client keeps until they are synced; then it syncs by itself."""
PUSH_BUFFER_BYTES_MAX = 256 * MIB
"""Pushed data that waits for its mutation, per chunkserver; oldest dropped first."""
PUSH_AGE_S = 60.0
"""Pushed data that no mutation has named for so long is dropped: its client is gone or has pushed again."""
MARKS_TICK_S = 0.25
"""How often an idle primary tells its last watermarks, and ends leases that have run out. Rule 7: 0.1 to 1 s."""
TRASH_TICK_S = 60.0
"""How often a chunkserver looks for deleted replicas whose time in the trash is over."""
SPACE_TICK_S = 2.0
"""How often it asks its file systems what is free: so long a disk that has space again is still called full."""
SCRUB_PERIOD_S = 14 * 86_400.0
"""Every idle replica is read through once in so long, by default."""
SCRUB_BYTES_PER_S_MAX = 50 * MIB
"""Of one disk, however late a round is."""
SCRUB_LOOK_S = 60.0
"""Longest sleep of a scrubber: new disks and settings are seen then."""
SCRUB_SAVE_S = 60.0
SCRUB_BACKOFF_S = 1.0
"""A piece that is due waits so long while clients are at work."""
SCRUB_BUSY_PER_S = 20
"""Reads and mutations of clients from which on a scrub waits."""
SCRUB_LATE_FRACTION = 0.1
"""A round that is later than this share of its time waits for nobody."""
STOP_CLOSE_S = 3.0
"""What a stopping chunkserver gives its chunks to close; then the master raises them (SIGTERM must end in 10 s)."""
CHUNK_QUEUE_MAX = 1024
"""Mutations that wait at the primary of one chunk; beyond, callers hear "busy"."""
FOLLOWERS_MAX = 2048
"""Questions for a length that wait at one chunkserver until it grows (rule 7); beyond, callers hear "busy"."""
FOLLOWED_AT_ONCE = 64
"""Files one client waits at: few against INFLIGHT_REQUESTS_MAX, so that they leave its other requests room."""
FILTER_ENTRIES_MAX = 4096
"""Results of mutations a chunk's members remember per version, for repeated sequences. Rule 11."""
REPORT_PAGE_MAX = 4_096
"""Replicas in one page of an inventory: comparing them holds up the master's loop for some 10 ms."""
REPORT_BUCKET = 4_096
"""Handles whose settled replicas share one digest: a page's worth, so that one change costs one page."""
DIGEST_PAGE_MAX = 64
"""Digests in one page of a report: a master that finds them all equal compares as many buckets of replicas."""
REPORT_WAIT_S = 2.0
"""A server waits so long for its turn to report, then it asks again: shorter than any silence that counts."""
REPORT_PAUSE_S = 0.05
"""Before it asks again."""
REPORT_TURN_S = 2.0
"""A server that reports and sends no page for so long loses its turn."""
APPENDS_MAX = 256
APPENDS_BYTES_MAX = MIB
"""Small records, and their bytes, in one request: what one client appends to a chunk in one turn of its loop."""
BATCH_BYTES_MAX = 4 * MIB
"""Mutations that wait for the same chunk go out as one order up to this size. Rule 10."""
BATCH_PUSHED_BYTES_MAX = CHUNK_BYTES
"""Pushed bytes of one order: a member that dropped them all must have room for them again."""

# ---- disks (rules 24 to 26; docs/FORMATS.md)
JOURNAL_SEGMENT_BYTES = 64 * MIB
"""A journal segment is sealed at this size; its places are flushed and the segment is removed."""
ALLOCATE_START_BYTES = 1 * MIB
ALLOCATE_AHEAD_BYTES_MAX = 4 * MIB
RESERVE_BYTES_MIN = 256 * MIB
RESERVE_FRACTION = 0.02
"""Rule 26: the larger of the two is kept free on each disk."""
META_MAP_BYTES = 64 * GIB
"""Size of the sparse LMDB map: set once, never resized under load."""
LEAVING_MAX = 500
"""Replicas that a server names at a time, because they have to leave it: a few minutes of copying."""
LOG_KEEP_BYTES = 1 * GIB
LOG_KEEP_S = 7 * 86_400.0
JOINER_REST_BYTES = 4 * MIB
"""Rule 13: a joiner of an open chunk is raised in when at most so much is left to copy."""

# ---- deleting (rules 21 and 22)
DELETE_BRAKE_FRACTION = 0.05
DELETE_BRAKE_COUNT = 1000

assert CHUNK_BYTES % BLOCK_BYTES == 0
assert RECORD_BYTES_MAX * 4 == CHUNK_BYTES
assert PIECE_BYTES <= PAYLOAD_BYTES_MAX
assert PIECE_BYTES % BLOCK_BYTES == 0
assert PIECE_BYTES <= READ_PIECE_BYTES <= READ_BYTES_MAX
assert READ_PIECE_BYTES % BLOCK_BYTES == 0
assert 2 * PUSH_BYTES <= PAYLOAD_BYTES_MAX
assert PUSH_BYTES % BLOCK_BYTES == 0
assert BATCH_BYTES_MAX <= PAYLOAD_BYTES_MAX
assert CHUNK_BYTES // PIECE_BYTES <= PUSHES_MAX
assert BATCH_PUSHED_BYTES_MAX <= PUSH_BUFFER_BYTES_MAX
assert SMALL_MUTATION_BYTES < PIECE_BYTES
assert 2 * FOLLOWED_AT_ONCE <= INFLIGHT_REQUESTS_MAX
assert PROTOCOL_MIN <= PROTOCOL_MAX
assert HEDGE_DELAY_MIN_S <= HEDGE_DELAY_START_S <= HEDGE_DELAY_MAX_S <= SILENT_S <= SILENT_MAX_S
assert REPORT_BUCKET <= REPORT_PAGE_MAX


@dataclass(frozen=True, slots=True)
class Geometry:
    """Sizes a cluster is made with: written by `cairn init`, told to every peer, never changed afterwards.

    Tests and simulations use small ones so that chunk ends are met often.
    """

    chunk_bytes: int = CHUNK_BYTES
    block_bytes: int = BLOCK_BYTES

    def __post_init__(self) -> None:
        assert 0 < self.block_bytes <= self.chunk_bytes <= CHUNK_BYTES, self
        assert self.chunk_bytes % self.block_bytes == 0, self
        assert self.chunk_bytes // self.block_bytes <= BLOCKS_PER_CHUNK, self

    @property
    def record_bytes_max(self) -> int:
        """A quarter of a chunk. GFS paper, section 3.3."""
        return self.chunk_bytes // 4
