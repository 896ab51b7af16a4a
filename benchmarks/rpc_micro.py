"""Small calls per second and bytes per second of cairnfs.rpc: a server in another process, over loopback.

    python benchmarks/rpc_micro.py [--stock] [--seconds 2]

The two processes share whatever cores the machine has, so run it on a quiet one.
"""

import argparse
import asyncio
import multiprocessing
import os
import time

import uvloop

from cairnfs.env.real import real_env
from cairnfs.ids import BootId
from cairnfs.rpc.caller import Caller
from cairnfs.rpc.payload import Buffers, Incoming
from cairnfs.rpc.server import Answer, Peer, Server
from cairnfs.units import GIB, MIB
from cairnfs.wire.base import U32, Done, Ping, Reply, Request


class BenchData(Reply, tag=0xFF1):
    pass


class BenchRead(Request[BenchData], tag=0xEF1):
    bulk = True
    length_bytes: U32


class BenchWrite(Request[Done], tag=0xEF2):
    bulk = True


async def serve(pipe) -> None:
    server = Server(real_env(), role="bench", cluster="bench", boot=BootId(1))
    block = bytes(4 * MIB)

    async def read(peer: Peer, request: BenchRead, incoming: Incoming) -> Answer:
        return Answer(BenchData(), [memoryview(block)[: request.length_bytes]])

    async def write(peer: Peer, request: BenchWrite, incoming: Incoming) -> Done:
        return Done()

    server.on(BenchRead, read)
    server.on(BenchWrite, write)
    pipe.send(await server.listen("127.0.0.1:0"))
    await asyncio.Event().wait()


def server_main(pipe, stock: bool) -> None:
    run = asyncio.run if stock else uvloop.run
    run(serve(pipe))


async def measure(seconds: float, workers: int, once) -> tuple[float, float]:
    """Return (calls per second, CPU seconds of this process per call)."""
    calls = 0
    end = time.perf_counter() + seconds

    async def work() -> None:
        nonlocal calls
        while time.perf_counter() < end:
            await once()
            calls += 1

    start, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*[work() for _ in range(workers)])
    took = time.perf_counter() - start
    return calls / took, (time.process_time() - cpu) / max(1, calls)


async def client(address: str, seconds: float) -> None:
    caller = Caller(real_env(), role="bench", boot=BootId(2))
    pool = Buffers()
    piece = bytes(MIB)

    async def ping() -> None:
        await caller.call(address, Ping(), timeout_s=10)

    async def read() -> None:
        into = pool.take(MIB)
        await caller.call_for_payload(address, BenchRead(length_bytes=MIB), timeout_s=10, into=into)
        pool.give(into)

    async def write() -> None:
        await caller.call(address, BenchWrite(), timeout_s=10, payload=[piece])

    await ping()
    for workers in (1, 64):
        rate, cpu = await measure(seconds, workers, ping)
        print(f"small calls, {workers:2} in flight: {rate:8.0f}/s   {cpu * 1e6:6.1f} us CPU of the caller each")
    for name, once in (("read", read), ("write", write)):
        for workers in (1, 4):
            rate, cpu = await measure(seconds, workers, once)
            print(f"{name:5} 1 MiB, {workers} in flight: {rate * MIB / GIB:6.2f} GiB/s   {cpu * 1e6:6.0f} us CPU each")
    await caller.close()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--stock", action="store_true", help="asyncio's own loop in place of uvloop")
    options.add_argument("--seconds", type=float, default=2.0)
    chosen = options.parse_args()
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=server_main, args=(there, chosen.stock), daemon=True)
    process.start()
    print(f"loop: {'asyncio' if chosen.stock else 'uvloop'}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    run = asyncio.run if chosen.stock else uvloop.run
    run(client(here.recv(), chosen.seconds))
    process.terminate()


if __name__ == "__main__":
    main()
