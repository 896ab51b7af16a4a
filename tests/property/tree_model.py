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


class Refused(Exception):
    """The model's word for any refusal; the name of the class of error is its argument."""


class Model:
    def __init__(self):
        self.root = Node(Kind.FOLDER, 0o755)
        self.trash = []

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
        self.trash.remove(found[-1])
        folder.children[name] = found[-1][1]

    def paths(self, node, path, kind):
        found = []
        for name in sorted(node.children):
            child = node.children[name]
            found += [path + b"/" + name] if kind in (None, child.kind) else []
            found += self.paths(child, path + b"/" + name, kind)
        return found

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
