"""Everything at once: appenders and readers that retry, while servers crash, lose power and are cut off.

Checked at the end: every acknowledged record stands at its offset on every member, and no record stands twice where the
same sequence was repeated.
"""

import asyncio
import contextlib
import random

import pytest
from tests.unit.chunkserver.protocol.cluster import NAMES, pass_time, run

from cairnfs.errors import CairnError, ChunkFullError
from cairnfs.wire.master_orders import Exclude
from cairnfs.wire.membership import Exclusion


class Storm:
    def __init__(self, cluster, chance):
        self.cluster = cluster
        self.chance = chance
        self.lease = None
        self.base = {}  # server name -> boot of the last result
        self.acked = {}
        self.unfenced = {}  # server name -> boot: may still serve an older version
        self.stopped = False

    async def begin(self):
        self.lease = await self.cluster.new_chunk()
        self.base = {name: self.cluster.servers[name].boot for name in NAMES}

    async def raise_version(self):
        """As a master does it: promise, choose the source, reconcile, log, open. False: burnt."""
        cluster = self.cluster
        names = [name for name in NAMES if cluster.world.is_up(name)]
        version = cluster.master.version()
        promised = {}
        for name in names:
            try:
                _, replies = await cluster.promise(1, [name], version)
                promised[name] = replies[name]
            except CairnError:
                pass
        able = [
            name
            for name, reply in promised.items()
            if name in self.base and reply.unbroken and reply.boot == self.base[name] and not reply.incomplete
        ]
        if not able and all(name in promised for name in self.base):
            able = [name for name in self.base if not promised[name].incomplete]
            able.sort(key=lambda name: promised[name].length, reverse=True)
            able = able[:1]
        if not able or len(promised) < 2:
            return False
        source = max(able, key=lambda name: (promised[name].version, promised[name].serial))
        order = [source, *(name for name in promised if name != source)]
        for name in order:
            await cluster.order(name, cluster.reconciliation(name, source, 1, version, promised[source]))
        await self.fence(order, version)
        primary = self.chance.choice(order)
        lease = cluster.lease(
            1,
            version=version,
            primary=primary,
            names=order,
            is_new=False,
            base_length=promised[source].length,
            fence_done=not self.unfenced,
        )
        self.base = {name: promised[name].boot for name in order}  # the log record
        for name in order:
            await cluster.order(name, cluster.open_order(lease))
        self.lease = lease
        return True

    async def fence(self, names, version):
        """Rule 6: exclude who is outside; a server of another boot serves nothing either."""
        cluster = self.cluster
        for name in NAMES:
            if name in names:
                self.unfenced.pop(name, None)
            elif name in self.base:
                self.unfenced[name] = self.base[name]
        for name, boot in list(self.unfenced.items()):
            exclusion = Exclusion(handle=1, below=version)
            cluster.master.exclusions[boot] = [exclusion]
            try:
                if cluster.world.is_up(name) and cluster.servers[name].boot == boot:
                    await cluster.order(name, Exclude(epoch=1, exclusions=[exclusion]))
            except CairnError:
                continue
            del self.unfenced[name]

    async def master(self):
        while not self.stopped:
            await pass_time(self.chance.uniform(0.5, 3))
            with contextlib.suppress(CairnError):
                await self.raise_version()

    async def appender(self, number):
        turn = 0
        while not self.stopped:
            turn += 1
            record = b"%02d:%04d|" % (number, turn)
            while True:
                try:
                    appended = await self.cluster.append(self.lease, record, client=number, sequence=turn)
                except ChunkFullError:
                    return
                except CairnError:
                    if self.stopped:
                        return
                    await pass_time(0.2)
                    continue
                self.acked[number, turn] = (appended.offset, record)
                break
            await pass_time(self.chance.uniform(0, 0.1))

    async def reader(self, name):
        """An acknowledged record that is read is read whole."""
        while not self.stopped:
            await pass_time(self.chance.uniform(0, 0.2))
            if not self.acked:
                continue
            offset, record = self.acked[self.chance.choice(sorted(self.acked))]
            try:
                data = await self.cluster.read(name, self.lease, offset, len(record))
            except CairnError:
                continue
            assert record.startswith(data), (name, offset, record, data)
            assert data == record, (name, offset, record, data)

    async def trouble(self):
        world, chance = self.cluster.world, self.chance
        while not self.stopped:
            await pass_time(chance.uniform(1, 5))
            name = chance.choice(NAMES)
            match chance.randrange(4):
                case 0 | 1:
                    (world.power if chance.random() < 0.5 else world.crash)(name)
                    await pass_time(chance.uniform(0, 2))
                    await self.cluster.boot(name)
                case 2:
                    world.cut(name, chance.choice([other for other in NAMES if other != name]))
                    await pass_time(chance.uniform(0, 3))
                    world.heal()
                case 3:
                    world.cut(name, "m")
                    await pass_time(chance.uniform(0, 3))
                    world.heal()


@pytest.mark.parametrize("seed", range(3))
def test_acknowledged_records_survive_a_storm(seed):
    async def story(cluster):
        storm = Storm(cluster, random.Random(seed))
        await storm.begin()
        jobs = [asyncio.ensure_future(storm.appender(number)) for number in range(1, 5)]
        jobs += [asyncio.ensure_future(storm.reader(name)) for name in NAMES]
        jobs += [asyncio.ensure_future(storm.master()), asyncio.ensure_future(storm.trouble())]
        await pass_time(25)
        storm.stopped = True
        cluster.world.heal()
        await asyncio.gather(*jobs)
        await cluster.settle(15)
        while not await storm.raise_version():
            await pass_time(1)
        cluster.assert_equal(1)
        assert len(storm.acked) > 20
        length = cluster.contents(1)[0][0]
        whole = b"".join([await cluster.read("a", storm.lease, at, 60_000) for at in range(0, length, 60_000)])
        for offset, record in storm.acked.values():
            assert whole[offset : offset + len(record)] == record
            assert whole.count(record) == 1, record

    run(story, seed=seed)


class Cell:
    """One writer counts upwards in eight bytes of the chunk; readers must never see it go back."""

    def __init__(self, storm):
        self.storm = storm
        self.issued = 0
        self.shown = 0  # by an ack, or by a read that has returned
        self.reads = 0

    async def writer(self):
        storm = self.storm
        while not storm.stopped:
            self.issued += 1
            data = self.issued.to_bytes(8, "big")
            while not storm.stopped:
                try:
                    await storm.cluster.write(storm.lease, 1000, data, client=50, sequence=self.issued, sync=True)
                except CairnError:
                    await pass_time(0.2)
                    continue
                self.shown = max(self.shown, self.issued)
                break
            await pass_time(storm.chance.uniform(0, 0.05))

    async def reader(self, name):
        storm = self.storm
        while not storm.stopped:
            await pass_time(storm.chance.uniform(0, 0.05))
            floor = self.shown
            try:
                data = await storm.cluster.read(name, storm.lease, 1000, 8)
            except CairnError:
                continue
            seen = int.from_bytes(data, "big")
            assert floor <= seen <= self.issued, (name, floor, seen, self.issued)
            self.shown = max(self.shown, seen)
            self.reads += 1


@pytest.mark.parametrize("seed", [0, 1, 202])  # 202: a read that waited saw adopted bytes before the version was open
def test_no_read_goes_back_behind_an_ack_or_another_read(seed):
    async def story(cluster):
        storm = Storm(cluster, random.Random(seed))
        await storm.begin()
        await cluster.write(storm.lease, 0, bytes(2000), sync=True)
        cell = Cell(storm)
        jobs = [cell.writer(), *(cell.reader(name) for name in NAMES), storm.master(), storm.trouble()]
        tasks = [asyncio.ensure_future(job) for job in jobs]
        await pass_time(25)
        storm.stopped = True
        cluster.world.heal()
        await asyncio.gather(*tasks)
        assert cell.reads > 100
        assert cell.shown > 20

    run(story, seed=seed)
