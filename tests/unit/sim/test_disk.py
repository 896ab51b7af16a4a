"""What is left after a crash, and after a power loss. Contract 7: each 512-byte sector is as before or as written."""

import asyncio
import errno

import pytest

from cairnfs.errors import DiskFailedError, DiskFullError
from cairnfs.sim.world import SimWorld, pass_time

SECTOR = 512


def read(files, name):
    file = files.open(name)
    buffer = bytearray(file.size())
    file.read_into(0, memoryview(buffer))
    return bytes(buffer)


def on_files(world, host, job):
    """Run a job on the files of a host's disk, at once."""
    return job(world.env(host).open_disk("/d").files)


def write_synced_then_more(files):
    file = files.open("f", create=True)
    file.write(0, [b"A" * 4096])
    file.sync()
    files.sync_folder("")
    file.write(1000, [b"B" * 2000])
    file.write(4096, [b"C" * 1000])


def test_a_crash_keeps_what_was_written():
    with SimWorld(1) as world:
        on_files(world, "a", write_synced_then_more)
        world.crash("a")
        expected = b"A" * 1000 + b"B" * 2000 + b"A" * 1096 + b"C" * 1000
        assert on_files(world, "a", lambda files: read(files, "f")) == expected


def test_a_power_loss_keeps_what_was_synced_and_of_the_rest_whole_sectors():
    lengths, mixtures = [], []
    for seed in range(200):
        with SimWorld(seed) as world:
            on_files(world, "a", write_synced_then_more)
            world.power("a")
            data = on_files(world, "a", lambda files: read(files, "f"))
            assert len(data) >= 4096
            assert data[:1000] == b"A" * 1000
            assert data[3000:4096] == b"A" * 1096
            for start in range(0, 4096, SECTOR):
                sector = data[max(start, 1000) : min(start + SECTOR, 3000)]
                assert sector in (b"A" * len(sector), b"B" * len(sector)), "a torn sector"
            lengths.append(len(data))
            mixtures.append(data[1000:3000].count(b"B"[0]))
    assert len(set(lengths)) > 2
    assert min(mixtures) == 0
    assert max(mixtures) == 2000
    assert len(set(mixtures)) > 3


def test_names_are_durable_only_after_their_folder_was_synced():
    present = {"synced": 0, "not synced": 0}
    for seed in range(100):
        with SimWorld(seed) as world:

            def job(files):
                for name in ("synced", "not synced"):
                    files.make_folder(name)
                    files.open(f"{name}/f", create=True).sync()
                files.sync_folder("")
                files.sync_folder("synced")

            on_files(world, "a", job)
            world.power("a")
            for name in present:
                present[name] += on_files(world, "a", lambda files, n=name: files.exists(f"{n}/f"))
    assert present["synced"] == 100
    assert 10 < present["not synced"] < 90


def test_a_rename_is_whole_or_not_at_all_also_across_folders():
    seen = []
    for seed in range(100):
        with SimWorld(seed) as world:

            def job(files):
                files.make_folder("x")
                files.make_folder("y")
                file = files.open("x/new", create=True)
                file.write(0, [b"new"])
                file.sync()
                old = files.open("y/f", create=True)
                old.write(0, [b"old"])
                old.sync()
                files.sync_all()
                files.rename("x/new", "y/f")

            on_files(world, "a", job)
            world.power("a")
            content = on_files(world, "a", lambda files: read(files, "y/f"))
            rest = on_files(world, "a", lambda files: files.listing("x"))
            assert (content, rest) in [(b"old", ["new"]), (b"new", [])]
            seen.append(content)
    assert len(set(seen)) == 2


def test_an_unlink_that_was_not_synced_may_come_back():
    seen = []
    for seed in range(50):
        with SimWorld(seed) as world:

            def job(files):
                files.open("f", create=True).sync()
                files.sync_folder("")
                files.unlink("f")

            on_files(world, "a", job)
            world.power("a")
            seen.append(on_files(world, "a", lambda files: files.exists("f")))
    assert len(set(seen)) == 2


def test_a_failed_sync_is_told_once_and_what_it_forgot_is_gone():
    with SimWorld(1) as world:

        def job(files):
            file = files.open("f", create=True)
            files.sync_folder("")
            file.write(0, [b"lost"])
            world.tree("a", "/d").faults.fail_syncs = True
            with pytest.raises(OSError) as caught:
                file.sync()
            assert caught.value.errno == errno.EIO
            world.tree("a", "/d").faults.fail_syncs = False
            file.sync()
            assert file.size() == 4

        on_files(world, "a", job)
        world.power("a")
        assert on_files(world, "a", lambda files: read(files, "f")) == b""


@pytest.mark.parametrize(
    "fault, call, number",
    [
        ("fail_writes", lambda file: file.write(0, [b"x"]), errno.EIO),
        ("fail_reads", lambda file: file.read_into(0, memoryview(bytearray(1))), errno.EIO),
        ("is_full", lambda file: file.write(0, [b"x"]), errno.ENOSPC),
        ("is_full", lambda file: file.allocate(0, 1), errno.ENOSPC),
    ],
)
def test_faults_are_errors_of_the_system(fault, call, number):
    with SimWorld(1) as world:

        def job(files):
            file = files.open("f", create=True)
            setattr(world.tree("a", "/d").faults, fault, True)
            with pytest.raises(OSError) as caught:
                call(file)
            assert caught.value.errno == number
            files.unlink("f")

        on_files(world, "a", job)


def test_a_host_can_die_in_the_middle_of_a_job():
    sizes = []
    for operations in range(1, 7):
        with SimWorld(1) as world:

            def job(files):
                file = files.open("f", create=True)
                for number in range(4):
                    file.write(number, [b"x"])

            async def serve(world=world, job=job):
                disk = world.env("a").open_disk("/d")
                await disk.run(lambda: job(disk.files))
                raise AssertionError("the dead get no answer")

            async def scenario(world=world, operations=operations, serve=serve):
                world.crash_during("a", "/d", operations)
                world.spawn("a", serve())
                await pass_time(10)
                assert not world.is_up("a")

            world.run(scenario())
            sizes.append(on_files(world, "a", lambda files: files.open("f").size()))
    assert sizes[0] == 0
    assert sizes == sorted(sizes)
    assert max(sizes) > 1


def test_a_slow_disk_takes_its_time_and_stops_nobody_else():
    with SimWorld(1) as world:

        async def scenario():
            slow, fast = world.env("a").open_disk("/slow"), world.env("a").open_disk("/fast")
            world.tree("a", "/slow").faults.delay_s = (30, 30)
            job = asyncio.ensure_future(slow.run(lambda: 1))
            for _ in range(10):
                await fast.run(lambda: 2)
            assert not job.done()
            assert await job == 1
            return asyncio.get_running_loop().time()

        assert 30 <= world.run(scenario()) < 31


def test_an_acknowledged_commit_survives_and_one_on_its_way_is_whole_or_absent():
    adopted = []
    for seed in range(60):
        with SimWorld(seed) as world:

            def change(tx, value):
                tx.put("t", b"1", value)
                tx.put("t", b"2", value)

            async def scenario(world=world, seed=seed, change=change):
                store = world.env("a").open_store("/m")
                await store.write(lambda tx: change(tx, b"acknowledged"))
                world.record("a", "/m").sync_s = (1, 1)
                world.spawn("a", store.write(lambda tx: change(tx, b"on its way")))
                await pass_time(0.5)
                (world.power if seed % 2 else world.crash)("a")
                with world.env("a").open_store("/m").read() as view:
                    return view.get("t", b"1"), view.get("t", b"2")

            one, two = world.run(scenario())
            assert one == two
            adopted.append(one)
    assert set(adopted) == {b"acknowledged", b"on its way"}


@pytest.mark.parametrize("failure", [DiskFullError(where="/m"), DiskFailedError(where="/m", why="EIO")])
def test_a_failed_commit_ends_the_store(failure):
    with SimWorld(1) as world:

        async def scenario():
            store = world.env("a").open_store("/m")
            world.record("a", "/m").fails_with = failure
            for _ in range(2):
                with pytest.raises(type(failure)):
                    await store.write(lambda tx: tx.put("t", b"k", b"v"))
            assert not store.healthy
            with store.read() as view:
                assert view.get("t", b"k") is None

        world.run(scenario())


def test_rot_changes_a_bit_behind_everybodys_back():
    with SimWorld(1) as world:
        on_files(world, "a", write_synced_then_more)
        world.tree("a", "/d").node("f").flip(5)
        assert on_files(world, "a", lambda files: read(files, "f"))[:7] == b"AAAAA@A"
