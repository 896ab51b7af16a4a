"""One run: a cluster, its users and its faults, all from one seed, and a report of what happened.

    seed ── options ── schedule ──▶ users work while faults happen ──▶ mended ──▶ everything is checked ──▶ Report

`only` names the faults of the schedule that happen; None: all. The same seed, options and `only` are the same run,
event by event: `Report.hash`.
"""

import sys
from collections.abc import Sequence

import msgspec

from cairnfs.client.filesystem import Client
from cairnfs.config import MasterConfig
from cairnfs.errors import CairnError
from cairnfs.limits import Geometry
from cairnfs.safeguards import ALL_ON, Safeguards
from cairnfs.sim.checks import Watch, check_rest
from cairnfs.sim.cluster import FOLDER, MASTER_ADDRESS, QUICK, ROOMY, SimCluster
from cairnfs.sim.faults import Faults
from cairnfs.sim.loop import SimError
from cairnfs.sim.model import ViolationError
from cairnfs.sim.options import Mode, Options, draw_options
from cairnfs.sim.schedule import BEYOND_KINDS, KINDS, Fault, draw_schedule
from cairnfs.sim.workload.cells import Cells
from cairnfs.sim.workload.names import Names
from cairnfs.sim.workload.party import Part, Party
from cairnfs.sim.workload.races import Races
from cairnfs.sim.workload.records import Records
from cairnfs.sim.workload.snapshots import Snapshots
from cairnfs.sim.workload.stretched import Stretched
from cairnfs.sim.world import SimWorld

LIMIT_S = 3600.0
"""Virtual time of one run: who takes longer waits for ever (invariant 31)."""


PROBES = (
    "batches_failed",
    "chunks_closed",
    "chunks_copied_on_write",
    "continuity_broken",
    "leases_revoked",
    "mutations_repeated",
    "raises_burnt",
    "reconciled",
    "copies_made",
    "moves_done",
    "replicas_relocated",
    "repairs_done",
    "repairs_failed",
    "replicas_cloned",
    "replicas_cloned_locally",
    "replicas_deleted",
    "replicas_quarantined",
    "replicas_repeated",
    "roles_frozen",
    "rounds",
    "suspects_reported",
)
"""States that are rare in a quiet cluster, by the name of the counter that counts them. A soak that meets one of them
never has not looked there: it fails."""


class Report(msgspec.Struct, kw_only=True):
    """What one run was and saw."""

    seed: int
    options: Options
    schedule: list[Fault]
    only: list[int] | None = None
    without: str = ""
    """The safeguard that was off."""
    failure: str = ""
    """"": every promise was kept."""
    hash: str = ""
    """Of the whole trace."""
    python: str = ""
    simulated_s: float = 0.0
    events: int = 0
    looks: int = 0
    """How often the continuous invariants were checked."""
    operations: dict[str, int] = {}
    refused: dict[str, int] = {}
    faults: dict[str, int] = {}
    probes: dict[str, int] = {}
    losses: list[str] = []
    """Beyond the promises: what the cluster itself said is lost."""
    told: list[str] = []
    """What befell the cluster, with times."""
    tail: str = ""
    """The last events before the failure."""


def run_seed(
    seed: int,
    *,
    mode: Mode = Mode.WITHIN,
    options: Options | None = None,
    safeguards: Safeguards = ALL_ON,
    only: Sequence[int] | None = None,
    schedule: Sequence[Fault] | None = None,
) -> Report:
    """Run one seed. Never raises for what the simulated program did: `Report.failure` says it.

    `schedule`: faults of another day instead of those that the seed draws now.
    """
    kinds = BEYOND_KINDS if mode is Mode.BEYOND else KINDS
    options = options or draw_options(seed, kinds, mode=mode)
    report = Report(seed=seed, options=options, schedule=[], python=sys.version.split()[0])
    report.without = ", ".join(name for name in safeguards.__slots__ if not getattr(safeguards, name))
    with SimWorld(seed) as world:
        try:
            _Run(world, options, safeguards, report, only, schedule).play()
        except (SimError, CairnError, AssertionError, TimeoutError, RuntimeError, LookupError) as error:
            report.failure = _describe(error)
            report.tail = world.trace.tail()
        report.hash = world.trace.digest()
        report.events = world.trace.events
        report.simulated_s = world.loop.time()
    return report


def all_but(guard: str) -> Safeguards:
    """Return the safeguards with one of them off."""
    return Safeguards(**{guard: False})


def _describe(error: BaseException) -> str:
    """Return the error and what it came from, in one line each."""
    lines = []
    link: BaseException | None = error
    while link is not None:
        lines.append(f"{type(link).__name__}: {link}".splitlines()[0][:500])
        link = link.__cause__
    return "\n  from ".join(lines)


class _Run:
    """The parts of one run."""

    def __init__(
        self,
        world: SimWorld,
        options: Options,
        safeguards: Safeguards,
        report: Report,
        only: Sequence[int] | None,
        schedule: Sequence[Fault] | None,
    ) -> None:
        self._world, self._options, self._report = world, options, report
        self._cluster = SimCluster(
            world,
            chunkservers=options.chunkservers,
            racks=options.racks,
            disks=options.disks,
            goal=options.replicas,
            geometry=Geometry(chunk_bytes=options.chunk_bytes, block_bytes=options.block_bytes),
            config=_config_of(options),
            chunkserver_config=msgspec.structs.replace(ROOMY, scrub_period_s=options.scrub_period_s),
            safeguards=safeguards,
        )
        cells = Cells(self._cluster, options)
        parts: list[Part] = [
            cells,
            Records(options),
            Names(options),
            Stretched(self._cluster, options),
            Snapshots(self._cluster, options, cells),
            Races(),
        ]
        self._party = Party(self._cluster, options, parts)
        self._faults = Faults(self._cluster, options, restart_user=self._party.start)
        self._watch = Watch(self._cluster, options)
        if schedule is None:
            schedule = draw_schedule(options, world.stream("schedule"), users=self._party.hosts)
        report.schedule = list(schedule) if only is None else [fault for fault in schedule if fault.number in {*only}]
        report.only = None if only is None else list(only)

    def play(self) -> None:
        """Run it. Raises whatever was wrong."""
        report = self._report
        try:
            self._cluster.start()
            self._world.run(self._live(), limit_s=LIMIT_S)
            self._world.run(self._check(), limit_s=LIMIT_S)
        finally:
            report.operations, report.refused = self._party.done, self._party.refused
            report.faults, report.told = self._faults.done, self._faults.told
            report.looks = self._watch.looks
            report.probes = {probe: count for probe, count in self._cluster.counters().items() if probe in PROBES}

    async def _live(self) -> None:
        await self._party.begin()
        watching = self._party.watched(self._world.loop.create_task(self._watch.run()))
        await self._faults.run(self._report.schedule)
        rest_s = self._options.duration_s - self._world.loop.time()
        await self._cluster.pause(max(0.0, rest_s))
        await self._faults.end()
        await self._party.end()
        self._watch.is_over = True
        await watching

    async def _check(self) -> None:
        for part in self._party.parts:
            try:
                await self._cluster.on_client(part.check)
            except CairnError as error:
                if self._options.mode is not Mode.BEYOND:
                    raise
                self._report.losses.append(f"{type(part).__name__}: {error}")
        if self._report.losses:
            await self._cluster.on_client(self._check_told)
            return
        await check_rest(self._cluster, self._options)
        self._watch.look()

    async def _check_told(self, client: Client) -> None:
        """Beyond the promises: whatever cannot be read is told to whoever looks at the cluster.

        Raises:
            ViolationError: the status says that nothing is missing.
        """
        if not (await client.status()).chunks_missing:
            raise ViolationError(f"nothing is missing, says the status, but: {self._report.losses[0]}")


def _config_of(options: Options) -> MasterConfig:
    return MasterConfig(
        listen=(MASTER_ADDRESS,),
        data=FOLDER,
        replicas=options.replicas,
        heartbeat_s=options.heartbeat_s,
        suspect_s=3 * options.heartbeat_s,
        dead_s=10 * options.heartbeat_s,
        lease_s=options.lease_s,
        serving_lease_s=options.serving_lease_s,
        serving_lease_quiet_s=options.serving_lease_quiet_s,
        repair_grace_s=options.repair_grace_s,
        repair_bytes_s=options.repair_bytes_s,
        balance_spread=options.balance_spread,
        trim_after_s=options.trim_after_s,
        safe_start_s=options.safe_start_s,
        location_cache_s=options.location_cache_s,
        trash_s=options.trash_s,
        recent_creations_max=1000,
        report_page=QUICK.report_page,
        report_bucket=QUICK.report_bucket,
    )
