"""The half of the filesystem that asks and changes names: `ls`, `info`, `find`, `rm`, `mv`, folders, times.

Used by `filesystem`. Every call asks the master: listings are cached only with `use_listings_cache=True`, and then each
change made through this object drops what it makes stale.
"""

import errno
import os
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from glob import has_magic
from typing import Any

from fsspec.asyn import AsyncFileSystem, get_loop, sync_wrapper

from cairnfs.client.filesystem import Client
from cairnfs.client.stats import DirEntry, Stat
from cairnfs.client.window import side_by_side
from cairnfs.errors import CairnError, IsFolderError, NotFolderError, NotFoundError, PathError
from cairnfs.fsspec.attributes import Info, info_of, key_of, link_info
from cairnfs.fsspec.clients import Clients
from cairnfs.fsspec.uploads import Upload, is_under_way
from cairnfs.fsspec.urls import SCHEME, config_of, masters_of, path_of

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
Loop = Any

_AT_ONCE = 16
"""Questions to the master under way at once for one call."""


class NamesFileSystem(AsyncFileSystem):  # type: ignore[misc]
    """Names of a cluster in fsspec's words."""

    protocol = "cairn"
    root_marker = "/"

    def __init__(  # noqa: PLR0913 - storage options are names for people
        self,
        host: str | None = None,
        port: int | str | None = None,
        *,
        masters: str | list[str] | tuple[str, ...] | None = None,
        timeout: float | None = None,
        auto_mkdir: bool = True,
        use_listings_cache: bool = False,
        listings_expiry_time: float | None = None,
        max_paths: int | None = None,
        asynchronous: bool = False,
        loop: Loop = None,
        batch_size: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(
            asynchronous=asynchronous,
            loop=loop,
            batch_size=batch_size,
            use_listings_cache=use_listings_cache,
            listings_expiry_time=listings_expiry_time,
            max_paths=max_paths,
        )
        self._loop_process = os.getpid()
        self.auto_mkdir = auto_mkdir
        self.config = config_of(host, port, masters, timeout=timeout, **settings)
        self._names_cluster = masters is not None or host is not None
        self._clients = Clients(self.config)
        self._changes = 0
        """Counts own changes, so that a listing that one of them overtook is not kept."""

    # ------------------------------------------------------------------ where it runs

    @property
    def loop(self) -> Loop:
        """The loop of blocking calls; a forked child gets its own. None if `asynchronous`."""
        if self._loop_process != os.getpid():
            self._loop = None if self.asynchronous else get_loop()
            self._loop_process = os.getpid()
        return self._loop

    async def client(self) -> Client:
        """Return the client of the running loop, connected: for what fsspec has no words for, such as appends.

        Raises:
            ConnectError: nobody answers; the text says how to start a cluster.
        """
        client = await self._clients.present()
        await client.connect()
        return client

    async def aclose(self) -> None:
        """Close the connections of the running loop. They are closed too when the loop or the process ends."""
        await self._clients.close()

    # ------------------------------------------------------------------ URLs

    @property
    def fsid(self) -> str:
        """A name of this cluster, alike in all sessions."""
        return "cairn-" + ",".join(self.config.master)

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [path_of(one) for one in path]
        return path_of(path)

    def unstrip_protocol(self, name: str) -> str:
        """Return the URL of a path: with the masters, if this object was told them."""
        if name.startswith(SCHEME):
            return name
        masters = ",".join(self.config.master) if self._names_cluster else ""
        return f"{SCHEME}{masters}{path_of(name)}"

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, str]:
        masters = masters_of(path)
        return {"masters": masters} if masters else {}

    @classmethod
    def _parent(cls, path: str) -> str:
        return path_of(path).rpartition("/")[0] or "/"

    # ------------------------------------------------------------------ asking

    async def _info(self, path: str, **_: Any) -> Info:
        path = path_of(path)
        client = await self.client()
        stat = await client.stat(path, follow=False)
        if stat.is_symlink:
            return link_info(stat, await client.stat(path), path)
        return info_of(stat, path)

    async def _exists(self, path: str, **_: Any) -> bool:
        try:
            await self._info(path)
        except PathError:
            return False
        return True

    async def _lexists(self, path: str, **_: Any) -> bool:
        try:
            await (await self.client()).lstat(path_of(path))
        except PathError:
            return False
        return True

    lexists = sync_wrapper(_lexists)

    async def _isfile(self, path: str) -> bool:
        return await self._type_of(path) == "file"

    async def _isdir(self, path: str) -> bool:
        return await self._type_of(path) == "directory"

    async def _type_of(self, path: str) -> str:
        try:
            return str((await self._info(path))["type"])
        except PathError:
            return ""

    async def _ls(self, path: str, detail: bool = True, refresh: bool = False, **_: Any) -> list[Any]:
        path = path_of(path)
        infos = None if refresh else self._kept_listing(path)
        if infos is None:
            infos = await self._listed(path)
        return [dict(info) for info in infos] if detail else [info["name"] for info in infos]

    def _kept_listing(self, path: str) -> list[Info] | None:
        try:
            found: list[Info] = self.dircache[path]
        except KeyError:
            return None
        return found

    async def _listed(self, path: str) -> list[Info]:
        client = await self.client()
        changes = self._changes
        try:
            entries = [entry async for entry in client.scandir(path) if not is_under_way(entry.name)]
        except NotFolderError:
            return [await self._info(path)]  # of a file: fsspec's custom
        links = [entry for entry in entries if entry.is_symlink()]
        followed = await side_by_side([partial(_follow, client, entry) for entry in links], width=_AT_ONCE)
        targets = {entry.name: target for entry, target in zip(links, followed, strict=True)}
        infos = [
            link_info(entry.stat, targets[entry.name], entry.path)
            if entry.name in targets
            else info_of(entry.stat, entry.path)
            for entry in entries
        ]
        if changes == self._changes:  # else it may be of before a change of ours
            self.dircache[path] = infos
        return infos

    async def _walk(
        self,
        path: str,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: str | Callable[[OSError], object] = "omit",
        **kwargs: Any,
    ) -> AsyncIterator[tuple[str, Any, Any]]:
        # Left out is what is not there; a cluster that cannot be reached has no files to leave out.
        on_error = _omit if on_error == "omit" else on_error
        async for found in super()._walk(path, maxdepth, topdown, on_error, **kwargs):
            yield found

    async def _du(self, path: str, total: bool = True, maxdepth: int | None = None, **kwargs: Any) -> Any:
        found = await self._find(path, maxdepth=maxdepth, detail=True, **kwargs)
        sizes = {name: info["size"] for name, info in found.items()}
        return sum(sizes.values()) if total else sizes

    async def _expand_path(
        self, path: Paths, recursive: bool = False, maxdepth: int | None = None, assume_literal: bool = False
    ) -> list[str]:
        """Return the paths that are meant. A path that names something is no pattern, whatever characters it has."""
        given = [path] if isinstance(path, str | os.PathLike) else list(path)
        names = [path_of(one) for one in given]
        if assume_literal or not any(has_magic(name) for name in names):
            return list(await super()._expand_path(names, recursive, maxdepth, assume_literal=True))
        found: set[str] = set()
        for name in names:
            is_literal = not has_magic(name) or await self._lexists(name)
            try:
                found.update(await super()._expand_path([name], recursive, maxdepth, assume_literal=is_literal))
            except FileNotFoundError:
                continue
        if not found:
            raise NotFoundError(path=", ".join(names))
        return sorted(found)

    def created(self, path: str) -> datetime:
        """Return when the inode was changed last, in UTC: there is no time of creation, as on most local disks."""
        return datetime.fromtimestamp(self.info(path)["created"], tz=UTC)

    def modified(self, path: str) -> datetime:
        """Return when the content was changed last, in UTC."""
        return datetime.fromtimestamp(self.info(path)["mtime"], tz=UTC)

    def ukey(self, path: str) -> str:
        """Return a text that differs once the content differs."""
        return key_of(self.info(path))

    def checksum(self, path: str) -> int:
        """Return `ukey` as a number."""
        return int(self.ukey(path), 16)

    # ------------------------------------------------------------------ changing

    def invalidate_cache(self, path: str | None = None) -> None:
        """Drop cached listings that a change of `path` makes stale: of it, below it and above it. None: all."""
        super().invalidate_cache(path)
        self.changed(path)

    def changed(self, path: str | None) -> None:
        """Drop what is cached about `path`, now."""
        self._changes += 1
        if path is None:
            self.dircache.clear()
            return
        path = path_of(path)
        below = "/" if path == "/" else path + "/"
        for folder in list(self.dircache):
            if folder == path or folder.startswith(below) or path.startswith(folder.rstrip("/") + "/"):
                self.dircache.pop(folder, None)

    async def _mkdir(self, path: str, create_parents: bool = True, mode: int = 0o755, **_: Any) -> None:
        path = path_of(path)
        await (await self.client()).mkdir(path, mode, parents=create_parents)
        self.changed(path)

    async def _makedirs(self, path: str, exist_ok: bool = False, mode: int = 0o755) -> None:
        path = path_of(path)
        await (await self.client()).makedirs(path, mode, exist_ok=exist_ok)
        self.changed(path)

    async def _rmdir(self, path: str) -> None:
        """Delete an empty folder."""
        path = path_of(path)
        await (await self.client()).rmdir(path)
        self.changed(path)

    rmdir = sync_wrapper(_rmdir)

    async def _rm_file(self, path: str, now: bool = False, **_: Any) -> None:
        path = path_of(path)
        await (await self.client()).remove(path, now=now)
        self.changed(path)

    async def _rm(
        self,
        path: Paths,
        recursive: bool = False,
        batch_size: int | None = None,
        maxdepth: int | None = None,
        now: bool = False,
        **_: Any,
    ) -> None:
        """Delete files, and folders with all below them if `recursive`: to the trash, or at once with `now`.

        With `maxdepth`, folders in which something deeper is left stay.
        """
        if recursive and maxdepth is not None:
            await self._rm_shallow(await self._expand_path(path, recursive=True, maxdepth=maxdepth), now=now)
            return
        jobs = [partial(self._rm_one, name, recursive=recursive, now=now) for name in await self._expand_path(path)]
        await side_by_side(jobs, width=batch_size or self.batch_size or _AT_ONCE)

    async def _rm_one(self, path: str, *, recursive: bool, now: bool) -> None:
        client = await self.client()
        try:
            await client.remove(path, now=now)
        except IsFolderError:
            if not recursive:
                raise
            await client.rmtree(path, now=now)
        self.changed(path)

    async def _rm_shallow(self, names: list[str], *, now: bool) -> None:
        client = await self.client()
        for name in reversed(names):  # what is in a folder before it
            try:
                await client.remove(name, now=now)
            except IsFolderError:
                try:
                    await client.rmdir(name)
                except PathError as error:
                    if error.errno != errno.ENOTEMPTY:
                        raise
            self.changed(name)

    async def _mv(self, path1: str, path2: str, recursive: bool = False, maxdepth: int | None = None, **_: Any) -> None:
        """Move files and folders by renaming them; a file in the place is replaced, a folder takes them in."""
        into = path2.endswith("/") or await self._isdir(path2)
        sources = await self._expand_path(path1)
        if len(sources) > 1 and not into:
            raise NotFolderError(path=path_of(path2))
        for source in sources:
            target = f"{path_of(path2).rstrip('/')}/{source.rpartition('/')[2]}" if into else path_of(path2)
            await self._mv_file(source, target)

    mv = sync_wrapper(_mv)

    async def _mv_file(self, path1: str, path2: str, **_: Any) -> None:
        old, new = path_of(path1), path_of(path2)
        client = await self.client()
        try:
            await client.replace(old, new)
        except NotFoundError:
            if not self.auto_mkdir or not await self._lexists(old):
                raise
            await client.makedirs(self._parent(new), exist_ok=True)
            await client.replace(old, new)
        self.changed(old)
        self.changed(new)

    async def _touch(self, path: str, truncate: bool = True, **_: Any) -> None:
        """Make an empty file; if there is one, empty it, or with `truncate=False` only set its time."""
        path = path_of(path)
        client = await self.client()
        if not truncate and await self._lexists(path):
            await client.utime(path)
        else:
            upload = await Upload.begin(client, path, parents=self.auto_mkdir)
            await upload.finish()
            await upload.commit()
        self.changed(path)

    touch = sync_wrapper(_touch)


async def _follow(client: Client, entry: DirEntry) -> Stat | None:
    """Return the file that a symlink leads to; None for a folder, which a walk must not enter, and for nothing."""
    try:
        stat = await client.stat(entry.path)
    except CairnError:
        return None
    return None if stat.is_folder else stat


def _omit(error: OSError) -> None:
    if not isinstance(error, PathError):
        raise error
