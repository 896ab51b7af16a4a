"""Records that check themselves, and how to find them again among damage. Pure. GFS paper, section 2.7.2 and 3.3.

    offset  bytes
    0       4      magic "CRec"
    4       4      length of the data, little endian
    8       8      writer: 63 random bits
    16      8      sequence of the writer, from 1
    24      4      CRC32C of bytes 4 to 23 and of the data
    28      length data

Appends may repeat a record and leave zeros or a torn rest behind; a file may hold anything. Whatever is not a whole
record whose checksum fits is skipped, byte for byte, up to the next magic.
"""

import struct
from dataclasses import dataclass

from cairnfs.checksum import Buffer, crc32c
from cairnfs.limits import RECORD_BYTES_MAX

MAGIC = b"CRec"
_HEADER = struct.Struct("<4sIQQI")
HEADER_BYTES = _HEADER.size


@dataclass(frozen=True, slots=True)
class Frame:
    """One record as it stands in a file."""

    offset: int
    """Of its frame in the file."""
    writer: int
    sequence: int
    data: bytes

    @property
    def end(self) -> int:
        """Offset behind it."""
        return self.offset + HEADER_BYTES + len(self.data)


def encode_record(writer: int, sequence: int, data: Buffer) -> bytes:
    """Return the frame of a record."""
    head = _HEADER.pack(MAGIC, len(data), writer, sequence, 0)[4:24]
    return b"".join((MAGIC, head, crc32c(data, crc32c(head)).to_bytes(4, "little"), data))


class RecordDecoder:
    """Finds the records in bytes that are fed in order. Keeps at most one record and a piece."""

    def __init__(self, offset: int = 0) -> None:
        self._buffer = bytearray()
        self._offset = offset
        self.skipped_bytes = 0
        """Padding, holes and damage."""

    def jump(self, offset: int) -> list[Frame]:
        """The next bytes stand at `offset` of the file: what is not complete before it never will be."""
        if offset == self._offset + len(self._buffer):
            return []
        found = self.finish()
        self._offset = offset
        return found

    def feed(self, data: Buffer) -> list[Frame]:
        """Take the next bytes; return the records that are complete."""
        self._buffer += data
        return self._take(is_end=False)

    def finish(self) -> list[Frame]:
        """No more bytes come here: return what can be found in the rest, and forget it."""
        found = self._take(is_end=True)
        self._skip(len(self._buffer))
        return found

    def _take(self, *, is_end: bool) -> list[Frame]:
        found: list[Frame] = []
        while True:  # each round takes bytes or ends
            start = self._buffer.find(MAGIC)
            if start < 0:
                # The last bytes may be the beginning of a magic.
                self._skip(max(0, len(self._buffer) - (len(MAGIC) - 1)))
                return found
            self._skip(start)
            if len(self._buffer) < HEADER_BYTES:
                if not is_end:
                    return found
                self._skip(1)
                continue
            _, length, writer, sequence, crc = _HEADER.unpack_from(self._buffer)
            end = HEADER_BYTES + length
            if length > RECORD_BYTES_MAX or (is_end and end > len(self._buffer)):
                self._skip(1)
            elif end > len(self._buffer):
                return found
            else:
                self._one(found, end, writer, sequence, crc)

    def _one(self, found: list[Frame], end: int, writer: int, sequence: int, crc: int) -> None:
        with memoryview(self._buffer) as view:
            fits = crc32c(view[HEADER_BYTES:end], crc32c(view[4:24])) == crc
            data = bytes(view[HEADER_BYTES:end]) if fits else b""
        if not fits:
            self._skip(1)
            return
        found.append(Frame(offset=self._offset, writer=writer, sequence=sequence, data=data))
        del self._buffer[:end]
        self._offset += end

    def _skip(self, count: int) -> None:
        if count:
            del self._buffer[:count]
            self._offset += count
            self.skipped_bytes += count
