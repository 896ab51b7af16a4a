"""A master: opens its metadata, becomes leader, listens. Used by `cli/serve`, `cluster` and `sim`.

store opened → epoch campaigned for → records of servers read → parts put together → timers → listening
"""

import logging

from cairnfs.config import ClusterConfig, MasterConfig
from cairnfs.env import Coordinator, Env, MetaStore, MetaWrite
from cairnfs.errors import FormatError, SettingError
from cairnfs.ids import BootId, ClusterId, Epoch
from cairnfs.limits import Geometry
from cairnfs.master.background import Background
from cairnfs.master.balancing import Balancing
from cairnfs.master.choosing import Choosing
from cairnfs.master.counting import Counting
from cairnfs.master.draining import Draining
from cairnfs.master.exclusions import Exclusions
from cairnfs.master.garbage import Garbage
from cairnfs.master.granting import Granting
from cairnfs.master.inventory import Inventory
from cairnfs.master.leases import Leases
from cairnfs.master.locate import Locate
from cairnfs.master.membership import Membership
from cairnfs.master.raising import Raising
from cairnfs.master.reign import Reign
from cairnfs.master.repairing import Repairing
from cairnfs.master.reports import Reports
from cairnfs.master.serve_duties import serve_duties
from cairnfs.master.serve_locations import serve_locations
from cairnfs.master.serve_membership import serve_membership
from cairnfs.master.serve_namespace import Namespace
from cairnfs.master.serve_operating import serve_operating
from cairnfs.master.serve_quotas import serve_quotas
from cairnfs.master.sessions import Known, Sessions
from cairnfs.master.snapshot import Snapshots
from cairnfs.master.status import StatusPage
from cairnfs.meta import tables
from cairnfs.meta.servers import get_tuning, servers
from cairnfs.observe.counters import Counters
from cairnfs.rpc.caller import Caller
from cairnfs.rpc.server import Server
from cairnfs.safeguards import ALL_ON, Safeguards
from cairnfs.tasks import Nursery

logger = logging.getLogger(__name__)

_ID_BITS = 63


class Master:
    """One master process. `start` once, `stop` once."""

    def __init__(
        self, env: Env, config: MasterConfig, *, safeguards: Safeguards = ALL_ON, boot: BootId | None = None
    ) -> None:
        self._env = env
        self._config = config
        self._safeguards = safeguards
        self._boot = boot if boot is not None else BootId(env.random.getrandbits(_ID_BITS))
        self._store: MetaStore | None = None
        self._server: Server | None = None
        self._reign: Reign | None = None
        self.address = ""
        """host:port for others; set by `start`."""

    @property
    def is_started(self) -> bool:
        """True once it leads; it may have been deposed since."""
        return self._reign is not None

    @property
    def epoch(self) -> Epoch:
        return self.reign.epoch

    @property
    def counters(self) -> Counters:
        return self.reign.counters

    @property
    def reign(self) -> Reign:
        """The parts of a started master; for tests and checks."""
        assert self._reign is not None, "not started"
        return self._reign

    async def start(self) -> None:
        """Open the metadata, become leader and listen.

        Raises:
            FormatError: no cluster was initialised there, or by another version. Nothing was changed.
            FolderInUseError: another master has the folder.
            AddressInUseError: the metadata are closed again.
        """
        store = self._store = self._env.open_store(self._config.data)
        has_started = False
        try:
            with store.read() as view:
                identity = tables.read_identity(view)
            if identity is None:
                raise FormatError(where=self._config.data, why="no metadata here: `cairn init` makes a new cluster")
            coordinator = self._env.open_coordinator(store)
            epoch = await coordinator.campaign()
            self._reign = self._make_reign(store, coordinator, identity, epoch)
            self._server = self._put_together(self._reign)
            for address in self._config.listen:
                bound = await self._server.listen(address)
                self.address = self.address or self._config.advertise or bound
            has_started = True
        finally:
            if not has_started:
                await self.stop(grace_s=0.0)
        logger.info("master leads address=%s epoch=%d cluster=%s", self.address, epoch, identity.cluster)

    def _make_reign(self, store: MetaStore, coordinator: Coordinator, identity: tables.Identity, epoch: Epoch) -> Reign:
        config, env = self._config, self._env
        started_s = env.clock.now_s()
        sessions = Sessions(
            started_s=started_s,
            suspect_s=config.suspect_s,
            dead_s=config.dead_s,
            quiet_s=max(config.serving_lease_s, config.serving_lease_quiet_s),
            short_s=config.serving_lease_s,
            epoch=epoch,
        )
        with store.read() as view:
            restored = tables.get_restored(view)
            tuning = get_tuning(view)
            for server, row in servers(view):
                sessions.known[server] = Known(
                    row.address, row.rack, row.draining, tuple(row.draining_disks), row.maintenance_until_ns
                )
        return Reign(
            env=env,
            config=config,
            safeguards=self._safeguards,
            identity=identity,
            epoch=epoch,
            store=store,
            coordinator=coordinator,
            caller=Caller(env, role="master", boot=self._boot, cluster=identity.cluster),
            nursery=Nursery("master"),
            sessions=sessions,
            inventory=Inventory(bucket=config.report_bucket),
            exclusions=Exclusions(sessions, started_s=started_s),
            leases=Leases(lease_s=config.lease_s),
            started_s=started_s,
            restored=restored,
            tuning=tuning,
        )

    def _put_together(self, reign: Reign) -> Server:
        server = Server(self._env, role="master", cluster=reign.identity.cluster, boot=self._boot)
        granting = Granting(reign)
        raising = Raising(reign, granting)
        choosing = Choosing(reign)
        reports = Reports(reign, granting)
        membership = Membership(reign, granting, reports)
        locate = Locate(reign, granting, raising, choosing, membership)
        counting = Counting(reign)
        snapshots = Snapshots(reign, raising, counting)
        repairing = Repairing(reign, raising, choosing)
        garbage = Garbage(reign, repairing.is_safe)
        balancing = Balancing(reign, repairing, garbage)
        Namespace(
            reign, granting=granting, choosing=choosing, locate=locate, snapshots=snapshots, counting=counting
        ).serve(server)
        serve_quotas(server, reign, counting)
        serve_locations(server, locate)
        serve_membership(server, reign, membership, reports, locate)
        StatusPage(reign, repairing, balancing, garbage).serve(server)
        serve_operating(server, reign, garbage)
        serve_duties(server, reign, Draining(reign, repairing), repairing)
        Background(
            reign,
            membership=membership,
            granting=granting,
            repairing=repairing,
            balancing=balancing,
            garbage=garbage,
            counting=counting,
        ).start()
        return server

    async def stop(self, *, grace_s: float = 5.0) -> None:
        """Accept no more, let running requests end, close the metadata. What was answered is durable."""
        if self._server is not None:
            await self._server.stop(grace_s=grace_s)
        if self._reign is not None:
            await self._reign.nursery.stop()
            await self._reign.caller.close()
        if self._store is not None:
            await self._store.close()
            self._store = None


async def initialise(env: Env, folder: str, cluster_config: ClusterConfig) -> ClusterId:
    """Make the metadata of a new cluster in `folder`; return its id.

    Raises:
        SettingError: there is a cluster already, or the sizes make no sense. Nothing was changed.
    """
    try:
        geometry = Geometry(chunk_bytes=cluster_config.chunk_bytes, block_bytes=cluster_config.block_bytes)
    except AssertionError as error:
        raise SettingError(what=f"chunk and block size do not fit: {cluster_config}") from error
    cluster = ClusterId(f"{env.random.getrandbits(128):032x}")
    now_ns = env.clock.wall_ns()

    def job(txn: MetaWrite) -> bool:
        if tables.read_identity(txn) is not None:
            return False
        tables.initialise(txn, cluster=cluster, geometry=geometry, config=cluster_config, now_ns=now_ns)
        return True

    store = env.open_store(folder)
    try:
        if not await store.write(job):
            raise SettingError(what=f"{folder} holds the metadata of a cluster already")
    finally:
        await store.close()
    return cluster
