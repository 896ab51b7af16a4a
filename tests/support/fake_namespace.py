"""The names of the scripted master: a dict of paths. A stand-in of a peer, with its real messages."""

from dataclasses import dataclass, field

from cairnfs.errors import ExistsError, IsFolderError, NotEmptyError, NotFolderError, NotFoundError
from cairnfs.paths import parent_and_name, show
from cairnfs.wire import namespace as ns
from cairnfs.wire.base import Done
from cairnfs.wire.common import Attributes, Kind


@dataclass
class Node:
    inode: int
    kind: Kind
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    replicas: int = 3
    length: int = 0
    mtime_ns: int = 0
    target: bytes = b""
    xattrs: dict = field(default_factory=dict)
    chunks: dict = field(default_factory=dict)  # index -> FakeChunk


class FakeNames:
    """Handlers of the namespace messages; each `once` is remembered with its first result."""

    def __init__(self):
        self.nodes = {b"/": Node(1, Kind.FOLDER, 0o755)}
        self.inodes = {1: self.nodes[b"/"]}
        self.trash = []
        self.results = {}
        self.next_inode = 2
        self.repeats = 0

    def once(self, request, change):
        key = (request.once.client, request.once.sequence)
        if key in self.results:
            self.repeats += 1
        else:
            self.results[key] = change()
        return self.results[key]

    def find(self, path, follow=True):
        node = self.nodes.get(path)
        if node is None:
            folder, _ = parent_and_name(path)
            if folder != path and self.nodes.get(folder) and self.nodes[folder].kind is not Kind.FOLDER:
                raise NotFolderError(path=show(path))
            raise NotFoundError(path=show(path))
        return self.find(node.target) if follow and node.kind is Kind.SYMLINK else node

    def make(self, path, kind, **more):
        folder, _ = parent_and_name(path)
        if self.find(folder).kind is not Kind.FOLDER:
            raise NotFolderError(path=show(folder))
        if path in self.nodes:
            raise ExistsError(path=show(path))
        node = self.nodes[path] = self.inodes[self.next_inode] = Node(self.next_inode, kind, **more)
        self.next_inode += 1
        return node

    def make_parents(self, path):
        folder, _ = parent_and_name(path)
        if folder not in self.nodes:
            self.make_parents(folder)
            self.make(folder, Kind.FOLDER, mode=0o755)

    def below(self, path):
        start = path.rstrip(b"/") + b"/"
        return [name for name in self.nodes if name.startswith(start) and name != b"/"]

    def attributes(self, node):
        return Attributes(
            inode=node.inode, kind=node.kind, mode=node.mode, uid=node.uid, gid=node.gid, links=1, length=node.length,
            replicas=node.replicas, chunks=max(node.chunks, default=-1) + 1, mtime_ns=node.mtime_ns, ctime_ns=0,
            target=node.target, xattrs=node.xattrs,
        )  # fmt: skip

    def status(self, node):
        last = node.chunks.get(max(node.chunks, default=-1))
        tail = last.place() if last is not None and not last.closed else None
        return ns.Status(attributes=self.attributes(node), tail=tail)

    # ---- handlers

    async def stat(self, peer, request, incoming):
        return self.status(self.find(request.path, request.follow))

    async def stat_inode(self, peer, request, incoming):
        if request.inode not in self.inodes:
            raise NotFoundError(path=f"inode {request.inode}")
        return self.status(self.inodes[request.inode])

    async def make_folder(self, peer, request, incoming):
        def change():
            if request.parents:
                self.make_parents(request.path)
                if request.path in self.nodes and self.nodes[request.path].kind is Kind.FOLDER:
                    return self.status(self.nodes[request.path])
            return self.status(self.make(request.path, Kind.FOLDER, mode=request.mode))

        return self.once(request, change)

    async def list_folder(self, peer, request, incoming):
        if self.find(request.path).kind is not Kind.FOLDER:
            raise NotFolderError(path=show(request.path))
        names = sorted(
            parent_and_name(path)[1] for path in self.nodes if path != b"/" and parent_and_name(path)[0] == request.path
        )
        names = [name for name in names if name > request.after]
        page = names[: min(request.limit, 2)]  # small pages, so that paging is met
        base = request.path.rstrip(b"/") + b"/"
        entries = [ns.Entry(name=name, attributes=self.attributes(self.nodes[base + name])) for name in page]
        return ns.Listing(entries=entries, more=len(page) < len(names))

    async def rename(self, peer, request, incoming):
        def change():
            node = self.find(request.old, follow=False)
            if request.new in self.nodes:
                if not request.replace:
                    raise ExistsError(path=show(request.new))
                self.drop(request.new)
            for path in [request.old, *self.below(request.old)]:
                self.nodes[request.new + path[len(request.old) :]] = self.nodes.pop(path)
            return self.status(node)

        return self.once(request, change)

    def drop(self, path):
        node = self.nodes.pop(path)
        self.trash.append((path, node))

    async def delete(self, peer, request, incoming):
        def change():
            self.find(request.path, follow=False)
            below = self.below(request.path)
            if below and not request.recursive:
                raise NotEmptyError(path=show(request.path))
            for path in [*below, request.path]:
                self.drop(path)
            return Done()

        return self.once(request, change)

    async def list_trash(self, peer, request, incoming):
        entries = [
            ns.TrashEntry(path=path, inode=node.inode, attributes=self.attributes(node), deleted_ns=at, expires_ns=at)
            for at, (path, node) in enumerate(self.trash, start=1)
            if at > request.after_ns
        ]
        return ns.TrashListing(entries=entries[:2], more=len(entries) > 2)

    async def undelete(self, peer, request, incoming):
        def change():
            for at, (path, node) in reversed(list(enumerate(self.trash))):
                if path == request.path:
                    del self.trash[at]
                    self.nodes[request.to or path] = node
                    return self.status(node)
            raise NotFoundError(path=show(request.path))

        return self.once(request, change)

    async def purge(self, peer, request, incoming):
        self.trash.clear()
        return Done()

    async def make_symlink(self, peer, request, incoming):
        return self.once(request, lambda: self.status(self.make(request.path, Kind.SYMLINK, target=request.target)))

    async def set_attributes(self, peer, request, incoming):
        node = self.find(request.path, request.follow)
        for name in ("mode", "uid", "gid", "mtime_ns"):
            if getattr(request, name) is not None:
                setattr(node, name, getattr(request, name))
        for name, value in request.xattrs.items():
            node.xattrs[name] = value
            if not value:
                del node.xattrs[name]
        return self.status(node)

    async def set_replicas(self, peer, request, incoming):
        self.find(request.path).replicas = request.replicas
        return Done()

    def check_file(self, path, node):
        if node.kind is Kind.FOLDER:
            raise IsFolderError(path=show(path))
        return node

    def serve(self, server):
        for kind, handler in (
            (ns.Stat, self.stat), (ns.StatInode, self.stat_inode), (ns.MakeFolder, self.make_folder),
            (ns.ListFolder, self.list_folder), (ns.Rename, self.rename), (ns.Delete, self.delete),
            (ns.ListTrash, self.list_trash), (ns.Undelete, self.undelete), (ns.Purge, self.purge),
            (ns.MakeSymlink, self.make_symlink), (ns.SetAttributes, self.set_attributes),
            (ns.SetReplicas, self.set_replicas),
        ):  # fmt: skip
            server.on(kind, handler)
