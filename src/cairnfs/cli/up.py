"""`cairn up`: a whole cluster on this machine, in one folder, that ends with this command."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from cairnfs.cli.common import document, line, note
from cairnfs.cli.servers import Size, cluster_config
from cairnfs.cli.settings import default_data, parse_pairs
from cairnfs.cluster.processes import MASTER, ProcessCluster

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command()
@click.argument("folder", required=False)
@click.option("-n", "--chunkservers", default=4, show_default=True, type=click.IntRange(1, 64))
@click.option("--listen", default="127.0.0.1:7400", show_default=True, metavar="HOST:PORT", help="the master's address")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="a setting of the master; see `cairn config`")
@click.option("--chunk-size", type=Size(), metavar="SIZE", help="for a new cluster; 64 MiB by default")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object when it is up")
def up(
    folder: str | None, *, chunkservers: int, listen: str, pairs: tuple[str, ...], chunk_size: int | None, as_json: bool
) -> int:
    """Start a master and chunkservers in FOLDER and keep them running until Ctrl-C.

    The folder is made if it is missing, and used again if it is there: files stay. Nothing that ends is restarted.
    """
    where = Path(folder or default_data("up"))
    copies = min(2, chunkservers)
    cluster = ProcessCluster(
        where,
        chunkservers=chunkservers,
        listen=listen,
        cluster=cluster_config(chunk_size=chunk_size, block_size=None, copies_min=copies),
        master_settings={"replicas": min(3, chunkservers), **parse_pairs(pairs)},
    )
    with _signals() as pipe, cluster:
        if as_json:
            document({"address": cluster.address, "folder": str(where), "servers": cluster.addresses})
        else:
            _say_what_to_try(cluster, where)
        sys.stdout.flush()
        ended = _wait(pipe, cluster)
    if ended == MASTER:
        note(f"cairn: the master ended by itself; its log is {where / 'master.log'}")
        return 1
    return 0


def _say_what_to_try(cluster: ProcessCluster, folder: Path) -> None:
    flag = "" if cluster.address == "127.0.0.1:7400" else f" --master {cluster.address}"
    line(f"CairnFS is up at cairn://{cluster.address}: a master and {len(cluster.chunkservers)} chunkservers")
    line(f"data and logs are in {folder}; Ctrl-C ends it and keeps the data")
    line("try in another terminal:")
    for command in ("put{} README.md /hello.md", "ls{} -l /", "cat{} /hello.md", "chunks{} /hello.md", "status{}"):
        line("  cairn " + command.format(flag))


@contextmanager
def _signals() -> Iterator[int]:
    """Let signals arrive as bytes in a pipe, from before the first child starts."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing)
    handlers = {number: signal.signal(number, lambda *_: None) for number in (*STOP_SIGNALS, signal.SIGCHLD)}
    try:
        yield reading
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before)
        os.close(reading)
        os.close(writing)


def _wait(pipe: int, cluster: ProcessCluster) -> str:
    """Wait for a signal, or for the master's end; return the name of the server that ended it, or ""."""
    gone: list[str] = []
    while True:
        for name, server in cluster.servers.items():
            if not server.running and name not in gone:
                gone.append(name)
                if name == MASTER:
                    return MASTER
                note(f"cairn: {name} ended; its log is {server.log}")
        stops = [number for number in os.read(pipe, 64) if number in STOP_SIGNALS]
        if stops:
            for number in STOP_SIGNALS:
                signal.signal(number, _end_at_once)
            if len(stops) > 1:
                _end_at_once(stops[1])
            return ""


def _end_at_once(number: int, *_: object) -> None:
    """A second signal: nobody waits for the servers to end in order. The kernel kills them with this process."""
    os._exit(128 + number)
