"""What an operator decides: client → master. Rule 22.

GetDeletions ──▶ Deletions               which deletions the brake holds, and on which server
ReleaseDeletions ──▶ DeletionsReleased   let the held ones go
"""

from cairnfs.ids import NO_SERVER, ChunkHandle, ServerId
from cairnfs.wire.base import U63, Address, Part, Reply, Request


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


class Deletions(Reply, tag=0x190):
    """What the last look at each server found; servers without held deletions are left out."""

    held: list[HeldDeletions]


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
