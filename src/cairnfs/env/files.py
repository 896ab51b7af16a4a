"""The real folder of a disk. Used by `threads.py`, and by jobs through `Files` and `File`.

All names are resolved from a descriptor of the folder, so that a mount or rename above it changes nothing, and the
last part of a name is never followed if it is a symlink.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
from collections.abc import Sequence

from cairnfs.env import Buffer, File
from cairnfs.units import MIB

FICLONE = 0x40049409
"""ioctl of linux/fs.h: share the blocks of another file, copy-on-write (btrfs, xfs)."""
FALLOC_KEEP_SIZE = 1
BUFFERS_MAX = 1024
"""IOV_MAX of Linux: buffers in one pwritev."""
COPY_BYTES = 8 * MIB
CLOSED = 2**31 - 1
"""Never a descriptor: the system answers EBADF, where Python would answer -1 with a ValueError."""
_CANNOT = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EXDEV, errno.ENOTTY, errno.EPERM)
"""What file systems answer to a call that they do not have."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
_libc.syncfs.argtypes = [ctypes.c_int]


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


class PosixFile:
    """An open file. Calls at different offsets may run side by side; nothing here keeps a position."""

    def __init__(self, descriptor: int) -> None:
        self._fd = descriptor

    def read_into(self, offset: int, buffer: memoryview) -> int:
        done = 0
        while done < len(buffer):
            count = os.preadv(self._fd, [buffer[done:]], offset + done)
            if count == 0:
                break
            done += count
        return done

    def write(self, offset: int, buffers: Sequence[Buffer]) -> None:
        rest = [memoryview(buffer).cast("B") for buffer in buffers if len(buffer)]
        first = 0
        while first < len(rest):
            count = os.pwritev(self._fd, rest[first : first + BUFFERS_MAX], offset)
            offset += count
            # A short write is no error (a signal, or the last free block): go on where it ended.
            while first < len(rest) and count >= len(rest[first]):
                count -= len(rest[first])
                first += 1
            if count:
                rest[first] = rest[first][count:]

    def sync(self) -> None:
        os.fdatasync(self._fd)

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)

    def allocate(self, offset: int, length: int) -> None:
        try:
            _check(_libc.fallocate(self._fd, FALLOC_KEEP_SIZE, offset, length), "fallocate")
        except OSError as error:
            if error.errno not in _CANNOT:
                raise

    def copy_from(self, source: File) -> None:
        os.ftruncate(self._fd, 0)
        if isinstance(source, PosixFile) and (self._clone(source) or self._copy_range(source)):
            return
        self._copy_bytes(source)

    def _clone(self, source: "PosixFile") -> bool:
        try:
            fcntl.ioctl(self._fd, FICLONE, source._fd)  # noqa: SLF001 - of this class
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            return False
        return True

    def _copy_range(self, source: "PosixFile") -> bool:
        offset = 0
        size = source.size()
        try:
            while offset < size:
                count = os.copy_file_range(source._fd, self._fd, COPY_BYTES, offset, offset)  # noqa: SLF001
                if count == 0:
                    break
                offset += count
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            return False
        # Some kernels return 0 early where they cannot copy (procfs, old overlayfs).
        return offset == size

    def _copy_bytes(self, source: File) -> None:
        buffer = memoryview(bytearray(min(COPY_BYTES, max(1, source.size()))))
        offset = 0
        while count := source.read_into(offset, buffer):
            self.write(offset, [buffer[:count]])
            offset += count

    def close(self) -> None:
        descriptor, self._fd = self._fd, CLOSED
        if descriptor != CLOSED:
            os.close(descriptor)


class PosixFiles:
    """The folder of one disk; it must exist."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._lock_fd = -1

    def open(self, name: str, *, create: bool = False) -> PosixFile:
        flags = os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
        try:
            return PosixFile(os.open(_checked(name), os.O_RDWR | flags, 0o600, dir_fd=self._fd))
        except OSError as error:
            if error.errno != errno.EROFS or create:
                raise
        return PosixFile(os.open(name, os.O_RDONLY | flags, dir_fd=self._fd))

    def exists(self, name: str) -> bool:
        try:
            os.stat(_checked(name), dir_fd=self._fd, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def listing(self, folder: str) -> list[str]:
        try:
            descriptor = self._open_folder(folder)
        except (FileNotFoundError, NotADirectoryError):
            return []
        try:
            return sorted(os.listdir(descriptor))
        finally:
            os.close(descriptor)

    def make_folder(self, name: str) -> None:
        """As `Files`: durable only after `sync_folder` of each parent that was new."""
        parts = _checked(name).split("/")
        for end in range(1, len(parts) + 1):
            with contextlib.suppress(FileExistsError):
                os.mkdir("/".join(parts[:end]), 0o700, dir_fd=self._fd)

    def rename(self, old: str, new: str) -> None:
        os.rename(_checked(old), _checked(new), src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def unlink(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_checked(name), dir_fd=self._fd)

    def sync_folder(self, name: str) -> None:
        descriptor = self._open_folder(name)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sync_all(self) -> None:
        _check(_libc.syncfs(self._fd), "syncfs")

    def space(self) -> tuple[int, int]:
        facts = os.fstatvfs(self._fd)
        return facts.f_bavail * facts.f_frsize, facts.f_blocks * facts.f_frsize

    def is_read_only(self) -> bool:
        return bool(os.fstatvfs(self._fd).f_flag & os.ST_RDONLY)

    def lock(self) -> bool:
        if self._lock_fd >= 0:
            return True
        # A descriptor of its own: the lock belongs to the open description, and two of one process exclude each other.
        descriptor = self._open_folder("")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._lock_fd = descriptor
        return True

    def unlock(self) -> None:
        descriptor, self._lock_fd = self._lock_fd, -1
        if descriptor >= 0:
            os.close(descriptor)

    def close(self) -> None:
        """Give up the lock and the folder; open files stay open."""
        self.unlock()
        descriptor, self._fd = self._fd, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _open_folder(self, name: str) -> int:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(_checked(name) if name else ".", flags, dir_fd=self._fd)


def _checked(name: str) -> str:
    assert name, "an empty name"
    assert not name.startswith("/"), name
    assert ".." not in name.split("/"), name
    return name
