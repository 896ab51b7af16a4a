"""Names and attributes: numbers 2000 to 2999. Each also is the error Python people expect."""

import errno
from dataclasses import dataclass
from typing import ClassVar

from cairnfs.errors.base import CairnError, Retry
from cairnfs.ids import InodeId


@dataclass(eq=False, kw_only=True)
class PathError(CairnError, OSError):
    """Base of errors about one path; sets errno and filename as Python's own do."""

    code = 2000
    number: ClassVar[int] = errno.EIO
    phrase: ClassVar[str] = "bad path"
    path: str

    def __post_init__(self) -> None:
        self.errno, self.filename, self.strerror = self.number, self.path, self.phrase

    def __str__(self) -> str:
        return f"{self.phrase}: {self.path}"


@dataclass(eq=False, kw_only=True)
class NotFoundError(PathError, FileNotFoundError):
    """The path names nothing."""

    code = 2001
    number = errno.ENOENT
    phrase = "no such file or folder"


@dataclass(eq=False, kw_only=True)
class ExistsError(PathError, FileExistsError):
    """The path is taken. Nothing was changed."""

    code = 2002
    number = errno.EEXIST
    phrase = "already exists"


@dataclass(eq=False, kw_only=True)
class NotFolderError(PathError, NotADirectoryError):
    """A file stands where a folder is needed."""

    code = 2003
    number = errno.ENOTDIR
    phrase = "not a folder"


@dataclass(eq=False, kw_only=True)
class IsFolderError(PathError, IsADirectoryError):
    """A folder stands where a file is needed."""

    code = 2004
    number = errno.EISDIR
    phrase = "is a folder"


@dataclass(eq=False, kw_only=True)
class NotEmptyError(PathError):
    """The folder has entries. Nothing was changed."""

    code = 2005
    number = errno.ENOTEMPTY
    phrase = "folder is not empty"


@dataclass(eq=False, kw_only=True)
class BadNameError(PathError, ValueError):
    """The name can never exist: too long, NUL, or `.`/`..` where a name is needed."""

    code = 2006
    number = errno.EINVAL
    phrase = "not a valid name"
    why: str = ""

    def __str__(self) -> str:
        return f"{self.phrase}: {self.path!r}: {self.why}"


@dataclass(eq=False, kw_only=True)
class LoopError(PathError):
    """Symlinks lead in a circle, or a folder was to move into itself."""

    code = 2007
    number = errno.ELOOP
    phrase = "path leads into itself"


@dataclass(eq=False, kw_only=True)
class NotTrashError(PathError, FileNotFoundError):
    """Nothing of that name is in the trash."""

    code = 2008
    number = errno.ENOENT
    phrase = "not in the trash"
    hint = "`cairn trash` lists what can be undeleted"


@dataclass(eq=False, kw_only=True)
class ReadOnlyFileError(PathError, PermissionError):
    """The handle or file does not allow the operation."""

    code = 2009
    number = errno.EACCES
    phrase = "not allowed"


@dataclass(eq=False, kw_only=True)
class FileTooLargeError(PathError):
    """The file would be larger than a file can be."""

    code = 2010
    number = errno.EFBIG
    phrase = "file too large"


@dataclass(eq=False, kw_only=True)
class UnsureError(CairnError):
    """A retry came so late that its first result is forgotten: it is not carried out again."""

    code = 2011
    may_have_happened = True
    what: str

    def __str__(self) -> str:
        return f"{self.what} may or may not have happened: its result is no longer known"


@dataclass(eq=False, kw_only=True)
class QuotaError(PathError):
    """A folder would hold more than its quota allows; `path` is that folder. Nothing was changed."""

    code = 2013
    number = errno.EDQUOT
    phrase = "quota exceeded"
    hint = "delete something below that folder (the trash does not count), or raise the limit with `cairn quota set`"
    what: str
    """What there would be too much of: "files" (folders and symlinks count, too) or "bytes"."""
    limit: int
    used: int
    more: int
    """What was asked for."""

    def __str__(self) -> str:
        return (
            f"{self.phrase}: {self.path} may hold {self.limit} {self.what}, holds {self.used}, "
            f"and {self.more} more were asked for"
        )


@dataclass(eq=False, kw_only=True)
class NotCountedError(CairnError):
    """What is below a folder must be counted first, step by step: the master does that. Nothing happened."""

    code = 2014
    retry = Retry.LATER
    folder: InodeId

    def __str__(self) -> str:
        return f"what is below the folder with inode {self.folder} is still being counted"


@dataclass(eq=False, kw_only=True)
class NameTooLongError(BadNameError):
    """The name is over 255 bytes, or the path over 4096: programs try a shorter one."""

    code = 2012
    number = errno.ENAMETOOLONG
