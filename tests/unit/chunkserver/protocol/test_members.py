"""What a member takes, and what it refuses. Rules 4, 11 and 16."""

import pytest
from tests.unit.chunkserver.protocol.cluster import MIB, run

from cairnfs.checksum import piece_crcs
from cairnfs.errors import (
    BadRequestError,
    ChecksumError,
    NotPrimaryError,
    OrderRefusedError,
    StaleVersionError,
)
from cairnfs.ids import ChunkVersion
from cairnfs.wire.mutations import AppendRecord, WriteChunk
from cairnfs.wire.orders import ApplyOrders, FlushOrder, Mutation, MutationKind


def order(cluster, lease, first, data=b"x", **changes):
    mutation = Mutation(
        kind=MutationKind.WRITE, client=1, sequence=1, offset=0, length=len(data), crcs=piece_crcs(data, 65536)
    )
    a = cluster.servers["a"]
    fields = {
        "handle": lease.handle,
        "version": lease.version,
        "primary": a.server_id,
        "boot": a.boot,
        "first": first,
        "committed": 0,
        "mutations": [mutation],
    }
    return ApplyOrders(**{**fields, **changes})


def test_a_member_takes_orders_only_from_the_primary_at_its_version_and_in_order():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.call("b", order(cluster, lease, 1), [b"x"])
        await cluster.call("b", order(cluster, lease, 1), [b"x"])  # sent again: answered, not applied again
        assert (await cluster.info("b", 1)).serial == 1
        wrong = [
            (OrderRefusedError, order(cluster, lease, 3)),
            (OrderRefusedError, order(cluster, lease, 2, boot=1)),
            (OrderRefusedError, order(cluster, lease, 2, primary=cluster.servers["c"].server_id)),
            (StaleVersionError, order(cluster, lease, 2, version=ChunkVersion(1, 99))),
            (StaleVersionError, order(cluster, lease, 2, version=ChunkVersion(0, 1))),
            (BadRequestError, order(cluster, lease, 2, mutations=[])),
        ]
        for kind, request in wrong:
            with pytest.raises(kind):
                await cluster.call("b", request, [b"x"])
        with pytest.raises(BadRequestError):
            await cluster.call("b", order(cluster, lease, 2, b"longer"), [b"x"])
        with pytest.raises(ChecksumError):
            await cluster.call("b", order(cluster, lease, 2), [b"y"])
        assert (await cluster.info("b", 1)).serial == 1

    run(story)


def test_a_closed_chunk_takes_no_orders_and_survives_a_restart():
    async def story(cluster):
        lease = await cluster.new_chunk()
        await cluster.write(lease, 0, b"plain")
        synced = await cluster.sync(lease, close=True)
        assert (synced.length, synced.closed) == (5, True)
        with pytest.raises(NotPrimaryError):
            await cluster.append(lease, b"more")
        with pytest.raises((StaleVersionError, OrderRefusedError)):
            await cluster.call("b", order(cluster, lease, 2), [b"x"])
        for name in "abc":
            await cluster.restart(name, power=True)
        for name in "abc":
            assert await cluster.read(name, lease, 0, 5) == b"plain"
            assert (await cluster.info(name, 1)).unbroken

    run(story)


def test_garbage_from_a_peer_is_refused_and_the_server_lives():
    async def story(cluster):
        lease = await cluster.new_chunk()
        a = cluster.servers["a"]
        bad = [
            (WriteChunk(handle=1, version=lease.version, client=1, sequence=1, lowest=0, offset=0, length=9), b"x"),
            (
                WriteChunk(
                    handle=1,
                    version=lease.version,
                    client=1,
                    sequence=1,
                    lowest=0,
                    offset=4 * MIB,
                    length=1,
                    crcs=piece_crcs(b"x", 1),
                ),
                b"x",
            ),
            (AppendRecord(handle=1, version=lease.version, client=1, sequence=1, lowest=0, length=0), b""),
        ]
        for request, payload in bad:
            with pytest.raises(BadRequestError):
                await cluster.call("a", request, [payload] if payload else [])
        flush = FlushOrder(handle=1, version=lease.version, primary=a.server_id, boot=a.boot, serial=77, length=0)
        with pytest.raises(OrderRefusedError):
            await cluster.call("b", flush)
        assert (await cluster.append(lease, b"fine")).offset == 0

    run(story)
