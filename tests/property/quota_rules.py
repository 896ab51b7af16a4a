"""The rules of quotas in test_namespace_model.py: limits on both sides, and usage that is exact after every step.

What a file counts for is read from its row; sums, limits and refusals are the model's own.
"""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.property.tree_model import Refused
from tests.unit.meta.support import GEOMETRY

from cairnfs.meta import read, read_quotas
from cairnfs.meta.tables import get_entry
from cairnfs.wire.common import Kind
from cairnfs.wire.quotas import ClearQuota, SetQuota

CHUNK = GEOMETRY.chunk_bytes
numbers = st.integers(0, 40)


def refuse():
    raise Refused("QuotaError")


class Quotas(RuleBasedStateMachine):
    def limited(self, drawn):
        """Return the folder that a path means, links followed."""
        node = self.model.root if drawn == 0 else self.model.there(self.meant(drawn))[2]
        return self.model.root if node.kind is Kind.SYMLINK else node

    @rule(path=numbers, files=st.none() | st.integers(0, 14), chunks=st.none() | st.integers(0, 6))
    def set_quota(self, path, files, chunks):
        size = None if chunks is None else chunks * CHUNK

        def on_model():
            node = self.limited(path)
            if node.kind is not Kind.FOLDER:
                raise Refused("NotFolderError")
            old_files, old_size = node.limits or (None, None)
            limits = old_files if files is None else files, old_size if size is None else size
            if limits == (None, None):
                raise Refused("BadRequestError")
            node.limits = limits

        self.both(SetQuota, on_model, path=b"/" if path == 0 else self.meant(path), files=files, size_bytes=size)

    @rule(path=numbers)
    def clear_quota(self, path):
        def on_model():
            self.limited(path).limits = None

        self.both(ClearQuota, on_model, path=b"/" if path == 0 else self.meant(path))

    @invariant()
    def usage_is_exact(self):
        self.measure()
        seen = {one.path: (one.files, one.size_bytes, one.used_files, one.used_bytes)
                for one in read_quotas.quotas(self.store).quotas}  # fmt: skip
        limited = [node for node in self.model.nodes(self.model.root) if node.limits is not None]
        assert seen == {
            self.model.path_of(self.model.root, node, b"") or b"/": (*node.limits, *self.model.below(node))
            for node in limited
        }

    def has_room(self, node, size):
        """Return whether a file may grow so far."""
        self.measure()
        try:
            self.model.grow((self.model.folder_of(node), 0, size - self.model.sizes[id(node)]))
        except Refused:
            return False
        return True

    def measure(self):
        """Tell the model what each file counts for now; the sums and limits are its own."""
        self.model.sizes = {}
        self.measure_below(self.model.root, 1)
        trash = read.trash_listing(self.store, trash_s=0).entries
        for (_, node), entry in zip(self.model.trash, trash, strict=True):
            self.measure_below(node, entry.inode)

    def measure_below(self, node, inode):
        row = read.inode_row(self.store, inode)
        if node.kind is Kind.FILE:
            self.model.sizes[id(node)] = max(row.length, (row.chunks - 1) * CHUNK)
        for name, child in node.children.items():
            self.measure_below(child, get_entry(self.store, inode, name)[0])
