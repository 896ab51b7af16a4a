"""How fast a chunkserver copies for others, and how it measures its disks."""

from cairnfs.chunkserver.latency import ENOUGH, SAMPLES, Latency
from cairnfs.chunkserver.pacing import BURST_S, Pace
from cairnfs.sim.world import SimWorld


def play(scene):
    with SimWorld(1) as world:
        clock = world.env("here").clock
        world.run(scene(Pace(clock), clock))


def test_what_is_taken_keeps_to_the_limit_and_a_change_holds_at_once():
    async def scene(pace, clock):
        pace.bytes_s = 1000
        began_s = clock.now_s()
        for _ in range(10):
            await pace.take(100)
        took_s = clock.now_s() - began_s
        assert 0.9 - BURST_S <= took_s <= 0.9
        pace.bytes_s = 10_000
        began_s = clock.now_s()
        for _ in range(11):
            await pace.take(1000)
        assert 1.0 - BURST_S <= clock.now_s() - began_s <= 1.1 + BURST_S

    play(scene)


def test_without_a_limit_nobody_waits():
    async def scene(pace, clock):
        began_s = clock.now_s()
        for _ in range(1000):
            await pace.take(1 << 30)
        assert clock.now_s() == began_s

    play(scene)


def test_a_pause_does_not_save_up_for_a_flood():
    async def scene(pace, clock):
        pace.bytes_s = 1000
        await pace.take(1)
        with_pause_s = clock.now_s() + 100
        while clock.now_s() < with_pause_s:
            await pace.take(1000)
        began_s = clock.now_s()
        for _ in range(3):
            await pace.take(1000)
        assert clock.now_s() - began_s >= 2.0

    play(scene)


def test_a_disk_is_as_slow_as_the_slowest_of_ten():
    latency = Latency()
    for _ in range(ENOUGH - 1):
        latency.note(1.0)
    assert latency.slow_s == 0.0, "too few to say"
    for number in range(SAMPLES):
        latency.note(2.0 if number % 5 == 0 else 0.001)
    assert latency.slow_s == 2.0
    for _ in range(SAMPLES):
        latency.note(0.001)
    assert latency.slow_s == 0.001
