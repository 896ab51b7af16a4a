"""What a dead, sleeping, cut off or corrupt server costs a reader: a second request, not a wait. Rules 5, 8 and 16."""

import asyncio
import sys
from contextlib import suppress
from dataclasses import replace

import msgspec
import pytest
from tests.sim.hash_seeds import run_in_process
from tests.sim.test_scrub import stored

from cairnfs.config import ClientConfig
from cairnfs.sim.cluster import MASTER, SimCluster
from cairnfs.sim.world import SimWorld
from cairnfs.units import KIB

FILE = "/file"
SIZE = 200 * KIB
"""Four chunks, the last one short."""
DATA = bytes(number % 251 for number in range(SIZE))
GAP_S = 1.0
"""Longest wait of a read that a server may cost."""
QUIET_S = 0.2
"""The same for a corrupt replica, which answers."""
AHEAD = ClientConfig()
PLAIN = msgspec.structs.replace(AHEAD, readahead_bytes=0)


def play(scene, *, seed=1, config=PLAIN):
    with SimWorld(seed) as world:
        cluster = SimCluster(world, chunkservers=3, client_config=config)
        cluster.start()
        world.run(cluster.on_client(lambda client: client.write_bytes(FILE, DATA), host="maker"))
        world.run(scene(cluster))
        return world.trace.digest()


class Reads:
    """Reads one after the other, and how long each took."""

    def __init__(self, cluster, file):
        self.cluster, self.file = cluster, file
        self.took_s = []

    async def random(self, count, *, pause_s=0.01):
        """Positional reads over the whole file."""
        for number in range(count):
            size = (KIB, 20 * KIB, 100 * KIB)[number % 3]
            offset = number * 7919 % (SIZE - size)
            await self.timed(self.file.pread(size, offset), DATA[offset : offset + size])
            await self.cluster.pause(pause_s)

    async def stream(self, rounds, *, step=10 * KIB):
        """The file from its beginning, as a sequential reader does, but for its last bytes: the end is the master's."""
        for _ in range(rounds):
            await self.file.seek(0)
            for offset in range(0, SIZE - step, step):
                await self.timed(self.file.read(step), DATA[offset : offset + step])
                await self.cluster.pause(0.01)

    async def timed(self, job, expected):
        began_s = self.cluster.world.now_s()
        assert await job == expected
        self.took_s.append(self.cluster.world.now_s() - began_s)


async def with_reads(cluster, job):
    """Run `job(reads, client)` on the reader's host."""

    async def whole(client):
        async with await client.open(FILE, "rb") as file:
            reads = Reads(cluster, file)
            await reads.random(40)
            await reads.stream(1)
            reads.took_s.clear()
            await job(reads, client)
            return reads.took_s

    return await cluster.on_client(whole, host="reader")


# ---------------------------------------------------------------- what happens to a server


def suspended(cluster, name):
    cluster.world.suspend(name, 20.0)


def stopped(cluster, name):
    cluster.world.pause(name, 20.0)


def killed(cluster, name):
    cluster.crash(name)


def lost_power(cluster, name):
    cluster.crash(name, power=True)


def cut_off(cluster, name):
    cluster.world.cut(name, "reader")


TROUBLE = [suspended, stopped, killed, lost_power, cut_off]


def in_trouble(trouble, *, config=PLAIN, streams=False):
    """Return how long reads took, in seconds, each server in turn in trouble, and how many hedges there were."""
    took_s, hedges, reads = [], 0, 0

    async def scene(cluster, name):
        async def job(one, client):
            nonlocal hedges, reads
            before = client.counters()
            trouble(cluster, name)
            await (one.stream(4) if streams else one.random(80))
            took_s.extend(one.took_s)
            hedges += client.counters()["reads_hedged"] - before["reads_hedged"]
            reads += len(one.took_s)

        await with_reads(cluster, job)

    for number in range(3):
        play(lambda cluster, number=number: scene(cluster, cluster.names[number]), seed=number, config=config)
    return took_s, hedges, reads


@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("streams", [False, True])
def test_a_server_in_trouble_costs_a_read_less_than_a_second(trouble, streams):
    took_s, _, _ = in_trouble(trouble, config=AHEAD, streams=streams)
    assert max(took_s) < GAP_S, sorted(took_s)[-5:]


@pytest.mark.parametrize("trouble", [suspended, stopped, lost_power, cut_off])
def test_without_hedging_it_costs_seconds(trouble):
    """Goal: the test above can fail. Method: the same, with hedging off."""
    took_s, hedges, _ = in_trouble(trouble, config=msgspec.structs.replace(PLAIN, hedge=False))
    assert max(took_s) > GAP_S
    assert hedges == 0


def test_a_stopped_server_costs_a_few_hedges_and_not_one_for_each_read():
    """Goal: whom nobody hears is asked last. Method: a third of the reads would go to it first."""
    _, hedges, reads = in_trouble(suspended)
    assert 3 <= hedges <= 3 * 15, (hedges, reads)


def test_two_stopped_servers_of_three_cost_two_such_waits():
    async def scene(cluster):
        async def job(reads, client):
            for name in cluster.names[:2]:
                cluster.world.suspend(name, 20.0)
            await reads.random(80)

        assert max(await with_reads(cluster, job)) < 2 * GAP_S

    play(scene)


def test_while_all_is_well_hedges_are_a_few_of_a_hundred_requests():
    """Method: a network where one parcel of five is late. The budget by itself: tests/unit/client/test_hedging.py."""

    async def scene(cluster):
        settings = cluster.world.network.settings
        cluster.world.network.settings = replace(settings, slow_chance=0.2, slow_s=(0.1, 0.3))

        async def job(reads, client):
            before = client.counters()
            await reads.random(600, pause_s=0.0)
            made = client.counters()["reads_hedged"] - before["reads_hedged"]
            requests = sum(server.context.counters["reads"] for server in cluster.servers.values())
            assert 10 <= made <= 0.08 * requests, (made, requests)
            assert client.counters()["hedges_won"] > 0

        await with_reads(cluster, job)

    play(scene)


def test_a_server_that_is_back_is_asked_again():
    async def scene(cluster):
        async def job(reads, client):
            name = cluster.names[0]
            cluster.world.suspend(name, 3.0)
            await reads.random(50)
            await cluster.pause(30.0)
            before = cluster.servers[name].context.counters.get("reads", 0)
            await reads.random(80)
            assert cluster.servers[name].context.counters.get("reads", 0) > before

        await with_reads(cluster, job)

    play(scene)


def test_a_connection_that_passes_nothing_any_more_is_replaced():
    """Goal: a reader that no longer waits for a silent server must not stay with a dead connection to it for ever.

    Method: what is connected between the reader and a server is half-open from now on; new connections are well.
    """

    async def scene(cluster):
        async def job(reads, client):
            name = cluster.names[0]
            cluster.world.stall(name, "reader")
            await reads.random(80)
            await cluster.pause(15.0)
            before = cluster.servers[name].context.counters.get("reads", 0), client.counters()["reads_hedged"]
            await reads.random(80)
            assert cluster.servers[name].context.counters.get("reads", 0) > before[0] + 10
            assert client.counters()["reads_hedged"] <= before[1] + 3

        await with_reads(cluster, job)

    play(scene)


# ---------------------------------------------------------------- the buffer


def test_a_loser_writes_nothing_into_the_buffer_after_the_winner():
    """Goal: rule 8. Method: the nearest server answers so slowly that its bytes arrive before, while and after the
    other's; the reader overwrites its buffer as soon as it has read, and looks at it much later.
    """

    async def scene(cluster):
        async def job(reads, client):
            buffer = bytearray(60 * KIB)
            for name in cluster.names:
                cluster.world.slow_link(name, "reader", bytes_per_s=200 * KIB)
                for _ in range(3):
                    assert await reads.file.preadinto(buffer, 0) == len(buffer)
                    assert buffer == DATA[: len(buffer)]
                    buffer[:] = b"?" * len(buffer)
                    await cluster.pause(2.0)
                    assert buffer == b"?" * len(buffer)
                cluster.world.heal()
            assert client.counters()["hedges_won"] > 0

        await with_reads(cluster, job)

    play(scene)


def test_no_byte_of_a_loser_is_given_out():
    """Goal: rules 8 and 16. Method: the loser has begun earlier, is slower, and is rotten throughout: whatever it
    wrote into the reader's buffer where the winner has been would be wrong.
    """
    slow = "cs0"

    async def scene(cluster):
        chunk = (await cluster.on_client(lambda client: client.chunk_table(FILE)))[1]
        for place in range(0, 64 * KIB, 100):
            stored(cluster, slow, chunk.handle).flip(place)

        async def job(client):
            async with await client.open(FILE, "rb") as file:
                await file.pread(KIB, 0)  # connects
                for rate in range(400, 650, 50):
                    for name in cluster.names:
                        cluster.world.slow_link(name, "reader", bytes_per_s=(190 if name == slow else rate) * KIB)
                    assert await file.pread(64 * KIB, 64 * KIB) == DATA[64 * KIB : 128 * KIB]
                    await cluster.pause(1.0)
                counters = client.counters()
                assert (counters["hedges_won"], counters["checksums_failed"]) == (5, 0)

        await cluster.on_client(job, host="reader")

    play(scene, config=msgspec.structs.replace(PLAIN, near=f"{slow}:7410"))


def test_a_call_that_is_cancelled_leaves_its_buffer_alone():
    """Method: cancelled at every moment of a hedged read, the buffer is the caller's at once."""

    async def scene(cluster):
        async def job(reads, client):
            for name in cluster.names:
                cluster.world.slow_link(name, "reader", bytes_per_s=300 * KIB)
            for step in range(1, 40):
                buffer = bytearray(60 * KIB)
                with suppress(TimeoutError):
                    async with asyncio.timeout(step * 0.005):
                        await reads.file.preadinto(buffer, 0)
                before = bytes(buffer)
                await cluster.pause(2.0)
                assert buffer == before

        await with_reads(cluster, job)

    play(scene)


# ---------------------------------------------------------------- a corrupt replica, the master


@pytest.mark.parametrize("size", [KIB, 64 * KIB])
def test_a_corrupt_replica_sends_its_read_to_another_at_once(size):
    """Method: a replica of each server in turn is rotten where it is read; small reads are verified by the server,
    large ones by the reader, and the server that is told to look itself is asleep then.
    """
    took_s = []

    async def scene(cluster, number):
        async def job(reads, client):
            chunk = (await client.chunk_table(FILE))[1]
            victim = cluster.names[number]
            stored(cluster, victim, chunk.handle).flip(5 * KIB)
            offset = 64 * KIB + (4 * KIB if size == KIB else 0)
            for _ in range(5):
                await reads.timed(reads.file.pread(size, offset), DATA[offset : offset + size])
            took_s.extend(reads.took_s)
            quarantined[0] += cluster.servers[victim].context.counters.get("replicas_quarantined", 0)

        await with_reads(cluster, job)

    quarantined = [0]
    for number in range(3):
        play(lambda cluster, number=number: scene(cluster, number), seed=number)
    assert max(took_s) < QUIET_S, max(took_s)
    assert quarantined[0] > 0, "no rotten replica was read"


def test_a_reader_does_not_wait_while_a_server_looks_at_its_corrupt_replica():
    """Method: the way to the server that is read first is slow, so that asking it to look costs as long as reading."""
    slow_s, victim = 0.5, "cs0"

    async def scene(cluster):
        chunk = (await cluster.on_client(lambda client: client.chunk_table(FILE)))[1]
        stored(cluster, victim, chunk.handle).flip(5 * KIB)

        async def job(client):
            async with await client.open(FILE, "rb") as file:
                await file.pread(KIB, 0)  # connects
                cluster.world.slow_link("reader", victim, latency_s=(slow_s / 2, slow_s / 2))
                reads = Reads(cluster, file)
                await reads.timed(file.pread(64 * KIB, 64 * KIB), DATA[64 * KIB : 128 * KIB])
                assert client.counters()["checksums_failed"] == 1
                await cluster.pause(2 * slow_s)
                return reads.took_s

        took_s = await cluster.on_client(job, host="reader")
        assert slow_s < max(took_s) < 1.5 * slow_s, took_s
        assert cluster.servers[victim].context.counters["replicas_quarantined"] == 1, "and it has looked"

    play(scene, config=msgspec.structs.replace(PLAIN, hedge=False, near=f"{victim}:7410"))


def test_a_master_that_is_down_for_eight_seconds_costs_no_read():
    """Goal: no read waits for the master. Only when it is back each server serves nothing until it has reported (rule
    5), which takes less than a second. Method: reads go on for two minutes, longer than a place is kept; the master is
    away four times meanwhile.
    """

    async def scene(cluster):
        async def job(reads, client):
            async def read_for(seconds):
                end_s = cluster.world.now_s() + seconds
                while cluster.world.now_s() < end_s:
                    await reads.random(6, pause_s=0.05)

            for _ in range(4):
                cluster.crash(MASTER)
                begun = len(reads.took_s)
                await read_for(7.5)
                assert max(reads.took_s[begun:]) < QUIET_S
                await cluster.restart(MASTER)
                await read_for(20.0)

        took_s = await with_reads(cluster, job)
        assert max(took_s) < GAP_S, sorted(took_s)[-5:]

    play(scene)


def hedged_run(seed):
    """Return the trace hash of reads while a server sleeps."""

    async def scene(cluster):
        async def job(reads, client):
            cluster.world.suspend(cluster.names[0], 5.0)
            await reads.random(60)
            assert client.counters()["reads_hedged"] > 0

        await with_reads(cluster, job)

    return play(scene, seed=seed)


def test_a_hedged_run_is_the_same_under_every_hash_seed():
    hashes = {run_in_process("tests.sim.test_hedged_reads", seed=5, hash_seed=hash_seed) for hash_seed in ("1", "2")}
    assert len(hashes) == 1, hashes
    assert hashes == {hedged_run(5)}


if __name__ == "__main__":
    print(hedged_run(int(sys.argv[1])))
