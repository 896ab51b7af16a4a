"""S21 to S25: disks that fail, rot, are slow, or change names in another order."""

import asyncio

import pytest
from tests.sim.scenarios.playing import WITHOUT_REPAIR, notice, play

from cairnfs.chunkserver.applying import block_crcs
from cairnfs.chunkserver.store import Store
from cairnfs.errors import FormatError
from cairnfs.ids import ChunkHandle, ChunkVersion, ClusterId, Epoch, Serial
from cairnfs.safeguards import ALL_ON
from cairnfs.sim.cluster import FOLDER, MASTER, SMALL
from cairnfs.sim.disk import SimFolder
from cairnfs.sim.scenes.disks import place_tag, verify_on_read
from cairnfs.sim.stage import FILE, Stage, content
from cairnfs.sim.world import SimWorld
from cairnfs.units import KIB

CLUSTER = ClusterId("ab" * 16)
HANDLE = ChunkHandle(7)


async def disk_without_its_name(stage: Stage) -> None:
    """A disk gives errors, comes back, and then its DISK file is missing: nothing on it is removed or made anew."""
    await stage.make(1)
    victim = stage.members[0]
    tree = stage.world.tree(victim, FOLDER)
    tree.faults.fail_reads = tree.faults.fail_writes = True
    writer = await stage.writer()
    await writer.write(2)
    stage.cluster.crash(victim)
    tree.faults.fail_reads = tree.faults.fail_writes = False
    before = {path: bytes(node.data) for path, node in tree.walk()}
    folder = tree.find("cairn")
    assert isinstance(folder, SimFolder)
    name = folder.entries.pop("DISK")
    with pytest.raises(FormatError):
        await stage.cluster.restart(victim)
    stage.world.crash(victim)
    folder.entries["DISK"] = name
    assert {path: bytes(node.data) for path, node in tree.walk()} == before, "I24: something was removed"
    await stage.cluster.restart(victim)
    assert await (await stage.reader(victim)).show() == 2


def test_s21_a_failed_disk_is_never_wiped() -> None:
    """Goal: I24; rule 25. Method: a disk fails and returns, once without the file that says whose it is."""
    play(disk_without_its_name)


async def scrub_while_appending(stage: Stage) -> None:
    """Three clients append; every block of every replica is verified again and again meanwhile."""
    client = await stage.client("maker")
    await stage.on("maker", client.write_bytes(FILE, b""))
    clients = [await stage.client(f"appender{number}") for number in range(3)]

    async def append(number: int) -> None:
        for turn in range(15):
            await clients[number].append(FILE, b"%d:%03d;" % (number, turn) * 60)

    jobs = [stage.later(stage.on(f"appender{number}", append(number))) for number in range(3)]
    looked = 0
    while not all(job.done() for job in jobs):
        for name in stage.cluster.names:
            store = stage.cluster.servers[name].context.store
            for replica in list(store.replicas.values()):
                for block in range(len(replica.block_crcs())):
                    assert await stage.on(name, store.verify(replica, block)), "I10: good data was flagged"
                    looked += 1
        await stage.pause(0.0005)
    for job in jobs:
        await job
    assert looked > 100
    assert not any(one.context.counters.get("replicas_quarantined") for one in stage.cluster.servers.values())


def test_s22_rot_is_found_and_appends_are_not_taken_for_it() -> None:
    """Goal: I10; rules 8, 16 and 24.

    Method: a bit flips in a cold block; two chunks change places on a disk; blocks are verified while they grow.
    """
    play(verify_on_read)
    play(place_tag)
    play(scrub_while_appending, range(1))


@pytest.mark.parametrize("missing", ["verify_on_read", "place_tag"])
def test_s22_needs(missing: str) -> None:
    notice({"verify_on_read": verify_on_read, "place_tag": place_tag}[missing], missing)


async def slow_disk(stage: Stage) -> None:
    """A member's disk takes half a second for everything; its heartbeats are as good as ever."""
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    victim = stage.others[0]
    stage.world.tree(victim, FOLDER).faults.delay_s = (0.3, 0.5)
    for number in range(3, 9):
        began_s = stage.world.loop.time()
        await writer.write(number)
        took_s = stage.world.loop.time() - began_s
        assert took_s < 30, f"I31, I32: {took_s:g} s"
    assert took_s < 1, "the slow one is still waited for"
    stage.world.tree(victim, FOLDER).faults.delay_s = (0.00005, 0.002)
    assert await (await stage.reader(victim)).show() == 8


def test_s23_a_slow_disk_holds_nobody_up_for_long() -> None:
    """Goal: I31, I32; rule 20.

    Method: it answers probes at once and orders late; accused again, it is left out. Without repair: that would bring
    it back, for nothing tells a slow server from a good one yet.
    """
    play(slow_disk, config=WITHOUT_REPAIR, rests=False)


def test_s24_a_folder_is_formatted_whole_or_not_at_all() -> None:
    """Goal: I20; rules 24 and 25.

    Method: power is lost at each operation of the first start, with names and pages lost in any order; the next start
    finds a folder that is fresh or whole, and the replica that was acknowledged.
    """
    for operations in range(40):
        with SimWorld(operations) as world:
            acked: list[Store] = []
            world.crash_during("cs", FOLDER, operations, power=True)
            job = world.spawn("cs", make_one(world, acked))
            world.run(wait_for_death(world, job))
            world.tree("cs", FOLDER).faults.dies_after = None
            if world.is_up("cs"):
                world.power("cs")
            found = world.run(world.spawn("cs", open_again(world)))
            assert found or not acked


async def make_one(world: SimWorld, acked: list[Store]) -> None:
    """Kept by the caller: the tasks of a store that nobody holds end when garbage is collected."""
    store = await open_store(world)
    await store.create(HANDLE, version=ChunkVersion(Epoch(1), 1), epoch=Epoch(1))
    acked.append(store)


async def open_again(world: SimWorld) -> bool:
    store = await open_store(world)
    found = HANDLE in store.replicas
    assert not store.damaged, store.damaged
    await store.close()
    return found


async def open_store(world: SimWorld, segment_bytes: int = 64 * KIB) -> Store:
    return await Store.open(
        world.env("cs"),
        [FOLDER],
        cluster=CLUSTER,
        geometry=SMALL,
        safeguards=ALL_ON,
        reserve_bytes=0,
        reserve_fraction=0.0,
        segment_bytes=segment_bytes,
    )


async def wait_for_death(world: SimWorld, job: asyncio.Task) -> None:
    """Return when the job is done or its host is dead."""
    while world.is_up("cs") and not job.done():
        reached = world.loop.create_future()
        world.loop.call_later(0.01, reached.set_result, None)
        await reached


async def append_for_ever(world: SimWorld, acked: bytearray) -> None:
    store = await open_store(world, 4 * KIB)
    replica = store.replicas.get(HANDLE)
    if replica is None:
        replica = await store.create(HANDLE, version=ChunkVersion(Epoch(1), 1), epoch=Epoch(1))
    assert bytes(await store.read_verified(replica, 0, len(acked))) == acked, "I8: acked bytes are gone"
    if replica.length > len(acked):
        await store.truncate(replica, len(acked), serial=Serial(1))
    for number in range(200):
        data = b"%06d" % number * 100
        if replica.length + len(data) > SMALL.chunk_bytes:
            return
        crcs = block_crcs(replica.length, [memoryview(data)], SMALL.block_bytes)
        await store.apply(replica, replica.length, [data], crcs, serial=Serial(number + 2), durable=True)
        acked += data


def test_s25_a_journal_segment_is_reused_only_when_its_places_are_flushed() -> None:
    """Goal: I8; rule 24.

    Method: segments of 4 KiB, so that each is soon removed; power is lost again and again in the middle of it.
    """
    for seed in range(4):
        with SimWorld(seed) as world:
            acked = bytearray()
            for _ in range(4):
                world.crash_during("cs", FOLDER, world.random.randrange(40, 160), power=True)
                job = world.spawn("cs", append_for_ever(world, acked))
                world.run(wait_for_death(world, job))
                if world.is_up("cs"):
                    world.power("cs")
            world.tree("cs", FOLDER).faults.dies_after = None
            assert len(acked) > 3000
            world.run(world.spawn("cs", append_for_ever(world, acked)))


async def handles_never_return(stage: Stage) -> None:
    """Files are made and deleted for good, and the master loses power in between."""
    seen: list[int] = []
    for number in range(5):
        client = await stage.client(f"maker{number}")

        async def make(client=client, number=number) -> None:
            await client.write_bytes(FILE, content(number))
            seen.extend(chunk.handle for chunk in await client.chunk_table(FILE))
            await client.remove(FILE, now=True)

        await stage.on(f"maker{number}", make())
        stage.cluster.crash(MASTER, power=True)
        await stage.cluster.restart(MASTER)
        await stage.pause(3)
    assert seen == sorted(set(seen)), f"I21: {seen}"


def test_s25_handles_are_never_reused() -> None:
    """Goal: I21, I25; rule 21. Method: the master loses power just after each deletion."""
    play(handles_never_return, range(1))
