"""Commands about names: ls, tree, stat, mkdir, mv, du."""

import click

from cairnfs.cli.common import Options, common_options, document, line, remote, table
from cairnfs.cli.entries import Entry, entries_below, entries_in, entry_at, moment
from cairnfs.units import format_size


@click.command()
@click.argument("paths", nargs=-1)
@click.option("-l", "--long", is_flag=True, help="mode, copies, owner, size and time too")
@click.option("-R", "--recursive", is_flag=True, help="and all that is below")
@common_options
def ls(paths: tuple[str, ...], *, long: bool, recursive: bool, options: Options) -> None:
    """List folders. A file is listed as itself. With --json one object a line."""
    paths = paths or ("/",)
    with options.connect(*paths) as fs:
        for given in paths:
            top = entry_at(fs, remote(given))
            if not top.is_folder:
                found = [top]
            elif recursive:
                found = list(entries_below(fs, top.path))
            else:
                found = entries_in(fs, top.path)
            if options.as_json:
                for entry in found:
                    document(entry)
                continue
            if len(paths) > 1:
                line(f"{given}:")
            full = recursive or not top.is_folder
            _list(found, long=long, full=full)


def _list(entries: list[Entry], *, long: bool, full: bool) -> None:
    rows = [(entry, entry.shown(entry.path if full else entry.name)) for entry in entries]
    if not long:
        for _, name in rows:
            line(name)
    elif rows:
        headings = ("mode", "copies", "owner", "size", "changed", "name")
        table(headings, [[*entry.long(), name] for entry, name in rows], right=(1, 3))


@click.command()
@click.argument("path", default="/")
@common_options
def tree(path: str, *, options: Options) -> None:
    """List a folder and all below it as a tree. With --json one object a line, with its depth."""
    with options.connect(path) as fs:
        top = entry_at(fs, remote(path))
        counts = {"file": 0, "folder": 0, "symlink": 0}
        if not options.as_json:
            line(top.path)

        def show(folder: str, indent: str, depth: int) -> None:
            entries = entries_in(fs, folder)
            for number, entry in enumerate(entries, start=1):
                counts[entry.kind] += 1
                last = number == len(entries)
                if options.as_json:
                    document({"path": entry.path, "kind": entry.kind, "size": entry.size, "depth": depth})
                else:
                    line(f"{indent}{'└── ' if last else '├── '}{entry.shown(entry.name)}")
                if entry.is_folder:
                    show(entry.path, indent + ("    " if last else "│   "), depth + 1)

        if top.is_folder:
            show(top.path, "", 1)
        if not options.as_json:
            line(f"{counts['folder']} folders, {counts['file'] + counts['symlink']} files")


@click.command()
@click.argument("paths", nargs=-1, required=True)
@common_options
def stat(paths: tuple[str, ...], *, options: Options) -> None:
    """Show what is known about files and folders. Symlinks are not followed. With --json one object a line."""
    with options.connect(*paths) as fs:
        for number, given in enumerate(paths):
            entry = entry_at(fs, remote(given), follow=False)
            if options.as_json:
                document(entry)
                continue
            if number:
                line()
            for name, value in _facts(entry):
                line(f"{name:>9}: {value}")


def _facts(entry: Entry) -> list[tuple[str, str]]:
    size = f"{entry.size} bytes ({format_size(entry.size)})" if entry.kind == "file" else f"{entry.size} entries"
    facts = [
        ("path", entry.shown(entry.path)),
        ("kind", entry.kind),
        ("size", size),
        ("copies", str(entry.replicas)),
        ("mode", entry.long()[0]),
        ("owner", f"{entry.uid}:{entry.gid}"),
        ("changed", moment(entry.mtime_ns)),
        ("inode", str(entry.inode)),
    ]
    return [*facts, ("chunks", str(entry.chunks))] if entry.kind == "file" else facts


@click.command()
@click.argument("paths", nargs=-1, required=True)
@click.option("-p", "--parents", is_flag=True, help="make missing parents; a folder that is there is no error")
@common_options
def mkdir(paths: tuple[str, ...], *, parents: bool, options: Options) -> None:
    """Make folders."""
    with options.connect(*paths) as fs:
        for given in paths:
            path = remote(given)
            if parents:
                fs.makedirs(path, exist_ok=True)
            else:
                fs.mkdir(path)
            if options.as_json:
                document({"made": path})


@click.command()
@click.argument("sources", nargs=-1, required=True)
@click.argument("target")
@common_options
def mv(sources: tuple[str, ...], target: str, *, options: Options) -> None:
    """Move or rename, atomically. If TARGET is a folder, SOURCES go into it."""
    with options.connect(*sources, target) as fs:
        for source, to in targets(fs, sources, target):
            fs.replace(source, to)
            if options.as_json:
                document({"moved": source, "to": to})


def targets(fs: object, sources: tuple[str, ...], target: str) -> list[tuple[str, str]]:
    """Pair each source in the cluster with where it goes: into TARGET if that is a folder, else to it.

    Raises:
        UsageError: several sources and TARGET is no folder.
    """
    to = remote(target)
    is_folder = fs.isdir(to)  # type: ignore[attr-defined]
    if len(sources) > 1 and not is_folder:
        raise click.UsageError(f"{target} is no folder, and there are {len(sources)} sources")
    pairs = []
    for given in sources:
        source = remote(given)
        name = source.rpartition("/")[2]
        pairs.append((source, (to.rstrip("/") + "/" + name) if is_folder else to))
    return pairs


@click.command()
@click.argument("paths", nargs=-1)
@common_options
def du(paths: tuple[str, ...], *, options: Options) -> None:
    """Show how much files and folders hold, and how much disk that takes with all copies."""
    paths = paths or ("/",)
    with options.connect(*paths) as fs:
        rows = []
        for given in paths:
            path = remote(given)
            used = fs.du(path)
            if options.as_json:
                document({"path": path, "bytes": used.size_bytes, "files": used.files, "folders": used.folders,
                          "stored_bytes": used.stored_bytes})  # fmt: skip
            rows.append((format_size(used.size_bytes), format_size(used.stored_bytes), str(used.files), path))
        if not options.as_json:
            table(("size", "on disk", "files", "path"), rows, right=(0, 1, 2))
