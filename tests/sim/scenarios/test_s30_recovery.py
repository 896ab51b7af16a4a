"""S30: a client dies in the middle of a write; whatever its replicas are like, the chunk is closed or told as lost."""

import itertools

from tests.sim.scenarios.playing import COPIES_MIN, notice, play

from cairnfs.checksum import piece_crcs
from cairnfs.chunkserver.reconcile import forget_replica
from cairnfs.client.filesystem import Client
from cairnfs.ids import ChunkHandle, Serial
from cairnfs.sim.cluster import MASTER, SMALL
from cairnfs.sim.scenes.raises import incomplete_is_no_source
from cairnfs.sim.stage import Stage, content

SIZE = 6_000
KINDS = ("absent", "empty", "short", "full", "different")
COMBINATIONS = list(itertools.product(KINDS, repeat=3))


async def leave_open(client: Client, number: int) -> None:
    """Write without a sync or close: the chunk stays open, and its lease runs."""
    file = await client.open(f"/{number}", "wb")
    await file.pwrite(content(1 + number % 200, SIZE), 0)


async def spoil(stage: Stage, name: str, handle: ChunkHandle, kind: str) -> None:
    """Bring a replica of a server that has just started into a state."""
    context = stage.cluster.servers[name].context
    store = context.store
    replica = store.replicas[handle]
    match kind:
        case "absent":
            await store.trash(replica)
            forget_replica(context, handle)
        case "empty":
            await store.truncate(replica, 0, serial=Serial(9))
        case "short":
            await store.truncate(replica, SIZE // 2, serial=Serial(9))
        case "different":
            data = content(255, SMALL.block_bytes)
            crcs = piece_crcs(data, SMALL.block_bytes)
            await store.apply(replica, 0, [data], crcs, serial=Serial(9), durable=False)


async def every_combination(stage: Stage) -> None:
    """One chunk per combination; its writer dies, the servers restart, and the replicas are as they are."""
    lost = stage.cluster.client("lost")

    async def write_all() -> None:
        await lost.connect()
        for number in range(len(COMBINATIONS)):
            await leave_open(lost, number)

    await stage.world.spawn("lost", write_all())
    stage.world.crash("lost")
    names = stage.cluster.names
    for name in names:
        stage.cluster.crash(name)
        stage.world.cut(name, MASTER)  # nothing is repaired before all are as they are to be
    for position, name in enumerate(names):
        await stage.cluster.restart(name)
        for handle, kinds in zip(handles(stage), COMBINATIONS, strict=True):
            await stage.on(name, spoil(stage, name, handle, kinds[position]))
    stage.world.heal()
    await stage.cluster.until(lambda: all(is_over(stage, handle) for handle in handles(stage)), limit_s=400)
    for handle, kinds in zip(handles(stage), COMBINATIONS, strict=True):
        check_result(stage, handle, kinds)


def handles(stage: Stage) -> list[ChunkHandle]:
    return [ChunkHandle(number) for number in range(1, len(COMBINATIONS) + 1)]


def is_over(stage: Stage, handle: ChunkHandle) -> bool:
    row = stage.reign.chunk(handle)
    return row.closed and len(stage.reign.live_current(row, handle)) == 3


def check_result(stage: Stage, handle: ChunkHandle, kinds: tuple[str, ...]) -> None:
    """All equal, and no shorter than the fullest one."""
    digests = stage.cluster.digests(handle)
    assert len(digests) == 3, kinds
    assert len(set(digests.values())) == 1, (kinds, digests)
    lengths = {"absent": 0, "empty": 0, "short": SIZE // 2, "full": SIZE, "different": SIZE}
    assert {length for length, _ in digests.values()} == {max(lengths[kind] for kind in kinds)}, kinds


def test_s30_recovery_ends_for_every_combination_of_replicas() -> None:
    """Goal: I6, I31; rules 2, 3 and 12.

    Method: all 125 combinations of absent, empty, short, full and different replicas on three servers, each a chunk
    whose writer died with the lease; nobody asks for them again, and all are closed and equal in the end.
    """
    play(every_combination, range(1))


async def client_dies_in_a_create(stage: Stage) -> None:
    """A client dies between the create and the first write, and in the middle of a large write."""
    for number in range(6):
        client = stage.cluster.client(f"lost{number}")

        async def job(client: Client = client, number: int = number) -> None:
            await client.connect()
            file = await client.open(f"/{number}", "wb")
            await file.pwrite(content(number + 1, 10 * SIZE), 0)
            await file.close()

        task = stage.world.spawn(f"lost{number}", job())
        await stage.pause(stage.world.random.uniform(0.001, 0.03))
        if not task.done():
            stage.world.crash(f"lost{number}")
    heir = await stage.client("heir")
    for number in range(6):
        await stage.on("heir", heir.write_bytes(f"/{number}", content(9)))
        assert await stage.on("heir", heir.read_bytes(f"/{number}")) == content(9)


def test_s30_a_client_dies_in_mid_create() -> None:
    """Goal: I25, I31; rules 2 and 4.

    Method: at a moment of its first milliseconds; others overwrite the file, and nothing stays open.
    """
    play(client_dies_in_a_create)


def test_s30_needs_whole_sources() -> None:
    assert COPIES_MIN == 2
    notice(incomplete_is_no_source, "incomplete_is_no_source")
