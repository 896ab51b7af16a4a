"""Names: what can be asked and changed about paths. GFS paper, sections 3.4, 4.1 and 4.4; contract 1.

Every change is carried out exactly once, also if its answer was lost. Paths are absolute; str, bytes and PathLike are
taken. Errors are Python's own kinds too: FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from typing import TypeVar

from cairnfs.client.core import Core
from cairnfs.client.deadlines import Limited, timed
from cairnfs.client.patterns import has_magic, name_matches, split_pattern
from cairnfs.client.stats import DirEntry, Listing, Stat, Trashed, stat_of, trashed_of
from cairnfs.errors import BadNameError, CairnError, ExistsError, IsFolderError, NotFolderError, NotFoundError
from cairnfs.limits import LIST_PAGE_MAX
from cairnfs.paths import AnyPath, join, parse_path, show
from cairnfs.wire.base import Reply, Request
from cairnfs.wire.common import Kind, Once
from cairnfs.wire.namespace import (
    Delete,
    ListFolder,
    ListTrash,
    MakeFolder,
    MakeSymlink,
    Purge,
    Rename,
    SetAttributes,
    SetReplicas,
    Snapshot,
    Status,
    Undelete,
)
from cairnfs.wire.namespace import Stat as AskStat

R = TypeVar("R", bound=Reply)


@timed
class Names(Limited):
    """The half of `Client` that speaks to the master only."""

    def __init__(self, core: Core, *, uid: int = 0, gid: int = 0) -> None:
        self._core = core
        self._uid = uid
        self._gid = gid

    async def _ask(self, request: Request[R]) -> R:
        await self._core.connection.ready()
        return await self._core.connection.ask(request)

    async def _status(self, path: AnyPath, *, follow: bool = True) -> Status:
        return await self._ask(AskStat(path=parse_path(path), follow=follow))

    # ------------------------------------------------------------------ asking

    async def stat(self, path: AnyPath, *, follow: bool = True) -> Stat:
        """Return what is at `path`. The length of a file that is being written comes from its primary (rule 18)."""
        status = await self._status(path, follow=follow)
        size = None
        if status.attributes.kind is Kind.FILE and status.tail is not None:
            size = await self._core.lengths.of_status(status.attributes.inode, status)
        return stat_of(parse_path(path), status.attributes, size)

    async def lstat(self, path: AnyPath) -> Stat:
        """Return what is at `path`, a symlink itself."""
        return await self.stat(path, follow=False)

    async def exists(self, path: AnyPath) -> bool:
        return await self._kind(path) is not None

    async def isfile(self, path: AnyPath) -> bool:
        return await self._kind(path) is Kind.FILE

    async def isdir(self, path: AnyPath) -> bool:
        return await self._kind(path) is Kind.FOLDER

    async def islink(self, path: AnyPath) -> bool:
        return await self._kind(path, follow=False) is Kind.SYMLINK

    async def _kind(self, path: AnyPath, *, follow: bool = True) -> Kind | None:
        try:
            return (await self._status(path, follow=follow)).attributes.kind
        except (NotFoundError, NotFolderError):
            return None

    async def scandir(self, path: AnyPath = "/") -> AsyncIterator[DirEntry]:
        """Yield the entries of a folder in byte order of their names, asked for page by page."""
        folder = parse_path(path)
        after = b""
        while True:  # ends with the last page
            listing = await self._ask(ListFolder(path=folder, after=after, limit=LIST_PAGE_MAX))
            for entry in listing.entries:
                full = join(folder, entry.name)
                yield DirEntry(name=show(entry.name), path=show(full), stat=stat_of(full, entry.attributes))
            if not listing.more or not listing.entries:
                return
            after = listing.entries[-1].name

    async def listdir(self, path: AnyPath = "/") -> list[str]:
        """Return the names in a folder, in byte order."""
        return [entry.name async for entry in self.scandir(path)]

    async def ls(self, path: AnyPath = "/") -> Listing:
        """Return the entries of a folder with what `stat` says, as a list that a notebook shows as a table."""
        return Listing([entry async for entry in self.scandir(path)])

    async def complete(self, start: str) -> list[str]:
        """Return the paths that begin with `start`, a folder's with / at its end: for a completer. [] if none."""
        folder, _, name = start.rpartition("/")
        try:
            found = [entry async for entry in self.scandir(folder or "/")]
        except (NotFoundError, NotFolderError, BadNameError):
            return []
        return [f"{folder}/{each.name}{'/' * each.is_dir()}" for each in found if each.name.startswith(name)]

    async def walk(self, top: AnyPath = "/") -> AsyncIterator[tuple[str, list[str], list[str]]]:
        """Yield (folder, folders in it, files in it) from `top` down, as `os.walk` does; symlinks are not followed."""
        waiting = [show(parse_path(top))]
        while waiting:  # ends because every folder is listed once
            folder = waiting.pop()
            folders: list[str] = []
            files: list[str] = []
            async for entry in self.scandir(folder):
                (folders if entry.is_dir() else files).append(entry.name)
            yield folder, folders, files
            base = "" if folder == "/" else folder
            waiting.extend(f"{base}/{name}" for name in reversed(folders))

    async def glob(self, pattern: str) -> list[str]:
        """Return the paths that fit: * ? [a-z] within a name, ** for any number of folders; sorted."""
        found: dict[str, None] = {}
        await self._glob_below("", split_pattern(pattern), found)
        return sorted(found)

    async def _glob_below(self, base: str, parts: list[str], found: dict[str, None]) -> None:
        if not parts:
            found[base or "/"] = None
            return
        part, rest = parts[0], parts[1:]
        if part != "**" and not has_magic(part):
            if rest or await self._kind(f"{base}/{part}", follow=False) is not None:
                await self._glob_below(f"{base}/{part}", rest, found)
            return
        if part == "**":
            await self._glob_below(base, rest, found)
        try:
            entries = [entry async for entry in self.scandir(base or "/")]
        except (NotFoundError, NotFolderError):
            return
        for entry in entries:
            if name_matches(entry.name, "*" if part == "**" else part):
                is_deeper = part == "**" and entry.is_dir()
                await self._glob_below(entry.path, parts if is_deeper else rest, found)

    async def readlink(self, path: AnyPath) -> str:
        """Return the text of a symlink."""
        status = await self._status(path, follow=False)
        if status.attributes.kind is not Kind.SYMLINK:
            raise NotFoundError(path=show(parse_path(path)))
        return show(status.attributes.target)

    async def realpath(self, path: AnyPath) -> str:
        """Return the path of what is at `path`, with all symlinks resolved."""
        return show((await self._status(path)).path)

    # ------------------------------------------------------------------ changing

    def _once(self) -> AbstractContextManager[Once]:
        return self._core.connection.sequences.once()

    async def mkdir(self, path: AnyPath, mode: int = 0o755, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Make a folder; `parents` and `exist_ok` as pathlib has them."""
        await self._core.connection.ready()
        with self._once() as once:
            request = MakeFolder(
                path=parse_path(path), mode=mode, uid=self._uid, gid=self._gid, parents=parents and exist_ok, once=once
            )
            try:
                await self._ask_for_parents(request) if parents and not exist_ok else await self._ask(request)
            except ExistsError:
                if not exist_ok or not await self.isdir(path):
                    raise

    async def _ask_for_parents(self, request: MakeFolder) -> None:
        try:
            await self._ask(request)
        except NotFoundError:
            await self.makedirs(request.path.rpartition(b"/")[0] or b"/", exist_ok=True)
            with self._once() as once:
                await self._ask(
                    MakeFolder(path=request.path, mode=request.mode, uid=request.uid, gid=request.gid, once=once)
                )

    async def makedirs(self, path: AnyPath, mode: int = 0o755, *, exist_ok: bool = False) -> None:
        """Make a folder and its missing parents."""
        await self.mkdir(path, mode, parents=True, exist_ok=exist_ok)

    async def rename(self, old: AnyPath, new: AnyPath) -> None:
        """Move; fails if `new` exists."""
        with self._once() as once:
            await self._ask(Rename(old=parse_path(old), new=parse_path(new), replace=False, once=once))

    async def replace(self, old: AnyPath, new: AnyPath) -> None:
        """Move and replace `new` atomically, by the rules of POSIX; what was there goes to the trash."""
        with self._once() as once:
            await self._ask(Rename(old=parse_path(old), new=parse_path(new), replace=True, once=once))

    async def remove(self, path: AnyPath, *, now: bool = False) -> None:
        """Delete a file or symlink: to the trash, or at once with `now`. Rule 21."""
        if await self._kind(path, follow=False) is Kind.FOLDER:
            raise IsFolderError(path=show(parse_path(path)))
        await self._delete(path, recursive=False, now=now)

    async def unlink(self, path: AnyPath, *, missing_ok: bool = False) -> None:
        """Delete like `remove`; with `missing_ok` a path that names nothing is no error."""
        try:
            await self.remove(path)
        except NotFoundError:
            if not missing_ok:
                raise

    async def rmdir(self, path: AnyPath) -> None:
        """Delete an empty folder."""
        if await self._kind(path, follow=False) not in (Kind.FOLDER, None):
            raise NotFolderError(path=show(parse_path(path)))
        await self._delete(path, recursive=False, now=False)

    async def rmtree(self, path: AnyPath, *, now: bool = False, ignore_errors: bool = False) -> None:
        """Delete a folder with all below it, in one step: to the trash, or at once with `now`."""
        try:
            await self._delete(path, recursive=True, now=now)
        except CairnError:
            if not ignore_errors:
                raise

    async def _delete(self, path: AnyPath, *, recursive: bool, now: bool) -> None:
        with self._once() as once:
            await self._ask(Delete(path=parse_path(path), recursive=recursive, now=now, once=once))

    async def trash(self) -> AsyncIterator[Trashed]:
        """Yield what can be undeleted, oldest first."""
        after_ns, after_inode = 0, 0
        while True:  # ends with the last page
            listing = await self._ask(ListTrash(after_ns=after_ns, after_inode=after_inode, limit=LIST_PAGE_MAX))
            for entry in listing.entries:
                yield trashed_of(entry)
            if not listing.more or not listing.entries:
                return
            after_ns, after_inode = listing.entries[-1].deleted_ns, listing.entries[-1].inode

    async def undelete(self, path: AnyPath, *, to: AnyPath | None = None, inode: int = 0) -> Stat:
        """Put the newest deleted thing of that path back, to `to` or its old place. GFS paper, section 4.4."""
        target = b"" if to is None else parse_path(to)
        with self._once() as once:
            status = await self._ask(Undelete(path=parse_path(path), inode=inode, to=target, once=once))
        return stat_of(target or parse_path(path), status.attributes)

    async def purge(self, path: AnyPath) -> None:
        """Remove from the trash for good what was deleted at or below `path`."""
        with self._once() as once:
            await self._ask(Purge(path=parse_path(path), once=once))

    async def symlink(self, target: AnyPath, path: AnyPath) -> None:
        """Make a symlink at `path` that says `target`, as `os.symlink` does."""
        with self._once() as once:
            await self._ask(MakeSymlink(path=parse_path(path), target=raw_text(target), once=once))

    async def set_replicas(self, path: AnyPath, replicas: int, *, recursive: bool = False) -> None:
        """Set how many copies a file shall have, or a folder's files made later (and all below: `recursive`)."""
        with self._once() as once:
            await self._ask(SetReplicas(path=parse_path(path), replicas=replicas, recursive=recursive, once=once))

    async def set_attributes(
        self,
        path: AnyPath,
        *,
        mode: int | None = None,
        uid: int | None = None,
        gid: int | None = None,
        mtime_ns: int | None = None,
        xattrs: dict[str, bytes] | None = None,
    ) -> Stat:
        """Change what is not None; an xattr with value b"" is removed."""
        with self._once() as once:
            request = SetAttributes(
                path=parse_path(path), mode=mode, uid=uid, gid=gid, mtime_ns=mtime_ns, xattrs=xattrs or {}, once=once
            )
            status = await self._ask(request)
        return stat_of(parse_path(path), status.attributes)

    async def chmod(self, path: AnyPath, mode: int) -> None:
        await self.set_attributes(path, mode=mode)

    async def chown(self, path: AnyPath, uid: int, gid: int) -> None:
        """Change the owner; -1 leaves one as it is, as `os.chown` has it."""
        await self.set_attributes(path, uid=None if uid < 0 else uid, gid=None if gid < 0 else gid)

    async def utime(self, path: AnyPath, mtime_ns: int | None = None) -> None:
        """Set the time of the last change; None: now."""
        now_ns = self._core.connection.env.clock.wall_ns()
        await self.set_attributes(path, mtime_ns=now_ns if mtime_ns is None else mtime_ns)

    async def snapshot(self, source: AnyPath, target: AnyPath) -> Stat:
        """Copy a file or folder at once; chunks are shared until one side changes. GFS paper, section 3.4."""
        await self._core.connection.ready()
        limit_s = self._core.connection.config.data_timeout_s
        with self._once() as once:
            request = Snapshot(source=parse_path(source), target=parse_path(target), once=once)
            status = await self._core.connection.ask(request, timeout_s=limit_s)
        return stat_of(parse_path(target), status.attributes)


def raw_text(path: AnyPath) -> bytes:
    """Return the bytes of the text of a link, which is any text and need not be absolute."""
    text = path if isinstance(path, str | bytes) else path.__fspath__()
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
