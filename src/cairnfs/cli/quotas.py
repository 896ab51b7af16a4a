"""`cairn quota`: limits of folders, and how much of them is used. docs/QUOTAS.md."""

from collections.abc import Sequence

import click

from cairnfs.cli.common import Options, common_options, document, note, remote, table
from cairnfs.client.quotas import Quota
from cairnfs.units import format_size, parse_size


class _Size(click.ParamType[int]):
    """A size such as 10G, as bytes."""

    name = "SIZE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return parse_size(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


SIZE = _Size()
COUNT = click.IntRange(min=0)


@click.group()
def quota() -> None:
    """Limit what folders may hold: files (folders and symlinks count, too) and bytes.

    A limit holds for all that is below the folder; those of folders above hold as well. What would exceed a hard limit
    is refused ("quota exceeded"). Above a soft limit everything goes on, and `cairn quota show` and `cairn status` say
    so. Bytes are the lengths of files, not times their copies; what is in the trash does not count.
    """


@quota.command("set")
@click.argument("path")
@click.option("--files", type=COUNT, metavar="N", help="hard limit: so many files, folders and symlinks")
@click.option("--bytes", "size_bytes", type=SIZE, metavar="SIZE", help="hard limit of bytes, as 500M or 2T")
@click.option("--soft-files", type=COUNT, metavar="N", help="soft limit of files")
@click.option("--soft-bytes", type=SIZE, metavar="SIZE", help="soft limit of bytes")
@common_options
def set_limits(
    path: str,
    *,
    files: int | None,
    size_bytes: int | None,
    soft_files: int | None,
    soft_bytes: int | None,
    options: Options,
) -> None:
    """Set or change limits of a folder. What is not named stays as it is; `cairn quota clear` takes all away."""
    limits = {"files": files, "size_bytes": size_bytes, "soft_files": soft_files, "soft_bytes": soft_bytes}
    if all(limit is None for limit in limits.values()):
        raise click.UsageError("name a limit: --files, --bytes, --soft-files or --soft-bytes")
    with options.connect(path) as fs:
        found = fs.set_quota(remote(path), **limits)
    _show([found], options)


@quota.command("show")
@click.argument("path", required=False)
@common_options
def show_usage(path: str | None, *, options: Options) -> None:
    """Show usage and limits: of PATH and the folders above it that have some, or of all. With --json one list."""
    with options.connect(*([path] if path else [])) as fs:
        found = fs.quotas(None if path is None else remote(path))
    if found or options.as_json:
        _show(found, options)
    else:
        note("no quota holds here" if path else "no folder has a quota")


@quota.command("clear")
@click.argument("path")
@common_options
def clear(path: str, *, options: Options) -> None:
    """Take all limits of a folder away."""
    with options.connect(path) as fs:
        fs.clear_quota(remote(path))
    if options.as_json:
        document({"cleared": remote(path)})


def _show(found: Sequence[Quota], options: Options) -> None:
    if options.as_json:
        document(found)
        return
    rows = [
        (str(one.used_files), _count(one.soft_files), _count(one.files), format_size(one.used_bytes),
         _size(one.soft_bytes), _size(one.size_bytes), _state(one), one.path)
        for one in found
    ]  # fmt: skip
    headings = ("files", "soft", "hard", "bytes", "soft", "hard", "state", "folder")
    table(headings, rows, right=(0, 1, 2, 3, 4, 5))


def _count(limit: int | None) -> str:
    return "-" if limit is None else str(limit)


def _size(limit: int | None) -> str:
    return "-" if limit is None else format_size(limit)


def _state(one: Quota) -> str:
    return "full" if one.is_full else "above soft" if one.is_above_soft else "ok"
