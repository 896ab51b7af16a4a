"""A cluster of real processes under load, hit by SIGKILL and SIGSTOP at random moments, with a checker.

    python -m tests.e2e.storm --minutes 10 --seed 1      a campaign; exit code 0 if nothing was wrong

A seed chooses the same victims, signals and lengths again; what the machine does meanwhile differs. Faults stay within
the promises: one chunkserver is down, or one down and one silent, and the next is hit when every chunk has a full set.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from tests.e2e.storm_checks import check_all, healed
from tests.e2e.storm_clients import CELLS_FILE, DEADLINE_S, LOG, NAMES, OVERWRITERS
from tests.e2e.storm_tally import CELLS, READERS, Tally, cell_bytes, cell_place
from tests.e2e.tools import SMALL, environment

import cairnfs
from cairnfs.cluster.processes import MASTER, ProcessCluster
from cairnfs.cluster.waiting import wait_until
from cairnfs.errors import CairnError

ROOT = Path(__file__).parents[2]
CHUNKSERVERS = 4
SETTINGS = {
    "suspect_s": 1.5, "dead_s": 3, "repair_grace_s": 1, "safe_start_s": 5, "lease_s": 5,
    "serving_lease_s": 3, "serving_lease_quiet_s": 3,
}  # fmt: skip
KINDS = ["appender"] * 2 + [f"overwriter-{share}" for share in range(OVERWRITERS)] + ["namer"] * 2
KINDS += [f"reader-{place}" for place in range(READERS)]
DECK = [(what, victim) for what in ("kill", "stop") for victim in ("master", "primary", "secondary", "client")]
DECK += [("both", "two")]
"""Shuffled and played to its end again and again, so that a short run meets each of them once."""
FAULT_S_MAX = 5.0
"""A process is dead or silent so long at most: longer than a serving lease and than the master waits for a server."""
BETWEEN_OPERATIONS_MAX = 100
DURING_OPERATIONS_MAX = 500
QUIET_S = 60.0
"""How long the cluster may need until everything is whole again."""


@dataclass
class Worker:
    """One client process."""

    kind: str
    number: int
    process: subprocess.Popen
    log: Path


@dataclass
class Storm:
    """One run."""

    folder: Path
    seed: int
    cluster: ProcessCluster
    chance: random.Random = field(init=False)
    tally: Tally = field(init=False)
    workers: list = field(default_factory=list)
    faults: list = field(default_factory=list)
    done: Counter = field(default_factory=Counter)
    deck: list = field(default_factory=list)
    hits: int = 0
    free_after_s: float = 0.0
    """The longest time until a dead client's file could be appended to and read."""
    last_victim: str = ""
    started: int = 0
    began_s: float = field(default_factory=monotonic)

    def __post_init__(self):
        self.chance = random.Random(self.seed)
        self.tally = Tally(self.folder / "tally")

    def operations(self):
        return sum(self.tally.counts())

    def wrong(self, what):
        self.faults.append(what)
        self.say(f"WRONG: {what}")

    def say(self, what):
        print(f"[{monotonic() - self.began_s:6.1f} s, {self.operations()} operations] {what}", flush=True)

    # ---- clients

    def start_worker(self, kind):
        number, self.started = self.started, self.started + 1
        log = self.folder / f"{kind}{number}.log"
        command = [sys.executable, "-m", "tests.e2e.storm_clients", kind, str(number), self.cluster.address]
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*command, str(self.folder), str(os.getpid())], stdout=out, stderr=out, cwd=ROOT, env=environment()
            )
        self.workers.append(Worker(kind, number, process, log))

    def look_at_workers(self):
        """A worker ends by our hand only."""
        for worker in [one for one in self.workers if one.process.poll() is not None]:
            self.workers.remove(worker)
            self.wrong(f"{worker.kind}{worker.number} ended by itself:\n{worker.log.read_text()[-3000:]}")
            self.start_worker(worker.kind)
        for name, server in self.cluster.servers.items():
            if not server.running:
                self.wrong(f"{name} ended by itself with {server.process.returncode}: {self.cluster.log(name)[-3000:]}")
                self.cluster.restart(name)

    def stop_workers(self):
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            try:
                code = worker.process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.wrong(f"{worker.kind}{worker.number} still waits for an answer after {DEADLINE_S:g} s")
                worker.process.kill()
                worker.process.wait()
                continue
            # One that was started a moment ago may be told to end before it listens to that.
            if code not in (0, -signal.SIGTERM):
                self.wrong(f"{worker.kind}{worker.number} ended with {code}:\n{worker.log.read_text()[-3000:]}")

    # ---- pace

    def let_work(self, timeout_s, operations_max=DURING_OPERATIONS_MAX):
        """Wait for a random number of further operations, at most so long."""
        target = self.operations() + self.chance.randrange(1, operations_max)
        wait_until(lambda: self.operations() >= target, timeout_s)

    def await_healed(self, fs):
        if not wait_until(lambda: healed(fs), QUIET_S):
            self.wrong(f"not whole again after {QUIET_S:g} s: {fs.status()}")

    # ---- faults

    def hit(self, fs):
        """One fault, from its choice to the end of it."""
        if not self.deck:
            self.deck = self.chance.sample(DECK, len(DECK))
        what, victim = self.deck.pop()
        lasts_s = self.chance.uniform(0, FAULT_S_MAX)
        self.done[f"{what} {victim}"] += 1
        if victim == "client":
            self.hit_client(fs, what, lasts_s)
        elif victim == "master":
            self.hit_server(MASTER, what, lasts_s)
        elif victim == "two":
            self.await_healed(fs)
            self.hit_two(fs, lasts_s)
        else:
            name = self.member(fs, victim)
            if name != self.last_victim:
                self.await_healed(fs)
            self.hit_server(name, what, lasts_s)
            self.last_victim = name
        self.look_at_workers()
        self.hits += 1

    def hit_two(self, fs, lasts_s):
        """The primary dies while a secondary is silent: what was acked is on the third, and waits for the second."""
        primary, others = self.members(fs)
        dead, silent = primary or others.pop(), self.chance.choice(others)
        self.say(f"stop {silent} and kill {dead} for at most {lasts_s:.1f} s")
        self.cluster.pause(silent)
        self.let_work(lasts_s)
        self.cluster.kill(dead)
        self.let_work(lasts_s)
        self.cluster.resume(silent)
        self.cluster.restart(dead)
        self.last_victim = dead

    def hit_server(self, name, what, lasts_s):
        self.say(f"{what} {name} for at most {lasts_s:.1f} s")
        if what == "kill":
            self.cluster.kill(name)
            self.let_work(lasts_s)
            self.cluster.restart(name)
        else:
            self.cluster.pause(name)
            self.let_work(lasts_s)
            self.cluster.resume(name)

    def member(self, fs, role):
        primary, others = self.members(fs)
        return primary if primary is not None and role == "primary" else self.chance.choice(others)

    def members(self, fs):
        """Return (present primary or None, other members) of a chunk that is written, as names."""
        path = self.chance.choice([LOG, CELLS_FILE])
        chunks = fs.chunk_table(path) or fs.chunk_table(CELLS_FILE)
        chunk = chunks[-1] if path == LOG else self.chance.choice(chunks)
        replicas = [each for each in chunk.replicas if each.current] or chunk.replicas
        primary = [self.cluster.named(each.address) for each in replicas if each.server == chunk.primary]
        others = [self.cluster.named(each.address) for each in replicas if each.server != chunk.primary]
        return (primary[0] if primary and others else None), others or primary

    def hit_client(self, fs, what, lasts_s):
        worker = self.chance.choice([one for one in self.workers if not one.kind.startswith("reader")])
        self.say(f"{what} {worker.kind}{worker.number}")
        if what == "stop":
            worker.process.send_signal(subprocess.signal.SIGSTOP)
            self.let_work(lasts_s)
            worker.process.send_signal(subprocess.signal.SIGCONT)
            return
        worker.process.kill()
        worker.process.wait()
        self.workers.remove(worker)
        self.no_file_is_stuck(fs, worker)
        self.start_worker(worker.kind)

    def no_file_is_stuck(self, fs, worker):
        """Another client appends to the file that the killed one wrote, and reads what it appended."""
        path = {"appender": LOG, "namer": self.unfinished(fs, worker)}.get(worker.kind, f"{CELLS_FILE}-tail")
        record = b"after the death of client %d\n" % worker.number
        began_s = monotonic()
        try:
            offset = fs.append(path, record)
            with fs.open(path, "rb", buffering=0) as file:
                found = file.pread(len(record), offset)
            if worker.kind.startswith("overwriter"):
                with fs.open(CELLS_FILE, "rb", buffering=0) as file:
                    for cell in range(CELLS):
                        file.pread(cell_place(cell)[1], cell_place(cell)[0])
        except CairnError as error:
            self.wrong(f"{path} is stuck after the death of {worker.kind}{worker.number}: {error}")
            return
        if found != record:
            self.wrong(f"{path} gives {found!r} where {record!r} was appended")
        self.free_after_s = max(self.free_after_s, monotonic() - began_s)

    def unfinished(self, fs, worker):
        """Return the file that a killed namer was writing, or a new one in its folder."""
        folder = f"{NAMES}/{worker.number}"
        names = fs.listdir(folder) if worker.kind == "namer" and fs.isdir(folder) else []
        unfinished = [name for name in names if name.endswith(".new")]
        return f"{folder}/{unfinished[0]}" if unfinished else f"{NAMES}/new-{worker.number}"


def run(folder, seed, seconds):
    """Storm for so many seconds and until each fault was met, then check everything; return the storm.

    Its `faults` are empty if all was well.
    """
    print(f"storm seed {seed}, {seconds:g} s, in {folder}", flush=True)
    cluster = ProcessCluster(folder / "cluster", chunkservers=CHUNKSERVERS, cluster=SMALL, master_settings=SETTINGS)
    storm = Storm(folder, seed, cluster)
    with cluster, cairnfs.connect(cluster.address, timeout=DEADLINE_S) as fs:
        prepare(fs)
        try:
            for kind in KINDS:
                storm.start_worker(kind)
            deadline_s = monotonic() + seconds
            while monotonic() < deadline_s or storm.hits < len(DECK):
                storm.let_work(FAULT_S_MAX, BETWEEN_OPERATIONS_MAX)
                storm.hit(fs)
            storm.say("the end: stop the clients")
            storm.stop_workers()
            storm.say("wait until every chunk has its copies")
            storm.await_healed(fs)
            storm.say("compare everything")
            check_all(storm, fs)
            storm.say("compared")
        finally:
            for worker in storm.workers:
                worker.process.kill()
                worker.process.wait()
    storm.say("stopped")
    check_nothing_runs(storm)
    return storm


def prepare(fs):
    fs.makedirs(NAMES)
    fs.touch(LOG)
    with fs.open(CELLS_FILE, "wb", buffering=0) as file:
        for cell in range(CELLS):
            file.pwrite(cell_bytes(cell, 0), cell_place(cell)[0])


def check_nothing_runs(storm):
    """After the end no process of the cluster or of a client is left."""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = process.read_bytes()
        except OSError:
            continue  # it has just ended
        if str(storm.folder).encode() in line and int(process.parent.name) != os.getpid():
            storm.wrong(f"still runs: {line!r}")


def report(storm):
    """Print what happened."""
    print(f"{storm.operations()} operations of clients, checked as they came; {storm.hits} faults")
    print(f"a dead client's file was free after {storm.free_after_s:.1f} s at most")
    for what, count in sorted(storm.done.items()):
        print(f"{what}: {count}")


def main():
    parser = argparse.ArgumentParser(description="storm a cluster of real processes")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs and notes")
    given = parser.parse_args()
    seed = int.from_bytes(os.urandom(4)) if given.seed is None else given.seed
    folder = Path(tempfile.mkdtemp(prefix="cairnfs-storm-"))
    storm = run(folder, seed, given.minutes * 60)
    report(storm)
    if storm.faults or given.keep:
        print(f"logs and notes are in {folder}")
    else:
        shutil.rmtree(folder)
    sys.exit(1 if storm.faults else 0)


if __name__ == "__main__":
    main()
