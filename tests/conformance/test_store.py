"""What every MetaStore and the solo Coordinator over it must do."""

import asyncio

import pytest

from cairnfs.env import Outcome
from cairnfs.errors import FolderInUseError, NotLeaderError, ShutdownError


def rows(store, table, *args, **kwargs):
    with store.read() as view:
        return list(view.scan(table, *args, **kwargs))


def put(table, key, value=b""):
    return lambda tx: tx.put(table, key, value)


def test_rows_are_in_the_order_of_their_keys_and_ranges_are_half_open(world):
    async def scenario():
        store = world.env.open_store(world.new_folder())
        keys = [b"b", b"a", b"c", b"a\0", b"\xff", b"ab"]

        def job(tx):
            for key in keys:
                tx.put("t", key, key * 2)

        await store.write(job)
        for start, stop in [(b"", None), (b"a", b"b"), (b"a\0", b"c"), (b"aa", b"zz"), (b"c", b"a"), (b"x", b"x")]:
            expected = [(k, k * 2) for k in sorted(keys) if k >= start and (stop is None or k < stop)]
            assert rows(store, "t", start, stop) == expected
            assert rows(store, "t", start, stop, backwards=True) == expected[::-1]
        with store.read() as view:
            assert view.count("t") == 6
            assert view.get("t", b"ab") == b"abab"
            assert view.get("t", b"zz") is None
            assert view.get("none", b"a") is None
            assert view.count("none") == 0
            assert list(view.scan("none")) == []
        await store.close()

    world.run(scenario())


def test_tables_do_not_see_each_other(world):
    async def scenario():
        store = world.env.open_store(world.new_folder())
        await store.write(put("one", b"k", b"1"))
        await store.write(put("two", b"k", b"2"))
        assert rows(store, "one") == [(b"k", b"1")]
        assert rows(store, "two") == [(b"k", b"2")]
        assert await store.write(lambda tx: tx.delete("one", b"k"))
        assert not await store.write(lambda tx: tx.delete("one", b"k"))
        assert not await store.write(lambda tx: tx.delete("three", b"k"))
        assert rows(store, "one") == []
        assert rows(store, "two") == [(b"k", b"2")]
        await store.close()

    world.run(scenario())


def test_a_job_sees_its_own_changes_and_may_change_what_it_scans(world):
    async def scenario():
        store = world.env.open_store(world.new_folder())

        def job(tx):
            for number in range(200):
                tx.put("t", b"%03d" % number, b"x")
            assert tx.get("t", b"007") == b"x"
            assert tx.count("t") == 200
            for key, _ in tx.scan("t", b"050", b"150"):
                assert tx.delete("t", key)
                tx.put("u", key, b"moved")
            for key, _ in tx.scan("t", backwards=True):
                tx.put("t", key, b"y")
            return [key for key, value in tx.scan("t") if value != b"y"]

        assert await store.write(job) == []
        with store.read() as view:
            assert view.count("t") == 100
            assert view.count("u") == 100
            assert next(key for key, _ in view.scan("u", backwards=True)) == b"149"
        await store.close()

    world.run(scenario())


def test_a_page_of_rows_is_what_a_scan_gives(world):
    async def scenario():
        store = world.env.open_store(world.new_folder())

        def job(tx):
            for number in range(10):
                tx.put("t", b"%d" % number, b"x%d" % number)
            return tx.page("t", b"8", 5)

        assert await store.write(job) == [(b"8", b"x8"), (b"9", b"x9")]
        with store.read() as view:
            assert view.page("t", b"3", 4) == list(view.scan("t", b"3", b"7"))
            assert view.page("t", b"55", 1) == [(b"6", b"x6")], "from the next one, if there is none"
            assert view.page("t", b"9x", 4) == view.page("none", b"3", 4) == view.page("t", b"3", 0) == []
        await store.close()

    world.run(scenario())


def test_writes_at_once_each_get_their_own_result_or_error(world):
    async def scenario():
        store = world.env.open_store(world.new_folder())

        def job(tx, number):
            tx.put("t", b"%04d" % number, b"")
            if number % 5 == 0:
                raise KeyError(number)
            return number

        results = await asyncio.gather(
            *(store.write(lambda tx, n=number: job(tx, n)) for number in range(500)), return_exceptions=True
        )
        for number, result in enumerate(results):
            if number % 5 == 0:
                assert isinstance(result, KeyError)
                assert result.args == (number,)
            else:
                assert result == number
        assert [int(key) for key, _ in rows(store, "t")] == [n for n in range(500) if n % 5]
        await store.close()

    world.run(scenario())


def test_a_job_that_raises_changes_nothing(world):
    async def scenario():
        store = world.env.open_store(world.new_folder())
        await store.write(put("t", b"kept", b"old"))

        def job(tx):
            tx.put("t", b"kept", b"new")
            tx.put("t", b"kept", b"newer")
            tx.put("t", b"more", b"")
            tx.put("made", b"x", b"")
            tx.delete("t", b"kept")
            tx.put("t", b"kept", b"newest")
            raise ValueError("no")

        results = await asyncio.gather(
            store.write(put("t", b"before")), store.write(job), store.write(put("t", b"later")), return_exceptions=True
        )
        assert isinstance(results[1], ValueError)
        assert rows(store, "t") == [(b"before", b""), (b"kept", b"old"), (b"later", b"")]
        assert rows(store, "made") == []
        await store.close()

    world.run(scenario())


def test_a_read_view_is_one_moment_and_sees_nothing_uncommitted(world):
    async def scenario():
        store = world.env.open_store(world.new_folder())
        await store.write(put("t", b"a", b"1"))
        seen = []

        def job(tx):
            tx.put("t", b"b", b"2")
            seen.append(rows(store, "t"))

        with store.read() as view:
            await store.write(job)
            assert seen == [[(b"a", b"1")]], "a reader beside the open transaction"
            assert list(view.scan("t")) == [(b"a", b"1")]
            assert view.get("t", b"b") is None
            assert view.count("t") == 1
        assert rows(store, "t") == [(b"a", b"1"), (b"b", b"2")]
        await store.close()

    world.run(scenario())


def test_views_may_overlap_and_be_many(world):
    async def scenario():
        store = world.env.open_store(world.new_folder())
        for number in range(50):
            await store.write(put("t", b"k", b"%d" % number))
            with store.read() as outer, store.read() as inner:
                assert outer.get("t", b"k") == inner.get("t", b"k") == b"%d" % number
        await store.close()

    world.run(scenario())


def test_what_was_written_is_there_after_close_and_open(world):
    async def scenario():
        folder = world.new_folder()
        store = world.env.open_store(folder)
        await store.write(put("t", b"a", b"1"))
        await store.close()
        await store.close()
        again = world.env.open_store(folder)
        assert rows(again, "t") == [(b"a", b"1")]
        await again.write(put("t", b"b", b"2"))
        assert len(rows(again, "t")) == 2
        await again.close()

    world.run(scenario())


def test_closing_commits_what_waits_and_refuses_later_writes(world):
    async def scenario():
        folder = world.new_folder()
        store = world.env.open_store(folder)
        begun = []

        async def call(number):
            begun.append(number)
            await store.write(put("t", b"%02d" % number))

        writes = [asyncio.ensure_future(call(number)) for number in range(30)]
        while len(begun) < 30:
            await asyncio.sleep(0)
        assert store.healthy
        await store.close()
        await asyncio.gather(*writes)
        assert not store.healthy
        with pytest.raises(ShutdownError):
            await store.write(put("t", b"x"))
        again = world.env.open_store(folder)
        assert len(rows(again, "t")) == 30
        await again.close()

    world.run(scenario())


def test_a_second_opener_is_refused_until_the_first_has_closed(world):
    async def scenario():
        folder = world.new_folder()
        store = world.env.open_store(folder)
        with pytest.raises(FolderInUseError):
            world.env.open_store(folder)
        await store.write(put("t", b"a"))
        await store.close()
        again = world.env.open_store(folder)
        await again.close()

    world.run(scenario())


def test_a_cancelled_caller_does_not_disturb_the_others(world):
    async def scenario():
        store = world.env.open_store(world.new_folder())
        tasks = [asyncio.ensure_future(store.write(put("t", b"%02d" % number))) for number in range(10)]
        await asyncio.sleep(0)
        tasks[3].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [r for n, r in enumerate(results) if n != 3] == [None] * 9
        assert len(rows(store, "t")) >= 9
        await store.close()

    world.run(scenario())


def test_the_size_grows_and_stays_below_the_map(world):
    async def scenario():
        store = world.env.open_store(world.new_folder())
        before, limit = store.size()
        await store.write(put("t", b"big", bytes(200_000)))
        after, same = store.size()
        assert before < after < limit == same
        await store.close()

    world.run(scenario())


@pytest.mark.parametrize("outcome", [Outcome.LOST, Outcome.UNKNOWN])
def test_a_gate_that_refuses_undoes_the_batch_and_ends_the_store(world, outcome):
    async def scenario():
        folder = world.new_folder()
        store = world.env.open_store(folder)
        asked = []

        def gate():
            asked.append(1)
            return Outcome.COMMITTED if len(asked) == 1 else outcome

        store.gate = gate
        await store.write(put("t", b"a"))
        results = await asyncio.gather(*(store.write(put("t", b"b%d" % n)) for n in range(5)), return_exceptions=True)
        assert all(isinstance(result, NotLeaderError) for result in results)
        with pytest.raises(NotLeaderError):
            await store.write(put("t", b"c"))
        assert not store.healthy
        assert rows(store, "t") == [(b"a", b"")]
        await store.close()
        again = world.env.open_store(folder)
        assert rows(again, "t") == [(b"a", b"")]
        await again.close()

    world.run(scenario())


def test_a_gate_that_raises_refuses(world):
    async def scenario():
        store = world.env.open_store(world.new_folder())

        def gate():
            raise ConnectionResetError("the coordinator is gone")

        store.gate = gate
        with pytest.raises(NotLeaderError):
            await store.write(put("t", b"a"))
        assert rows(store, "t") == []
        await store.close()

    world.run(scenario())


def test_each_campaign_has_a_higher_epoch_also_after_a_restart(world):
    async def scenario():
        folder = world.new_folder()
        epochs = []
        for _ in range(3):
            store = world.env.open_store(folder)
            coordinator = world.env.open_coordinator(store)
            assert not await coordinator.prove()
            epochs.append(await coordinator.campaign())
            assert await coordinator.prove()
            assert coordinator.append([b"record"], epochs[-1]) is Outcome.COMMITTED
            assert coordinator.append([b"record"], epochs[-1] - 1) is Outcome.LOST
            await store.close()
            assert not await coordinator.prove()
        assert epochs == sorted(set(epochs))
        assert epochs[0] >= 1

    world.run(scenario())
