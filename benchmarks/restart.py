"""How long a master takes to be of use again: metadata of many files, a real master process, simulated chunkservers.

    python benchmarks/restart.py [--files 1e6] [--servers 3] [--copies 3] [--json]

The metadata is made by `meta.apply` in large transactions. The chunkservers are processes that register and report over
the wire as real ones do, page by page; they have no disks. Times count from the start of the master's process. All
share the machine, so each server's own work is in the figures as well.
"""

import argparse
import asyncio
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from cairnfs.config import ClusterConfig
from cairnfs.env.real import real_env
from cairnfs.env.solo import set_epoch
from cairnfs.errors import CairnError
from cairnfs.ids import BootId, ChunkHandle, ChunkVersion, Epoch, InodeId, ServerId
from cairnfs.limits import REPORT_PAGE_MAX
from cairnfs.master.server import initialise
from cairnfs.meta import log
from cairnfs.meta.apply import apply
from cairnfs.meta.records import ChunkAdded, ChunkClosed, InodeMade, LengthSet, ServerSeen
from cairnfs.rpc.caller import Caller
from cairnfs.wire.common import Kind
from cairnfs.wire.locations import FindChunks
from cairnfs.wire.membership import Heartbeat, Register, ReplicaReport, ReportReplicas
from cairnfs.wire.status import GetStatus

GOALS = {"first_read_s": 5.0, "whole_s": 15.0, "replicas_per_s": 100_000}
VERSION = ChunkVersion(Epoch(1), 1)
BYTES = 1000
BATCH = 20_000
FIRST_INODE = 2
CALL_S = 60.0


def members_of(file: int, servers: int, copies: int) -> list[tuple[ServerId, BootId]]:
    """Return who has a file's chunk: one server after the other."""
    numbers = [(file + place) % servers + 1 for place in range(copies)]
    return [(ServerId(number), BootId(100 + number)) for number in numbers]


async def build(folder: str, files: int, servers: int, copies: int) -> None:
    """Make the metadata of so many files with a closed chunk each."""
    await initialise(real_env(), folder, ClusterConfig(copies_min=1))
    store = real_env().open_store(folder)
    seen = [
        ServerSeen(server=ServerId(one), boot=BootId(100 + one), address="127.0.0.1:1", rack="", disks=[], now_ns=1)
        for one in range(1, servers + 1)
    ]
    for first in range(0, files, BATCH):

        def job(txn, first=first):
            for number in range(first, min(first + BATCH, files)):
                inode, handle = InodeId(FIRST_INODE + number), ChunkHandle(1 + number)
                members = members_of(number, servers, copies)
                records = [
                    InodeMade(inode=inode, parent=InodeId(1), name=b"%d" % number, kind=Kind.FILE, mode=0o644, uid=0,
                              gid=0, replicas=copies, now_ns=1),
                    ChunkAdded(inode=inode, index=0, handle=handle, version=VERSION, members=members,
                               primary=members[0][0], goal=copies),
                    ChunkClosed(handle=handle, version=VERSION, members=members, length=BYTES, broken_at=(0, 0)),
                    LengthSet(inode=inode, length=BYTES, mtime_ns=1, ctime_ns=1),
                ]  # fmt: skip
                for record in [*seen, *records] if not number else records:
                    apply(txn, record)
            log.append(txn, seen, epoch=Epoch(1), now_ns=1)
            set_epoch(txn, Epoch(1))

        await store.write(job)
    await store.close()


class Chunkserver:
    """Registers and reports as `chunkserver/report.py` does."""

    def __init__(self, number: int, files: int, servers: int, copies: int) -> None:
        self.server, self.boot = ServerId(number), BootId(100 + number)
        mine = [
            ChunkHandle(1 + file)
            for file in range(files)
            if any(server == number for server, _ in members_of(file, servers, copies))
        ]
        self.pages = [
            [
                ReplicaReport(handle=handle, version=VERSION, promised=VERSION, length=BYTES, closed=True,
                              incomplete=False, unbroken=False)
                for handle in mine[at : at + REPORT_PAGE_MAX]
            ]
            for at in range(0, len(mine), REPORT_PAGE_MAX)
        ]  # fmt: skip
        self.caller = Caller(real_env(), role="chunkserver", boot=self.boot)

    async def join(self, master: str) -> None:
        registered = await self.caller.call(
            master,
            Register(server=self.server, boot=self.boot, address=f"127.0.0.1:{self.server}", disks=[],
                     epoch_seen=Epoch(1)),
            timeout_s=CALL_S,
        )  # fmt: skip
        for number, page in enumerate(self.pages):
            last = number == len(self.pages) - 1
            report = ReportReplicas(session=registered.session, page=number, last=last, replicas=page)
            await self.caller.call(master, report, timeout_s=CALL_S)
        beat = Heartbeat(
            session=registered.session, boot=self.boot, sent_at_s=0.0, disks=[], leases=[], closed=[], gained=[],
            lost=[], fences_wanted=[], exclusions_confirmed=0,
        )  # fmt: skip
        await self.caller.call(master, beat, timeout_s=CALL_S)


def chunkserver(pipe: Connection, number: int, files: int, servers: int, copies: int) -> None:
    """A process: joins whenever it is told an address, until it is told none."""

    async def go() -> None:
        one = Chunkserver(number, files, servers, copies)
        pipe.send("ready")
        while master := await asyncio.to_thread(pipe.recv):
            await one.join(master)
            pipe.send("joined")
        await one.caller.close()

    asyncio.run(go())


async def measure(folder: str, files: int, servers: int, copies: int) -> dict[str, float]:
    """Start the master and the chunkservers; return the figures."""
    context = multiprocessing.get_context("spawn")
    pipes = []
    for number in range(1, servers + 1):
        ours, theirs = context.Pipe()
        context.Process(target=chunkserver, args=(theirs, number, files, servers, copies), daemon=True).start()
        pipes.append(ours)
    for pipe in pipes:
        await asyncio.to_thread(pipe.recv)
    ready = Path(folder) / "ready"
    begun = time.perf_counter()
    with subprocess.Popen([  # noqa: ASYNC220 - nothing else runs yet
        sys.executable, "-m", "cairnfs", "master", "--data", folder, "--listen", "127.0.0.1:0",
        "--ready-file", str(ready), "--log-level", "warning",
    ]) as master:  # fmt: skip
        try:
            while not ready.exists():  # noqa: ASYNC110 - ends: the master listens, or the operator's patience does
                await asyncio.sleep(0.01)
            address = ready.read_text().strip()
            listening = time.perf_counter()
            caller = Caller(real_env(), role="client", boot=BootId(7))
            for pipe in pipes:
                pipe.send(address)
            joined = asyncio.create_task(asyncio.to_thread(lambda: [pipe.recv() for pipe in pipes]))
            first_read = await until_readable(caller, address)
            await joined
            reported = time.perf_counter()
            while (await caller.call(address, GetStatus(), timeout_s=CALL_S)).safe_start:  # noqa: ASYNC110 - ends
                await asyncio.sleep(0.02)
            whole = time.perf_counter()
            for pipe in pipes:
                pipe.send(address)
            await asyncio.to_thread(lambda: [pipe.recv() for pipe in pipes])
            again = time.perf_counter()
            for pipe in pipes:
                pipe.send("")
            await caller.close()
        finally:
            master.terminate()
    return {
        "listening_s": listening - begun,
        "first_read_s": first_read - begun,
        "whole_s": whole - begun,
        "replicas_per_s": files * copies / (reported - listening),
        "second_registration_s": again - whole,
    }


async def until_readable(caller: Caller, address: str) -> float:
    """Return when the master first named a place of the first file's chunk."""
    question = FindChunks(inode=InodeId(FIRST_INODE), index=0, count=1)
    while True:  # ends: a chunkserver reports it
        try:
            found = await caller.call(address, question, timeout_s=CALL_S)
            if found.places and found.places[0].members:
                return time.perf_counter()
        except CairnError:
            pass
        await asyncio.sleep(0.02)


def main() -> None:
    """Measure once and print the figures beside their goals."""
    parser = argparse.ArgumentParser(description="seconds until a restarted master is of use")
    parser.add_argument("--files", type=float, default=1e6, help="files with a chunk each (1e6)")
    parser.add_argument("--servers", type=int, default=3, help="simulated chunkservers (3)")
    parser.add_argument("--copies", type=int, default=3, help="replicas of each chunk (3)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    args = parser.parse_args()
    files = int(args.files)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(build(folder, files, args.servers, args.copies))
        found = asyncio.run(measure(folder, files, args.servers, args.copies))
    facts = {"files": files, "servers": args.servers, "replicas": files * args.copies, **found}
    if args.json:
        print(json.dumps({name: round(value, 3) for name, value in facts.items()}))
        return
    for name, value in facts.items():
        goal = f"   goal {GOALS[name]:,.0f}" if name in GOALS else ""
        print(f"{name:>22}: {value:,.2f}{goal}")


if __name__ == "__main__":
    main()
