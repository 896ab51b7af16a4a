"""A scripted cluster on a thread of its own, for the blocking client's tests."""

import asyncio
import threading
from contextlib import contextmanager

from tests.support.fake_cluster import FakeCluster


@contextmanager
def cluster_on_a_thread(**shape):
    """Give a running FakeCluster; it ends with the block."""
    started = threading.Event()
    box = {}

    def main():
        async def serve():
            box["cluster"], box["end"] = FakeCluster(**shape), asyncio.Event()
            box["loop"] = asyncio.get_running_loop()
            await box["cluster"].start()
            started.set()
            await box["end"].wait()
            await box["cluster"].stop()

        asyncio.run(serve())

    thread = threading.Thread(target=main, daemon=True)
    thread.start()
    assert started.wait(300)
    try:
        yield box["cluster"]
    finally:
        box["loop"].call_soon_threadsafe(box["end"].set)
        thread.join(10)
