"""A click group whose commands are imported when they are run: `cairn ls` pays for `ls` only."""

from importlib import import_module
from typing import NamedTuple

import click

from cairnfs.errors import CairnError


class Lazy(NamedTuple):
    """Where a command is, and what the list of commands says about it."""

    module: str
    attribute: str
    summary: str


class ReaderGoneError(Exception):
    """Nobody reads what the command prints. Not an OSError: click would answer that one by itself, with exit code 1."""


class LazyGroup(click.Group):
    """Lists its commands from a table and loads one only to run it or to show its own help."""

    def __init__(self, *, table: dict[str, Lazy], **attrs: object) -> None:
        super().__init__(**attrs)  # type: ignore[arg-type]
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self._table.get(cmd_name)
        if entry is None:
            return None
        command = getattr(import_module(entry.module), entry.attribute)
        assert isinstance(command, click.Command), entry
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self._table.items()])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            if isinstance(error, CairnError):
                raise
            raise ReaderGoneError from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command when there is none of that name."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in self._table:
            import difflib

            near = difflib.get_close_matches(name, self._table, n=1)
            ctx.fail(f"no command {name!r}" + (f"; did you mean {near[0]!r}?" if near else "; see `cairn --help`"))
        return super().resolve_command(ctx, args)
