"""The same commands on the real store: results survive a restart, a broken job leaves nothing."""

import asyncio

import pytest
from tests.unit.meta.support import EPOCH, GEOMETRY, NOW_NS, Caller, DictStore

from cairnfs.config import ClusterConfig
from cairnfs.env.lmdb_store import LmdbStore
from cairnfs.errors import NotFoundError, QuotaError
from cairnfs.ids import ClusterId
from cairnfs.meta import read, read_quotas, tables
from cairnfs.meta.check import check
from cairnfs.meta.commands import CountFolders
from cairnfs.meta.decide import execute
from cairnfs.meta.dump import dump, load, parse
from cairnfs.wire.namespace import CreateFile, MakeFolder, Rename
from cairnfs.wire.quotas import SetQuota

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


def test_a_store_from_before_quotas_takes_them_and_a_dump_carries_them(tmp_path):
    """Goal: FORMAT stays 1. Method: a store whose file has neither table gets limits, is opened anew, and dumped."""

    async def run():
        caller = Caller()
        store = await opened(tmp_path)
        await store.write(
            lambda txn: tables.initialise(
                txn, cluster=ClusterId("c" * 32), geometry=GEOMETRY, config=ClusterConfig(), now_ns=NOW_NS
            )
        )
        with store.read() as view:
            assert not {"quotas", "usage"} & set(view.tables)
        for command in (
            MakeFolder(path=b"/a", once=caller.once()),
            CountFolders(top=2),
            SetQuota(path=b"/a", files=1, once=caller.once()),
            CreateFile(path=b"/a/f", once=caller.once()),
        ):
            await store.write(lambda txn, c=command: execute(txn, c, caller.choice(), epoch=EPOCH))
        await store.close()
        store = await opened(tmp_path)
        again = CreateFile(path=b"/a/g", once=caller.once())
        refused = await store.write(lambda txn: execute(txn, again, caller.choice(), epoch=EPOCH))
        assert isinstance(refused, QuotaError)
        loaded = DictStore()
        with store.read() as view:
            shown = read_quotas.quotas(view)
            load(loaded, parse(list(dump(view)), "here"))
        assert check(loaded) == []
        assert read_quotas.quotas(loaded) == shown
        assert (shown.quotas[0].files, shown.quotas[0].used_files) == (1, 1)
        await store.close()

    asyncio.run(run())
