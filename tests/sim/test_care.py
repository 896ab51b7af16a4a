"""Moves, drains and emptied disks of whole clusters: nothing is ever a copy short because of them. Rules 13, 22, 23."""

from collections import Counter

import pytest
from msgspec.structs import replace

from cairnfs.meta import read
from cairnfs.sim.cluster import FOLDER, QUICK, SimCluster
from cairnfs.sim.world import SimWorld
from cairnfs.units import KIB

FILES = [f"/{number}" for number in range(24)]
EVEN = replace(QUICK, balance_spread=1e-9)
"""So little that simulated disks, which have endless room, differ by more."""


def content(path):
    return path.encode() * (20 * KIB // len(path))


async def fill(client):
    for path in FILES:
        await client.write_bytes(path, content(path))


async def read_all(client):
    for path in FILES:
        assert await client.read_bytes(path) == content(path), path


def rows(cluster):
    with cluster.master.reign.store.read() as view:
        return dict(read.each_chunk(view))


def copies(cluster):
    """How many whole replicas each chunk has now, wherever they are."""
    return {handle: len(cluster.digests(handle)) for handle in rows(cluster)}


def held(cluster):
    return Counter({name: len(one.context.store.replicas) for name, one in cluster.servers.items()})


def on_disk(cluster, name, folder):
    walk = cluster.world.tree(name, folder).walk()
    return [path for path, _ in walk if path.endswith(".dat") and "/trash/" not in path]


def play(scene, seed=1, **settings):
    with SimWorld(seed) as world:
        cluster = SimCluster(world, **{"chunkservers": 4, **settings})
        cluster.start()
        world.run(scene(cluster))


async def never_below(cluster, goal, is_over, limit_s=300):
    """Let time go by until `is_over`; at each look every chunk has its goal of whole copies."""
    end_s = cluster.world.now_s() + limit_s
    while not is_over():
        assert cluster.world.now_s() < end_s, "it did not come true"
        low = {handle: count for handle, count in copies(cluster).items() if count < goal}
        assert not low, f"I29: a move left too few copies {low}"
        await cluster.pause(0.05)


def test_a_new_server_is_filled_slowly_and_no_chunk_is_ever_a_copy_short():
    """Goal: GFS paper, 4.3: the master gradually fills up a new chunkserver. Method: three in use and a new one."""

    async def scene(cluster):
        new = cluster.names[-1]
        cluster.crash(new)
        await cluster.pause(15)
        await cluster.on_client(fill)
        await cluster.pause(10)
        await cluster.restart(new)
        assert held(cluster)[new] == 0
        await never_below(cluster, 3, lambda: held(cluster)[new] >= len(FILES) // 2)
        assert cluster.counters().get("moves_done", 0) >= len(FILES) // 2
        await never_below(cluster, 3, lambda: sum(held(cluster).values()) == 3 * len(FILES))
        await cluster.on_client(read_all)

    play(scene, config=EVEN)


def test_the_balance_keeps_to_its_speed():
    async def scene(cluster):
        new = cluster.names[-1]
        cluster.crash(new)
        await cluster.pause(15)
        await cluster.on_client(fill)
        await cluster.pause(10)
        await cluster.restart(new)
        await cluster.until(lambda: held(cluster)[new] > 0)
        await cluster.pause(10)
        # 20 KiB each at 10,000 bytes a second: one in two seconds, and the one of the start.
        assert 3 <= held(cluster)[new] <= 8

    play(scene, config=replace(EVEN, balance_bytes_s=10_000))


def test_copies_that_stand_in_one_rack_are_spread_when_there_is_another():
    async def scene(cluster):
        far = [name for name in cluster.names if cluster.racks[name] == "rack1"]
        for name in far:
            cluster.crash(name)
        await cluster.pause(15)
        await cluster.on_client(fill)
        await cluster.pause(5)
        for name in far:
            await cluster.restart(name)

        def racks_of(row):
            return {cluster.racks[cluster.name_of(server)] for server, _ in row.members}

        await never_below(cluster, 2, lambda: all(len(racks_of(row)) == 2 for row in rows(cluster).values()))
        await cluster.on_client(read_all)

    play(scene, chunkservers=5, racks=2, goal=2)


def test_open_chunks_are_counted_and_leave_a_drained_server_while_they_are_written():
    """Goal: S35 (a decommission that did not see blocks under construction lost them). Method: drain while writing."""

    async def scene(cluster):
        async def go(client):
            async with await client.open("/open", "wb") as file:
                await file.pwrite(b"x" * 1000, 0)
                (row,) = rows(cluster).values()
                drained = row.primary
                plan = await client.drain(drained, action="start")
                assert plan.left == 1, "an open chunk is needed where it is"
                for number in range(200):
                    await file.pwrite(b"%05d" % number, 1000 + 5 * number)
                    plan = await client.drain(drained)
                    if not plan.left:
                        break
                    await cluster.pause(0.5)
                assert not plan.left, plan.stuck
                (row,) = rows(cluster).values()
                assert drained not in dict(row.members)
                length = 1000 + 5 * (number + 1)
            name = cluster.name_of(drained)
            cluster.crash(name, power=True)
            cluster.world.make_folder(name, FOLDER)
            data = await client.read_bytes("/open")
            assert len(data) == length
            assert data.endswith(b"%05d" % number)

        await cluster.on_client(go)

    play(scene)


def test_three_servers_are_not_said_to_be_needless_together():
    """Goal: S35. Method: all holders of a chunk are drained at once; together they may go only when others have it."""

    async def scene(cluster):
        async def go(client):
            await client.write_bytes("/f", b"data" * 1000)
            (row,) = rows(cluster).values()
            drained = [server for server, _ in row.members]
            for server in drained:
                plan = await client.drain(server, action="start")
                assert plan.left == 1
            for _ in range(100):
                plans = [await client.drain(server) for server in drained]
                if not any(plan.left for plan in plans):
                    break
                await cluster.pause(0.5)
            assert not any(plan.left for plan in plans)
            for server in drained:
                name = cluster.name_of(server)
                cluster.crash(name, power=True)
                cluster.world.make_folder(name, FOLDER)
            assert await client.read_bytes("/f") == b"data" * 1000

        await cluster.on_client(go)

    play(scene, chunkservers=6)


@pytest.mark.parametrize("dies_after", range(0, 120, 8))
def test_a_disk_is_emptied_whatever_moment_the_power_fails(dies_after):
    """Goal: rule 23: a replica that moves within its server is there at least once. Method: power fails in between."""

    async def scene(cluster):
        await cluster.on_client(fill)
        await cluster.pause(5)
        victim = cluster.names[0]
        server = cluster.servers[victim]
        old = next(disk for disk in server.context.store.disks.values() if disk.replicas)
        whole = len(server.context.store.replicas)
        faults = cluster.world.tree(victim, next(one for one in cluster.folders if one != old.folder)).faults
        faults.dies_after, faults.on_death = dies_after, lambda: cluster.crash(victim, power=True)
        await cluster.on_client(lambda client: client.drain(server.server_id, disk=old.disk_id, action="start"))
        for _ in range(60):
            await cluster.pause(0.5)
            if not cluster.world.is_up(victim):
                faults.dies_after = None
                await cluster.restart(victim)
        faults.dies_after = None
        await cluster.until(lambda: not on_disk(cluster, victim, old.folder))
        store = cluster.servers[victim].context.store
        assert len(store.replicas) == whole
        assert not store.damaged, "the other servers had to help"
        for replica in list(store.replicas.values()):
            await cluster.world.spawn(victim, store.read_verified(replica, 0, replica.length))
        for handle in rows(cluster):
            found = cluster.digests(handle)
            assert len(found) == 3, found
            assert len(set(found.values())) == 1, found
        await cluster.on_client(read_all)

    play(scene, chunkservers=3, disks=2)


def test_a_disk_without_a_neighbour_is_emptied_to_other_servers():
    async def scene(cluster):
        await cluster.on_client(fill)
        victim = max(cluster.names, key=lambda name: held(cluster)[name])
        server = cluster.servers[victim]
        (disk,) = server.context.store.disks
        await cluster.on_client(lambda client: client.drain(server.server_id, disk=disk, action="start"))
        await never_below(cluster, 3, lambda: not on_disk(cluster, victim, FOLDER))
        await cluster.on_client(read_all)

    play(scene)


def test_a_slow_server_is_spared_and_then_evacuated_and_comes_back_when_it_is_fast():
    """Goal: S23: demoted from placement and primary duty, then emptied. Method: its disk is fifty times slower."""
    config = replace(QUICK, slow_after_s=5.0, evacuate_after_s=60.0)

    async def scene(cluster):
        await cluster.on_client(fill)
        victim = cluster.names[0]
        server = cluster.servers[victim].server_id
        reign = cluster.master.reign
        faults = cluster.world.tree(victim, FOLDER).faults
        fast = faults.delay_s

        async def use(client):
            for number in range(400):
                await client.write_bytes(f"/new{number % 8}", b"n" * 1000)
                if reign.is_spared(reign.sessions.of(server)):
                    return
                await cluster.pause(0.5)

        faults.delay_s = (0.3, 0.5)
        await cluster.on_client(use)
        assert reign.is_spared(reign.sessions.of(server))
        await cluster.on_client(lambda client: client.write_bytes("/after", b"x"))
        (place,) = await cluster.on_client(lambda client: client.chunk_table("/after"))
        assert server not in [one.server for one in place.replicas]

        def needed_there():
            return [
                handle
                for handle, row in rows(cluster).items()
                if sum(one.server != server for one in reign.live_current(row, handle)) < row.goal
            ]

        assert needed_there()
        await cluster.until(lambda: not needed_there(), limit_s=400)
        await cluster.on_client(read_all)
        faults.delay_s = fast
        await cluster.on_client(lambda client: read_all(client))
        await cluster.until(lambda: not reign.is_spared(reign.sessions.of(server)), limit_s=400)

    play(scene, config=config)


def test_a_copy_too_many_is_borne_until_the_cluster_has_been_quiet():
    """Goal: a server that comes back after its chunks were copied is no reason to delete at once, or to copy again."""
    config = replace(QUICK, trim_after_s=30.0)

    async def scene(cluster):
        await cluster.on_client(fill)
        await cluster.pause(5)
        victim = max(cluster.names, key=lambda name: held(cluster)[name])
        count = held(cluster)[victim]
        cluster.crash(victim)
        await cluster.until(lambda: all(number == 3 for number in copies(cluster).values()))
        await cluster.restart(victim)
        await cluster.until(lambda: sum(copies(cluster).values()) >= 3 * len(FILES) + count)
        began_s = cluster.world.now_s()
        await never_below(cluster, 3, lambda: sum(copies(cluster).values()) < 3 * len(FILES) + count)
        assert cluster.world.now_s() - began_s >= 25
        await never_below(cluster, 3, lambda: sum(copies(cluster).values()) == 3 * len(FILES))

    play(scene, config=config)
