"""What an operator decides: client → master. Rule 22.

GetDeletions ──▶ Deletions               which deletions the brake holds, and on which server
ReleaseDeletions ──▶ DeletionsReleased   let the held ones go
AcceptRestore ──▶ Done                   metadata from a backup: what is newer need not be held any more
"""

from cairnfs.ids import NO_SERVER, ChunkHandle, ServerId
from cairnfs.wire.base import U63, Address, Done, Part, Reply, Request


class HeldDeletions(Part):
    """Replicas of one server that no file needs, and that no purge in the log explains."""

    server: ServerId
    address: Address
    orphans: U63
    """No file uses the chunk, and none ever did as far as the log knows."""
    stale: U63
    """The chunk is used, but its record does not name this server."""
    released: U63
    """Of these, how many an operator has let go already."""
    handles: list[ChunkHandle]
    """Some of them, for a look."""
    newer: U63 = 0
    """Of these, how many are newer than the backup that the metadata came from."""


class Deletions(Reply, tag=0x190):
    """What the last look at each server found; servers without held deletions are left out."""

    held: list[HeldDeletions]
    restored_ns: U63 = 0
    """Made when, if the metadata came from a backup and nobody has accepted yet that what is newer is lost; else 0."""


class GetDeletions(Request[Deletions], tag=0x90):
    """Which deletions wait for an operator?"""

    idempotent = True


class DeletionsReleased(Reply, tag=0x191):
    """They are deleted in the next looks, each after all other guards of rule 22."""

    count: U63


class ReleaseDeletions(Request[DeletionsReleased], tag=0x91):
    """Let go as many deletions as are held now, of one server or of all (`NO_SERVER`).

    Valid for an hour and until the master restarts. More that turn up later are held again.
    """

    idempotent = True
    server: ServerId = NO_SERVER


class AcceptRestore(Request[Done], tag=0x92):
    """The restored metadata is what counts: what is newer may be deleted from now on, by the usual rules. For good."""

    idempotent = True
