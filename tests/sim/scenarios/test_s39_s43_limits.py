"""S39 to S43: too few descriptors, metadata that cannot be stored, newer formats, lists with duplicates."""

import asyncio
import errno
import json
from contextlib import suppress

import pytest
from tests.sim.scenarios.playing import play

from cairnfs.checksum import crc32c
from cairnfs.chunkserver.format import _CRC, _HEADER, FORMAT, HEADER_SLOT_BYTES, sum_name
from cairnfs.chunkserver.secondary import report_of
from cairnfs.errors import CairnError, DiskFullError, FormatError
from cairnfs.sim.cluster import FOLDER, MASTER, MASTER_ADDRESS
from cairnfs.sim.stage import Stage, content
from cairnfs.wire.membership import ReportReplicas

FILES = 10
DESCRIPTORS = 3


async def few_descriptors(stage: Stage) -> None:
    """Three replicas may be open at a time and ten are in use; then one server gets no descriptor at all."""
    client = await stage.client("maker")
    disks = [disk for one in stage.cluster.servers.values() for disk in one.context.store.disks.values()]
    for disk in disks:
        disk.descriptors._max = DESCRIPTORS

    async def use(number: int) -> None:
        await client.write_bytes(f"/{number}", content(number + 1))
        assert await client.read_bytes(f"/{number}") == content(number + 1)

    jobs = [stage.later(stage.on("maker", use(number))) for number in range(FILES)]
    for job in jobs:
        await job
    users = [sum(owner.users for owner in disk.descriptors._open.values()) for disk in disks]
    assert users == [0] * len(disks), "a file is still lent"
    assert all(len(disk.descriptors._open) <= DESCRIPTORS for disk in disks), "I34"
    victim = stage.cluster.names[0]
    stage.world.tree(victim, FOLDER).faults.fail("names", "*.dat", number=errno.EMFILE)
    for number in range(FILES):
        data = await stage.on("maker", client.read_bytes(f"/{number}"))
        assert data == content(number + 1), "bytes of another file"
        await stage.on("maker", client.write_bytes(f"/{number}", content(number + 100)))
    stage.world.tree(victim, FOLDER).faults.mend()
    stage.cluster.crash(victim)
    await stage.cluster.restart(victim)
    for number in range(FILES):
        assert await stage.on("maker", client.read_bytes(f"/{number}")) == content(number + 100)


def test_s39_out_of_descriptors() -> None:
    """Goal: I34; rule 27.

    Method: more replicas in use than may be open, none closed under its user; then opening fails on one server. Nothing
    that was acked is touched, and after a restart it has its replicas again.
    """
    play(few_descriptors, range(1))


async def metadata_that_cannot_be_stored(stage: Stage) -> None:
    """Commits of the master fail now and then, and it is restarted."""
    client = await stage.client("maker")
    acked: list[str] = []
    failed = 0

    async def make(path: str) -> None:
        async with asyncio.timeout(5):
            await client.mkdir(path)
        acked.append(path)

    for number in range(12):
        if number % 3 == 1:
            stage.world.record(MASTER, FOLDER).fails_with = DiskFullError(where=FOLDER)
        try:
            await stage.on("maker", make(f"/{number}"))
        except (CairnError, TimeoutError):
            failed += 1
        if number % 4 == 3:
            stage.world.record(MASTER, FOLDER).fails_with = None
            stage.cluster.crash(MASTER, power=True)
            await stage.cluster.restart(MASTER)
    names = await stage.on("maker", client.listdir("/"))
    missing = [path for path in acked if path[1:] not in names]
    assert not missing, f"I20: acknowledged and gone: {missing}"
    assert failed > 0
    assert len(acked) + failed == 12


def test_s41_nothing_is_acked_that_is_not_stored() -> None:
    """Goal: I20.

    Method: the store of the master has no room for some commits; what was acknowledged is there after power losses. The
    real store is shown in tests/unit/env/test_lmdb_store.py and tests/e2e/test_metadata.py.
    """
    play(metadata_that_cannot_be_stored)


def with_format(sums: bytes, number: int) -> bytes:
    """Return a .sum file whose headers are intact and have another format number."""
    out = bytearray(sums)
    for start in (0, HEADER_SLOT_BYTES):
        fields = list(_HEADER.unpack_from(out, start))
        if fields[1] == FORMAT:
            fields[1] = number
            _HEADER.pack_into(out, start, *fields)
            _CRC.pack_into(out, start + _HEADER.size, crc32c(out[start : start + _HEADER.size]))
    return bytes(out)


async def newer_formats(stage: Stage) -> None:
    """A folder, and then one replica in it, have been written by a later program."""
    await stage.make(1)
    victim, handle = stage.members[0], stage.handle
    await stage.on(victim, stage.cluster.servers.pop(victim).stop())
    stage.world.crash(victim)
    tree = stage.world.tree(victim, FOLDER)
    disk, sums = tree.node("cairn/DISK"), tree.node(sum_name(handle))
    kept = {node: bytes(node.data) for node in (disk, sums)}
    newer = json.loads(kept[disk])
    newer["format"] = FORMAT + 1
    disk.data = disk.durable = bytearray(json.dumps(newer).encode())
    before = [(path, bytes(node.data)) for path, node in tree.walk()]
    with pytest.raises(FormatError, match="newer"):
        await stage.cluster.restart(victim)
    stage.world.crash(victim)
    assert [(path, bytes(node.data)) for path, node in tree.walk()] == before, "a newer folder was touched"
    disk.data = disk.durable = bytearray(kept[disk])
    sums.data = sums.durable = bytearray(with_format(kept[sums], FORMAT + 1))
    await stage.cluster.restart(victim)
    assert await (await stage.reader(victim)).show() == 1
    put_aside = [path for path, node in tree.walk() if "quarantine" in path and bytes(node.data) == content(1)]
    assert put_aside, "I24: a replica that was not understood was removed"


def test_s42_a_newer_format_is_refused_and_left_alone() -> None:
    """Goal: I13, I24; rule 25. Method: the format number of a folder, and of one replica, is higher than ours."""
    play(newer_formats)


async def lists_with_duplicates(stage: Stage) -> None:
    """A server's whole report comes once more: each replica twice, newer and older, and its pages in disorder."""
    await stage.make(1)
    writer = await stage.writer()
    await writer.write(2)
    victim, other = stage.others
    server = stage.cluster.servers[victim]
    old = report_of(server.context, server.context.store.replicas[stage.handle])
    stage.world.cut(other, MASTER)
    await stage.raise_without(other)
    stage.world.heal()
    await writer.write(3)
    new = report_of(server.context, server.context.store.replicas[stage.handle])
    session = stage.reign.sessions.of(server.server_id)
    held = stage.reign.inventory.get(server.server_id, stage.handle)
    again = ReportReplicas(session=session.number, page=0, last=True, replicas=[new, old, new, old])
    out_of_turn = ReportReplicas(session=session.number, page=7, last=True, replicas=[])
    for request in (again, out_of_turn, again):
        with suppress(CairnError):
            await stage.call("ghost", "chunkserver", MASTER_ADDRESS, request, timeout_s=5)
        assert stage.reign.inventory.get(server.server_id, stage.handle).version == held.version
        assert stage.reign.inventory.count(server.server_id) == 1
    await writer.write(4)
    assert await (await stage.reader(victim)).show() == 4
    assert not stage.reign.counters.get("replicas_deleted"), "I24"


def test_s43_duplicates_in_a_report_change_nothing() -> None:
    """Goal: I24, I27; rules 2 and 5. Method: a full report with duplicates of two versions, repeated, out of turn."""
    play(lists_with_duplicates)
