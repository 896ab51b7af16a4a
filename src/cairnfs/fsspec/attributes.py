"""What `info` and `ls` tell about a file, folder or symlink, in fsspec's words. Pure.

They are dictionaries because fsspec says so; the keys are those of its local filesystem, so that programs find what
they look for: name, size, type, created, mtime, mode, uid, gid, ino, nlink, islink, destination.
"""

import hashlib
from typing import Any

from cairnfs.client.stats import Stat
from cairnfs.units import SECOND_NS

Info = dict[str, Any]


def info_of(stat: Stat, name: str) -> Info:
    """Return what fsspec shows of a file or folder; `created` is the time of the last change of the inode.

    The size of a folder is 0, as fsspec adds sizes up.
    """
    return {
        "name": name,
        "size": 0 if stat.is_folder else stat.size,
        "type": "directory" if stat.is_folder else "file" if stat.is_file else "link",
        "created": stat.ctime_ns / SECOND_NS,
        "mtime": stat.mtime,
        "mtime_ns": stat.mtime_ns,
        "mode": stat.st_mode,
        "uid": stat.uid,
        "gid": stat.gid,
        "ino": stat.inode,
        "nlink": stat.links,
        "islink": stat.is_symlink,
    }


def link_info(link: Stat, target: Stat | None, name: str) -> Info:
    """Return what fsspec shows of a symlink: what it leads to, under its own name. `target` None: to nothing."""
    info = info_of(link if target is None else target, name)
    return {**info, "islink": True, "destination": link.target, **({"size": 0} if target is None else {})}


def key_of(info: Info) -> str:
    """Return a text that differs once the content of a file does.

    A file written through fsspec is a new inode each time; one that is changed in place has another time or length once
    it is synced.
    """
    facts = [info.get(key) for key in ("ino", "size", "type", "mtime_ns")]
    return hashlib.sha256(repr(facts).encode()).hexdigest()
