"""Commands that take away, bring back and keep: rm, trash, undelete, snapshot."""

import click

from cairnfs.cli.common import Options, common_options, document, line, note, remote, table
from cairnfs.cli.entries import moment
from cairnfs.units import format_size


@click.command()
@click.argument("paths", nargs=-1, required=True)
@click.option("-r", "--recursive", is_flag=True, help="folders with all that is in them")
@click.option("-f", "--force", is_flag=True, help="a missing path is no error")
@click.option("--now", is_flag=True, help="remove for good, without the trash")
@common_options
def rm(paths: tuple[str, ...], *, recursive: bool, force: bool, now: bool, options: Options) -> None:
    """Move files to the trash, where they stay 3 days (`cairn undelete`)."""
    with options.connect(*paths) as fs:
        for given in paths:
            path = remote(given)
            try:
                _remove(fs, path, recursive=recursive, now=now)
            except FileNotFoundError:
                if not force:
                    raise
                continue
            if options.as_json:
                document({"removed": path, "trash": not now})


def _remove(fs: object, path: str, *, recursive: bool, now: bool) -> None:
    if recursive:
        fs.rmtree(path, now=now)  # type: ignore[attr-defined]
    else:
        fs.remove(path, now=now)  # type: ignore[attr-defined]


@click.command()
@click.option("--purge", metavar="PATH", help="remove PATH and what was below it from the trash for good; / is all")
@common_options
def trash(*, purge: str | None, options: Options) -> None:
    """List what can be undeleted, oldest first. With --json one object a line."""
    with options.connect(purge or "/") as fs:
        if purge is not None:
            fs.purge(remote(purge))
            note(f"purged {purge}")
            return
        entries = list(fs.trash())
        if options.as_json:
            for each in entries:
                document({"path": each.path, "inode": each.inode, "kind": each.stat.kind, "size": each.stat.size,
                          "deleted_ns": each.deleted_ns, "expires_ns": each.expires_ns})  # fmt: skip
        elif entries:
            rows = [
                (moment(each.deleted_ns), moment(each.expires_ns), format_size(each.stat.size), str(each.inode),
                 each.path)
                for each in entries
            ]  # fmt: skip
            table(("deleted", "kept until", "size", "inode", "path"), rows, right=(2, 3))
        else:
            note("the trash is empty")


@click.command()
@click.argument("path")
@click.option("--to", metavar="PATH", help="put it there instead of its old place")
@click.option("--inode", type=int, default=0, help="this one, as `cairn trash` shows it, instead of the newest")
@common_options
def undelete(path: str, *, to: str | None, inode: int, options: Options) -> None:
    """Take the newest deleted file or folder of that PATH back from the trash."""
    with options.connect(path) as fs:
        target = remote(to) if to is not None else None
        fs.undelete(remote(path), to=target, inode=inode)
        place = target or remote(path)
        if options.as_json:
            document({"undeleted": place})
        else:
            line(place)


@click.command()
@click.argument("source")
@click.argument("target")
@common_options
def snapshot(source: str, target: str, *, options: Options) -> None:
    """Copy a file or folder at once: chunks are shared until one side changes."""
    with options.connect(source, target) as fs:
        fs.snapshot(remote(source), remote(target))
        if options.as_json:
            document({"snapshot": remote(target), "of": remote(source)})
