"""`make demo`: a cluster of real processes is used, broken and watched while it heals, in about two minutes.

    KEEP=1   leaves the cluster up at the end and prints what to try, until Ctrl-C
    --mib N  size of the large file; 512 by default

Exit code 0: every hash, every acknowledged record and the snapshot were compared and are right. 1: something differs.
Nothing is left running or on disk, also after Ctrl-C.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cairnfs
from cairnfs.cluster import demo_checks, demo_failures, demo_files
from cairnfs.cluster.demo_stage import LOG, PRODUCERS, Stage
from cairnfs.cluster.processes import ProcessCluster
from cairnfs.cluster.producers import Producers
from cairnfs.cluster.telling import Teller
from cairnfs.units import GIB, KIB, MIB, format_size

CHUNKSERVERS = 4
BIG_MIB = 512
INTERRUPTED = 130
MEMORY = Path("/dev/shm")  # noqa: S108 - a fresh folder with a random name is made in it
ROOM = 8
"""Times the large file: its copies, those of chunks that its overwriting unshares, and journals."""
SETTINGS = {
    # The demo is as long as it is; a cluster that people use waits longer before it copies what a dead server held.
    "repair_grace_s": 20,
    "safe_start_s": 10,
    # An overwrite waits until whoever may still serve the old bytes surely does not: so long at most (rule 6).
    "serving_lease_s": 5,
    "serving_lease_quiet_s": 5,
}


def main() -> None:
    """Run the demo and exit."""
    parser = argparse.ArgumentParser(description="use a cluster, break it and watch it heal")
    parser.add_argument("--mib", type=int, default=BIG_MIB, help="size of the large file")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    teller = Teller()
    try:
        with _folder(teller, given.mib * MIB) as folder:
            code = _play(teller, folder, given.mib * MIB)
    except KeyboardInterrupt:
        print("\ninterrupted: everything is stopped and removed")
        code = INTERRUPTED
    sys.exit(code)


def _play(teller: Teller, folder: Path, big_bytes: int) -> int:
    teller.chapter("Start: one master and four chunkservers, each a process of its own")
    cluster = ProcessCluster(folder / "cluster", chunkservers=CHUNKSERVERS, master_settings=SETTINGS)
    with cluster, cairnfs.connect(cluster.address) as fs, cairnfs.connect(cluster.address) as reader:
        for name, server in cluster.servers.items():
            teller.say(f"{name:<13} {server.address:<16} pid {server.pid}")
        producers = Producers(cluster.address, LOG, folder / "producers", count=PRODUCERS)
        stage = Stage(teller, cluster, fs, reader, producers, big_bytes)
        _story(stage)
        code = _verdict(stage)
        if os.environ.get("KEEP"):
            _keep(teller, cluster)
    return code


def _story(stage: Stage) -> None:
    demo_files.store_library(stage)
    demo_files.store_boards(stage)
    with stage.producers:
        demo_failures.start_producers(stage)
        victim = demo_failures.kill_primary(stage)
        demo_files.overwrite_boards(stage)
        demo_failures.bring_back(stage, victim)
        demo_failures.store_big_through_a_master_crash(stage)
        demo_files.snapshot_overwrite_delete(stage)
        demo_failures.stop_producers(stage)
    demo_checks.wait_for_copies(stage)
    demo_checks.compare_everything(stage)
    demo_checks.show_chunks(stage)


def _verdict(stage: Stage) -> int:
    teller = stage.teller
    if stage.faults:
        teller.chapter(f"{len(stage.faults)} things are wrong")
        for fault in stage.faults:
            teller.say(f"WRONG: {fault}")
        return 1
    teller.chapter("All compared, nothing lost")
    teller.say(f"{len(stage.library)} library files, {format_size(stage.big_bytes)} in one file and its snapshot,")
    teller.say(f"{stage.records} acknowledged records: every byte is what it should be, on every copy")
    return 0


def _keep(teller: Teller, cluster: ProcessCluster) -> None:
    teller.chapter("KEEP is set: the cluster stays up until Ctrl-C")
    where = f"--master {cluster.address}"
    for command in ("status", "ls -l /demo", f"chunks {LOG}", f"tail -n 3 {LOG}", "trash", "tree /library/json"):
        name, _, rest = command.partition(" ")
        teller.say(f".venv/bin/cairn {name} {where} {rest}".rstrip())
    victim = cluster.servers[cluster.chunkservers[0]]
    teller.say(f"kill -9 {victim.pid}    # {victim.name}; then look at status and chunks again")
    while True:
        signal.pause()


@contextmanager
def _folder(teller: Teller, big_bytes: int) -> Iterator[Path]:
    """Make a temporary folder where there is enough room, and remove it."""
    need = ROOM * big_bytes + GIB
    place = None if os.environ.get("TMPDIR") or not _fits_in_memory(need) else str(MEMORY)
    folder = Path(tempfile.mkdtemp(prefix="cairnfs-demo-", dir=place))
    try:
        free = shutil.disk_usage(folder).free
        if free < need:
            sys.exit(f"the demo needs {format_size(need)} in {folder.parent}, and {format_size(free)} are free; "
                     "TMPDIR names another place")  # fmt: skip
        teller.say(f"everything is in {folder} and will be removed; TMPDIR names another place")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fits_in_memory(need: int) -> bool:
    """True if the files can be kept in memory twice over: kinder to a disk, which may take minutes to forget them."""
    try:
        available = next(line for line in Path("/proc/meminfo").read_text().splitlines() if "MemAvailable" in line)
        return shutil.disk_usage(MEMORY).free >= need and int(available.split()[1]) * KIB >= 2 * need
    except (OSError, StopIteration):
        return False


if __name__ == "__main__":
    main()
