"""Where chunks are and who orders them: client → master. GFS paper, sections 2.4 and 3.1.

FindChunks ──▶ Places          readers; several chunks per answer, as in the paper
LeaseChunk ──▶ Places (one)    writers; raises the version, copies a shared chunk or adds a chunk as needed
DropEmptyTail ──▶ Done         a writer that had a chunk made for bytes that did not come
"""

from cairnfs.ids import NO_SERVER, NO_VERSION, ChunkHandle, ChunkVersion, InodeId, ServerId
from cairnfs.wire.base import U32, U63, Address, Done, Reply, Request
from cairnfs.wire.common import ChunkIndex, ChunkPlace, FileOffset


class Places(Reply, tag=0x120):
    """Chunks of a file in order of index; an index that is missing is a hole (never cached, rule 9)."""

    places: list[ChunkPlace]
    chunks: U63
    """Number of chunks of the file up to its last one."""
    length: FileOffset
    """Length in the master (rule 18): a lower bound while the last chunk is open."""


class FindChunks(Request[Places], tag=0x20):
    """Places of chunks [index, index + count). Answered after a proof of leadership begun after the question.

    Errors: NotFoundError (inode purged), IsFolderError.
    """

    idempotent = True
    inode: InodeId
    index: ChunkIndex
    count: U32 = 1


class LeaseChunk(Request[Places], tag=0x21):
    """Who may order mutations of chunk `index`? Answers with exactly one place that has a primary.

    Carried out at most once at a time per chunk; repeating it is harmless. The master, as needed:
    adds the chunk (`create`, also beyond the present end; new handle, version, set and lease in one commit),
    copies it (a snapshot shares it), raises the version (closed, no lease, suspect reported), and answers when the
    new version is open.

    Errors: NoCopyError, TooFewCopiesError (rule 19), NotFoundError (no such chunk and not `create`), ChunkFullError
    (`append`, and records go to another chunk: rule 17).
    """

    idempotent = True
    inode: InodeId
    index: ChunkIndex
    create: bool = False
    near: Address = ""
    failed: ChunkVersion = NO_VERSION
    """The version whose primary did not serve the caller: the master probes its members once and raises (rule 20)."""
    suspect: ServerId = NO_SERVER
    append: bool = False
    """For record append: only to the last chunk. If that cannot get two members, answer ChunkFullError at once, so that
    the caller goes on in a new one (rule 17)."""


class DropEmptyTail(Request[Done], tag=0x22):
    """Take chunk `index` out of the file if it is the last one, is still `handle`, and holds no byte.

    The master closes it first (a raise without a grant), so nobody can write to it meanwhile; in every other case
    nothing is dropped and the answer is the same. Errors: NoCopyError, BusyError.
    """

    idempotent = True
    inode: InodeId
    index: ChunkIndex
    handle: ChunkHandle
