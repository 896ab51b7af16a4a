"""What a power loss at any moment may and may not take. Rules 15, 16, 24 and contract 7."""

import asyncio
import random

import pytest
from tests.unit.chunkserver.storage.world import HANDLE, SMALL, World, content, make, put, run

from cairnfs.errors import ChunkCorruptError
from cairnfs.ids import ChunkHandle, Serial


class Model:
    """Per byte: the values that may be there after a power loss; the smallest and largest length."""

    def __init__(self):
        self.now = bytearray()
        self.may = []
        self.touched = []
        self.durable_length = 0
        self.exists = False
        self.number = 0
        self.finished = 0
        self.applied_length = 0
        self.cuts = 0

    def begin_write(self, offset, data):
        self.number += 1
        end = offset + len(data)
        start = min(offset, len(self.now))
        grown = bytearray(self.now)
        grown.extend(bytes(max(0, end - len(grown))))
        grown[offset:end] = data
        while len(self.may) < end:
            self.may.append(set())
            self.touched.append(0)
        for place in range(start, end):
            self.may[place].add(grown[place])
            self.touched[place] = self.number
        self.now = grown

    def end_write(self):
        self.finished = self.number
        self.applied_length = len(self.now)

    def begin_cut(self, length):
        self.cuts += 1
        self.durable_length = min(self.durable_length, length)
        self.applied_length = min(self.applied_length, length)
        self.now = self.now[:length]

    def end_cut(self):
        self.cuts += 1
        del self.may[len(self.now) :], self.touched[len(self.now) :]

    def moment(self):
        """Return what a flush that begins now must keep."""
        return self.cuts, self.finished, self.applied_length

    def flushed(self, moment):
        cuts, finished, length = moment
        if cuts == self.cuts:
            self.durable_length = max(self.durable_length, length)
            for place in range(length):
                if self.touched[place] <= finished:
                    self.may[place] = {self.now[place]}

    def durable(self):
        self.flushed(self.moment())

    def check(self, found):
        assert len(found) >= self.durable_length, (len(found), self.durable_length)
        assert len(found) <= len(self.may)
        wrong = [
            place for place, value in enumerate(found) if place < self.durable_length and value not in self.may[place]
        ]
        assert not wrong, (wrong[:5], len(wrong), self.durable_length)


KINDS = ["append", "append", "burst", "plain", "overwrite", "overwrite", "hole", "flush", "cut", "header"]


async def write(store, replica, model, offset, data, *, durable):
    model.begin_write(offset, data)
    await put(store, replica, offset, data, durable=durable)
    model.end_write()
    if durable:
        model.durable()


async def burst(store, replica, model, chance):
    """Appends that do not wait for one another; all have returned at its end."""
    jobs = []
    for _ in range(8):
        data, offset = chance.randbytes(chance.randint(1, 60)), len(model.now)
        model.begin_write(offset, data)
        jobs.append(put(store, replica, offset, data, durable=True))
    for result in await asyncio.gather(*jobs, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
    model.end_write()
    model.durable()


async def one_step(store, replica, model, chance):
    kind = chance.choice(KINDS)
    data = chance.randbytes(chance.choice([1, 7, 100, 700, 1024, 1500, 3000]))
    if kind in ("append", "plain", "hole", "burst") and SMALL.chunk_bytes - replica.length < 4000:
        kind = "cut"
    if kind in ("append", "plain"):
        durable = kind == "append" and chance.random() < 0.7
        await write(store, replica, model, replica.length, data, durable=durable)
    elif kind == "hole":
        await write(store, replica, model, replica.length + 500, data[:500], durable=chance.random() < 0.5)
    elif kind == "burst":
        await burst(store, replica, model, chance)
    elif kind == "overwrite" and replica.length:
        offset = chance.randrange(replica.length)
        data = data[: SMALL.chunk_bytes - offset]
        await write(store, replica, model, offset, data, durable=chance.random() < 0.3)
    elif kind == "flush":
        await store.flush(replica)
        model.durable()
    elif kind == "cut" and replica.length:
        length = chance.choice([chance.randrange(replica.length), replica.length // 1024 * 1024, 0])
        model.begin_cut(length)
        await store.truncate(replica, length, serial=Serial(1))
        model.end_cut()
        model.durable()
    elif kind == "header":
        await store.set_header(replica, promised=(3, chance.randrange(1000)))


async def keep_flushing(store, replica, model, chance, steps):
    """Flush now and then, beside the other calls."""
    for _ in range(steps):
        for _ in range(chance.randrange(12)):
            await asyncio.sleep(0)
        moment = model.moment()
        await store.flush(replica)
        model.flushed(moment)


async def use(store, handle, model, seed, steps):
    chance = random.Random(seed)
    replica = await make(store, handle)
    model.exists = True

    async def mutate():
        for _ in range(steps):
            await one_step(store, replica, model, chance)

    jobs = [mutate()]
    if seed % 2:
        jobs.append(keep_flushing(store, replica, model, random.Random(-seed), steps))
    for result in await asyncio.gather(*jobs, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


async def workload(world, seed, stop_at, steps=14):
    """Run until the power fails; return the store and a model for each of two replicas."""
    world.tree.stop_at = stop_at
    models = {HANDLE: Model(), ChunkHandle(2): Model()}
    segment_bytes = random.Random(seed).choice([600, 3000, 1 << 20])
    store = None
    try:
        store = await world.open(segment_bytes=segment_bytes)
        jobs = [use(store, handle, model, seed + place, steps) for place, (handle, model) in enumerate(models.items())]
        for result in await asyncio.gather(*jobs, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
    except (OSError, ChunkCorruptError):
        # Old bytes that cannot be read count as damaged, also where it is for want of power.
        assert stop_at is not None
        assert world.tree.operations > stop_at
    return store, models


async def check(store, handle, model):
    found = store.replicas.get(handle)
    if model.exists:
        assert found is not None, store.damaged
    if found is None:
        return b""
    assert not found.unbroken
    data = await content(store, found)
    model.check(data)
    more = b"and on"[: SMALL.chunk_bytes - len(data)]
    await put(store, found, found.length, more, durable=True)
    return data + more


async def crash_and_check(seed, stop_at, tear):
    world = World(seed, uneven=True)
    store, models = await workload(world, seed, stop_at)
    if store is not None:
        await world.lose_power(store, tear)
    else:
        world.tree.lose_power(tear)
    if chance_of(tear) < 0.3:
        # A second power loss, while the first is being recovered from.
        world.tree.stop_at = tear % 150
        try:
            store = await world.open()
            await world.lose_power(store, tear)
        except OSError:
            world.tree.lose_power(tear)
    again = await world.open()
    expected = {handle: await check(again, handle, model) for handle, model in models.items()}
    await world.lose_power(again, tear + 1)
    third = await world.open()
    for handle, replica in third.replicas.items():
        assert await content(third, replica) == expected[handle]
    await third.close()


def chance_of(number):
    return random.Random(number).random()


@pytest.mark.parametrize("seed", range(30))
def test_what_was_acknowledged_as_durable_survives_a_power_loss_at_any_operation(seed):
    """Goal: at any moment of any workload, recovery finds what was acknowledged and only bytes that were written.

    Method: count the file operations of a random workload, then repeat it with the power going at some of them; each
    unflushed sector and name is kept or lost at random.
    """

    async def main():
        world = World(seed, uneven=True)
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
