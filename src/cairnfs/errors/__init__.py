"""Every error that CairnFS raises on purpose, as one tree and one table of numbers.

An error has a class of its own only if some caller acts differently on it. Its number crosses the wire and is never
used again: 1xxx the conversation, 2xxx the namespace, 3xxx chunks, 4xxx the cluster and its disks. Across the wire an
error is `(code, fields)`; `encode_error` and `decode_error` are the two ends.

    CairnError
    |-- conversation  ConnectError, CallTimeoutError, PeerError, WrongClusterError, BusyError, ShutdownError
    |-- namespace     NotFoundError, ExistsError, NotFolderError, IsFolderError, NotEmptyError, BadNameError, ...
    |-- chunks        StaleVersionError, NotPrimaryError, NotReadableError, ChunkFullError, ChunkCorruptError, ...
    `-- cluster       NotLeaderError, SessionLostError, TooFewCopiesError, DiskFullError, DiskFailedError, FormatError
"""

from cairnfs.errors.base import CairnError, Retry, decode_error, encode_error
from cairnfs.errors.chunks import (
    ChecksumError,
    ChunkCorruptError,
    ChunkFullError,
    ChunkMissingError,
    ChunkOpenError,
    DataMissingError,
    FencePendingError,
    LostWritesError,
    MutationFailedError,
    NotAppendedError,
    NotPrimaryError,
    NotReadableError,
    OrderRefusedError,
    RecordDecodeError,
    RecordTooLargeError,
    StaleVersionError,
)
from cairnfs.errors.cluster import (
    AddressInUseError,
    DiskFailedError,
    DiskFullError,
    FolderInUseError,
    FormatError,
    LowerEpochError,
    NoCopyError,
    NotLeaderError,
    SessionLostError,
    SettingError,
    TooFewCopiesError,
)
from cairnfs.errors.conversation import (
    BadRequestError,
    BusyError,
    CallTimeoutError,
    ConnectError,
    ConnectionLostError,
    PeerError,
    ProtocolVersionError,
    ShutdownError,
    TimeLimitError,
    WrongClusterError,
)
from cairnfs.errors.namespace import (
    BadNameError,
    ExistsError,
    FileTooLargeError,
    IsFolderError,
    LoopError,
    NameTooLongError,
    NotEmptyError,
    NotFolderError,
    NotFoundError,
    NotTrashError,
    PathError,
    ReadOnlyFileError,
    UnsureError,
)

__all__ = [
    "AddressInUseError",
    "BadNameError",
    "BadRequestError",
    "BusyError",
    "CairnError",
    "CallTimeoutError",
    "ChecksumError",
    "ChunkCorruptError",
    "ChunkFullError",
    "ChunkMissingError",
    "ChunkOpenError",
    "ConnectError",
    "ConnectionLostError",
    "DataMissingError",
    "DiskFailedError",
    "DiskFullError",
    "ExistsError",
    "FencePendingError",
    "FileTooLargeError",
    "FolderInUseError",
    "FormatError",
    "IsFolderError",
    "LoopError",
    "LostWritesError",
    "LowerEpochError",
    "MutationFailedError",
    "NameTooLongError",
    "NoCopyError",
    "NotAppendedError",
    "NotEmptyError",
    "NotFolderError",
    "NotFoundError",
    "NotLeaderError",
    "NotPrimaryError",
    "NotReadableError",
    "NotTrashError",
    "OrderRefusedError",
    "PathError",
    "PeerError",
    "ProtocolVersionError",
    "ReadOnlyFileError",
    "RecordDecodeError",
    "RecordTooLargeError",
    "Retry",
    "SessionLostError",
    "SettingError",
    "ShutdownError",
    "StaleVersionError",
    "TimeLimitError",
    "TooFewCopiesError",
    "UnsureError",
    "WrongClusterError",
    "decode_error",
    "encode_error",
]
