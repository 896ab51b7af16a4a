"""What every Disk and its Files must do."""

import asyncio

import pytest

from cairnfs.errors import ShutdownError


def test_bytes_come_back_as_they_were_written(world):
    async def scenario():
        disk = world.env.open_disk(world.new_folder())
        file = disk.files.open("a", create=True)
        file.write(0, [b"hello ", bytearray(b"big "), memoryview(b"world"), b""])
        file.write(20, [b"far"])
        file.write(3, [b"LO"])
        buffer = memoryview(bytearray(b"?" * 30))
        assert file.size() == 23
        assert file.read_into(0, buffer) == 23
        assert bytes(buffer) == b"helLO big world\0\0\0\0\0far" + b"?" * 7
        assert file.read_into(23, buffer) == 0
        assert file.read_into(100, buffer) == 0
        assert file.read_into(20, buffer[:2]) == 2
        file.sync()
        file.close()
        file.close()
        again = disk.files.open("a")
        assert again.size() == 23
        again.close()
        await disk.close()

    world.run(scenario())


def test_more_buffers_than_one_call_takes_are_all_written(world):
    async def scenario():
        disk = world.env.open_disk(world.new_folder())
        file = disk.files.open("a", create=True)
        pieces = [b"%d," % number for number in range(3000)]
        file.write(5, pieces)
        buffer = memoryview(bytearray(file.size()))
        file.read_into(0, buffer)
        assert bytes(buffer) == bytes(5) + b"".join(pieces)
        await disk.close()

    world.run(scenario())


def test_truncate_cuts_and_grows_and_allocate_keeps_the_size(world):
    async def scenario():
        disk = world.env.open_disk(world.new_folder())
        file = disk.files.open("a", create=True)
        file.write(0, [b"0123456789"])
        file.allocate(0, 1 << 20)
        assert file.size() == 10
        file.truncate(4)
        file.truncate(8)
        buffer = memoryview(bytearray(8))
        assert file.read_into(0, buffer) == 8
        assert bytes(buffer) == b"0123\0\0\0\0"
        await disk.close()

    world.run(scenario())


def test_a_copy_has_the_bytes_and_no_more_of_a_link_to_its_source(world):
    async def scenario():
        disk = world.env.open_disk(world.new_folder())
        source = disk.files.open("source", create=True)
        copy = disk.files.open("copy", create=True)
        data = bytes(range(256)) * 5000
        source.write(0, [data])
        copy.write(0, [b"x" * 2_000_000])
        copy.copy_from(source)
        source.write(0, [b"changed"])
        buffer = memoryview(bytearray(2_000_000))
        assert copy.read_into(0, buffer) == len(data)
        assert bytes(buffer[: len(data)]) == data
        await disk.close()

    world.run(scenario())


def test_a_missing_file_is_not_found_and_unlinking_it_is_no_error(world):
    async def scenario():
        files = world.env.open_disk(world.new_folder()).files
        with pytest.raises(FileNotFoundError):
            files.open("none")
        with pytest.raises(FileNotFoundError):
            files.open("none/below", create=True)
        with pytest.raises(FileNotFoundError):
            files.rename("none", "other")
        files.unlink("none")
        files.unlink("none/below")
        assert not files.exists("none")
        assert not files.exists("none/below")

    world.run(scenario())


def test_listings_are_sorted_and_of_one_folder_only(world):
    async def scenario():
        files = world.env.open_disk(world.new_folder()).files
        files.make_folder("deep/er")
        files.make_folder("deep/er")
        for name in ("deep/c", "deep/a", "deep/er/x", "deep/b"):
            files.open(name, create=True).close()
        assert files.listing("deep") == ["a", "b", "c", "er"]
        assert files.listing("deep/er") == ["x"]
        assert files.listing("") == ["deep"]
        assert files.listing("none") == []
        assert files.listing("deep/a") == []
        assert files.exists("deep")
        assert files.exists("deep/a")

    world.run(scenario())


def test_rename_replaces_and_open_files_go_with_it(world):
    async def scenario():
        files = world.env.open_disk(world.new_folder()).files
        files.make_folder("to")
        old, new = files.open("old", create=True), files.open("to/new", create=True)
        old.write(0, [b"old"])
        new.write(0, [b"newer"])
        files.rename("old", "to/new")
        assert files.listing("") == ["to"]
        buffer = memoryview(bytearray(10))
        assert files.open("to/new").read_into(0, buffer) == 3
        old.write(3, [b"!"])
        assert files.open("to/new").size() == 4
        assert new.size() == 5, "a replaced file lives on for whoever has it open"
        files.sync_folder("to")
        files.sync_folder("")
        files.sync_all()

    world.run(scenario())


def test_an_unlinked_file_lives_on_for_whoever_has_it_open(world):
    async def scenario():
        files = world.env.open_disk(world.new_folder()).files
        file = files.open("a", create=True)
        file.write(0, [b"abc"])
        files.unlink("a")
        assert not files.exists("a")
        assert file.size() == 3
        assert files.open("a", create=True).size() == 0

    world.run(scenario())


def test_a_closed_file_refuses_everything_with_an_os_error(world):
    async def scenario():
        files = world.env.open_disk(world.new_folder()).files
        file = files.open("a", create=True)
        file.close()
        for call in (file.size, file.sync, lambda: file.write(0, [b"x"]), lambda: file.truncate(0)):
            with pytest.raises(OSError):
                call()
        with pytest.raises(OSError):
            file.read_into(0, memoryview(bytearray(1)))

    world.run(scenario())


def test_space_is_counted_in_bytes(world):
    async def scenario():
        free, total = world.env.open_disk(world.new_folder()).files.space()
        assert 0 < free <= total

    world.run(scenario())


def test_a_locked_folder_is_refused_to_the_second_and_free_after_unlock(world):
    async def scenario():
        folder = world.new_folder()
        first, second = world.env.open_disk(folder), world.env.open_disk(folder)
        assert first.files.lock()
        assert first.files.lock()
        assert not second.files.lock()
        second.files.unlock()
        assert not second.files.lock()
        first.files.unlock()
        assert second.files.lock()
        await second.close()
        assert first.files.lock()
        await first.close()

    world.run(scenario())


def test_a_folder_that_does_not_exist_is_no_disk(world):
    with pytest.raises(FileNotFoundError):
        world.env.open_disk(world.new_folder() + "-not")


def test_jobs_return_and_raise_to_their_own_callers(world):
    async def scenario():
        disk = world.env.open_disk(world.new_folder())

        def job(number):
            if number % 3 == 0:
                raise OSError(5, "disk says no")
            return number

        def stop():
            return next(iter(()))

        results = await asyncio.gather(
            *(disk.run(lambda n=number: job(n)) for number in range(300)), return_exceptions=True
        )
        for number, result in enumerate(results):
            if number % 3 == 0:
                assert isinstance(result, OSError)
            else:
                assert result == number
        with pytest.raises(RuntimeError):
            await disk.run(stop)
        await disk.close()

    world.run(scenario())


def test_a_cancelled_caller_does_not_stop_its_job_nor_the_disk(world):
    async def scenario():
        disk = world.env.open_disk(world.new_folder())
        done = []
        for _ in range(3):
            callers = [asyncio.ensure_future(disk.run(lambda: done.append(1))) for _ in range(100)]
            await asyncio.sleep(0)
            for caller in callers:
                caller.cancel()
            await asyncio.gather(*callers, return_exceptions=True)
        assert await disk.run(lambda: "alive") == "alive"
        await disk.close()

    world.run(scenario())


def test_closing_finishes_the_jobs_that_wait_and_refuses_later_ones(world):
    async def scenario():
        disk = world.env.open_disk(world.new_folder())
        begun = []

        async def call(number):
            begun.append(number)
            return await disk.run(lambda: number)

        jobs = [asyncio.ensure_future(call(number)) for number in range(50)]
        while len(begun) < 50:
            await asyncio.sleep(0)
        await disk.close()
        await disk.close()
        assert await asyncio.gather(*jobs) == list(range(50))
        with pytest.raises(ShutdownError):
            await disk.run(lambda: None)

    world.run(scenario())
