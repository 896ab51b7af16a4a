"""GFS paper, section 4.2: creation, re-replication, rebalancing: where replicas are placed.

"(1) We want to place new replicas on chunkservers with below-average disk space utilization. (2) We want to limit the
number of 'recent' creations on each chunkserver. (3) We want to spread replicas of a chunk across racks."
"""

import random
from collections import Counter

import pytest
from tests.support.master_cluster import master_cluster, run

from cairnfs.errors import TooFewCopiesError
from cairnfs.ids import BootId, ServerId
from cairnfs.master.placement import Candidate, Wish, choose_servers
from cairnfs.units import GIB, MIB


def server(number, *, rack="", free=50, total=100, writing=0, recent=0, address=""):
    return Candidate(
        ServerId(number), BootId(1), address or f"h{number}:1", rack, free * GIB, total * GIB, writing, recent
    )


def choose(candidates, count=3, draws=None, **wish):
    wish = Wish(**{"count": count, "chunk_bytes": 64 * MIB, "recent_max": 20, **wish})
    return [one.server for one in choose_servers(candidates, wish, draws or [0.5] * len(candidates))]


def test_below_average_disk_use_comes_first():
    full, empty = [server(n, free=5) for n in (1, 2, 3)], [server(n, free=95) for n in (4, 5, 6)]
    assert sorted(choose(full + empty)) == [4, 5, 6]


def test_the_emptiest_server_does_not_take_every_chunk():
    """Goal: a server just added is not flooded. Method: 300 choices among nine nearly equal servers and their draws."""
    draw = random.Random(1).random
    servers = [server(n, free=50 + n % 3) for n in range(1, 10)]
    chosen = Counter(one for _ in range(300) for one in choose(servers, draws=[draw() for _ in servers]))
    assert max(chosen.values()) < 2 * min(chosen.values())


def test_recent_creations_are_limited_per_server():
    servers = [server(1, free=90, recent=20), server(2), server(3), server(4)]
    assert sorted(choose(servers)) == [2, 3, 4]


def test_busy_servers_are_taken_if_there_is_no_other():
    assert len(choose([server(n, recent=99) for n in (1, 2, 3)])) == 3


def test_replicas_spread_across_racks():
    servers = [server(n, rack="a") for n in range(1, 6)] + [server(6, rack="b"), server(7, rack="c")]
    chosen = choose(servers)
    assert {6, 7} < set(chosen)


def test_a_copy_avoids_the_racks_that_have_one():
    assert choose([server(1, rack="a"), server(2, rack="b")], 1, avoid_racks=("a",)) == [2]


def test_several_servers_of_one_machine_hold_one_copy_as_long_as_there_are_other_machines():
    big = [server(n, free=95, address=f"big:{n}") for n in range(1, 6)]
    small = [server(n) for n in (6, 7)]
    assert {6, 7} < set(choose(big + small, draws=[0.9, 0.1, 0.5, 0.3, 0.7, 0.2, 0.2]))
    assert choose(big, avoid_machines=("big",)) == [1, 2, 3], "better there than nowhere"
    assert choose([*big, small[0]], 1, avoid_machines=("big",)) == [6]


def test_a_rack_of_its_own_comes_before_a_machine_of_its_own():
    servers = [server(1, rack="a"), server(2, rack="a"), server(3, rack="b", address="h1:2")]
    assert choose(servers, 1, avoid_racks=("a",), avoid_machines=("h1",)) == [3]


def test_the_writers_own_server_is_the_primary():
    servers = [server(1, free=90), server(2, free=20, address="mine:7410"), server(3, free=90)]
    assert choose(servers, near="mine:7410")[0] == 2


def test_servers_without_room_are_not_asked_and_open_chunks_count_as_full():
    servers = [server(1, free=0), server(2, free=1, writing=16), server(3)]
    assert choose(servers) == [3]


def test_creation_spreads_over_racks_in_a_cluster():
    async def go():
        async with master_cluster(servers=6, racks=["a", "a", "a", "b", "b", "c"]) as it:
            for number in range(12):
                created = await it.create(b"/%d" % number)
                racks = [it.by_id(m.server).rack for m in created.first.lease.members]
                assert sorted(racks) == ["a", "b", "c"]

    run(go)


def test_creation_goes_on_with_two_of_three_servers():
    async def go():
        async with master_cluster(servers=2) as it:
            assert len((await it.create(b"/two")).first.lease.members) == 2

    run(go)


def test_creation_fails_with_one_of_three_servers():
    async def go():
        async with master_cluster(servers=1) as it:
            with pytest.raises(TooFewCopiesError):
                await it.create(b"/one")

    run(go)
