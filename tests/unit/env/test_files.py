"""What only real folders have: symlinks, copies by the kernel, and errors of the system."""

import asyncio
import errno
import os
import resource
import threading

import pytest

from cairnfs.env.files import PosixFile, PosixFiles
from cairnfs.env.threads import ThreadedDisk


def test_symlinks_are_not_followed(tmp_path):
    (tmp_path / "outside").write_bytes(b"secret")
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "disk" / "folder").symlink_to(tmp_path)
    files = PosixFiles(str(tmp_path / "disk"))
    with pytest.raises(OSError):
        files.open("link")
    with pytest.raises(OSError):
        files.open("link", create=True)
    with pytest.raises(OSError):
        files.sync_folder("folder")
    assert files.listing("folder") == []
    files.close()


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", ""])
def test_names_that_lead_out_are_our_own_bug(tmp_path, name):
    files = PosixFiles(str(tmp_path))
    with pytest.raises(AssertionError):
        files.open(name, create=True)
    files.close()


class NoReflinks(PosixFile):
    def _clone(self, source):
        return False


class NoKernelCopies(NoReflinks):
    def _copy_range(self, source):
        return False


@pytest.mark.parametrize("kind", [PosixFile, NoReflinks, NoKernelCopies])
def test_each_way_of_copying_gives_the_same_bytes(tmp_path, kind):
    source, copy = (kind(os.open(tmp_path / name, os.O_RDWR | os.O_CREAT)) for name in "sc")
    data = os.urandom(9_000_001)
    source.write(0, [data])
    copy.write(0, [b"x" * 10_000_000])
    copy.copy_from(source)
    assert (tmp_path / "c").read_bytes() == data
    for file in (source, copy):
        file.close()


def test_a_full_device_is_an_error_of_the_system():
    files = PosixFiles("/dev")
    file = files.open("full")
    with pytest.raises(OSError) as caught:
        file.write(0, [b"x"])
    assert caught.value.errno == errno.ENOSPC
    file.close()
    files.close()


def test_a_short_write_is_continued_where_it_ended(tmp_path):
    files = PosixFiles(str(tmp_path))
    file = files.open("f", create=True)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # At the limit the system writes less than it was given; only the next call is an error.
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(OSError) as caught:
            file.write(1, [b"abcdefgh", b"ijklm"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
    assert (tmp_path / "f").read_bytes() == b"\0abcdefghi"
    file.close()
    files.close()


def test_a_disk_that_hangs_delays_neither_the_loop_nor_another_disk(tmp_path):
    async def scenario():
        for name in ("hangs", "works"):
            (tmp_path / name).mkdir()
        hangs, works = (ThreadedDisk(PosixFiles(str(tmp_path / name))) for name in ("hangs", "works"))
        gate = threading.Event()
        stuck = [asyncio.ensure_future(hangs.run(gate.wait)) for _ in range(8)]
        async with asyncio.timeout(20):
            for number in range(100):
                assert await works.run(lambda n=number: n) == number
        assert not any(job.done() for job in stuck)
        gate.set()
        assert await asyncio.gather(*stuck) == [True] * 8
        await hangs.close()
        await works.close()

    asyncio.run(scenario())


def test_more_jobs_than_the_queue_takes_wait_their_turn(tmp_path):
    async def scenario():
        disk = ThreadedDisk(PosixFiles(str(tmp_path)), threads=2)
        gate = threading.Event()
        jobs = [asyncio.ensure_future(disk.run(lambda n=n: gate.wait() and n)) for n in range(500)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert disk._queue.qsize() <= 128
        gate.set()
        assert await asyncio.gather(*jobs) == list(range(500))
        await disk.close()

    asyncio.run(scenario())
