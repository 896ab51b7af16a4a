"""Quotas of folders: client → master. docs/QUOTAS.md.

SetQuota ──▶ Quotas      set or change the limits of a folder
ClearQuota ──▶ Done      take them away
GetQuotas ──▶ Quotas     limits and usage
"""

from cairnfs.ids import InodeId
from cairnfs.wire.base import U32, U63, Done, Part, Reply, Request
from cairnfs.wire.common import Once, Path


class FolderQuota(Part):
    """Limits of a folder (None: none), and what is below it."""

    path: bytes
    inode: InodeId
    used_files: U63
    """Files, folders and symlinks below it; what is in the trash does not count."""
    used_bytes: U63
    """Lengths of the files as the master knows them, and at least all chunks before the last one of each."""
    files: U63 | None = None
    size_bytes: U63 | None = None
    soft_files: U63 | None = None
    soft_bytes: U63 | None = None


class Quotas(Reply, tag=0x198):
    """A page of quotas, by inode number, or from the folder that was asked for up to the root."""

    quotas: list[FolderQuota]
    more: bool = False
    """True: ask again with `after` = the last inode."""


class SetQuota(Request[Quotas], tag=0x98):
    """Set limits of a folder; None leaves one as it is. A limit below the usage stops growth only.

    The first one of a folder takes time in proportion to what is below it. Errors: NotFolderError; BadRequestError
    (a soft limit above the hard one, or more folders with limits than can be); NotCountedError (ask again: the master
    goes on counting where it was).
    """

    path: Path
    files: U63 | None = None
    size_bytes: U63 | None = None
    soft_files: U63 | None = None
    soft_bytes: U63 | None = None
    once: Once


class ClearQuota(Request[Done], tag=0x99):
    """Take all limits of a folder away; nothing if it has none. Those of others hold on."""

    path: Path
    once: Once


class GetQuotas(Request[Quotas], tag=0x9A):
    """Which quotas are there (`path` empty), or hold for what is at `path`: its own and those of folders above?"""

    idempotent = True
    path: bytes = b""
    after: U63 = 0
    limit: U32 = 1000
