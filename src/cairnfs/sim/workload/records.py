"""Records that all users append to one file, framed and of all sizes. Contract 2; GFS paper, section 3.3.

Checked at the end: every acknowledged record stands where its ack said, nothing was invented, a record that was
acknowledged before another was called stands before it, and a reader gets each record once.
"""

from cairnfs.client.filesystem import Client
from cairnfs.client.framing import HEADER_BYTES, RecordDecoder
from cairnfs.client.record_writer import RecordWriter
from cairnfs.sim.model import Journal, ViolationError
from cairnfs.sim.options import Options
from cairnfs.sim.workload.party import User

FILE = "/log"


class Records:
    """See the module."""

    weight = 4

    def __init__(self, options: Options) -> None:
        self.journal = Journal(FILE)
        self._largest = options.chunk_bytes // 4 - HEADER_BYTES

    async def make(self, client: Client) -> None:
        await client.write_bytes(FILE, b"")

    async def act(self, user: User) -> None:
        writer = await self._writer(user)
        if writer is None:
            return
        size = user.chance.choice((0, 100, 3000, 6000, self._largest - 64))
        data = f"{user.name} {len(self.journal.records)} ".encode() + bytes(size)
        record = self.journal.begin(data, user.now_s())
        is_done, offset = await user.attempt("append", writer.append(data))
        if is_done and offset is not None:
            record.offset, record.returned_s = offset, user.now_s()

    async def _writer(self, user: User) -> RecordWriter | None:
        """Return this life's writer; None if the file cannot be opened now."""
        writer = user.notes.get(FILE)
        if isinstance(writer, RecordWriter):
            return writer
        _, opened = await user.attempt("open", user.client.append_writer(FILE))
        user.notes[FILE] = opened
        return opened

    async def check(self, client: Client) -> None:
        decoder, found = RecordDecoder(), []
        async with await client.open(FILE, "rb") as file:
            size = await file.size()
            for at in range(0, size, 1 << 20):
                found += decoder.feed(await file.pread(1 << 20, at))
        found += decoder.finish()
        self.journal.check({record.offset: record.data for record in found})
        once = [record.data async for record in client.records(FILE)]
        if len(once) != len({*once}):
            raise ViolationError(f"{FILE}: a reader gets a record twice")
        if {*once} != {record.data for record in found}:
            raise ViolationError(f"{FILE}: a reader does not get every record")
