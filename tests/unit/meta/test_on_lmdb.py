"""The same commands on the real store: results survive a restart, a broken job leaves nothing."""

import asyncio

import pytest
from tests.unit.meta.support import EPOCH, GEOMETRY, NOW_NS, Caller

from cairnfs.config import ClusterConfig
from cairnfs.env.lmdb_store import LmdbStore
from cairnfs.errors import NotFoundError
from cairnfs.ids import ClusterId
from cairnfs.meta import read, tables
from cairnfs.meta.check import check
from cairnfs.meta.decide import execute
from cairnfs.wire.namespace import CreateFile, MakeFolder, Rename

MAP_BYTES = 1 << 26


async def opened(folder):
    return LmdbStore(str(folder), map_bytes=MAP_BYTES)


def test_first_results_and_refusals_survive_a_restart(tmp_path):
    async def run():
        caller = Caller()
        requests = [
            MakeFolder(path=b"/a", once=caller.once(lowest=1)),
            Rename(old=b"/x", new=b"/y", once=caller.once(lowest=1)),
            CreateFile(path=b"/a/f", with_chunk=True, once=caller.once(lowest=1)),
        ]
        place, results = caller.placement(1, 2), []
        for restart in (False, True):
            store = await opened(tmp_path)
            if not restart:
                await store.write(
                    lambda txn: tables.initialise(
                        txn, cluster=ClusterId("c" * 32), geometry=GEOMETRY, config=ClusterConfig(), now_ns=NOW_NS
                    )
                )
            for request in requests:
                choice = caller.choice(place)
                results.append(await store.write(lambda txn, r=request, c=choice: execute(txn, r, c, epoch=EPOCH)))
            with store.read() as view:
                assert check(view) == []
                assert read.counts(view).log_index == 3
            await store.close()
        first, second = results[:3], results[3:]
        assert (first[0], first[2]) == (second[0], second[2])
        assert isinstance(first[1], NotFoundError)
        assert (type(second[1]), second[1].path) == (NotFoundError, first[1].path)

    asyncio.run(run())


def test_a_job_that_breaks_leaves_nothing_of_its_command(tmp_path):
    async def run():
        caller = Caller()
        store = await opened(tmp_path)
        await store.write(
            lambda txn: tables.initialise(
                txn, cluster=ClusterId("c" * 32), geometry=GEOMETRY, config=ClusterConfig(), now_ns=NOW_NS
            )
        )

        def job(txn):
            execute(txn, MakeFolder(path=b"/a", once=caller.once()), caller.choice(), epoch=EPOCH)
            raise ArithmeticError

        with pytest.raises(ArithmeticError):
            await store.write(job)
        with store.read() as view:
            assert read.listing(view, b"/").entries == []
            assert check(view) == []
        await store.close()

    asyncio.run(run())
