"""Trees of files between this machine and the cluster, or inside it, many files at once: what `put`, `get` and `cp` do.

    plan (all that is to be copied, looked at before anything is made) ─▶ folders ─▶ files, AT_ONCE ─▶ times of folders

A file arrives under `.<name>.<number>.part` and is renamed when it is whole, on both sides: whoever looks meanwhile
sees the old file or the new one, and what fails leaves none. Mode and time of change are kept. Symlinks are copied as
symlinks.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol, assert_never

from cairnfs.client.transfer_plan import (
    Advance,
    Direction,
    Job,
    Order,
    Step,
    Transferred,
    check_several,
    child,
    ends_with_slash,
    jobs_of,
    listed,
    not_recursive,
    show_local,
)
from cairnfs.client.window import side_by_side
from cairnfs.env import local_files as local
from cairnfs.errors import BadRequestError, CairnError
from cairnfs.paths import parse_path, show
from cairnfs.tasks import Nursery, gather_settled
from cairnfs.units import MIB

if TYPE_CHECKING:
    from cairnfs.client.filesystem import Client

AT_ONCE = 16
"""Files in flight: enough to hide the waits for commits, few enough for their buffers."""
PIECE = 1 * MIB
_TIDY_S = 2.0
"""Longest wait for the removal of what a failed copy left in a cluster that may be gone."""


class Way(Protocol):
    """From where to where."""

    async def plan(self) -> list[Job]:
        """Return what is to be copied, each folder before its contents. Nothing is changed."""

    async def make_folder(self, job: Job) -> None: ...

    async def copy(self, job: Job, advance: Advance) -> None:
        """Copy a file or symlink. A failure leaves no part behind, and an old target as it was."""

    async def finish_folder(self, job: Job) -> None:
        """Give a folder its mode and time, once all is in it."""


async def steps(way: Way) -> AsyncGenerator[Step, None]:
    """Copy, and yield how far it is: at the beginning, after progress, and at the end with all that was copied.

    Ended early it stops: files that are whole stay, parts are removed. The first error ends it, after the files under
    way.
    """
    jobs = await way.plan()
    total = sum(job.size for job in jobs)
    done, moved = 0, asyncio.Event()

    def advance(count: int) -> None:
        nonlocal done
        done += count
        moved.set()

    yield Step(0, total)
    folders = [job for job in jobs if job.kind == "folder"]
    for job in folders:
        await way.make_folder(job)
    nursery = Nursery("transfer")
    try:
        copies = [partial(way.copy, job, advance) for job in jobs if job.kind != "folder"]
        task = nursery.start(gather_settled(side_by_side(copies, width=AT_ONCE)), name="copy")
        task.add_done_callback(lambda _: moved.set())
        while not task.done():  # ends with the last file, or the first error
            await moved.wait()
            moved.clear()
            if done < total and not task.done():
                yield Step(done, total)
        (outcome,) = task.result()
        if isinstance(outcome, BaseException):
            raise outcome
    finally:
        await nursery.stop()
    for job in reversed(folders):
        await way.finish_folder(job)
    yield Step(done, total, tuple(jobs))


def finished(last: Step) -> Transferred:
    """Return what the last step of a copy says."""
    assert last.jobs is not None, last
    return Transferred(last.jobs)


def way_of(direction: Direction, fs: "Client", order: Order) -> Way:
    match direction:
        case "upload":
            return Upload(fs, order)
        case "download":
            return Download(fs, order)
        case "copytree":
            return CopyInside(fs, order)
        case _:
            assert_never(direction)


class Upload:
    """From this machine into the cluster."""

    def __init__(self, fs: "Client", order: Order) -> None:
        self._fs = fs
        self._order = order
        self._sources = [show_local(path) for path in listed(order.sources)]
        self._target = show(parse_path(order.target))

    async def plan(self) -> list[Job]:
        inside = ends_with_slash(self._order.target) or await self._fs.isdir(self._target)
        check_several(self._sources, self._target, inside=inside)
        return await local.run(partial(self._look, inside=inside))

    def _look(self, *, inside: bool) -> list[Job]:
        jobs = []
        for source in self._sources:
            top = local.entry_at(source, follow=not self._order.recursive)
            if top.kind == "folder" and not self._order.recursive:
                raise not_recursive(source)
            place = child(self._target, local.name_of(source)) if inside else self._target
            below = local.entries_below(source) if top.kind == "folder" else iter(())
            for entry in (top, *below):
                to = place + entry.path[len(source.rstrip("/")) :] if entry is not top else place
                if not entry.kind:
                    raise BadRequestError(what=f"{entry.path} is neither file, folder nor symlink")
                jobs.append(Job(entry.kind, entry.path, to, entry.size, entry.mode, entry.mtime_ns, entry.link))
        return jobs

    async def make_folder(self, job: Job) -> None:
        await self._fs.makedirs(job.target, exist_ok=True)

    async def finish_folder(self, job: Job) -> None:
        await self._fs.set_attributes(job.target, mode=job.mode, mtime_ns=job.mtime_ns)

    async def copy(self, job: Job, advance: Advance) -> None:
        await arrive(self._fs, self._order.part_of(job), job, partial(self._pour, advance=advance))

    async def _pour(self, job: Job, part: str, *, advance: Advance) -> None:
        source = await local.run(partial(local.open_read, job.source))
        with contextlib.closing(source):
            file = await self._fs.open(part, "xb")
            try:
                while piece := await local.run(partial(source.read, PIECE)):  # ends with the file
                    await file.write(piece)
                    advance(len(piece))
                await file.close()
            except BaseException:
                file.discard()
                raise


class CopyInside:
    """From one place of the cluster to another. `snapshot` shares the bytes instead."""

    def __init__(self, fs: "Client", order: Order) -> None:
        self._fs = fs
        self._order = order
        self._sources = [show(parse_path(path)) for path in listed(order.sources)]
        self._target = show(parse_path(order.target))

    async def plan(self) -> list[Job]:
        inside = ends_with_slash(self._order.target) or await self._fs.isdir(self._target)
        check_several(self._sources, self._target, inside=inside)
        jobs: list[Job] = []
        for source in self._sources:
            place = child(self._target, source.rpartition("/")[2]) if inside else self._target
            jobs += await jobs_of(self._fs, source, place, recursive=self._order.recursive)
        return jobs

    async def make_folder(self, job: Job) -> None:
        await self._fs.makedirs(job.target, exist_ok=True)

    async def finish_folder(self, job: Job) -> None:
        await self._fs.set_attributes(job.target, mode=job.mode, mtime_ns=job.mtime_ns)

    async def copy(self, job: Job, advance: Advance) -> None:
        await arrive(self._fs, self._order.part_of(job), job, self._pour)
        advance(job.size)

    async def _pour(self, job: Job, part: str) -> None:
        await self._fs.copy(job.source, part)


class Download:
    """From the cluster to this machine."""

    def __init__(self, fs: "Client", order: Order) -> None:
        self._fs = fs
        self._order = order
        self._sources = [show(parse_path(path)) for path in listed(order.sources)]
        self._target = show_local(order.target)

    async def plan(self) -> list[Job]:
        inside = self._target.endswith("/") or await local.run(partial(local.is_folder, self._target))
        check_several(self._sources, self._target, inside=inside)
        jobs: list[Job] = []
        for source in self._sources:
            place = local.join(self._target, source.rpartition("/")[2]) if inside else self._target
            jobs += await jobs_of(self._fs, source, place, recursive=self._order.recursive)
        return jobs

    async def make_folder(self, job: Job) -> None:
        await local.run(partial(local.make_folder, job.target))

    async def finish_folder(self, job: Job) -> None:
        await local.run(partial(local.keep, job.target, mode=job.mode, mtime_ns=job.mtime_ns))

    async def copy(self, job: Job, advance: Advance) -> None:
        part = self._order.part_of(job)
        if job.kind == "symlink":
            await local.run(partial(local.make_link, job.link, part, job.target))
            return
        try:
            await self._pour(job, part, advance)
            await local.run(partial(local.move_whole, part, job.target, mode=job.mode, mtime_ns=job.mtime_ns))
        except BaseException:
            await local.run(partial(local.remove, part))
            raise

    async def _pour(self, job: Job, part: str, advance: Advance) -> None:
        target = await local.run(partial(local.open_new, part))
        buffer = memoryview(bytearray(PIECE))
        with contextlib.closing(target):
            async with await self._fs.open(job.source, "rb") as file:
                while got := await file.readinto(buffer):  # ends with the file
                    await local.run(partial(local.write_all, target, buffer[:got]))
                    advance(got)


async def arrive(fs: "Client", part: str, job: Job, pour: Callable[[Job, str], Awaitable[None]]) -> None:
    """Fill a part in the cluster by `pour`, then give it its attributes and its name; a failure removes it."""
    try:
        if job.kind == "symlink":
            await fs.symlink(job.link, part)
        else:
            await pour(job, part)
            await fs.set_attributes(part, mode=job.mode, mtime_ns=job.mtime_ns)
        await fs.replace(part, job.target)
    except BaseException:
        # The first error is the one to tell, and a cluster that is gone shall not hold it up.
        with contextlib.suppress(CairnError, TimeoutError):
            async with asyncio.timeout(_TIDY_S):
                await fs.remove(part, now=True)
        raise
