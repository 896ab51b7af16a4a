import asyncio

from tests.support.master_cluster import master_cluster


def test_a_new_file_comes_with_its_chunk_and_a_lease_in_one_call():
    async def go():
        async with master_cluster() as it:
            created = await it.create()
            lease = created.first.lease
            assert lease.is_new and len(lease.members) == 3
            assert lease.primary == created.first.primary
            found = await it.lease(created.attributes.inode)
            assert found.version == lease.version
            assert found.primary == lease.primary

    asyncio.run(go())
