"""Small files by name, each user in a folder of his own, as he left them. Contract 1.

A name whose operation failed is in doubt, and used no more: it may be there or not. Everything else must be exactly so.
"""

from dataclasses import dataclass, field

from cairnfs.client.filesystem import Client
from cairnfs.errors import NotFoundError
from cairnfs.sim.model import ViolationError, compare
from cairnfs.sim.options import Options
from cairnfs.sim.workload.party import User

TOP = "/names"
LIMIT = 4
"""Files of the first user, at most."""
KINDS = ("create", "create", "read", "read", "read", "rename", "replace", "delete", "purge", "undelete", "list", "copy")


@dataclass
class Folder:
    """What one user knows of his folder."""

    path: str
    files: dict[str, bytes] = field(default_factory=dict)
    trashed: dict[str, bytes] = field(default_factory=dict)
    doubts: dict[str, None] = field(default_factory=dict)


class Names:
    """See the module."""

    weight = 4

    def __init__(self, options: Options) -> None:
        self.folders = {f"user{number}": Folder(f"{TOP}/user{number}") for number in range(options.users)}
        # It is emptied by the clock on the wall.
        self._keeps_trash = options.trash_s > options.duration_s * 10 and "wall clock" not in options.faults
        self._sizes = (0, 10, 3000, options.chunk_bytes + 5000)
        self._count = 0
        self._limited = next(iter(self.folders.values())).path

    async def make(self, client: Client) -> None:
        await client.mkdir(TOP)
        for folder in self.folders.values():
            await client.mkdir(folder.path)
        # docs/QUOTAS.md: refusals are met, and every change of the tree is counted under faults.
        await client.set_quota(TOP, soft_files=1)
        await client.set_quota(self._limited, files=LIMIT)

    async def act(self, user: User) -> None:
        folder = self.folders[user.host]
        kind = user.chance.choice(KINDS)
        if kind == "create" or not folder.files:
            await self._create(user, folder)
        elif kind == "undelete":
            await self._undelete(user, folder)
        elif kind == "list":
            await self._list(user, folder)
        elif kind in ("read", "copy"):
            await self._look(user, folder, kind)
        else:
            await self._change(user, folder, kind)

    def _new(self, folder: Folder) -> str:
        self._count += 1
        path = f"{folder.path}/{self._count}"
        folder.doubts[path] = None
        return path

    @staticmethod
    def _settle(folder: Folder, path: str, data: bytes) -> None:
        folder.doubts.pop(path, None)
        folder.files[path] = data

    async def _create(self, user: User, folder: Folder) -> None:
        path = self._new(folder)
        data = user.chance.randbytes(user.chance.choice(self._sizes))
        is_done, _ = await user.attempt("create", user.client.write_bytes(path, data))
        if is_done:
            self._settle(folder, path, data)

    async def _look(self, user: User, folder: Folder, kind: str) -> None:
        """Read a file, or copy it: out of the model meanwhile, so that nobody else changes it."""
        path = user.chance.choice(list(folder.files))
        data = folder.files.pop(path)
        folder.doubts[path] = None
        copy = self._new(folder) if kind == "copy" else ""
        try:
            if copy:
                is_done, _ = await user.attempt("copy", user.client.copy(path, copy))
                if is_done:
                    self._settle(folder, copy, data)
            else:
                is_done, found = await user.attempt("read a file", user.client.read_bytes(path))
                if is_done and found is not None:
                    compare(found, data, path)
        finally:
            self._settle(folder, path, data)

    async def _list(self, user: User, folder: Folder) -> None:
        before, doubts = dict(folder.files), dict(folder.doubts)
        is_done, found = await user.attempt("list", user.client.listdir(folder.path))
        if not is_done or found is None:
            return
        shown = {f"{folder.path}/{name}": None for name in found}
        lost = [path for path in before if path in folder.files and path not in shown]
        invented = [path for path in shown if path not in {**before, **doubts, **folder.files, **folder.doubts}]
        gone = [path for path in invented if path not in folder.trashed]
        if lost or gone:
            raise ViolationError(f"{folder.path}: the listing lacks {lost} and invents {gone}")

    async def _undelete(self, user: User, folder: Folder) -> None:
        if not folder.trashed or not self._keeps_trash:
            return
        path = user.chance.choice(list(folder.trashed))
        data = folder.trashed.pop(path)
        folder.doubts[path] = None
        is_done, _ = await user.attempt("undelete", user.client.undelete(path))
        if is_done:
            self._settle(folder, path, data)

    async def _change(self, user: User, folder: Folder, kind: str) -> None:
        """Take a file out of the model, do something with it, and enter what is then known to be."""
        path = user.chance.choice(list(folder.files))
        data = folder.files.pop(path)
        folder.doubts[path] = None
        if kind in ("rename", "replace"):
            target = self._new(folder)
            if kind == "replace" and folder.files:
                target = user.chance.choice(list(folder.files))
                del folder.files[target]
                folder.doubts[target] = None
            is_done, _ = await user.attempt(kind, user.client.replace(path, target))
            if is_done:
                del folder.doubts[path]
                self._settle(folder, target, data)
            return
        is_done, _ = await user.attempt(kind, user.client.remove(path, now=kind == "purge"))
        if not is_done:
            return
        del folder.doubts[path]
        if kind == "delete":
            folder.trashed[path] = data
        is_known, is_there = await user.attempt("exists", user.client.exists(path))
        if is_known and is_there and path not in folder.files and path not in folder.doubts:
            raise ViolationError(f"{path} is still there after it was removed")

    async def check(self, client: Client) -> None:
        quota = await client.quota(self._limited)
        names = await client.listdir(self._limited)
        if quota is None or quota.used_files != len(names) or len(names) > LIMIT:
            raise ViolationError(f"{self._limited} has {len(names)} files of {LIMIT}, and says {quota}")
        await client.clear_quota(self._limited)
        for folder in self.folders.values():
            for path, data in folder.files.items():
                try:
                    found = await client.read_bytes(path)
                except NotFoundError:
                    raise ViolationError(f"{path} is gone") from None
                compare(found, data, path)
            for path, data in folder.trashed.items() if self._keeps_trash else ():
                await client.undelete(path)
                compare(await client.read_bytes(path), data, path)
