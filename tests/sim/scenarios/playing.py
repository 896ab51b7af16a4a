"""How the numbered scenarios are played: on a stage, under watch, and at rest in the end.

    play(scene, seeds)                  nothing may be wrong: not for the scene, not for the watch, not at rest
    notice(scene, "serving_lease")      the same without one safeguard must be seen to fail

Invariants are named I1 to I38. The watch looks while the scene plays:
    I12  at most one server can get a mutation of a chunk acked: its members all take part in its version
    I13  no replica's version and no server's epoch goes backward, through crashes and power losses
    I14  no replica is above what the master has issued
    I15  no set that takes mutations has fewer members than `copies_min`
At rest, when all is healed and everybody is up again:
    I6   all current replicas of a chunk are equal          I27  as many as wanted, none besides
    I19 to I22  the tables of the master contradict neither each other nor their log
    I31  it comes to rest at all
"""

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from cairnfs.chunkserver.server import Chunkserver
from cairnfs.config import MasterConfig
from cairnfs.errors import CairnError
from cairnfs.ids import NO_VERSION, ChunkHandle, ChunkVersion, Epoch
from cairnfs.meta.check import check
from cairnfs.meta.read import each_chunk
from cairnfs.meta.tables import ChunkRow
from cairnfs.safeguards import Safeguards
from cairnfs.sim.cluster import MASTER, QUICK
from cairnfs.sim.loop import SimError
from cairnfs.sim.stage import Scene, Stage

CONFIG: MasterConfig = replace(QUICK, serving_lease_quiet_s=10.0)
WITHOUT_REPAIR = replace(CONFIG, repairs_max=0)
SEEDS = range(2)
ABLATION_SEEDS = range(4)
LOOKS_S = 0.1
COPIES_MIN = 2


def play(
    scene: Scene,
    seeds: Iterable[int] = SEEDS,
    *,
    missing: str = "",
    chunkservers: int = 3,
    config: MasterConfig = CONFIG,
    rests: bool = True,
    watches: bool = True,
) -> None:
    """Play a scene for some seeds. `missing`: without that safeguard. `rests`: all comes to rest afterwards."""
    safeguards = Safeguards(**{missing: False}) if missing else Safeguards()
    for seed in seeds:
        with Stage(seed, chunkservers=chunkservers, safeguards=safeguards, config=config) as stage:
            stage.play(watched(scene) if watches else scene)
            if rests:
                stage.play(come_to_rest)


def notice(scene: Scene, missing: str, **how) -> None:
    """Fail unless the scene goes wrong without that safeguard, within a few seeds."""
    for seed in ABLATION_SEEDS:
        try:
            play(scene, [seed], missing=missing, **how)
        except (AssertionError, CairnError, SimError):
            return
    pytest.fail(f"nothing was noticed without {missing}")


# ------------------------------------------------------------------ while it plays


def watched(scene: Scene) -> Scene:
    async def whole(stage: Stage) -> None:
        watch = Watch(stage)
        looking = stage.later(watch.run())
        await scene(stage)
        watch.is_over = True
        await looking

    return whole


class Watch:
    """What only ever grows, and who can have mutations acked."""

    def __init__(self, stage: Stage) -> None:
        self.is_over = False
        self._stage = stage
        self._versions: dict[tuple[str, ChunkHandle], ChunkVersion] = {}
        self._epochs: dict[str, Epoch] = {}

    async def run(self) -> None:
        while not self.is_over:
            self.look()
            await self._stage.pause(LOOKS_S)
        self.look()

    def look(self) -> None:
        able: dict[ChunkHandle, list[str]] = {}
        for name, server in self._stage.cluster.servers.items():
            if not self._stage.world.is_up(name):
                continue
            store = server.context.store
            assert store.max_epoch >= self._epochs.get(name, 0), f"I13: the epoch on {name} went backward"
            self._epochs[name] = store.max_epoch
            for handle, replica in store.replicas.items():
                version = replica.state.version
                if version == NO_VERSION:
                    self._versions.pop((name, handle), None)  # it was deleted, and a copy of it is being made
                    continue
                assert version >= self._versions.get((name, handle), version), f"I13: version on {name}"
                self._versions[name, handle] = version
            for primary in server.context.chunks.primaries():
                if primary.is_open and self._can_ack(primary):
                    able.setdefault(primary.chunk.handle, []).append(name)
        assert all(len(names) == 1 for names in able.values()), f"I12: two primaries {able}"
        self._look_at_master()

    def _look_at_master(self) -> None:
        master = self._stage.cluster.master
        if master is None or not self._stage.world.is_up(MASTER) or master._reign is None:
            return
        highest = master.reign.highest_version
        above = {key: version for key, version in self._versions.items() if version > highest}
        assert not above, f"I14: above all that was issued {above}"
        with master.reign.store.read() as view:
            small = [handle for handle, row in each_chunk(view) if is_too_small(row)]
        assert not small, f"I15: too few members {small}"

    def _can_ack(self, primary) -> bool:
        """Rule 2: an ack needs every member, at exactly the version."""
        servers = {server.server_id: server for server in self._stage.cluster.servers.values()}
        members = [servers.get(member.server) for member in primary.lease.members]
        return all(member is not None and takes_part(member, primary) for member in members)


def takes_part(member: Chunkserver, primary) -> bool:
    chunk = member.context.chunks.find(primary.chunk.handle)
    return chunk is not None and chunk.is_member_of(primary.version) and not chunk.is_changing


def is_too_small(row: ChunkRow) -> bool:
    return not row.closed and len(row.members) < min(row.goal, COPIES_MIN)


# ------------------------------------------------------------------ at rest


async def come_to_rest(stage: Stage) -> None:
    """Heal everything, start whoever is down, wait until nothing is left to do, and compare."""
    stage.world.heal()
    for name in [MASTER, *stage.cluster.names]:
        faults = stage.world.tree(name, "/data").faults
        faults.mend()
        has_failed = name in stage.cluster.servers and any(
            one.failed for one in stage.cluster.servers[name].context.store.usage()
        )
        if has_failed:
            stage.cluster.crash(name)  # a disk that has failed is taken up again only by a new start
        if not stage.world.is_up(name):
            await stage.cluster.restart(name)
    await stage.cluster.until(lambda: not unrest(stage), limit_s=300)
    with stage.reign.store.read() as view:
        assert check(view) == []
        handles = [handle for handle, _ in each_chunk(view)]
    for handle in handles:
        assert len(set(stage.cluster.digests(handle).values())) == 1, f"I6: {stage.cluster.digests(handle)}"


def unrest(stage: Stage) -> list[str]:
    """Return what is still to be done."""
    reign = stage.reign
    with reign.store.read() as view:
        rows = dict(each_chunk(view))
    todo = [f"chunk {handle} is open" for handle, row in rows.items() if not row.closed]
    up = len(stage.cluster.servers)
    for handle, row in rows.items():
        wanted = min(row.goal, up)
        todo += [f"chunk {handle} has too few copies"] if len(reign.live_current(row, handle)) < wanted else []
        todo += [f"chunk {handle} has too many"] if len(stage.cluster.digests(handle)) > wanted else []
    held = {handle for server in stage.cluster.servers.values() for handle in server.context.store.replicas}
    return todo + [f"chunk {handle} is nobody's" for handle in sorted(held) if handle not in rows]
