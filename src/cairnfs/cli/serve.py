"""Puts a role, its listeners and its settings together and runs it until a signal.

SIGTERM, SIGINT   stop accepting, give leases back, sync, exit 0 within 10 s; the second one ends at once
ready             the bound address is written to a descriptor or file when the role listens: nobody guesses ports

Here stand the things that belong to a process: signals, its log, its loop and its parent.
"""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import click

from cairnfs.cluster.parent import die_with
from cairnfs.env import Env
from cairnfs.env.addresses import split_address
from cairnfs.env.real import real_env
from cairnfs.observe.logs import LogFormat, start_logging

logger = logging.getLogger(__name__)

STOP_S = 9.0
"""design.md section 6: out within 10 s. What is not done by then is left to the recovery that a crash would need."""
SWITCH_INTERVAL_S = 0.0005
"""A busy thread delays the loop by a whole interval, 5 ms by default (design.md section 4)."""
GC_ALLOCATIONS = 20_000
"""Objects between two collections: requests die by their count of references, so the default of 700 finds nothing."""


class Role(Protocol):
    """A master or a chunkserver."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    @property
    def address(self) -> str:
        """host:port really bound."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How a process tells others about itself."""

    log_format: str
    log_level: str
    ready_fd: int | None
    ready_file: str | None
    parent: int | None


def serve_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of every server; the command gets them as one `serving`."""

    def with_options(**given: object) -> None:
        names = ServeOptions.__dataclass_fields__
        serving = ServeOptions(**{name: given.pop(name) for name in names})  # type: ignore[arg-type]
        command(serving=serving, **given)

    with_options.__name__, with_options.__doc__ = command.__name__, command.__doc__
    with_options.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    result: Callable[..., None] = with_options
    for option in (
        click.option("--die-with", "parent", type=int, hidden=True, help="end when this parent process ends"),
        click.option("--ready-file", metavar="PATH", help="write the bound address there when listening"),
        click.option("--ready-fd", type=int, metavar="N", help="write the bound address to descriptor N"),
        click.option("--log-level", default="info", envvar="CAIRN_LOG_LEVEL", show_default=True,
                     type=click.Choice(["debug", "info", "warning", "error"])),
        click.option("--log-format", default="text", envvar="CAIRN_LOG_FORMAT", show_default=True,
                     type=click.Choice([each.value for each in LogFormat])),
    ):  # fmt: skip
        result = option(result)
    return result


def serve(make: Callable[[Env], Role], *, serving: ServeOptions, listen: tuple[str, ...], fast_loop: bool) -> None:
    """Run a role until SIGTERM or SIGINT. `fast_loop`: on uvloop (more small requests per core).

    Raises:
        CairnError: it could not start; nothing is left running.
    """
    if serving.parent is not None:
        die_with(serving.parent)
    start_logging(LogFormat(serving.log_format), serving.log_level)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(GC_ALLOCATIONS)
    gc.freeze()
    _warn_if_open_to_others(listen)
    factory = None
    if fast_loop:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        clean = runner.run(_run(make, serving))
    if not clean:
        sys.exit(1)


async def _run(make: Callable[[Env], Role], serving: ServeOptions) -> bool:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, number, asked)
    role = make(real_env())
    try:
        await role.start()
        _announce(role.address, serving)
        await asked.wait()
    finally:
        clean = await _stop(role)
    return clean


def _on_signal(number: int, asked: asyncio.Event) -> None:
    if asked.is_set():
        os._exit(128 + number)
    logger.info("stopping signal=%s", signal.Signals(number).name)
    asked.set()


async def _stop(role: Role) -> bool:
    try:
        async with asyncio.timeout(STOP_S):
            await role.stop()
    except TimeoutError:
        logger.warning("not stopped in time after_s=%g", STOP_S)
        return False
    return True


def _announce(address: str, serving: ServeOptions) -> None:
    logger.info("ready address=%s pid=%d", address, os.getpid())
    if serving.ready_fd is not None:
        os.write(serving.ready_fd, f"{address}\n".encode())
        os.close(serving.ready_fd)
    if serving.ready_file is not None:
        part = Path(serving.ready_file + ".part")
        part.write_text(f"{address}\n")
        part.rename(serving.ready_file)


def _warn_if_open_to_others(listen: tuple[str, ...]) -> None:
    """Rule 28: nothing authenticates callers yet, so an address that others can reach is worth one warning."""
    for address in listen:
        host = split_address(address)[0]
        if not (host in ("localhost", "::1") or host.startswith("127.")):
            logger.warning("anybody who reaches this address can read and delete everything address=%s", address)
            return
