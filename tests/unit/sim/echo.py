"""A small world that uses everything: tasks, timers, network, disks, stores, crashes, cuts."""

import asyncio

from cairnfs.errors import ConnectError
from cairnfs.sim.world import SimWorld, pass_time


class EchoSink:
    """Sends back what it gets, and writes it to the disk."""

    def __init__(self, disk, store, tasks):
        self.disk, self.store, self.tasks = disk, store, tasks
        self.buffer = bytearray(256)
        self.connection = None

    def connected(self, connection):
        self.connection = connection

    def get_buffer(self, hint):
        return memoryview(self.buffer)

    def buffer_updated(self, count):
        task = asyncio.get_running_loop().create_task(self.echo(bytes(self.buffer[:count])))
        self.tasks[task] = None
        task.add_done_callback(self.tasks.pop)

    async def echo(self, data):
        def job():
            file = self.disk.files.open("log", create=True)
            file.write(file.size(), [data])
            file.sync()
            file.close()

        await self.disk.run(job)
        await self.store.write(lambda tx: tx.put("t", data[:20] or b"-", data))
        self.connection.send([data])

    def disconnected(self, why):
        self.connection = None


class ClientSink:
    def __init__(self):
        self.data = bytearray()
        self.buffer = bytearray(100)
        self.changed = asyncio.Event()
        self.end = None

    def connected(self, connection):
        pass

    def get_buffer(self, hint):
        return memoryview(self.buffer)

    def buffer_updated(self, count):
        self.data += self.buffer[:count]
        self.changed.set()

    def disconnected(self, why):
        self.end = why
        self.changed.set()


async def serve(env):
    disk, store = env.open_disk("/disk"), env.open_store("/meta")
    tasks = {}
    await env.network.listen("server:7400", lambda: EchoSink(disk, store, tasks))


async def client(env, number):
    done = 0
    for attempt in range(6):
        sink = ClientSink()
        try:
            connection = await env.network.connect("server:7400", lambda sink=sink: sink, timeout_s=2)
        except ConnectError:
            await pass_time(env.random.random())
            continue
        message = b"%d-%d " % (number, attempt) * env.random.randint(1, 50)
        connection.send([message])
        try:
            async with asyncio.timeout(3):
                while len(sink.data) < len(message) and sink.end is None:
                    sink.changed.clear()
                    await sink.changed.wait()
        except TimeoutError:
            pass
        done += len(sink.data) == len(message)
        connection.close()
    return done


def run_echo_world(seed):
    """Return the digest of the trace."""
    with SimWorld(seed) as world:

        async def scenario():
            await world.spawn("server", serve(world.env("server")))
            clients = [world.spawn(f"c{n}", client(world.env(f"c{n}"), n)) for n in range(5)]
            for _ in range(3):
                await pass_time(world.random.uniform(0.001, 0.5))
                world.cut("c1", "server", one_way=world.random.random() < 0.5)
                await pass_time(world.random.uniform(0.001, 0.5))
                (world.crash if world.random.random() < 0.5 else world.power)("server")
                await pass_time(world.random.uniform(0.001, 0.1))
                world.heal()
                await world.spawn("server", serve(world.env("server")))
            return await asyncio.gather(*clients)

        results = world.run(scenario())
        assert sum(results) > 0, results
        assert world.trace.events > 500
        return world.trace.digest()
