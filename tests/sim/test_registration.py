"""A server that comes back tells what has changed, and serves what was compared. Rule 5; GFS paper, section 2.6.2."""

from collections import Counter
from contextlib import suppress

import msgspec
import pytest

from cairnfs.client.filesystem import Client
from cairnfs.errors import CairnError
from cairnfs.limits import REPORT_TURN_S
from cairnfs.sim.cluster import MASTER, QUICK, SimCluster
from cairnfs.sim.world import SimWorld

FILES = [f"/{number}" for number in range(12)]
VICTIM = "cs1"
PATIENT = msgspec.structs.replace(QUICK, repair_grace_s=100.0)
"""Nothing is copied elsewhere while a server is away."""


async def write_all(client: Client) -> None:
    for path in FILES:
        await client.write_bytes(path, path.encode() * 100)


class Flap:
    """A cluster of three servers that all hold every file, and what its master counts."""

    def __init__(self, world: SimWorld) -> None:
        self.world = world
        self.cluster = SimCluster(world, chunkservers=3, config=PATIENT)

    async def begin(self) -> None:
        await self.cluster.on_client(write_all)
        await self.cluster.until(lambda: all(self.reign.inventory.count(one) == len(FILES) for one in self.servers))

    @property
    def reign(self):
        return self.cluster.master.reign

    @property
    def servers(self):
        return [one.server_id for one in self.cluster.servers.values()]

    @property
    def store(self):
        return self.cluster.servers[VICTIM].context.store

    @property
    def victim(self):
        return self.cluster.servers[VICTIM].server_id

    def counted(self):
        return Counter({name: self.reign.counters.get(name) for name in ("replicas_told", "replicas_repeated")})

    async def lose_session(self) -> None:
        self.world.cut(VICTIM, MASTER)
        await self.cluster.until(lambda: self.reign.sessions.of(self.victim) is None)
        await self.cluster.pause(1)
        assert self.reign.inventory.count(self.victim) == 0
        assert self.reign.inventory.remembered(self.victim) == len(FILES)

    async def come_back(self):
        """Return (replicas told, replicas repeated by a digest) by the time that the report is compared."""
        before = self.counted()
        self.world.heal()
        await self.reported()
        after = self.counted()
        return tuple(after[name] - before[name] for name in ("replicas_told", "replicas_repeated"))

    async def reported(self):
        boot = self.cluster.servers[VICTIM].context.boot
        of = self.reign.sessions.of
        await self.cluster.until(
            lambda: (session := of(self.victim)) is not None and session.boot == boot and session.reported
        )


def play(scene, seed=1):
    with SimWorld(seed) as world:
        flap = Flap(world)
        flap.cluster.start()
        world.run(flap.begin())
        world.run(scene(flap))


def test_a_server_that_lost_its_session_tells_nothing_that_is_known():
    async def scene(flap):
        await flap.lose_session()
        assert await flap.come_back() == (0, len(FILES))
        assert flap.reign.inventory.count(flap.victim) == len(FILES)
        assert flap.reign.inventory.remembered(flap.victim) == 0

    play(scene)


def test_only_the_bucket_of_a_replica_that_went_is_told_again():
    """Goal: a loss while the session is away is seen with the report.

    Method: a replica is quarantined meanwhile; the heartbeat that says so comes after the report.
    """

    async def scene(flap):
        await flap.lose_session()
        handle = sorted(flap.store.replicas)[5]
        bucket = [one for one in flap.store.replicas if one // 4 == handle // 4]
        await flap.cluster.world.spawn(VICTIM, flap.store.quarantine(flap.store.replicas[handle], "a test"))
        told, repeated = await flap.come_back()
        assert (told, repeated) == (len(bucket) - 1, len(FILES) - len(bucket))
        assert flap.reign.inventory.get(flap.victim, handle) is None
        assert flap.reign.inventory.count(flap.victim) == len(FILES) - 1

    play(scene)


def test_only_the_bucket_of_a_replica_that_changed_is_told_again():
    """Goal: any change is seen. Method: a replica promises more, as a raise that came to nothing leaves it."""

    async def scene(flap):
        await flap.lose_session()
        handle = sorted(flap.store.replicas)[2]
        bucket = [one for one in flap.store.replicas if one // 4 == handle // 4]
        promised = flap.reign.next_version()
        await flap.cluster.world.spawn(VICTIM, flap.store.set_header(flap.store.replicas[handle], promised=promised))
        assert await flap.come_back() == (len(bucket), len(FILES) - len(bucket))
        assert flap.reign.inventory.get(flap.victim, handle).promised == promised

    play(scene)


def test_a_server_that_restarts_need_not_tell_what_is_closed():
    async def scene(flap):
        flap.cluster.crash(VICTIM)
        before = flap.counted()
        await flap.cluster.restart(VICTIM)
        await flap.reported()
        assert flap.counted() - before == Counter(replicas_repeated=len(FILES))
        assert flap.reign.inventory.count(flap.victim) == len(FILES)

    play(scene)


def test_a_master_that_restarts_is_told_everything():
    async def scene(flap):
        flap.cluster.crash(MASTER)
        await flap.cluster.restart(MASTER)
        await flap.cluster.until(lambda: not flap.reign.sessions.unheard())
        assert flap.counted() == Counter(replicas_told=3 * len(FILES))
        assert [flap.reign.inventory.count(one) for one in flap.servers] == 3 * [len(FILES)]

    play(scene)


def test_who_falls_silent_in_the_middle_of_a_report_holds_up_nobody_for_long():
    async def scene(flap):
        flap.cluster.crash(MASTER)
        await flap.cluster.restart(MASTER)
        first = None
        while first is None:
            await flap.cluster.pause(0.0005)
            first = next((one for one in flap.reign.sessions.all() if one.page and not one.reported), None)
        flap.world.cut(flap.cluster.name_of(first.server), MASTER)
        begun_s = flap.world.now_s()
        await flap.cluster.until(lambda: sum(one.reported for one in flap.reign.sessions.all()) == 2)
        assert not first.reported
        assert flap.world.now_s() - begun_s < 3 * REPORT_TURN_S

    play(scene)


@pytest.mark.parametrize("seed", range(3))
def test_what_was_overwritten_meanwhile_is_excluded_before_anything_is_served(seed):
    """Goal: rule 5: a replica that equals what was told before, and is out of date, serves nobody.

    Method: while a server is away its chunk is overwritten without it; it comes back with an equal digest. From its
    first serving lease on, it reads as the others do or not at all.
    """

    async def scene(flap):
        handle = min(flap.store.replicas)
        old = flap.store.replicas[handle].state.version
        await flap.lose_session()

        async def overwrite(client):
            async with await client.open(FILES[0], "r+b") as file:
                await file.pwrite(b"new", 0)

        await flap.cluster.on_client(overwrite, "writer")
        assert flap.reign.chunk(handle).version > old
        told, repeated = await flap.come_back()
        assert (told, repeated) == (0, len(FILES)), "its own replicas are as they were"
        below = flap.cluster.servers[VICTIM].context.exclusions
        standing = flap.cluster.servers[VICTIM].context.standing
        while not standing.may_serve(flap.world.now_s(), quiet=False):
            await flap.cluster.pause(0.001)
        replica = flap.store.replicas[handle]
        assert replica.state.version > old or below.is_excluded(handle, old), "it would serve the old bytes"

    play(scene, seed)


def test_nothing_is_told_twice_by_a_replica_that_comes_to_rest_on_the_way():
    """Goal: invariant 1 of `telling`: what was open when the digests were made is told, though it is closed by then.

    Method: a chunk is written while the session is away, and closed between the digests and the pages of replicas.
    """

    async def scene(flap):
        async def write(client):
            file = await client.open("/late", "wb")
            await file.pwrite(b"late", 0)
            return file

        client = flap.cluster.client("writer")
        await flap.world.spawn("writer", client.connect())
        file = await flap.world.spawn("writer", write(client))
        flap.world.cut(VICTIM, MASTER)
        await flap.cluster.until(lambda: flap.reign.sessions.of(flap.victim) is None)
        handle = max(flap.store.replicas)
        assert not flap.store.replicas[handle].state.closed
        flap.world.heal()
        while (session := flap.reign.sessions.of(flap.victim)) is None or session.page < 2:
            await flap.cluster.pause(0.0002)
        assert not session.reported, "the digests are told, the replicas are not"
        replica = flap.store.replicas[handle]
        await flap.world.spawn(VICTIM, flap.store.set_header(replica, closed=True, closed_length=replica.length))
        await flap.reported()
        assert flap.reign.inventory.get(flap.victim, handle) is not None
        for close in (file.close(), client.close()):
            with suppress(CairnError):
                await flap.world.spawn("writer", close)

    play(scene)
