"""S7 to S12: mutations that are done in part, twice, late, or by somebody who is out of date."""

from tests.sim.scenarios.playing import notice, play

from cairnfs.client.filesystem import Client
from cairnfs.sim.cluster import FOLDER
from cairnfs.sim.scenes.keeping import verify_before_merge
from cairnfs.sim.scenes.orders import serial_order
from cairnfs.sim.scenes.raises import refuse_lower_version
from cairnfs.sim.stage import FILE, Stage

RECORD = 700


def record(number: int, size: int = RECORD) -> bytes:
    """Return a record that no other one is a part of."""
    return (b"<%06d>" % number) * (size // 8)


async def shown_records(stage: Stage, near: str) -> bytes:
    client = await stage.client(f"shows-{near}", near=near)
    return await stage.on(f"shows-{near}", client.read_bytes(FILE))


async def start_log(stage: Stage) -> Client:
    client = await stage.client("appender")
    await stage.on("appender", client.write_bytes(FILE, b""))
    await stage.on("appender", client.append(FILE, record(0)))
    return client


async def full_in_mid_append(stage: Stage) -> None:
    """A secondary has no room for one record; the appender goes on until all have it, and only that server is left."""
    client = await start_log(stage)
    victim = stage.others[0]
    for number in range(1, 6):
        append = stage.later(stage.on("appender", client.append(FILE, record(number))))
        if number == 2:
            await fill_until_refused(stage, victim)
        await append
    await stage.cluster.until(lambda: len(stage.reign.live_current(stage.row, stage.handle)) == 3)
    for name in stage.cluster.names:
        if name != victim:
            stage.cluster.crash(name)
    await stage.cluster.until(lambda: stage.row.closed)
    found = await shown_records(stage, victim)
    assert all(found.count(record(number)) == 1 for number in range(6)), "I3: a record is missing or repeated"


async def fill_until_refused(stage: Stage, victim: str) -> None:
    """Let a disk be full until its server has refused something: what the journal needs later finds room."""
    faults, counters = stage.world.tree(victim, FOLDER).faults, stage.cluster.servers[stage.primary].context.counters
    faults.is_full = True
    for _ in range(300):
        if counters.get("batches_failed"):
            break
        await stage.pause(0.001)
    faults.is_full = False


def test_s07_a_mutation_on_some_replicas_only() -> None:
    """Goal: I3, I6; rules 2 and 11.

    Method: one disk refuses a record in the middle of an append; at the end that replica is the only one left.
    """
    play(full_in_mid_append)


def test_s07_needs_an_ack_by_all() -> None:
    notice(full_in_mid_append, "ack_by_all", rests=False)


async def slow_raise(stage: Stage) -> None:
    """A disk takes seconds while two raises follow each other; the orders of the first one come last."""
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    primary, (slow, other) = stage.primary, stage.others
    faults = stage.world.tree(slow, FOLDER).faults
    faults.delay_s = (3.0, 6.0)
    stage.world.cut(primary, other)
    write = stage.later(writer.write(3))
    await stage.pause(stage.world.random.uniform(2, 4))
    stage.world.heal(breaks=True)
    await stage.pause(stage.world.random.uniform(0, 4))
    faults.delay_s = (0.00005, 0.002)
    await write
    await writer.write(4)
    assert await (await stage.reader(slow)).show() == 4


def test_s08_a_slow_raise_turns_no_version_back() -> None:
    """Goal: I13; rule 3.

    Method: a disk so slow that orders of an earlier raise are carried out when a later one is done; and such an order
    that comes late by itself.
    """
    play(slow_raise)
    play(refuse_lower_version)


def test_s08_needs_a_check_under_the_turn() -> None:
    notice(refuse_lower_version, "refuse_lower_version")


async def lost_ack_of_an_append(stage: Stage) -> None:
    """The ack of an append is lost, and the client sends it again."""
    client = await start_log(stage)
    stage.world.cut(stage.primary, "appender", one_way=True)
    append = stage.later(stage.on("appender", client.append(FILE, record(1))))
    await stage.pause(0.5)
    stage.world.heal(breaks=True)
    await append
    found = await shown_records(stage, stage.members[0])
    assert found.count(record(1)) == 1, f"I3: {found.count(record(1))} times"


def test_s09_a_repeated_append_is_there_once() -> None:
    """Goal: I3, sharper: rule 11 filters what the paper lets through. Method: an ack is lost on its way."""
    play(lost_ack_of_an_append)


def test_s09_needs_the_filter() -> None:
    notice(lost_ack_of_an_append, "filter_repeats")


async def append_beside_rot(stage: Stage) -> None:
    """A bit of the last block flips on one replica; then three clients append to that block at once."""
    await start_log(stage)
    await stage.pause(25)
    victim = stage.members[0]
    stage.flip(victim, stage.handle, 100)
    clients = [await stage.client(f"appender{number}") for number in range(3)]
    jobs = [
        stage.later(stage.on(f"appender{number}", client.append(FILE, record(10 + number))))
        for number, client in enumerate(clients)
    ]
    for job in jobs:
        await job
    found = await shown_records(stage, victim)
    assert all(found.count(record(number)) == 1 for number in (0, 10, 11, 12)), "I10: rot was answered"


def test_s10_an_append_never_signs_rotten_bytes() -> None:
    """Goal: I2, I10; rule 16.

    Method: concurrent appends, and an overwrite, share a block whose older bytes have rotted on one replica. An append
    extends the old checksum and so cannot hide the rot; an overwrite computes it anew.
    """
    play(append_beside_rot)
    play(verify_before_merge)


def test_s10_needs_verification_before_the_merge() -> None:
    notice(verify_before_merge, "verify_before_merge", rests=False)


async def blames_its_peers(stage: Stage) -> None:
    """The primary can reach master and clients and no other chunkserver: it accuses one after the other."""
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    faulty = stage.primary
    stage.world.partition([faulty], [name for name in stage.cluster.names if name != faulty])
    for number in range(3, 6):
        await writer.write(number)
        assert len(stage.members) >= 2, "I15"
    stage.cluster.crash(faulty)
    assert await (await stage.reader(stage.members[-1])).show() == 5, "I29: what was acked was only there"


def test_s11_one_server_s_word_expels_nobody() -> None:
    """Goal: I15, I29; rules 19 and 20.

    Method: a primary with a broken way to its peers reports each of them; at the end it dies.
    """
    play(blames_its_peers, chunkservers=4)


def test_s12_no_gap_and_no_loop_of_orders() -> None:
    """Goal: I17; rule 11. Method: an order arrives whose predecessor never came."""
    play(serial_order)


def test_s12_needs_the_order_of_serials() -> None:
    notice(serial_order, "serial_order")
