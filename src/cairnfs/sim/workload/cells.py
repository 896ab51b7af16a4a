"""Cells of one file, each overwritten whole with numbers that are used once: every read names the write that it saw.

Two cells lie in each chunk, across checksum blocks. Some belong to one user each, the last two are everybody's.
Checked: no read is a mixture (contract 3), each cell is linearizable (contract 4), what was synced stays (contract 5).
"""

import struct

from cairnfs.client.file import File
from cairnfs.client.filesystem import Client
from cairnfs.sim.cluster import SimCluster
from cairnfs.sim.insight import may_have_lost
from cairnfs.sim.model import Register, ViolationError
from cairnfs.sim.options import Mode, Options
from cairnfs.sim.workload.party import User

FILE = "/cells"
COUNT = 6
CONTESTED = (4, 5)


class Cells:
    """See the module."""

    weight = 6

    def __init__(self, cluster: SimCluster, options: Options) -> None:
        self._cluster = cluster
        self._users = options.users
        self._chunk_bytes = options.chunk_bytes
        self.cell_bytes = min(24_000, options.chunk_bytes * 3 // 8 // 8 * 8)
        self.registers = [
            Register(f"cell {number}", may_be_stale=options.mode is Mode.CLOCKS) for number in range(COUNT)
        ]
        self._value = 0
        for register in self.registers:
            register.begin(0, 0.0).returned_s = 0.0
            register.writes[0].synced_s = 0.0

    def place(self, number: int) -> int:
        """Return where in the file a cell begins."""
        return (number // 2) * self._chunk_bytes + (number % 2) * (self._chunk_bytes // 2 - 1000)

    def content(self, value: int) -> bytes:
        return struct.pack("<Q", value) * (self.cell_bytes // 8)

    def value_of(self, data: bytes, where: str) -> int:
        """Return the number that a cell's bytes show. Raises ViolationError: a mixture, or bytes are missing."""
        if len(data) != self.cell_bytes:
            raise ViolationError(f"{where}: {len(data)} bytes, not {self.cell_bytes}")
        values: list[int] = sorted(set(struct.unpack(f"<{self.cell_bytes // 8}Q", data)))
        if len(values) > 1:
            raise ViolationError(f"{where}: shows a mixture of {values[:5]}")
        return values[0]

    async def make(self, client: Client) -> None:
        async with await client.open(FILE, "wb") as file:
            for number in range(COUNT):
                await file.pwrite(self.content(0), self.place(number))

    async def act(self, user: User) -> None:
        file = await self._file(user)
        if file is None:
            return
        if user.chance.random() < 0.6:
            await self._read(user, file, user.chance.randrange(COUNT))
        else:
            await self._write(user, file)

    async def _file(self, user: User) -> File | None:
        """Return this life's open file; None if it cannot be opened now."""
        file = user.notes.get(FILE)
        if file is None:
            is_open, file = await user.attempt("open", user.client.open(FILE, "r+b"))
            if is_open:
                user.notes[FILE] = file
        return file if isinstance(file, File) else None

    def _mine(self, user: User) -> list[int]:
        mine = user.party.hosts.index(user.host)
        return [*CONTESTED, *(number for number in range(COUNT - 2) if number % self._users == mine)]

    async def _write(self, user: User, file: File) -> None:
        number = user.chance.choice(self._mine(user))
        self._value += 1
        write = self.registers[number].begin(self._value, user.now_s(), writer=user.name)
        is_done, _ = await user.attempt("overwrite", file.pwrite(self.content(write.value), self.place(number)))
        if not is_done:
            self._give_up(user, file)
            return
        write.returned_s = user.now_s()
        written = user.notes.setdefault("cells written", [])
        assert isinstance(written, list), written
        written.append(write)
        if user.chance.random() < 0.1:
            waiting = list(written)
            is_done, _ = await user.attempt("sync", file.sync())
            if not is_done:
                self._give_up(user, file)
                return
            for each in waiting:
                each.synced_s = min(each.synced_s, user.now_s())
            user.notes["cells written"] = [each for each in written if each not in waiting]

    def _give_up(self, user: User, file: File) -> None:
        """Nobody knows what became of it: begin anew with another open file."""
        if user.notes.get(FILE) is file:
            del user.notes[FILE]
            user.notes.pop("cells written", None)
        file.discard()

    async def _read(self, user: User, file: File, number: int) -> None:
        called_s = user.now_s()
        is_done, data = await user.attempt("read a cell", file.pread(self.cell_bytes, self.place(number)))
        if not is_done or data is None:
            return
        register = self.registers[number]
        where = f"{register.name}, read at {called_s:.3f} s by {user.host}"
        value = self.value_of(data, where)
        register.note_read(value, called_s, user.now_s())
        missed = register.overtaken(value, called_s)
        if missed is not None and not register.may_be_stale and not may_have_lost(self._cluster, FILE, number // 2):
            raise ViolationError(
                f"{where}: stale, shows {value} (written by {register.writes[value].returned_s:.3f} s), "
                f"but {missed.value} was written and acknowledged between {missed.called_s:.3f} and "
                f"{missed.returned_s:.3f} s"
            )

    async def check(self, client: Client) -> None:
        data = await client.read_bytes(FILE)
        end_s = self._cluster.world.loop.time()
        for number, register in enumerate(self.registers):
            place = self.place(number)
            value = self.value_of(data[place : place + self.cell_bytes], f"{register.name} at the end")
            register.note_read(value, end_s, end_s)
        for number, register in enumerate(self.registers):
            register.check(is_broken=may_have_lost(self._cluster, FILE, number // 2))
