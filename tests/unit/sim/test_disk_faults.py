"""Errors of the system, full disks, writes that go astray, rot, and jobs that hang."""

import asyncio
import errno
import itertools

import pytest

from cairnfs.sim.disk_faults import DiskFaults
from cairnfs.sim.pages import SECTOR_BYTES
from cairnfs.sim.world import SimWorld, pass_time


def on_disk(job, *, seed=1):
    """Run `job(files, faults, tree)` on the disk of a host and return its result."""
    with SimWorld(seed) as world:
        tree = world.tree("a", "/d")
        return job(world.env("a").open_disk("/d").files, tree.faults, tree)


def whole(files, name):
    file = files.open(name)
    buffer = bytearray(file.size())
    assert file.read_into(0, memoryview(buffer)) == len(buffer)
    return bytes(buffer)


def number_of(call):
    """Return the errno of a call that fails, 0 if it succeeds."""
    try:
        call()
    except OSError as error:
        return error.errno
    return 0


CALLS = {
    "read": lambda files: files.open("x/f").read_into(0, memoryview(bytearray(1))),
    "write": lambda files: files.open("x/f").write(0, [b"y"]),
    "sync": lambda files: files.open("x/f").sync(),
    "names": lambda files: files.rename("x/f", "x/g"),
}


@pytest.mark.parametrize("kind", CALLS)
@pytest.mark.parametrize("once", [True, False])
def test_one_operation_or_all_from_now_on_fail_on_chosen_files(kind, once):
    def job(files, faults, tree):
        files.make_folder("x")
        files.open("x/f", create=True).write(0, [b"x"])
        files.open("other", create=True).write(0, [b"x"])
        if kind == "names":
            faults.fail("names", "*/f", once=once)
        else:
            faults.fail(kind, "x/*", once=once, number=errno.EIO)
        assert number_of(lambda: files.open("other").read_into(0, memoryview(bytearray(1)))) == 0
        assert number_of(lambda: files.open("other").write(0, [b"x"])) == 0
        found = [number_of(lambda: CALLS[kind](files)) for _ in range(2)]
        assert found == ([errno.EIO, 0] if once else [errno.EIO, errno.EIO])
        faults.mend()
        assert faults == DiskFaults()
        if not once:
            assert number_of(lambda: CALLS[kind](files)) == 0

    on_disk(job)


@pytest.mark.parametrize("way", ["the whole disk", "one file", "everything at once"])
def test_a_failed_sync_forgets_what_was_to_be_synced(way):
    with SimWorld(1) as world:
        files = world.env("a").open_disk("/d").files
        faults = world.tree("a", "/d").faults
        file = files.open("f", create=True)
        files.sync_folder("")
        file.write(0, [b"lost"])
        if way == "one file":
            faults.fail("sync", "f", once=True)
        else:
            faults.fail_syncs = True
        assert number_of(files.sync_all if way == "everything at once" else file.sync) == errno.EIO
        faults.mend()
        assert whole(files, "f") == b"lost", "the page cache still has it"
        file.sync()
        world.power("a")
        assert whole(world.env("a").open_disk("/d").files, "f") == b""


def test_a_disk_fills_up_in_the_middle_of_a_write_and_stays_full():
    def job(files, faults, tree):
        file = files.open("f", create=True)
        file.write(0, [b"x" * 100])
        faults.full_after_bytes = 50
        file.write(60, [b"y" * 40])
        assert number_of(lambda: file.write(90, [b"z" * 30, b"z" * 50])) == errno.ENOSPC
        assert whole(files, "f") == b"x" * 60 + b"y" * 30 + b"z" * 60
        assert number_of(lambda: file.write(0, [b"z"])) == errno.ENOSPC, "full is full"
        assert number_of(lambda: files.open("g", create=True).allocate(0, 1)) == errno.ENOSPC
        faults.mend()
        file.write(150, [b"w"])

    on_disk(job)


def test_a_small_disk_has_its_capacity_and_what_is_reserved_is_taken():
    def job(files, faults, tree):
        tree.capacity_bytes = 1000
        file = files.open("f", create=True)
        file.allocate(0, 600)
        assert files.space() == (400, 1000)
        file.write(0, [b"x" * 500])
        other = files.open("g", create=True)
        assert number_of(lambda: other.allocate(0, 500)) == errno.ENOSPC
        assert number_of(lambda: other.write(0, [b"y" * 500])) == errno.ENOSPC
        assert other.size() == 400, "it was cut short"
        assert files.space() == (0, 1000)
        file.write(0, [b"z" * 600])
        files.unlink("g")
        files.open("h", create=True).write(0, [b"y" * 400])

    on_disk(job)


def test_a_misdirected_write_leaves_its_place_as_it_was_and_hits_another():
    seen = set()
    for seed in range(60):

        def job(files, faults, tree):
            for name in ("f", "g", "spared"):
                files.open(name, create=True).write(0, [b"." * 4 * SECTOR_BYTES])
            faults.misdirect_chance, faults.misdirect_files = 1.0, "?"
            files.open("f").write(SECTOR_BYTES, [b"x" * SECTOR_BYTES])
            files.open("spared").write(0, [b"y"])
            return whole(files, "f"), whole(files, "g"), whole(files, "spared")

        f, g, spared = on_disk(job, seed=seed)
        assert f[SECTOR_BYTES : 2 * SECTOR_BYTES] == b"." * SECTOR_BYTES, "it landed where it should"
        assert (f + g).count(b"x") == SECTOR_BYTES
        assert spared.startswith(b"y")
        assert b"x" not in spared
        place = (f + g).index(b"x")
        assert place % SECTOR_BYTES == 0
        seen.add(place // SECTOR_BYTES)
    assert seen == {0, 2, 3, 4, 5, 6, 7}


def test_a_misdirected_write_still_makes_its_file_longer():
    def job(files, faults, tree):
        file = files.open("f", create=True)
        file.write(0, [b"." * 1000])
        faults.misdirect_chance = 1.0
        file.write(1000, [b"x" * 10])
        return whole(files, "f")

    data = on_disk(job)
    assert len(data) >= 1010
    assert data[1000:1010] == bytes(10)


def test_reads_that_end_early_are_of_chosen_files():
    def job(files, faults, tree):
        for name in ("f.dat", "f.log"):
            files.open(name, create=True).write(0, [b"x" * 1000])
        faults.short_read_chance = 0.5
        counts = {name: [] for name in ("f.dat", "f.log")}
        for name, _ in itertools.product(counts, range(100)):
            counts[name].append(files.open(name).read_into(0, memoryview(bytearray(1000))))
        return counts

    counts = on_disk(job)
    assert set(counts["f.log"]) == {1000}
    assert 20 < counts["f.dat"].count(1000) < 80
    assert len(set(counts["f.dat"])) > 10


def test_rot_changes_one_bit_of_some_file_for_good():
    places = set()
    for seed in range(20):
        with SimWorld(seed) as world:
            files = world.env("a").open_disk("/d").files
            for name in ("f.dat", "g.dat", "spared"):
                file = files.open(name, create=True)
                file.write(0, [bytes(100)])
                file.sync()
            files.sync_folder("")
            path, offset = world.tree("a", "/d").rot("*.dat")
            world.power("a")
            files = world.env("a").open_disk("/d").files
            assert whole(files, "spared") == bytes(100)
            damaged = {name: whole(files, name) for name in ("f.dat", "g.dat")}
            bits = sum(byte.bit_count() for data in damaged.values() for byte in data)
            assert bits == 1
            assert damaged[path][offset] != 0
            places.add((path, offset))
    assert len(places) > 10


def test_an_empty_disk_does_not_rot():
    assert on_disk(lambda files, faults, tree: tree.rot()) is None


def test_a_stuck_disk_begins_no_job_until_it_is_released():
    with SimWorld(1) as world:

        async def scenario():
            disk = world.env("a").open_disk("/d")
            faults = world.tree("a", "/d").faults
            faults.is_stuck = True
            jobs = [asyncio.ensure_future(disk.run(lambda: 1)) for _ in range(3)]
            await pass_time(1000)
            assert not any(job.done() for job in jobs)
            faults.is_stuck = False
            assert [await job for job in jobs] == [1, 1, 1]

        world.run(scenario())


def test_some_jobs_take_much_longer_than_others():
    with SimWorld(1) as world:

        async def scenario():
            loop, disk = asyncio.get_running_loop(), world.env("a").open_disk("/d")
            faults = world.tree("a", "/d").faults
            faults.spike_chance, faults.spike_s = 0.2, (5, 6)
            slow = 0
            for _ in range(100):
                began = loop.time()
                await disk.run(lambda: 1)
                slow += loop.time() - began > 5
            assert 5 < slow < 40

        world.run(scenario())


def after_power_loss(seed, writes):
    """Write synced dots, then `writes`, and return what is left."""
    with SimWorld(seed) as world:
        file = world.env("a").open_disk("/d").files.open("f", create=True)
        file.write(0, [b"." * 2 * SECTOR_BYTES])
        file.sync()
        world.env("a").open_disk("/d").files.sync_folder("")
        for offset, data in writes:
            file.write(offset, [data])
        world.power("a")
        return whole(world.env("a").open_disk("/d").files, "f")


def test_each_sector_is_as_some_unsynced_write_left_it_whatever_its_neighbours_are():
    """Goal: contract 7 with several writes to one sector: an older state is possible, one without an older write not.

    Method: three writes to each of two sectors, the last two of them beside each other; all states that may be occur.
    """
    first, second = 0, SECTOR_BYTES
    writes = [(first, b"a" * 10), (second, b"A" * 10), (first, b"b" * 5), (second, b"B" * 5), (first + 20, b"c" * 5)]
    of_first = {b"." * 25, b"a" * 10 + b"." * 15, b"bbbbbaaaaa" + b"." * 15, b"bbbbbaaaaa" + b"." * 10 + b"ccccc"}
    of_second = {b"." * 25, b"A" * 10 + b"." * 15, b"BBBBBAAAAA" + b"." * 15}
    seen = set()
    for seed in range(300):
        data = after_power_loss(seed, writes)
        seen.add((data[:25], data[second : second + 25]))
    assert {one for one, _ in seen} == of_first
    assert {other for _, other in seen} == of_second
    assert (b"." * 25, b"BBBBBAAAAA" + b"." * 15) in seen, "a later write is there, an earlier one is not"


def test_a_file_may_lose_its_growth_and_keep_a_later_cut():
    def lengths(job):
        found = set()
        for seed in range(60):
            with SimWorld(seed) as world:
                files = world.env("a").open_disk("/d").files
                file = files.open("f", create=True)
                file.write(0, [b"x" * 1000])
                file.sync()
                files.sync_folder("")
                job(file)
                world.power("a")
                found.add(len(whole(world.env("a").open_disk("/d").files, "f")))
        return found

    assert lengths(lambda file: file.truncate(10)) == {10, 1000}
    assert lengths(lambda file: (file.truncate(10), file.truncate(500))) == {10, 500, 1000}
    assert lengths(lambda file: file.write(1024, [b"y"])) == {1000, 1025}


def test_changes_of_names_are_lost_in_order_or_in_any_order():
    seen = set()
    for seed in range(300):
        with SimWorld(seed) as world:
            files = world.env("a").open_disk("/d").files
            for name in ("one", "two", "three"):
                files.open(name, create=True).sync()
            world.power("a")
            seen.add(tuple(world.env("a").open_disk("/d").files.listing("")))
    assert len(seen) == 8, "not every part of the changes was seen"
