"""A chunkserver: puts its parts together, starts and stops them. GFS paper, section 2.1."""

import asyncio
import logging

from cairnfs.chunkserver import marks
from cairnfs.chunkserver.context import Context
from cairnfs.chunkserver.push import PushBuffer
from cairnfs.chunkserver.relocating import Evacuator
from cairnfs.chunkserver.report import Reporter
from cairnfs.chunkserver.scrub import Scrubber
from cairnfs.chunkserver.serve_master_orders import serve_master_orders
from cairnfs.chunkserver.serve_mutations import serve_mutations
from cairnfs.chunkserver.serve_orders import serve_orders
from cairnfs.chunkserver.serve_reads import serve_reads
from cairnfs.chunkserver.serve_status import serve_status
from cairnfs.chunkserver.store import Store
from cairnfs.config import ChunkserverConfig
from cairnfs.env import Env
from cairnfs.ids import BootId, DiskId, ServerId
from cairnfs.limits import STOP_CLOSE_S, Geometry
from cairnfs.rpc.caller import Caller
from cairnfs.rpc.payload import Buffers
from cairnfs.rpc.server import Server
from cairnfs.safeguards import ALL_ON, Safeguards
from cairnfs.tasks import Nursery

logger = logging.getLogger(__name__)


class Chunkserver:
    """One chunkserver of a cluster."""

    def __init__(
        self, env: Env, config: ChunkserverConfig, *, safeguards: Safeguards = ALL_ON, boot: BootId | None = None
    ) -> None:
        self._env = env
        self._config = config
        self._safeguards = safeguards
        self.boot = boot if boot is not None else BootId(env.random.getrandbits(63))
        self.address = ""
        """host:port for others, once it has started."""
        self._nursery = Nursery("chunkserver")
        self._server: Server | None = None
        self._context: Context | None = None
        self._reporter: Reporter | None = None

    @property
    def context(self) -> Context:
        """The parts of a started server: for tests and tools in the same process."""
        assert self._context is not None, "not started"
        return self._context

    @property
    def server_id(self) -> ServerId:
        """Stored on its disks; 0 before the start."""
        return self._context.me if self._context is not None else ServerId(0)

    async def start(self) -> None:
        """Open the disks, listen, and register in the background.

        Raises:
            FolderInUseError, FormatError, WrongClusterError: a data folder cannot be used. Nothing was changed.
            AddressInUseError: nothing is running.
        """
        buffers = Buffers()
        store = await Store.open(
            self._env,
            self._config.data,
            cluster=None,
            geometry=None,
            safeguards=self._safeguards,
            reserve_bytes=self._config.reserve_bytes,
            reserve_fraction=self._config.reserve_fraction,
        )
        cluster = (store.cluster or "") if self._safeguards.cluster_identity else ""
        server = Server(self._env, role="chunkserver", cluster=cluster, boot=self.boot, buffers=buffers)
        caller = Caller(self._env, role="chunkserver", boot=self.boot, cluster=cluster, buffers=buffers)
        self._context = context = Context(
            env=self._env,
            safeguards=self._safeguards,
            boot=self.boot,
            caller=caller,
            buffers=buffers,
            store=store,
            nursery=self._nursery,
            pushed=PushBuffer(),
            geometry=store.geometry or Geometry(),
        )
        store.on_disk_failed = self._disk_failed
        for serve in (serve_reads, serve_mutations, serve_orders, serve_master_orders, serve_status):
            serve(server, context)
        try:
            bound = [await server.listen(address) for address in self._config.listen]
        except BaseException:
            await server.stop(grace_s=0)
            await store.close()
            raise
        self._server = server
        self.address = context.address = self._config.advertise or bound[0]
        self._start_tasks(context, server)
        for what in store.damaged:
            logger.warning("put aside at the start what=%s", what)
        logger.info(
            "chunkserver started address=%s server=%x replicas=%d", self.address, context.me, len(store.replicas)
        )

    def _start_tasks(self, context: Context, server: Server) -> None:
        self._reporter = reporter = Reporter(context, server, masters=self._config.master, rack=self._config.rack)
        _ = self._nursery.start(reporter.run(), name="report")
        _ = self._nursery.start(reporter.report_suspects(), name="suspects")
        _ = self._nursery.start(marks.tick(context), name="tick")
        _ = self._nursery.start(marks.empty_trash(context), name="trash")
        _ = self._nursery.start(Evacuator(context).run(), name="evacuate")
        _ = self._nursery.start(Scrubber(context, period_s=self._config.scrub_period_s).run(), name="scrub")

    def _disk_failed(self, disk: DiskId, why: str) -> None:
        """Rule 25: no ack, no retry; its replicas are lost (a new full report says so), and their roles end."""
        context = self.context
        context.standing.reports_anew = True
        for chunk in context.chunks.all():
            if chunk.handle not in context.store.replicas and chunk.lease is not None:
                context.suspect(chunk.handle, chunk.lease.version, context.me, why)
                chunk.end(f"disk failed: {why}")

    async def stop(self) -> None:
        """Give leases back by closing what can be closed in a few seconds, then end in order."""
        if self._context is None or self._server is None:
            return
        context = self._context
        await self._close_chunks(context)
        if self._reporter is not None:
            await self._reporter.say_goodbye()
        await self._server.stop(grace_s=STOP_CLOSE_S)
        await self._nursery.stop()
        await context.caller.close()
        await context.store.close()
        self._context = self._server = None

    async def _close_chunks(self, context: Context) -> None:
        """Rule 4: a drained primary has all members store `closed`, and gives up its role."""
        primaries = context.chunks.primaries()
        for primary in primaries:
            primary.close_soon()
        try:
            async with asyncio.timeout(STOP_CLOSE_S):
                for primary in primaries:
                    while primary.is_open:  # ends with the role or the time
                        await primary.chunk.changed.wait(STOP_CLOSE_S)
        except TimeoutError:
            logger.warning("stopping with open chunks count=%d", len(context.chunks.primaries()))
