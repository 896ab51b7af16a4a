"""A small world for conversations: virtual time, and byte streams in memory that tests can freeze and break."""

import asyncio
import random
from collections import deque

from cairnfs.env import Env
from cairnfs.errors import ConnectError
from cairnfs.ids import BootId
from cairnfs.rpc.caller import Caller
from cairnfs.rpc.server import Answer, Server
from cairnfs.wire.base import U32, Done, Reply, Request

MIB = 1 << 20


class Said(Reply, tag=0x9101):
    text: str = ""


class Say(Request[Said], tag=0x9001):
    text: str = ""


class GotBytes(Reply, tag=0x9102):
    crc: U32 = 0


class GetBytes(Request[GotBytes], tag=0x9002):
    bulk = True
    length: U32 = 0
    fill: U32 = 0


class PutDone(Reply, tag=0x9103):
    total: U32 = 0


class Put(Request[PutDone], tag=0x9003):
    bulk = True


class Touch(Request[Done], tag=0x9004):
    pass


class StreamPutDone(Reply, tag=0x9150):
    total: U32 = 0


class StreamPut(Request[StreamPutDone], tag=0x9050):
    bulk = True


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time jumps to the next timer when nobody has anything to do; if there is none, the test is stuck."""

    def __init__(self):
        super().__init__()
        self._now = 1000.0

    def time(self):
        return self._now

    def _run_once(self):
        if not self._ready:
            timers = [timer for timer in self._scheduled if not timer.cancelled()]
            if not timers:
                raise RuntimeError("stuck: nothing will ever happen again")
            self._now = max(self._now, min(timers).when())
        super()._run_once()


class LoopClock:
    def now_s(self):
        return asyncio.get_running_loop().time()

    def wall_ns(self):
        return 0


class MemoryConnection:
    """One end. Bytes go to the other end's sink in turns of the loop, at most `network.piece_bytes` at a time."""

    def __init__(self, network, sink, peer):
        self.network, self.sink, self.peer = network, sink, peer
        self.other = None
        self.queue = deque()
        self.handed = self.delivered = 0
        self.frozen = self.paused = self.lost = self.closing = self.scheduled = False
        self.waiters = []

    @property
    def unsent_bytes(self):
        return self.handed - self.delivered

    def send(self, buffers):
        if self.lost or self.closing:
            return
        for buffer in buffers:
            view = memoryview(buffer).cast("B") if len(buffer) else None
            if view is not None:
                self.queue.append(view)
                self.handed += len(view)
        self.schedule()

    def schedule(self):
        if not self.scheduled and not self.frozen and not self.lost and not self.other.paused:
            self.scheduled = True
            asyncio.get_running_loop().call_soon(self.deliver)

    def deliver(self):
        self.scheduled = False
        if self.lost or self.frozen or self.other.paused or self.other.lost:
            return
        if self.queue:
            view = self.queue[0]
            into = self.other.sink.get_buffer(65536)
            assert len(into) > 0
            count = min(len(view), len(into), self.network.piece_bytes)
            into[:count] = view[:count]
            self.queue[0] = view[count:]
            if count == len(view):
                self.queue.popleft()
            self.delivered += count
            self.other.sink.buffer_updated(count)
            self.wake()
        if self.queue:
            self.schedule()
        elif self.closing and not self.lost:
            self.lose("")
            if not self.other.lost:
                self.other.lose("")

    def wake(self):
        waiting, self.waiters = self.waiters, []
        for enough, future in waiting:
            if self.lost or self.unsent_bytes <= enough:
                if not future.done():
                    future.set_result(None)
            else:
                self.waiters.append((enough, future))

    async def drain(self):
        await self.at_most(MIB)

    async def flushed(self):
        await self.at_most(0)

    async def at_most(self, enough):
        if not self.lost and self.unsent_bytes > enough:
            future = asyncio.get_running_loop().create_future()
            self.waiters.append((enough, future))
            await future

    def pause_reading(self):
        self.paused = True

    def resume_reading(self):
        self.paused = False
        self.other.schedule()

    def close(self):
        self.closing = True
        self.schedule()

    def abort(self):
        self.lose("aborted here")
        if not self.other.lost:
            self.other.lose("reset by peer")

    def freeze(self):
        """From now on nothing this end sends arrives."""
        self.frozen = True

    def thaw(self):
        self.frozen = False
        self.schedule()

    def lose(self, why):
        if not self.lost:
            self.lost = True
            self.queue.clear()
            self.wake()
            self.sink.disconnected(why)


class MemoryListener:
    def __init__(self, network, address):
        self.network, self.address = network, address

    async def close(self):
        self.network.listeners.pop(self.address, None)


class MemoryNetwork:
    def __init__(self):
        self.listeners = {}
        self.pairs = []  # (connecting end, accepting end) of every connection ever made
        self.piece_bytes = 1 << 30
        self.silent = False  # connecting hangs

    async def listen(self, address, make_sink):
        bound = address if not address.endswith(":0") else f"{address[:-2]}:{1000 + len(self.listeners)}"
        assert bound not in self.listeners
        self.listeners[bound] = make_sink
        return MemoryListener(self, bound)

    async def connect(self, address, make_sink, *, timeout_s):
        if self.silent:
            await passing(timeout_s)
            raise ConnectError(address=address, why="no answer in time")
        accept = self.listeners.get(address)
        if accept is None:
            raise ConnectError(address=address, why="refused")
        near = MemoryConnection(self, make_sink(), address)
        far = MemoryConnection(self, accept(), f"near:{len(self.pairs)}")
        near.other, far.other = far, near
        self.pairs.append((near, far))
        far.sink.connected(far)
        if not near.lost:
            near.sink.connected(near)
        return near


class RawSink:
    """A peer that is none of ours: keeps what it gets."""

    def __init__(self):
        self.data = bytearray()
        self.buffer = bytearray(65536)
        self.ended = None
        self.connection = None
        self.changed = asyncio.Event()

    def connected(self, connection):
        self.connection = connection

    def get_buffer(self, hint):
        return memoryview(self.buffer)

    def buffer_updated(self, count):
        self.data += self.buffer[:count]
        self.changed.set()

    def disconnected(self, why):
        assert self.ended is None
        self.ended = why
        self.changed.set()

    async def until(self, is_so):
        while not is_so(self):
            self.changed.clear()
            await self.changed.wait()


class World:
    """One server with the usual handlers, callers, and the network between them."""

    def __init__(self, *, cluster="abc"):
        self.network = MemoryNetwork()
        self.env = Env(
            clock=LoopClock(),
            network=self.network,
            random=random.Random(1),
            open_disk=None,
            open_store=None,
            open_coordinator=None,
        )
        self.server = self.new_server(cluster)
        self.gate = asyncio.Event()  # handlers of "slow" wait for it
        self.served = []
        self.released = 0
        self.address = ""
        self.callers = []

    def new_server(self, cluster="abc", boot=1):
        server = Server(self.env, role="server", cluster=cluster, boot=BootId(boot))
        server.on(Say, self.say)
        server.on(GetBytes, self.get)
        server.on(Put, self.put)
        server.on(Touch, self.touch)
        return server

    async def start(self, **options):
        self.address = await self.server.listen("127.0.0.1:0")
        return self.new_caller(**options)

    def new_caller(self, **options):
        caller = Caller(self.env, role="test", boot=BootId(2), **options)
        self.callers.append(caller)
        return caller

    async def raw(self):
        sink = RawSink()
        await self.network.connect(self.address, lambda: sink, timeout_s=1)
        return sink

    def release(self):
        self.released += 1

    async def say(self, peer, request, incoming):
        self.served.append(request.text)
        if request.text.startswith("slow"):
            await self.gate.wait()
        if request.text == "crash":
            raise ZeroDivisionError("on purpose")
        return Said(text=request.text.upper())

    async def get(self, peer, request, incoming):
        self.served.append("get")
        if request.fill == 99:
            await self.gate.wait()
        return Answer(GotBytes(crc=request.fill), [bytes([request.fill]) * request.length], self.release)

    async def put(self, peer, request, incoming):
        self.served.append("put")
        return PutDone(total=bytes(incoming.view).count(1))

    async def touch(self, peer, request, incoming):
        return Done()


def run(scenario, **options):
    """Run `scenario(world)` in virtual time; afterwards everything is closed and no task may be left."""

    async def whole():
        world = World(**options)
        try:
            await asyncio.wait_for(scenario(world), 3600)
        finally:
            for caller in world.callers:
                await caller.close()
            await world.server.stop(grace_s=0.1)
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert not left, left

    loop = VirtualLoop()
    problems = []
    loop.set_exception_handler(lambda _, context: problems.append(context))
    try:
        loop.run_until_complete(whole())
    finally:
        loop.close()
    assert not problems, problems


async def passing(seconds):
    """Let (virtual) time pass."""
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    loop.call_later(seconds, over.set_result, None)
    await over


async def turns(count=50):
    """Let everybody who can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)
