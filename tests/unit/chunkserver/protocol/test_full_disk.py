"""Rule 26: full disks refuse growth before anybody is troubled, and notice by themselves when there is room again."""

from tests.unit.chunkserver.protocol.cluster import MIB, refused, run

from cairnfs.errors import DiskFullError
from cairnfs.limits import RESERVE_BYTES_MIN


def leave(cluster, name, room_bytes):
    """Make a disk so small that `room_bytes` are left above the reserve."""
    tree = cluster.world.tree(name, f"/{name}")
    tree.capacity_bytes = tree.used_bytes() + RESERVE_BYTES_MIN + room_bytes


def free(cluster, name):
    return cluster.store(name).usage()[0].free


def test_a_mutation_that_has_no_room_is_refused_before_it_gets_a_serial():
    """Goal: "disk full" is what the caller hears, and no version is raised for it. Method: the primary's disk fills."""

    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"x" * 1000)
        leave(cluster, "a", 500)
        await cluster.settle()
        error = await refused(DiskFullError, cluster.append(lease, b"y" * 4000))
        assert "/a" in error.where
        await cluster.write(lease, 0, b"z" * 1000)
        assert cluster.master.suspects == []
        cluster.assert_equal(lease.handle)

    run(story)


def test_space_that_comes_back_is_noticed_without_a_write():
    async def story(cluster):
        leave(cluster, "a", 0)
        await cluster.settle()
        assert free(cluster, "a") == 0
        leave(cluster, "a", 100 * MIB)
        await cluster.settle()
        assert free(cluster, "a") > 90 * MIB

    run(story)


def test_deleted_replicas_leave_the_trash_at_once_where_no_further_chunk_fits():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.append(lease, b"x" * 60_000)
        leave(cluster, "a", MIB)
        await cluster.settle()
        store = cluster.store("a")
        before = free(cluster, "a")
        await store.trash(store.replicas[lease.handle])
        await cluster.settle()
        assert free(cluster, "a") >= before + 50_000

    run(story)
