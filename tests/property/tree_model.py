"""What a file system's names do, as plain objects: the model of test_namespace_model.py."""

from dataclasses import dataclass, field

from cairnfs.wire.common import Kind


@dataclass
class Node:
    kind: Kind
    mode: int = 0o644
    replicas: int = 3
    children: dict = field(default_factory=dict)
    chunks: dict = field(default_factory=dict)
    target: bytes = b""
    limits: tuple | None = None
    """(files, bytes) below a folder, None each: none."""


class Refused(Exception):
    """The model's word for any refusal; the name of the class of error is its argument."""


class Model:
    def __init__(self):
        self.root = Node(Kind.FOLDER, 0o755)
        self.trash = []
        self.sizes = {}
        """By id of the node: what a file counts for in quotas."""

    def at(self, path):
        """Return (folder, name, node or None); links as last name are not followed."""
        node, names = self.root, path[1:].split(b"/")
        for name in names[:-1]:
            node = self.folder(node, name)
        if node.kind is not Kind.FOLDER:
            raise Refused("NotFolderError")
        return node, names[-1], node.children.get(names[-1])

    def folder(self, node, name):
        if node.kind is not Kind.FOLDER:
            raise Refused("NotFolderError")
        if name not in node.children:
            raise Refused("NotFoundError")
        child = node.children[name]
        return self.root if child.kind is Kind.SYMLINK else child

    def there(self, path):
        folder, name, node = self.at(path)
        if node is None:
            raise Refused("NotFoundError")
        return folder, name, node

    def put(self, path, node):
        folder, name, old = self.at(path)
        if old is not None:
            raise Refused("ExistsError")
        self.grow((folder, 1, 0))
        node.replicas = node.replicas or folder.replicas
        folder.children[name] = node
        return node

    def rename(self, old, new):
        from_folder, from_name, node = self.there(old)
        to_folder, to_name, other = self.at(new)
        if other is node:
            return
        if to_folder is node or self.is_below(to_folder, node):
            raise Refused("LoopError")
        if other is not None:
            if node.kind is Kind.FOLDER and other.kind is not Kind.FOLDER:
                raise Refused("NotFolderError")
            if node.kind is not Kind.FOLDER and other.kind is Kind.FOLDER:
                raise Refused("IsFolderError")
            if other.children:
                raise Refused("NotEmptyError")
        gone = [(to_folder, -1, -self.sizes.get(id(other), 0))] if other is not None else []
        files, size = self.total(node)
        self.grow((from_folder, -files, -size), (to_folder, files, size), *gone)
        if other is not None:
            self.trash.append((self.real_path(to_folder, to_name), other))
        del from_folder.children[from_name]
        to_folder.children[to_name] = node

    def delete(self, path, recursive, now):
        folder, name, node = self.there(path)
        if node.children and not recursive:
            raise Refused("NotEmptyError")
        if not now:
            self.trash.append((self.real_path(folder, name), node))
        del folder.children[name]

    def undelete(self, path):
        folder, name, old = self.at(path)
        real = self.real_path(folder, name)
        found = [one for one in self.trash if one[0] == real]
        if not found:
            raise Refused("NotTrashError")
        if old is not None:
            raise Refused("ExistsError")
        self.grow((folder, *self.total(found[-1][1])))
        self.trash.remove(found[-1])
        folder.children[name] = found[-1][1]

    # ---- quotas

    def below(self, node):
        """Return (files, bytes) below a node."""
        totals = [self.total(child) for child in node.children.values()]
        return sum(files for files, _ in totals), sum(size for _, size in totals)

    def total(self, node):
        files, size = self.below(node)
        return files + 1, size + self.sizes.get(id(node), 0)

    def above(self, folder):
        """Return the nodes from the root to a folder; [] if it is not in the tree."""
        path = self.path_of(self.root, folder, b"")
        if path is None:
            return []
        nodes = [self.root]
        for name in path.split(b"/")[1:]:
            nodes.append(nodes[-1].children[name])
        return nodes

    def grow(self, *changes):
        """Refuse if a folder with limits would grow above one by these (folder, files, bytes)."""
        grown = {}
        for folder, files, size in changes:
            for node in self.above(folder):
                _, more_files, more_bytes = grown.get(id(node), (node, 0, 0))
                grown[id(node)] = (node, more_files + files, more_bytes + size)
        for node, *more in grown.values():
            for limit, used, one in zip(node.limits or (), self.below(node), more, strict=False):
                if limit is not None and one > 0 and used + one > limit:
                    raise Refused("QuotaError")

    def paths(self, node, path, kind):
        found = []
        for name in sorted(node.children):
            child = node.children[name]
            found += [path + b"/" + name] if kind in (None, child.kind) else []
            found += self.paths(child, path + b"/" + name, kind)
        return found

    def nodes(self, node):
        return [node, *(below for child in node.children.values() for below in self.nodes(child))]

    def folder_of(self, node):
        return next(one for one in self.nodes(self.root) if any(child is node for child in one.children.values()))

    def is_below(self, node, above):
        return any(child is node or self.is_below(node, child) for child in above.children.values())

    def real_path(self, folder, name):
        return self.path_of(self.root, folder, b"") + b"/" + name

    def path_of(self, at, folder, path):
        if at is folder:
            return path
        for name, child in at.children.items():
            found = self.path_of(child, folder, path + b"/" + name)
            if found is not None:
                return found
        return None


def copied(node):
    children = {name: copied(child) for name, child in node.children.items()}
    return Node(node.kind, node.mode, node.replicas, children, dict(node.chunks), node.target)
