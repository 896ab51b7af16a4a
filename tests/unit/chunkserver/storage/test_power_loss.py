"""What a power loss at any moment may and may not take. Rules 15, 16, 24 and contract 7."""

import asyncio
import random

import pytest
from tests.unit.chunkserver.storage.world import HANDLE, SMALL, World, content, make, put, run

from cairnfs.errors import CairnError
from cairnfs.ids import ChunkHandle, Serial


class Model:
    """Per byte: the values that may be there after a power loss; the smallest and largest length."""

    def __init__(self):
        self.now = bytearray()
        self.may = []
        self.durable_length = 0
        self.exists = False

    def begin_write(self, offset, data):
        end = offset + len(data)
        grown = bytearray(self.now)
        grown.extend(bytes(max(0, end - len(grown))))
        for place in range(len(self.now), end):
            if place < len(self.may):
                self.may[place].add(0)
            else:
                self.may.append({0})
        grown[offset:end] = data
        for place in range(offset, end):
            self.may[place].add(grown[place])
        self.now = grown

    def begin_cut(self, length):
        self.durable_length = min(self.durable_length, length)
        self.now = self.now[:length]

    def durable(self, length=None):
        upto = len(self.now) if length is None else length
        self.durable_length = max(self.durable_length, upto)
        for place in range(upto):
            self.may[place] = {self.now[place]}

    def check(self, found):
        assert len(found) >= self.durable_length, (len(found), self.durable_length)
        assert len(found) <= len(self.may)
        wrong = [
            place for place, value in enumerate(found) if place < self.durable_length and value not in self.may[place]
        ]
        assert not wrong, (wrong[:5], len(wrong), self.durable_length)


async def one_step(store, replica, model, chance):
    kind = chance.choice(
        ["append", "append", "burst", "plain", "overwrite", "overwrite", "hole", "flush", "cut", "header"]
    )
    data = chance.randbytes(chance.choice([1, 7, 100, 700, 1024, 1500, 3000]))
    room = SMALL.chunk_bytes - replica.length
    if kind in ("append", "plain", "hole") and room < 4000:
        kind = "cut"
    if kind == "append":
        durable = chance.random() < 0.7
        model.begin_write(replica.length, data)
        await put(store, replica, replica.length, data, durable=durable)
        if durable:
            model.durable()
    elif kind == "burst" and room > 1000:
        pieces = [chance.randbytes(chance.randint(1, 60)) for _ in range(8)]
        jobs, offset = [], replica.length
        for piece in pieces:
            model.begin_write(offset, piece)
            jobs.append(put(store, replica, offset, piece, durable=True))
            offset += len(piece)
        for result in await asyncio.gather(*jobs, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
        model.durable()
    elif kind == "plain":
        model.begin_write(replica.length, data)
        await put(store, replica, replica.length, data, durable=False)
    elif kind == "overwrite" and replica.length:
        offset = chance.randrange(replica.length)
        data = data[: SMALL.chunk_bytes - offset]
        durable = chance.random() < 0.3
        model.begin_write(offset, data)
        await put(store, replica, offset, data, durable=durable)
        if durable:
            model.durable()
    elif kind == "hole":
        model.begin_write(replica.length + 500, data[:500])
        await put(store, replica, replica.length + 500, data[:500], durable=chance.random() < 0.5)
    elif kind == "flush":
        await store.flush(replica)
        model.durable()
    elif kind == "cut" and replica.length:
        length = chance.randrange(replica.length)
        model.begin_cut(length)
        await store.truncate(replica, length, serial=Serial(1))
        model.may = model.may[: len(model.now)]
        model.durable()
    elif kind == "header":
        await store.set_header(replica, promised=(3, chance.randrange(1000)))


async def workload(world, seed, stop_at, steps=14):
    """Run until the power fails; return the model, and what must be in the header."""
    chance = random.Random(seed)
    world.tree.stop_at = stop_at
    model = Model()
    store = None
    try:
        store = await world.open(segment_bytes=chance.choice([600, 3000, 1 << 20]))
        replica = await make(store)
        model.exists = True
        for _ in range(steps):
            await one_step(store, replica, model, chance)
    except CairnError:
        assert stop_at is not None
    except OSError:
        assert stop_at is not None
    return store, model


async def crash_and_check(seed, stop_at, tear):
    world = World(seed)
    store, model = await workload(world, seed, stop_at)
    if store is not None:
        await world.lose_power(store, tear)
    else:
        world.tree.lose_power(tear)
    again = await world.open()
    found = again.replicas.get(HANDLE)
    if model.exists:
        assert found is not None, again.damaged
    if found is not None:
        assert not found.unbroken
        before = await content(again, found)
        model.check(before)
        await put(again, found, found.length, b"and on"[: SMALL.chunk_bytes - found.length], durable=True)
        await world.lose_power(again, tear + 1)
        third = await world.open()
        assert (await content(third, third.replicas[HANDLE])) == before + b"and on"[: SMALL.chunk_bytes - len(before)]
        await third.close()
    else:
        await again.close()
    return world


@pytest.mark.parametrize("seed", range(30))
def test_what_was_acknowledged_as_durable_survives_a_power_loss_at_any_operation(seed):
    """Goal: at any moment of any workload, recovery finds what was acknowledged and only bytes that were written.

    Method: count the file operations of a random workload, then repeat it with the power going at some of them; each
    unflushed sector and name is kept or lost at random.
    """

    async def main():
        world = World(seed)
        await workload(world, seed, None)
        total = world.tree.operations
        chance = random.Random(seed)
        for stop_at in sorted(chance.sample(range(total), 12)):
            try:
                await crash_and_check(seed, stop_at, chance.randrange(1 << 30))
            except BaseException as error:
                error.add_note(f"seed={seed} stop_at={stop_at} of {total}")
                raise

    run(main)


def test_the_last_operations_of_a_run_survive_as_well():
    async def main():
        for tear in range(20):
            await crash_and_check(1000 + tear, 1 << 30, tear)

    run(main)


def test_a_torn_overwrite_of_flushed_bytes_is_repaired_from_the_journal():
    """Rule 15: the neighbours of an overwrite were acknowledged; a torn sector must not take them along."""

    async def main():
        for tear in range(30):
            world = World()
            store = await world.open()
            replica = await make(store)
            await put(store, replica, 0, b"a" * 1024, durable=True)
            before = world.tree.operations
            job = asyncio.ensure_future(put(store, replica, 100, b"b" * 600, durable=False))
            while world.tree.operations - before < 100 and not job.done():
                await asyncio.sleep(0)
                if ("write", world.tree.log[-1][1]) in world.tree.log[before:] and world.tree.log[-1][1].endswith(
                    "dat"
                ):
                    break
            await world.lose_power(store, tear)
            await asyncio.gather(job, return_exceptions=True)
            again = await world.open()
            found = await content(again, again.replicas[HANDLE])
            assert found in (b"a" * 1024, b"a" * 100 + b"b" * 600 + b"a" * 324)
            await again.close()

    run(main)


def test_a_deleted_replica_does_not_come_back():
    async def main():
        for tear in range(10):
            world = World()
            store = await world.open()
            replica = await make(store)
            await put(store, replica, 0, b"x" * 2000, durable=True)
            await store.trash(replica)
            await world.lose_power(store, tear)
            again = await world.open()
            assert HANDLE not in again.replicas
            await make(again)
            await world.lose_power(again, tear)
            third = await world.open()
            assert third.replicas[HANDLE].length == 0
            await third.close()

    run(main)


def test_a_clone_is_whole_after_a_power_loss():
    async def main():
        for tear in range(10):
            world = World()
            store = await world.open()
            replica = await make(store)
            await put(store, replica, 0, b"x" * 2000, durable=False)
            copy = await store.clone_local(replica, ChunkHandle(5), version=(3, 2), epoch=3)
            assert await content(store, copy) == b"x" * 2000
            await world.lose_power(store, tear)
            again = await world.open()
            assert await content(again, again.replicas[ChunkHandle(5)]) == b"x" * 2000
            await again.close()

    run(main)
