"""The namespace against a model made of dicts.

Goal: every operation does what a plain tree of objects does, refusals included; repetitions change nothing; snapshots
keep their content; what is deleted comes back as it was; no invariant of the tables is ever broken; the log alone
rebuilds the tables.

Method: hypothesis draws operations and runs each on both. A file's content is the list of its chunks' contents, and a
chunk's content is a number that is new with each opening; the real side keeps them by (handle), as chunkservers would.
"""

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from tests.property.quota_rules import Quotas, refuse
from tests.property.tree_model import Model, Node, Refused, copied
from tests.unit.meta.support import EPOCH, GEOMETRY, Caller, new_store

from cairnfs.errors import CairnError, ChunkOpenError, NotCountedError, QuotaError
from cairnfs.meta import log, read
from cairnfs.meta.apply import apply
from cairnfs.meta.check import check
from cairnfs.meta.commands import (
    AddChunk,
    CloseChunk,
    CopyChunk,
    CountFolders,
    ExpireTrash,
    OpenChunk,
    PurgeDone,
    TakeHandle,
    UncountFolders,
)
from cairnfs.wire.common import Kind
from cairnfs.wire.namespace import (
    CreateFile,
    Delete,
    IfExists,
    MakeFolder,
    MakeSymlink,
    Purge,
    Rename,
    SetAttributes,
    SetReplicas,
    Snapshot,
    Truncate,
    Undelete,
)

CHUNK = GEOMETRY.chunk_bytes
NAMES = [b"a", b"b", b"c", b"d"]


# Most draws mean something that is there (the n-th path of the model), or a name in a folder that is there.
numbers = st.integers(0, 40)
old_paths = st.one_of(numbers, numbers, numbers, st.lists(st.sampled_from(NAMES), min_size=1, max_size=3))
new_paths = st.tuples(numbers, st.sampled_from(NAMES))


class Namespace(Quotas):
    def __init__(self):
        super().__init__()
        self.caller = Caller()
        self.store = self.caller.store
        self.model = Model()
        self.contents = {}
        self.written = 0
        self.last = None
        self.uncounted = 0

        for path in (b"/a", b"/a/b", b"/b"):
            self.both(MakeFolder, lambda path=path: self.model.put(path, Node(Kind.FOLDER, 0o755, 0)), path=path)
        for path in (b"/c", b"/a/c", b"/a/b/c"):
            self.both(CreateFile, lambda path=path: self.model.put(path, Node(Kind.FILE, 0o644, 0)), path=path)
        for number in range(3):
            for index in range(number + 1):
                self.write(number, index)
        self.snapshot([b"a"], (0, b"d"))

    def meant(self, drawn):
        """Return the path that a draw means now."""
        if isinstance(drawn, list):
            return b"/" + b"/".join(drawn)
        if isinstance(drawn, tuple):
            folders = [b"", *self.model.paths(self.model.root, b"", Kind.FOLDER)]
            return folders[drawn[0] % len(folders)] + b"/" + drawn[1]
        there = self.model.paths(self.model.root, b"", None) or [b"/a"]
        return there[drawn % len(there)]

    def trash_path(self, number):
        return self.model.trash[number % len(self.model.trash)][0] if self.model.trash else b"/a"

    # ---- one operation on both sides

    def both(self, kind, on_model, **fields):
        request = kind(once=self.caller.once(max(1, self.caller.sequence - 3)), **fields)
        self.measure()
        try:
            expected = on_model()
        except Refused as refused:
            expected = refused
        result = self.asked(request)
        self.last = (request, result)
        if isinstance(expected, Refused):
            assert type(result).__name__ == str(expected), (request, result, expected)
            return None
        assert not isinstance(result, CairnError), (request, result)
        return result

    def asked(self, request):
        """As the master does it: what must be counted first is counted, step by step."""
        while isinstance(result := self.caller.result(request), NotCountedError):
            while self.caller.ask(CountFolders(top=result.folder, limit=2)).more:
                pass
        return result

    @rule(path=new_paths)
    def make_folder(self, path):
        path = self.meant(path)
        self.both(MakeFolder, lambda: self.model.put(path, Node(Kind.FOLDER, 0o755, 0)), path=path)

    @rule(path=new_paths)
    def create(self, path):
        path = self.meant(path)

        def on_model():
            self.model.put(path, Node(Kind.FILE, 0o644, 0))

        self.both(CreateFile, on_model, path=path, if_exists=IfExists.FAIL)

    @rule(path=new_paths)
    def link_to_root(self, path):
        path = self.meant(path)
        self.both(
            MakeSymlink, lambda: self.model.put(path, Node(Kind.SYMLINK, 0o777, 0, target=b"/")), path=path, target=b"/"
        )

    @rule(old=old_paths, new=new_paths)
    def rename(self, old, new):
        old, new = self.meant(old), self.meant(new)
        self.both(Rename, lambda: self.model.rename(old, new), old=old, new=new)

    @rule(path=old_paths, recursive=st.booleans(), now=st.booleans())
    def delete(self, path, recursive, now):
        path = self.meant(path)
        self.both(Delete, lambda: self.model.delete(path, recursive, now), path=path, recursive=recursive, now=now)

    @rule(number=numbers)
    def undelete(self, number):
        path = self.trash_path(number)
        try:
            self.model.at(path)
        except Refused:
            return  # parents are made then; test_trash.py has that
        self.both(Undelete, lambda: self.model.undelete(path), path=path)

    @rule(number=numbers)
    def purge(self, number):
        path = self.trash_path(number)
        try:
            folder, name, _ = self.model.at(path)
        except Refused:
            return
        real = self.model.real_path(folder, name)

        def on_model():
            trash = self.model.trash
            self.model.trash = [one for one in trash if one[0] != real and not one[0].startswith(real + b"/")]

        self.both(Purge, on_model, path=path)

    @rule(path=old_paths, mode=st.sampled_from([0o600, 0o755]))
    def change_mode(self, path, mode):
        path = self.meant(path)

        def on_model():
            self.model.there(path)[2].mode = mode

        self.both(SetAttributes, on_model, path=path, mode=mode, follow=False)

    @rule(path=old_paths, replicas=st.integers(1, 4))
    def set_replicas(self, path, replicas):
        path = self.meant(path)

        def on_model():
            _, _, node = self.model.there(path)
            waiting = [self.model.root if node.kind is Kind.SYMLINK else node]
            while waiting:
                one = waiting.pop()
                waiting += one.children.values()
                if one.kind is not Kind.SYMLINK:
                    one.replicas = replicas

        self.both(SetReplicas, on_model, path=path, replicas=replicas, recursive=True)

    # ---- chunks

    @rule(number=numbers, index=st.integers(0, 3))
    def write(self, number, index):
        """As the master does it: add, copy if shared, open; write."""
        node, inode = self.file(number)
        if node is None:
            return
        found = read.find_chunks(self.store, inode, index, 1)
        end = max(read.inode_row(self.store, inode).length, index * CHUNK + 1)
        if not found and not self.has_room(node, end):
            refused = self.caller.result(AddChunk(inode=inode, index=index), self.caller.placement(1, 2, 3))
            assert isinstance(refused, QuotaError), refused
            return
        self.written += 1
        node.chunks[index] = self.written
        if not found:
            reply = self.caller.ask(AddChunk(inode=inode, index=index), self.caller.placement(1, 2, 3))
            self.contents[reply.handle] = self.written
            return
        handle = found[0].handle
        if found[0].row.references > 1:
            handle = self.copy(inode, index, handle, found[0].row)
        if read.chunk(self.store, handle).closed:
            opened = OpenChunk(
                handle=handle, version=self.caller.version(), members=[(1, 10)], primary=1, base_length=9
            )
            self.caller.ask(opened)
        self.contents[handle] = self.written

    def copy(self, inode, index, old, row):
        new = self.caller.ask(TakeHandle()).handle
        version, barrier = self.caller.version(), self.caller.version()
        copy = CopyChunk(
            inode=inode, index=index, old=old, new=new, version=version, members=row.members, length=9, barrier=barrier
        )
        self.caller.ask(copy)
        self.contents[new] = self.contents[old]
        return new

    @rule(number=numbers, chunks=st.integers(0, 3))
    def truncate(self, number, chunks):
        node, inode = self.file(number)
        if node is not None and not self.has_room(node, chunks * CHUNK):
            self.both(Truncate, refuse, inode=inode, length=chunks * CHUNK)
        elif node is not None:
            node.chunks = {index: content for index, content in node.chunks.items() if index < chunks}
            self.both(Truncate, lambda: None, inode=inode, length=chunks * CHUNK)

    @rule(source=old_paths, copy=new_paths)
    def snapshot(self, source, copy):
        source, copy = self.meant(source), self.meant(copy)

        def on_model():
            _, _, node = self.model.there(source)
            folder, name, other = self.model.at(copy)
            if other is not None:
                raise Refused("ExistsError")
            if node.kind is Kind.SYMLINK:
                raise Refused("BadNameError")
            if folder is node or self.model.is_below(folder, node):
                raise Refused("LoopError")
            self.model.grow((folder, *self.model.total(node)))
            folder.children[name] = copied(node)

        request = Snapshot(source=source, target=copy, once=self.caller.once(max(1, self.caller.sequence - 3)))
        self.measure()
        for _ in range(2):
            result = self.asked(request)
            if not isinstance(result, ChunkOpenError):
                break
            self.seal(result.chunks)
        self.last = (request, result)
        refused = None
        try:
            on_model()
        except Refused as reason:
            refused = str(reason)
        assert refused == (type(result).__name__ if isinstance(result, CairnError) else None), result

    def seal(self, handles):
        for handle in handles:
            row = read.chunk(self.store, handle)
            self.caller.ask(CloseChunk(handle=handle, version=row.version, length=9))

    # ---- time passes

    @precondition(lambda self: self.last is not None)
    @rule()
    def repeat_the_last_request(self):
        request, first = self.last
        before = self.store.dump()
        again = self.caller.result(request)
        if isinstance(first, CairnError):
            assert (type(again), str(again)) == (type(first), str(first))
        else:
            assert again == first
        assert self.store.dump() == before

    @rule(limit=st.integers(1, 6))
    def sweep(self, limit):
        self.caller.ask(ExpireTrash(before_ns=0, limit=limit))
        self.uncounted = self.caller.ask(UncountFolders(after=self.uncounted, limit=limit)).last
        gone = [handle for handle, _ in read.each_purged(self.store)]
        self.caller.ask(PurgeDone(handles=gone))

    # ---- what must hold

    @invariant()
    def trees_are_equal(self):
        root = self.real(1)
        assert root == self.seen(self.model.root)
        trash = read.trash_listing(self.store, trash_s=0).entries
        assert [(one.path, self.real(one.inode)) for one in trash] == [
            (path, self.seen(node)) for path, node in self.model.trash
        ]

    def real(self, inode):
        row = read.inode_row(self.store, inode)
        chunks = {}
        if row.kind is Kind.FILE:
            chunks = {one.index: self.contents[one.handle] for one in read.find_chunks(self.store, inode, 0, 99)}
        children = {}
        for raw, value in self.store.scan("entries", inode.to_bytes(8, "big"), (inode + 1).to_bytes(8, "big")):
            children[raw[8:]] = self.real(int.from_bytes(value[:8], "big"))
        replicas = row.replicas if row.kind is not Kind.SYMLINK else 0
        return (row.kind, row.mode, replicas, chunks, row.target, children)

    def seen(self, node):
        children = {name: self.seen(child) for name, child in node.children.items()}
        replicas = node.replicas if node.kind is not Kind.SYMLINK else 0
        return (node.kind, node.mode, replicas, node.chunks, node.target, children)

    def file(self, number):
        """Return (node, inode) of the n-th file."""
        files = self.model.paths(self.model.root, b"", Kind.FILE)
        if not files:
            return None, None
        path = files[number % len(files)]
        return self.model.at(path)[2], read.resolve(self.store, path, follow=False).inode

    def teardown(self):
        assert check(self.store) == []
        rebuilt = new_store()
        for entry in log.read_from(self.store, 1):
            assert entry.epoch == EPOCH
            for record in entry.records:
                apply(rebuilt, record)
            log.append(rebuilt, entry.records, epoch=entry.epoch, now_ns=entry.now_ns)
        assert rebuilt.dump() == self.store.dump()


TestNamespace = Namespace.TestCase
TestNamespace.settings = settings(
    # Without explaining: it traces every line, which makes each example several times slower.
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    max_examples=120,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
