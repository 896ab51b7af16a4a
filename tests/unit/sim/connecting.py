"""One connection between two hosts of a simulated world."""

from tests.conformance.parts import Collector

from cairnfs.sim.world import pass_time


async def connect(world, source, target, *, wait_s=0.5, **settings):
    """Return (near, near sink, far sinks)."""
    accepted = []

    async def listen():
        def make():
            accepted.append(Collector(**settings))
            return accepted[-1]

        return await world.env(target).network.listen(f"{target}:0", make)

    listener = await world.spawn(target, listen())
    sink = Collector(**settings)

    async def dial():
        return await world.env(source).network.connect(listener.address, lambda: sink, timeout_s=30)

    near = await world.spawn(source, dial())
    await pass_time(wait_s)
    return near, sink, accepted
