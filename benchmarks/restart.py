"""How long a master takes to be of use again: metadata of many files, a real master process, simulated chunkservers.

    python benchmarks/restart.py [--files 1e6] [--servers 3] [--copies 3] [--json]

The metadata is made by `meta.apply` in large transactions. The chunkservers are processes that register and report over
the wire as real ones do, page by page; they have no disks. Times count from the start of the master's process. All
share the machine, so each server's own work is in the figures as well. A flap is a server, or all of them, that lost
the session and registers anew with the same master: it sends digests of what it has instead of all of it.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from itertools import accumulate
from multiprocessing.connection import Connection
from pathlib import Path

from cairnfs.config import ClusterConfig
from cairnfs.env.real import real_env
from cairnfs.env.solo import set_epoch
from cairnfs.errors import CairnError
from cairnfs.ids import BootId, ChunkHandle, ChunkVersion, Epoch, InodeId, ServerId
from cairnfs.limits import DIGEST_PAGE_MAX, REPORT_BUCKET, REPORT_PAGE_MAX, REPORT_PAUSE_S
from cairnfs.master.server import initialise
from cairnfs.meta import log
from cairnfs.meta.apply import apply
from cairnfs.meta.records import ChunkAdded, ChunkClosed, InodeMade, LengthSet, ServerSeen
from cairnfs.rpc.caller import Caller
from cairnfs.wire.base import Ping
from cairnfs.wire.codec import encode_message
from cairnfs.wire.common import Kind
from cairnfs.wire.locations import FindChunks
from cairnfs.wire.membership import BucketDigest, Heartbeat, Register, ReportAnswer, ReportReplicas
from cairnfs.wire.settled import Row, by_bucket, digest_of, pack, row_of
from cairnfs.wire.status import GetStatus

GOALS = {"first_read_s": 5.0, "whole_s": 15.0, "replicas_per_s": 100_000}
BYTES = 1000
BATCH = 20_000
FIRST_INODE = 2
CALL_S = 60.0
BEAT_S = 1.0


def version_of(file: int) -> ChunkVersion:
    """Return the version of a file's chunk: each has its own, as in life."""
    return ChunkVersion(Epoch(1), 1 + file)


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
                    ChunkAdded(inode=inode, index=0, handle=handle, version=version_of(number), members=members,
                               primary=members[0][0], goal=copies),
                    ChunkClosed(handle=handle, version=version_of(number), members=members, length=BYTES,
                                broken_at=(0, 0)),
                    LengthSet(inode=inode, length=BYTES, mtime_ns=1, ctime_ns=1),
                ]  # fmt: skip
                for record in [*seen, *records] if not number else records:
                    apply(txn, record)
            log.append(txn, seen, epoch=Epoch(1), now_ns=1)
            set_epoch(txn, Epoch(1))

        await store.write(job)
    await store.close()


class Chunkserver:
    """Registers and reports as `chunkserver/telling.py` does; all its replicas are settled."""

    def __init__(self, number: int, files: int, servers: int, copies: int) -> None:
        self.server, self.boot = ServerId(number), BootId(100 + number)
        self.rows = [
            row_of(ChunkHandle(1 + file), version_of(file), BYTES)
            for file in range(files)
            if any(server == number for server, _ in members_of(file, servers, copies))
        ]
        handles = [row[0] for row in self.rows]
        sizes = [(bucket, len(some)) for bucket, some in by_bucket(handles, REPORT_BUCKET)]
        ends = list(accumulate(size for _, size in sizes))
        self.buckets = {bucket: self.rows[end - size : end] for (bucket, size), end in zip(sizes, ends, strict=True)}
        self.caller = Caller(real_env(), role="chunkserver", boot=self.boot)
        self.page = 0
        self.sent_bytes = 0
        self.beating: asyncio.Task[None] | None = None

    async def join(self, master: str) -> None:
        """Lose the session, if there is one, and begin another."""
        if self.beating is not None:
            self.beating.cancel()
        registered = await self.caller.call(
            master,
            Register(server=self.server, boot=self.boot, address=f"127.0.0.1:{self.server}", disks=[],
                     epoch_seen=Epoch(1)),
            timeout_s=CALL_S,
        )  # fmt: skip
        self.page = self.sent_bytes = 0
        session = registered.session
        while (await self.send(master, session)).waits:  # noqa: ASYNC110 - ends with its turn
            await asyncio.sleep(REPORT_PAUSE_S)
        rows = await self.told_anew(master, session) if registered.remembers else self.rows
        pages = [rows[at : at + REPORT_PAGE_MAX] for at in range(0, len(rows), REPORT_PAGE_MAX)] or [[]]
        for number, page in enumerate(pages):
            await self.send(master, session, last=number == len(pages) - 1, settled=pack(page))
        await self.beat(master, session)
        self.beating = asyncio.create_task(self.keep(master, session))

    async def keep(self, master: str, session: int) -> None:
        """Beat until cancelled: a silent server is dead after ten seconds, while others are still being compared."""
        while True:
            await asyncio.sleep(BEAT_S)
            await self.beat(master, session)

    async def beat(self, master: str, session: int) -> None:
        request = Heartbeat(
            session=session, boot=self.boot, sent_at_s=0.0, disks=[], leases=[], closed=[], gained=[],
            lost=[], fences_wanted=[], exclusions_confirmed=0,
        )  # fmt: skip
        await self.caller.call(master, request, timeout_s=CALL_S)

    async def send(self, master: str, session: int, *, last: bool = False, **what: object) -> ReportAnswer:
        """Send the next page."""
        report = ReportReplicas(session=session, page=self.page, last=last, replicas=[], **what)
        self.sent_bytes += len(encode_message(report))
        answer = await self.caller.call(master, report, timeout_s=CALL_S)
        self.page += not answer.waits
        return answer

    async def told_anew(self, master: str, session: int) -> list[Row]:
        """Send the digests of all buckets; return the rows of those that differ."""
        rest: list[Row] = []
        digests = [BucketDigest(bucket=bucket, digest=digest_of(pack(rows))) for bucket, rows in self.buckets.items()]
        for at in range(0, len(digests), DIGEST_PAGE_MAX):
            answer = await self.send(master, session, digests=digests[at : at + DIGEST_PAGE_MAX])
            rest += [row for bucket in answer.differing for row in self.buckets[bucket]]
        return rest


def chunkserver(pipe: Connection, number: int, files: int, servers: int, copies: int) -> None:
    """A process: joins whenever it is told an address, until it is told none."""

    async def go() -> None:
        one = Chunkserver(number, files, servers, copies)
        pipe.send("ready")
        while master := await asyncio.to_thread(pipe.recv):
            await one.join(master)
            pipe.send(one.sent_bytes)
        if one.beating is not None:
            one.beating.cancel()
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
        "--ready-file", str(ready), "--log-level", "error",
    ]) as master:  # fmt: skip
        try:
            while not ready.exists():  # noqa: ASYNC110 - ends: the master listens, or the operator's patience does
                await asyncio.sleep(0.01)
            address = ready.read_text().strip()
            listening = time.perf_counter()
            caller = Caller(real_env(), role="client", boot=BootId(7))
            found = await joining(caller, address, pipes, begun=begun, master=master.pid)
            for pipe in pipes:
                pipe.send("")
            await caller.close()
        finally:
            master.terminate()
    return {"listening_s": listening - begun, "replicas_per_s": files * copies / (found.pop("at") - listening), **found}


def busy_s(pid: int) -> float:
    """Return the processor time that a process has used so far: what a busy machine does not change."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def joining(
    caller: Caller, address: str, pipes: list[Connection], *, begun: float, master: int
) -> dict[str, float]:
    """Let the servers report: all after the start, then one anew, then all anew."""
    pings = asyncio.create_task(slowest_ping(caller, address))
    joined = asyncio.create_task(join(address, pipes))
    first_read = await until_readable(caller, address)
    sent = await joined
    reported = time.perf_counter()
    while (await caller.call(address, GetStatus(), timeout_s=CALL_S)).safe_start:  # noqa: ASYNC110 - ends
        await asyncio.sleep(0.02)
    whole = time.perf_counter()
    whole_cpu_s = busy_s(master)
    pings.cancel()
    slowest_s = await pings
    start = time.perf_counter()
    one_sent = await join(address, pipes[:1])
    one = time.perf_counter()
    one_cpu_s = busy_s(master)
    all_sent = await join(address, pipes)
    again = time.perf_counter()
    return {
        "at": reported,
        "first_read_s": first_read - begun,
        "whole_s": whole - begun,
        "whole_cpu_s": whole_cpu_s,
        "slowest_ping_ms": 1e3 * slowest_s,
        "report_mb": sent / 1e6,
        "flap_of_one_s": one - start,
        "flap_of_one_cpu_s": one_cpu_s - whole_cpu_s,
        "flap_of_one_mb": one_sent / 1e6,
        "flap_of_all_s": again - one,
        "flap_of_all_cpu_s": busy_s(master) - one_cpu_s,
        "flap_of_all_mb": all_sent / 1e6,
    }


async def join(address: str, pipes: list[Connection]) -> int:
    """Let servers register and report; return how many bytes they sent."""
    for pipe in pipes:
        pipe.send(address)
    return await asyncio.to_thread(lambda: sum(pipe.recv() for pipe in pipes))


async def slowest_ping(caller: Caller, address: str) -> float:
    """Ask again and again until cancelled; return how long the longest answer took, in seconds."""
    slowest = 0.0
    try:
        while True:
            asked = time.perf_counter()
            await caller.call(address, Ping(), timeout_s=CALL_S)
            slowest = max(slowest, time.perf_counter() - asked)
            await asyncio.sleep(0.005)
    except asyncio.CancelledError:
        return slowest


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
        print(f"{name:>22}: {value:,.3f}{goal}")


if __name__ == "__main__":
    main()
