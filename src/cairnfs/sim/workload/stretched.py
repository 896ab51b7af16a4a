"""One file per user, written anywhere, cut and stretched: what he reads is what he has written. Contracts 3 and 5.

After an operation that failed nobody knows what the file holds, so a new one is begun.
"""

from dataclasses import dataclass, field

from cairnfs.client.file import File
from cairnfs.client.filesystem import Client
from cairnfs.sim.cluster import SimCluster
from cairnfs.sim.insight import may_have_lost, rows_of
from cairnfs.sim.model import ViolationError, compare
from cairnfs.sim.options import Options
from cairnfs.sim.workload.party import User


@dataclass
class Own:
    """A file and what it must hold."""

    path: str
    file: File
    content: bytearray = field(default_factory=bytearray)
    is_busy: bool = False


class Stretched:
    """See the module."""

    weight = 3

    def __init__(self, cluster: SimCluster, options: Options) -> None:
        self._cluster = cluster
        self._span = options.chunk_bytes * 9 // 4
        self._count = 0
        self.synced: dict[str, bytes] = {}
        """What files must hold that were given up after a sync, or are in use."""

    async def make(self, client: Client) -> None:
        await client.mkdir("/stretched")

    async def act(self, user: User) -> None:
        own = user.notes.get("stretched")
        if not isinstance(own, Own):
            await self._begin(user)
        elif not own.is_busy:
            own.is_busy = True
            if not await self._turn(user, own.file, own):
                del user.notes["stretched"]
                own.file.discard()
            own.is_busy = False

    async def _begin(self, user: User) -> None:
        self._count += 1
        path = f"/stretched/{self._count}"
        is_done, file = await user.attempt("open", user.client.open(path, "w+b"))
        if is_done and file is not None:
            user.notes["stretched"] = Own(path, file)

    async def _turn(self, user: User, file: File, own: Own) -> bool:
        """Do one thing; return False if it is in doubt now what the file holds."""
        kind = user.chance.choice(("write", "write", "write", "truncate", "sync", "sync", "compare", "compare"))
        if kind == "write":
            return await self._write(user, file, own)
        if kind == "truncate":
            return await self._truncate(user, file, own)
        if kind == "sync":
            is_done, _ = await user.attempt("sync", file.sync())
            if is_done:
                self.synced[own.path] = bytes(own.content)
            return is_done
        return await self._compare(user, file, own)

    async def _write(self, user: User, file: File, own: Own) -> bool:
        chance, content = user.chance, own.content
        offset = chance.choice((len(content), chance.randrange(self._span), chance.randrange(self._span)))
        offset = min(offset, self._span - 1)
        data = chance.randbytes(chance.choice((1, 100, 5000, 40_000, 100_000)))[: self._span - offset]
        self.synced.pop(own.path, None)
        is_done, _ = await user.attempt("write", file.pwrite(data, offset))
        if offset > len(content):
            content.extend(bytes(offset - len(content)))
        content[offset : offset + len(data)] = data
        return is_done

    async def _truncate(self, user: User, file: File, own: Own) -> bool:
        content = own.content
        size = user.chance.choice((0, user.chance.randrange(self._span), user.chance.randrange(self._span)))
        self.synced.pop(own.path, None)
        is_done, _ = await user.attempt("truncate", file.truncate(size))
        del content[size:]
        content.extend(bytes(size - len(content)))
        return is_done

    async def _compare(self, user: User, file: File, own: Own) -> bool:
        is_done, size = await user.attempt("length", file.size())
        offset = user.chance.randrange(self._span)
        length = user.chance.choice((10, 5000, self._span))
        is_read, data = await user.attempt("read", file.pread(length, offset))
        if not is_done or not is_read or data is None:
            return True
        if own.path not in self.synced and self._may_have_lost(own.path):
            return True
        if size != len(own.content):
            raise ViolationError(f"{own.path}: {size} bytes, not {len(own.content)}")
        compare(data, bytes(own.content[offset : offset + length]), f"{own.path} at {offset}")
        return True

    def _may_have_lost(self, path: str) -> bool:
        rows = rows_of(self._cluster, path)
        return rows is None or any(may_have_lost(self._cluster, path, index) for index in rows)

    async def check(self, client: Client) -> None:
        for path, content in self.synced.items():
            compare(await client.read_bytes(path), content, f"{path} at the end")
