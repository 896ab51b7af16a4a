"""Names and pictures of the cluster without await: `names.Names` and `admin.Admin`, one hop each.

Each call takes `timeout`: the longest time in seconds, of an iteration for each item; see `deadlines`.
"""

from collections.abc import Iterator

from cairnfs.client.blocking_hops import Hops
from cairnfs.client.quotas import Quota
from cairnfs.client.stats import DirEntry, Listing, Space, Stat, Trashed
from cairnfs.ids import NO_SERVER
from cairnfs.paths import AnyPath
from cairnfs.wire.duties import DrainPlan, MaintenancePlan, Speeds
from cairnfs.wire.operating import HeldDeletions
from cairnfs.wire.status import ChunkStatus, ClusterInfo, ClusterStatus, ReplicaInfo, Verified


class BlockingNames(Hops):
    """What can be asked and changed about paths, and about the cluster as a whole."""

    # ------------------------------------------------------------------ asking

    def stat(self, path: AnyPath, *, follow: bool = True, timeout: float | None = None) -> Stat:
        """Return what is at `path`. The length of a file that is being written comes from its primary (rule 18)."""
        return self._run(lambda fs: fs.stat(path, follow=follow), timeout=timeout)

    def lstat(self, path: AnyPath, *, timeout: float | None = None) -> Stat:
        """Return what is at `path`, a symlink itself."""
        return self._run(lambda fs: fs.lstat(path), timeout=timeout)

    def exists(self, path: AnyPath, *, timeout: float | None = None) -> bool:
        return self._run(lambda fs: fs.exists(path), timeout=timeout)

    def isfile(self, path: AnyPath, *, timeout: float | None = None) -> bool:
        return self._run(lambda fs: fs.isfile(path), timeout=timeout)

    def isdir(self, path: AnyPath, *, timeout: float | None = None) -> bool:
        return self._run(lambda fs: fs.isdir(path), timeout=timeout)

    def islink(self, path: AnyPath, *, timeout: float | None = None) -> bool:
        return self._run(lambda fs: fs.islink(path), timeout=timeout)

    def scandir(self, path: AnyPath = "/", *, timeout: float | None = None) -> Iterator[DirEntry]:
        """Yield the entries of a folder in byte order of their names, asked for page by page."""
        return self._iterate(lambda fs: fs.scandir(path), timeout=timeout)

    def listdir(self, path: AnyPath = "/", *, timeout: float | None = None) -> list[str]:
        """Return the names in a folder, in byte order."""
        return self._run(lambda fs: fs.listdir(path), timeout=timeout)

    def ls(self, path: AnyPath = "/", *, timeout: float | None = None) -> Listing:
        """Return the entries of a folder with what `stat` says, as a list that a notebook shows as a table."""
        return self._run(lambda fs: fs.ls(path), timeout=timeout)

    def complete(self, start: str, *, timeout: float | None = None) -> list[str]:
        """Return the paths that begin with `start`, a folder's with / at its end: for a completer. [] if none."""
        return self._run(lambda fs: fs.complete(start), timeout=timeout)

    def walk(self, top: AnyPath = "/", *, timeout: float | None = None) -> Iterator[tuple[str, list[str], list[str]]]:
        """Yield (folder, folders in it, files in it) from `top` down, as `os.walk` does; symlinks are not followed."""
        return self._iterate(lambda fs: fs.walk(top), batch=1, timeout=timeout)

    def glob(self, pattern: str, *, timeout: float | None = None) -> list[str]:
        """Return the paths that fit: * ? [a-z] within a name, ** for any number of folders; sorted."""
        return self._run(lambda fs: fs.glob(pattern), timeout=timeout)

    def readlink(self, path: AnyPath, *, timeout: float | None = None) -> str:
        """Return the text of a symlink."""
        return self._run(lambda fs: fs.readlink(path), timeout=timeout)

    def realpath(self, path: AnyPath, *, timeout: float | None = None) -> str:
        """Return the path of what is at `path`, with all symlinks resolved."""
        return self._run(lambda fs: fs.realpath(path), timeout=timeout)

    # ------------------------------------------------------------------ changing names

    def mkdir(
        self,
        path: AnyPath,
        mode: int = 493,
        *,
        parents: bool = False,
        exist_ok: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Make a folder; `parents` and `exist_ok` as pathlib has them."""
        self._run(lambda fs: fs.mkdir(path, mode, parents=parents, exist_ok=exist_ok), timeout=timeout)

    def makedirs(self, path: AnyPath, mode: int = 493, *, exist_ok: bool = False, timeout: float | None = None) -> None:
        """Make a folder and its missing parents."""
        self._run(lambda fs: fs.makedirs(path, mode, exist_ok=exist_ok), timeout=timeout)

    def rename(self, old: AnyPath, new: AnyPath, *, timeout: float | None = None) -> None:
        """Move; fails if `new` exists."""
        self._run(lambda fs: fs.rename(old, new), timeout=timeout)

    def replace(self, old: AnyPath, new: AnyPath, *, timeout: float | None = None) -> None:
        """Move and replace `new` atomically, by the rules of POSIX; what was there goes to the trash."""
        self._run(lambda fs: fs.replace(old, new), timeout=timeout)

    def remove(self, path: AnyPath, *, now: bool = False, timeout: float | None = None) -> None:
        """Delete a file or symlink: to the trash, or at once with `now`. Rule 21."""
        self._run(lambda fs: fs.remove(path, now=now), timeout=timeout)

    def unlink(self, path: AnyPath, *, missing_ok: bool = False, timeout: float | None = None) -> None:
        """Delete like `remove`; with `missing_ok` a path that names nothing is no error."""
        self._run(lambda fs: fs.unlink(path, missing_ok=missing_ok), timeout=timeout)

    def rmdir(self, path: AnyPath, *, timeout: float | None = None) -> None:
        """Delete an empty folder."""
        self._run(lambda fs: fs.rmdir(path), timeout=timeout)

    def rmtree(
        self, path: AnyPath, *, now: bool = False, ignore_errors: bool = False, timeout: float | None = None
    ) -> None:
        """Delete a folder with all below it, in one step: to the trash, or at once with `now`."""
        self._run(lambda fs: fs.rmtree(path, now=now, ignore_errors=ignore_errors), timeout=timeout)

    def trash(self, *, timeout: float | None = None) -> Iterator[Trashed]:
        """Yield what can be undeleted, oldest first."""
        return self._iterate(lambda fs: fs.trash(), timeout=timeout)

    def undelete(
        self, path: AnyPath, *, to: AnyPath | None = None, inode: int = 0, timeout: float | None = None
    ) -> Stat:
        """Put the newest deleted thing of that path back, to `to` or its old place. GFS paper, section 4.4."""
        return self._run(lambda fs: fs.undelete(path, to=to, inode=inode), timeout=timeout)

    def purge(self, path: AnyPath, *, timeout: float | None = None) -> None:
        """Remove from the trash for good what was deleted at or below `path`."""
        self._run(lambda fs: fs.purge(path), timeout=timeout)

    def symlink(self, target: AnyPath, path: AnyPath, *, timeout: float | None = None) -> None:
        """Make a symlink at `path` that says `target`, as `os.symlink` does."""
        self._run(lambda fs: fs.symlink(target, path), timeout=timeout)

    def set_replicas(
        self, path: AnyPath, replicas: int, *, recursive: bool = False, timeout: float | None = None
    ) -> None:
        """Set how many copies a file shall have, or a folder's files made later (and all below: `recursive`)."""
        self._run(lambda fs: fs.set_replicas(path, replicas, recursive=recursive), timeout=timeout)

    def set_attributes(  # noqa: PLR0913 - what can be changed
        self,
        path: AnyPath,
        *,
        mode: int | None = None,
        uid: int | None = None,
        gid: int | None = None,
        mtime_ns: int | None = None,
        xattrs: dict[str, bytes] | None = None,
        timeout: float | None = None,
    ) -> Stat:
        """Change what is not None; an xattr with value b"" is removed."""
        return self._run(
            lambda fs: fs.set_attributes(path, mode=mode, uid=uid, gid=gid, mtime_ns=mtime_ns, xattrs=xattrs),
            timeout=timeout,
        )

    def chmod(self, path: AnyPath, mode: int, *, timeout: float | None = None) -> None:
        self._run(lambda fs: fs.chmod(path, mode), timeout=timeout)

    def chown(self, path: AnyPath, uid: int, gid: int, *, timeout: float | None = None) -> None:
        """Change the owner; -1 leaves one as it is, as `os.chown` has it."""
        self._run(lambda fs: fs.chown(path, uid, gid), timeout=timeout)

    def utime(self, path: AnyPath, mtime_ns: int | None = None, *, timeout: float | None = None) -> None:
        """Set the time of the last change; None: now."""
        self._run(lambda fs: fs.utime(path, mtime_ns), timeout=timeout)

    def snapshot(self, source: AnyPath, target: AnyPath, *, timeout: float | None = None) -> Stat:
        """Copy a file or folder at once; chunks are shared until one side changes. GFS paper, section 3.4."""
        return self._run(lambda fs: fs.snapshot(source, target), timeout=timeout)

    # ------------------------------------------------------------------ quotas

    def set_quota(
        self,
        path: AnyPath,
        *,
        files: int | None = None,
        size_bytes: int | None = None,
        soft_files: int | None = None,
        soft_bytes: int | None = None,
        timeout: float | None = None,
    ) -> Quota:
        """Set limits of a folder for all below it; None leaves one as it is. Return them with the usage."""
        limits = {"files": files, "size_bytes": size_bytes, "soft_files": soft_files, "soft_bytes": soft_bytes}
        return self._run(lambda fs: fs.set_quota(path, **limits), timeout=timeout)

    def clear_quota(self, path: AnyPath, *, timeout: float | None = None) -> None:
        """Take all limits of a folder away; nothing happens if it has none."""
        self._run(lambda fs: fs.clear_quota(path), timeout=timeout)

    def quota(self, path: AnyPath, *, timeout: float | None = None) -> Quota | None:
        """Return the limits and the usage of a folder; None if it has no limits of its own."""
        return self._run(lambda fs: fs.quota(path), timeout=timeout)

    def quotas(self, path: AnyPath | None = None, *, timeout: float | None = None) -> list[Quota]:
        """Return those that hold for what is at `path`, its own first, then those of folders above; None: all."""
        return self._run(lambda fs: fs.quotas(path), timeout=timeout)

    # ------------------------------------------------------------------ the cluster

    def info(self, *, timeout: float | None = None) -> ClusterInfo:
        """Return what the cluster is like: id, epoch, chunk and block size, durability."""
        return self._run(lambda fs: fs.info(), timeout=timeout)

    def status(self, *, timeout: float | None = None) -> ClusterStatus:
        """Return how the cluster is: servers, chunks at risk, repairs."""
        return self._run(lambda fs: fs.status(), timeout=timeout)

    def deletions(self, *, timeout: float | None = None) -> list[HeldDeletions]:
        """Return which deletions the brake of rule 22 holds, by server."""
        return self._run(lambda fs: fs.deletions(), timeout=timeout)

    def restored_ns(self, *, timeout: float | None = None) -> int:
        """Return when the backup was made that the metadata came from, while what is newer is held; else 0."""
        return self._run(lambda fs: fs.restored_ns(), timeout=timeout)

    def accept_restore(self, *, timeout: float | None = None) -> None:
        """Let what is newer than the restored metadata be deleted from now on, by the usual rules. For good."""
        self._run(lambda fs: fs.accept_restore(), timeout=timeout)

    def release_deletions(self, server: int = NO_SERVER, *, timeout: float | None = None) -> int:
        """Let go the deletions held on one server, or on all; return how many."""
        return self._run(lambda fs: fs.release_deletions(server), timeout=timeout)

    def drain(self, server: int, *, disk: int = 0, action: str = "plan", timeout: float | None = None) -> DrainPlan:
        """Say what it takes to empty a server or one of its disks; "start" or "cancel" that. See `wire.duties`."""
        return self._run(lambda fs: fs.drain(server, disk=disk, action=action), timeout=timeout)

    def maintain(self, server: int, *, for_s: float | None = None, timeout: float | None = None) -> MaintenancePlan:
        """Say what hangs on a server, and that it may be silent for `for_s` seconds (0: no longer)."""
        return self._run(lambda fs: fs.maintain(server, for_s=for_s), timeout=timeout)

    def forget_server(self, server: int, *, timeout: float | None = None) -> None:
        """Count on a server no more that will not come back."""
        self._run(lambda fs: fs.forget_server(server), timeout=timeout)

    def tune(
        self,
        *,
        repair: int | None = None,
        cluster: int | None = None,
        balance: int | None = None,
        timeout: float | None = None,
    ) -> Speeds:
        """Return how fast copies and moves may be, in bytes a second, after changing what is given."""
        return self._run(lambda fs: fs.tune(repair=repair, cluster=cluster, balance=balance), timeout=timeout)

    def free(self, *, timeout: float | None = None) -> Space:
        """Add up the disks that are in use."""
        return self._run(lambda fs: fs.free(), timeout=timeout)

    def chunk_table(self, path: AnyPath, *, timeout: float | None = None) -> list[ChunkStatus]:
        """Return everything the master knows about the chunks of a file."""
        return self._run(lambda fs: fs.chunk_table(path), timeout=timeout)

    def replica_info(self, address: str, handle: int, *, timeout: float | None = None) -> ReplicaInfo:
        """Ask a chunkserver what it holds of a chunk."""
        return self._run(lambda fs: fs.replica_info(address, handle), timeout=timeout)

    def verify_replica(self, address: str, handle: int, *, timeout: float | None = None) -> Verified:
        """Have a chunkserver read its closed replica of a chunk through; one that is damaged is made again."""
        return self._run(lambda fs: fs.verify_replica(address, handle), timeout=timeout)

    def server_counters(self, address: str, *, timeout: float | None = None) -> dict[str, int]:
        """Return the plain counters of any server."""
        return self._run(lambda fs: fs.server_counters(address), timeout=timeout)
