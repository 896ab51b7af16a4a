"""S26 to S29: snapshots, garbage, old metadata, and requests that are sent again."""

import pytest
from tests.sim.scenarios.playing import notice, play

from cairnfs.client.filesystem import Client
from cairnfs.meta.tables import get_log_state
from cairnfs.sim.cluster import MASTER
from cairnfs.sim.scenes.belonging import notice_rollback
from cairnfs.sim.scenes.found import copy_of_a_copy
from cairnfs.sim.scenes.keeping import keep_last_copy, safe_start
from cairnfs.sim.stage import FILE, Seat, Stage, content


async def snapshots_under_a_writer(stage: Stage) -> None:
    """Snapshots are taken while somebody writes; now the primary cannot be reached, now the master dies."""
    await stage.make(1)
    writer = await stage.writer()
    snapper = await stage.client("snapper")
    chance = stage.world.random
    taken: dict[str, bytes] = {}
    begun = [1]

    async def write_on() -> None:
        for number in range(2, 30):
            begun[0] = number
            await writer.write(number)
            await stage.pause(0.3)

    writing = stage.later(write_on())
    for turn in range(4):
        await stage.pause(chance.uniform(0, 1.5))
        before, path = writer.acked, f"/snapshot{turn}"
        if turn == 1 and not stage.row.closed:
            stage.world.cut(MASTER, stage.primary)
        taking = stage.later(stage.on("snapper", snapper.snapshot(FILE, path)))
        if turn == 2:
            await stage.pause(chance.uniform(0, 0.05))
            stage.cluster.crash(MASTER, power=True)
            await stage.cluster.restart(MASTER)
        await stage.pause(2)
        stage.world.heal()
        await taking
        taken[path] = await stage.on("snapper", snapper.read_bytes(path))
        assert taken[path] == content(taken[path][0]), "a mixture"
        assert max(1, before) <= taken[path][0] <= begun[0], "I23: not of its moment"
    await writing
    for path, data in taken.items():
        assert await stage.on("snapper", snapper.read_bytes(path)) == data, "I23: a snapshot has changed"


def test_s26_snapshots_race_with_writes() -> None:
    """Goal: I22, I23; rule 9, contract 4.

    Method: a writer goes on through snapshots; revocations do not get through, the master dies between the copy on
    write and its record; readers know old maps.
    """
    play(snapshots_under_a_writer)
    play(copy_of_a_copy, range(1), chunkservers=4)


def test_s26_needs_the_barrier() -> None:
    notice(copy_of_a_copy, "map_barrier", chunkservers=4)


async def returns_after_repair(stage: Stage) -> None:
    """A server is away until its replicas were replaced, rewritten and in part deleted; then it registers again."""
    await stage.make(1)
    client = await stage.client("remover")
    await stage.on("remover", client.write_bytes("/gone", content(9)))
    away = stage.members[0]
    stage.cluster.crash(away)
    await stage.cluster.until(lambda: away_is_replaced(stage))
    writer = await stage.writer()
    await writer.write(2)
    await stage.on("remover", client.remove("/gone", now=True))
    stage.cluster.crash(MASTER)
    await stage.cluster.restart(MASTER)
    await stage.cluster.restart(away)
    for _ in range(300):
        row = stage.reign.chunk(1) if stage.cluster.master else None
        confirmed = len(stage.reign.live_current(row, 1)) if row is not None else 3
        held = sum(1 in server.context.store.replicas for server in stage.cluster.servers.values())
        assert held >= min(3, confirmed), f"I29: {held} replicas are left"
        await stage.pause(0.1)
    assert await (await stage.reader(away)).show() == 2


def away_is_replaced(stage: Stage) -> bool:
    rows = [stage.reign.chunk(handle) for handle in (1, 2)]
    return all(len(stage.reign.live_current(row, handle)) >= 3 for handle, row in zip((1, 2), rows, strict=True))


def test_s27_a_server_returns_after_its_replicas_were_replaced() -> None:
    """Goal: I24, I25, I29; rules 22 and 23.

    Method: it holds a stale copy and one of a deleted file; the master, too, has just started.
    """
    play(returns_after_repair, chunkservers=4)


def test_s27_needs_guards_of_deletion() -> None:
    notice(keep_last_copy, "keep_last_copy", rests=False)
    notice(safe_start, "safe_start", rests=False)


def test_s28_old_metadata_delete_nothing() -> None:
    """Goal: I24; rule 22. Method: the master starts with metadata of a day before the file had its other copies."""
    play(notice_rollback, rests=False, watches=False)  # what is above all numbers issued is the point of it


def test_s28_needs_to_notice_it() -> None:
    notice(notice_rollback, "notice_rollback", rests=False, watches=False)


# ------------------------------------------------------------------ S29


async def sent_again(stage: Stage, first, meanwhile, *, restarts: bool) -> None:
    """The answer to `first` is lost, `meanwhile` happens, and then it is sent again."""
    before = rows_of_the_log(stage)
    job = stage.later(stage.on("one", first))
    while rows_of_the_log(stage) == before:  # ends: it is carried out
        await stage.pause(0.00005)
    stage.world.cut(MASTER, "one", one_way=True)
    await stage.pause(0.5)
    assert not job.done()
    await stage.on("two", meanwhile)
    if restarts:
        stage.cluster.crash(MASTER, power=True)
        await stage.cluster.restart(MASTER)
    stage.world.heal(breaks=True)
    await job


def rows_of_the_log(stage: Stage) -> int:
    with stage.reign.store.read() as view:
        return get_log_state(view).next


async def renamed(stage: Stage, one: Client, two: Client, *, restarts: bool) -> None:
    await sent_again(stage, one.replace("/old", "/new"), two.write_bytes("/old", b"second"), restarts=restarts)
    assert await stage.on("two", two.read_bytes("/new")) == b"first"
    assert await stage.on("two", two.read_bytes("/old")) == b"second"


async def deleted(stage: Stage, one: Client, two: Client, *, restarts: bool) -> None:
    await sent_again(stage, one.remove("/old"), two.write_bytes("/old", b"second"), restarts=restarts)
    assert await stage.on("two", two.read_bytes("/old")) == b"second"


async def truncated(stage: Stage, one: Client, two: Client, *, restarts: bool) -> None:
    await sent_again(stage, one.truncate("/old", 0), two.write_bytes("/old", b"second"), restarts=restarts)
    assert await stage.on("two", two.read_bytes("/old")) == b"second"


async def created(stage: Stage, one: Client, two: Client, *, restarts: bool) -> None:
    async def make() -> None:
        async with await one.open("/made", "xb") as file:
            await file.pwrite(b"first", 0)

    await sent_again(stage, make(), two.write_bytes("/other", b"second"), restarts=restarts)
    assert await stage.on("two", two.read_bytes("/made")) == b"first"


async def made_folder(stage: Stage, one: Client, two: Client, *, restarts: bool) -> None:
    await sent_again(stage, one.mkdir("/folder"), two.write_bytes("/folder/inside", b"second"), restarts=restarts)
    assert await stage.on("two", two.read_bytes("/folder/inside")) == b"second"


RETRIES = {job.__name__: job for job in (renamed, deleted, truncated, created, made_folder)}


def retry(name: str, *, restarts: bool):
    async def scene(stage: Stage) -> None:
        one, two = await stage.client("one"), await stage.client("two")
        await stage.on("two", two.write_bytes("/old", b"first"))
        await RETRIES[name](stage, one, two, restarts=restarts)

    return scene


@pytest.mark.parametrize("restarts", [False, True], ids=["same-master", "new-master"])
@pytest.mark.parametrize("name", RETRIES)
def test_s29_a_request_that_is_sent_again_happens_once(name: str, restarts: bool) -> None:
    """Goal: I18, I19; contract 1.

    Method: the answer is lost, another client changes the same names, the request is sent again, to a master that has
    restarted as well.
    """
    play(retry(name, restarts=restarts), range(1))


@pytest.mark.parametrize("name", RETRIES)
def test_s29_needs_remembered_results(name: str) -> None:
    notice(retry(name, restarts=False), "remember_results", rests=False)


async def late_truncation(stage: Stage) -> None:
    """The ack of a cut inside a chunk is lost, somebody appends, and the cut is sent again."""
    await stage.make(1)
    one = await stage.writer("one")
    await one.write(2)
    two = await stage.client("two")
    replica = stage.cluster.servers[stage.primary].context.store.replicas[stage.handle]
    cut = stage.later(one.do(one.file.truncate(1000)))
    while replica.length != 1000:  # ends: it is carried out
        await stage.pause(0.00005)
    stage.world.cut(stage.primary, "one", one_way=True)
    await stage.pause(0.5)
    assert not cut.done()
    await stage.on("two", two.append(FILE, b"newer"))
    stage.world.heal(breaks=True)
    await cut
    reader = Seat(stage, "two", await stage.on("two", two.open(FILE, "rb")))
    assert await reader.read(5, 1000) == b"newer", "I18: a repeated truncation destroyed what was appended since"


def test_s29_a_repeated_truncation_takes_nothing_newer() -> None:
    """Goal: I18; contracts 1 and 2, rule 11. Method: as above, within a chunk: its primary filters the repeat."""
    play(late_truncation)


def test_s29_needs_the_filter() -> None:
    notice(late_truncation, "filter_repeats", rests=False)
