"""Going through a subtree in the one order that deciding and applying agree on. Pure."""

from collections.abc import Iterator

from cairnfs.ids import InodeId
from cairnfs.meta.tables import ENTRIES, ENTRY, InodeRow, range_of, the_inode
from cairnfs.meta.views import MetaRead
from cairnfs.wire.common import Kind


def children(view: MetaRead, folder: InodeId) -> Iterator[tuple[bytes, InodeId]]:
    """Yield (name, inode) of a folder in byte order of the names."""
    for raw, value in view.scan(ENTRIES, *range_of(folder)):
        yield raw[8:], InodeId(ENTRY.unpack(value)[0])


def walk(view: MetaRead, top: InodeId) -> Iterator[tuple[InodeId, InodeRow]]:
    """Yield `top` and all below it, each folder before what is in it."""
    waiting = [top]
    while waiting:
        # Ends: invariant 2, no folder is below itself.
        inode = waiting.pop()
        row = the_inode(view, inode)
        yield inode, row
        if row.kind is Kind.FOLDER:
            waiting.extend(reversed([child for _, child in children(view, inode)]))
