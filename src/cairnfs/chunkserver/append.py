"""Where a record goes. GFS paper, section 3.3; rules 16 and 17. Pure; used by the primary.

Ours: a chunk that cannot take the record is not padded. It is closed at its data length, and what is left up to the
chunk size is a hole of the file: no byte of padding is written or sent.
"""

from cairnfs.errors import BadRequestError, RecordTooLargeError
from cairnfs.limits import Geometry


def check_record(geometry: Geometry, length: int) -> None:
    """Refuse a record that no chunk may take.

    Raises:
        RecordTooLargeError: it is larger than a quarter of a chunk. GFS paper, section 3.3.
        BadRequestError: it is empty.
    """
    if length > geometry.record_bytes_max:
        raise RecordTooLargeError(size_bytes=length, limit_bytes=geometry.record_bytes_max)
    if length < 1:
        raise BadRequestError(what="an empty record cannot be appended")


def choose_offset(geometry: Geometry, *, data_length: int, record_length: int) -> int | None:
    """Return the offset of a record in a chunk that holds `data_length` bytes; None: the chunk must be closed.

    Rule 17: what stays free at the end is less than the record, so at most a quarter of a chunk.
    """
    assert 0 <= data_length <= geometry.chunk_bytes, (data_length, geometry)
    assert 0 < record_length <= geometry.record_bytes_max, (record_length, geometry)
    return data_length if data_length + record_length <= geometry.chunk_bytes else None


def check_write(geometry: Geometry, *, offset: int, length: int) -> None:
    """Refuse a write that crosses the chunk's end. Raises BadRequestError; nothing happened."""
    if length < 1 or offset + length > geometry.chunk_bytes:
        raise BadRequestError(what=f"write of {length} bytes at {offset} does not fit a chunk")
