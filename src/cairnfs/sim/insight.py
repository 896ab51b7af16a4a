"""Looking into a simulated cluster behind everybody's back: what checks know and users do not."""

from cairnfs.errors import CairnError
from cairnfs.ids import NO_VERSION, ChunkHandle
from cairnfs.meta import read
from cairnfs.meta.tables import ChunkRow
from cairnfs.sim.cluster import SimCluster


def rows_of(cluster: SimCluster, path: str) -> dict[int, ChunkRow] | None:
    """Return index → record of the chunks of a file, as last committed; None while the master is down."""
    if cluster.master is None or not cluster.master.is_started:
        return None
    reign = cluster.master.reign
    with reign.store.read() as view:
        try:
            inode = read.resolve(view, path.encode()).inode
        except CairnError:
            return {}
        count = read.inode_row(view, inode).chunks
        return {one.index: one.row for one in read.find_chunks(view, inode, 0, count)}


def chunk_row(cluster: SimCluster, handle: ChunkHandle) -> ChunkRow | None:
    """Return the record of a chunk as last committed; None if there is none, or the master is down."""
    if cluster.master is None or not cluster.master.is_started:
        return None
    return cluster.master.reign.chunk(handle)


def may_have_lost(cluster: SimCluster, path: str, index: int) -> bool:
    """Contract 5: True if unsynced writes of that chunk may be gone, since all who had them lost their memory.

    The record of the chunk says so. With the master down nobody can tell: then True.
    """
    rows = rows_of(cluster, path)
    row = None if rows is None else rows.get(index)
    return row is None or row.broken_at != NO_VERSION
