"""S17 to S20: torn writes, power losses, flushes that fail, full disks."""

import asyncio

from tests.sim.scenarios.playing import notice, play

from cairnfs.errors import CairnError
from cairnfs.sim.cluster import FOLDER
from cairnfs.sim.scenes.disks import first_error_fails_disk
from cairnfs.sim.scenes.keeping import flush_before_append_ack, redo_before_overwrite
from cairnfs.sim.scenes.tales import failing_disk, synced_bytes_are_durable
from cairnfs.sim.stage import FILE, Stage

ROOM_BYTES, OTHER_BYTES = 30_000, 150_000


def test_s17_a_torn_write_is_told_from_a_whole_one() -> None:
    """Goal: I2, I10; contract 7, rules 15 and 24.

    Method: all machines lose power while synced bytes are overwritten; sectors of data and of checksums are kept or
    lost each by its own chance. What is read is one of the writes, whole.
    """
    play(redo_before_overwrite)


def test_s17_needs_redo_records() -> None:
    notice(redo_before_overwrite, "redo_before_overwrite")


def test_s18_power_loss_of_the_whole_cluster() -> None:
    """Goal: I1; contracts 2 and 5. Method: every machine loses power just after the ack of an append, or of a sync."""
    play(flush_before_append_ack)
    play(synced_bytes_are_durable)


def test_s18_needs_a_flush_before_the_ack() -> None:
    notice(flush_before_append_ack, "flush_before_append_ack")


def test_s19_a_flush_that_failed_is_not_tried_again() -> None:
    """Goal: I37; rule 25.

    Method: a flush fails once, the kernel marks the pages clean, power is lost: nothing that was acked is gone. With
    three copies the other two carry on.
    """
    play(first_error_fails_disk)
    play(failing_disk, range(1), chunkservers=4)


def test_s19_needs_the_first_error_to_fail_the_disk() -> None:
    notice(first_error_fails_disk, "first_error_fails_disk")


async def full_disks(stage: Stage) -> None:
    """All disks fill up under an appender; a deletion makes room, and it goes on."""
    client = await stage.client("appender")
    await stage.on("appender", client.write_bytes("/other", bytes(OTHER_BYTES)))
    await stage.on("appender", client.write_bytes(FILE, b"begin"))
    trees = [stage.world.tree(name, FOLDER) for name in stage.cluster.names]
    for name, tree in zip(stage.cluster.names, trees, strict=True):
        stage.cluster.crash(name)
        tree.capacity_bytes = tree.used_bytes() + ROOM_BYTES
        await stage.cluster.restart(name)
    await stage.pause(3)
    acked = b"begin"
    was_full = False
    for number in range(40):
        record = b"%04d" % number * 500
        try:
            async with asyncio.timeout(5):
                await stage.on("appender", client.append(FILE, record))
        except (CairnError, TimeoutError):
            was_full = True
            break
        acked += record
        data_bytes = [sum(len(node.data) for path, node in tree.walk() if path.endswith(".dat")) for tree in trees]
        assert max(data_bytes) <= OTHER_BYTES + ROOM_BYTES, "I30: the reserve was used"
    assert was_full, "no disk said that it was full"
    shown = await stage.on("appender", client.read_bytes(FILE))
    assert shown.startswith(acked), "I30: acked bytes changed"
    await stage.on("appender", client.remove("/other", now=True))
    await stage.pause(150)  # the replica trash is looked at once a minute, and emptied at once on a full disk
    await stage.on("appender", client.append(FILE, b"after"))
    assert (await stage.on("appender", client.read_bytes(FILE))).endswith(b"after")


def test_s20_full_disks() -> None:
    """Goal: I30; rule 26.

    Method: every disk has room for a few records more; what does not fit is refused cleanly, deletes work.
    """
    play(full_disks, range(1), rests=False)
