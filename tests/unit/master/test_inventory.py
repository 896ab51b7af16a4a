"""The master's picture of all replicas: entered one by one or as columns, put aside, told anew. Rule 5."""

from random import Random

from cairnfs.ids import ChunkVersion
from cairnfs.master.inventory import Held, Inventory
from cairnfs.wire.membership import ReplicaReport
from cairnfs.wire.settled import pack, unpack_columns

ONE, TWO = 101, 102
BUCKET = 4
ROWS = [(handle, 1, 10 + handle, 100 * handle) for handle in (1, 2, 3, 5, 6, 9, 30)]


def settled(rows=ROWS):
    return unpack_columns(pack(rows))


def held(epoch, counter, length, **changes):
    fields = {"closed": True, "incomplete": False, "unbroken": True, **changes}
    promised = fields.pop("promised", (epoch, counter))
    return Held((epoch, counter), promised, length, **fields)


def facts(inventory, *servers):
    return {
        server: {
            handle: (one.version, one.promised, one.length, one.closed)
            for handle in inventory.of_server(server)
            if (one := inventory.get(server, handle)) is not None
        }
        for server in servers
    }


def all_aside(inventory, server):
    while inventory.put_aside(server):
        pass
    return {
        bucket: columns for bucket in range(10) if (columns := inventory.take_remembered(server, bucket)) is not None
    }


def test_columns_enter_what_single_reports_do():
    together, single = Inventory(bucket=BUCKET), Inventory(bucket=BUCKET)
    for server in (ONE, TWO):
        together.put_settled(server, settled())
        for handle, epoch, counter, length in ROWS:
            version = ChunkVersion(epoch, counter)
            report = ReplicaReport(
                handle=handle, version=version, promised=version, length=length, closed=True, incomplete=False,
                unbroken=True,
            )  # fmt: skip
            single.put(server, report)
    assert facts(together, ONE, TWO) == facts(single, ONE, TWO)
    for inventory in (together, single):
        assert (inventory.count(ONE), inventory.chunks, inventory.highest) == (len(ROWS), len(ROWS), 30)


def test_columns_do_not_undo_a_newer_version():
    inventory = Inventory(bucket=BUCKET)
    inventory.set(ONE, 5, held(1, 99, 7, closed=False))
    inventory.put_settled(ONE, settled())
    assert inventory.get(ONE, 5).version == (1, 99)
    assert inventory.get(ONE, 6).version == (1, 16)


def test_copies_that_differ_do_not_become_alike():
    inventory = Inventory(bucket=BUCKET)
    inventory.set(ONE, 1, held(1, 11, 100, incomplete=True))
    inventory.set(ONE, 2, held(1, 12, 200, closed=False))
    inventory.set(ONE, 3, held(1, 13, 300, promised=(2, 1)))
    inventory.put_settled(ONE, settled([(5, 1, 15, 499), (6, 1, 15, 600)]))
    inventory.put_settled(TWO, settled())
    for handle, epoch, counter, length in ROWS:
        one = inventory.get(TWO, handle)
        assert (one.version, one.promised, one.length) == ((epoch, counter), (epoch, counter), length)
        assert one.is_settled
    assert inventory.get(ONE, 1).incomplete
    assert inventory.get(ONE, 5).length == 499


def test_what_is_put_aside_is_held_by_nobody():
    inventory = Inventory(bucket=BUCKET)
    inventory.put_settled(ONE, settled())
    inventory.put_settled(TWO, settled(ROWS[:2]))
    while inventory.put_aside(ONE):
        pass
    assert not any(ONE in inventory.holders(row[0]) for row in ROWS)
    assert (inventory.count(ONE), inventory.chunks, inventory.of_server(ONE)) == (0, 2, [])
    assert (inventory.remembered(ONE), inventory.remembered(TWO)) == (len(ROWS), 0)


def test_only_settled_replicas_are_put_aside():
    inventory = Inventory(bucket=BUCKET)
    inventory.put_settled(ONE, settled())
    inventory.set(ONE, 2, held(1, 12, 200, closed=False))
    inventory.set(ONE, 3, held(1, 13, 300, promised=(2, 1)))
    inventory.set(ONE, 5, held(1, 15, 500, incomplete=True))
    told = [row[0] for columns in all_aside(inventory, ONE).values() for row in unpack_columns(columns).rows()]
    assert sorted(told) == [1, 6, 9, 30]


def test_the_order_of_changes_does_not_matter_to_what_is_put_aside():
    """Goal: equal replicas, equal columns. Method: the same replicas by other ways, in many orders."""
    first = Inventory(bucket=BUCKET)
    first.put_settled(ONE, settled())
    expected = all_aside(first, ONE)
    chance = Random(3)
    for _ in range(50):
        other = Inventory(bucket=BUCKET)
        rows = chance.sample(ROWS, len(ROWS))
        for handle, epoch, counter, _ in rows:
            other.set(ONE, handle, held(epoch, counter - 1, 1, closed=False))
        other.set(ONE, 7, held(1, 1, 1))
        for handle, epoch, counter, length in reversed(rows):
            other.set(ONE, handle, held(epoch, counter, length))
        other.drop(ONE, 7)
        assert all_aside(other, ONE) == expected
    assert sorted(expected) == [0, 1, 2, 7]


def test_a_lost_replica_is_not_put_aside_and_told_again_is_no_longer_lost():
    inventory = Inventory(bucket=BUCKET)
    inventory.put_settled(ONE, settled())
    inventory.drop(ONE, 30)
    assert inventory.is_lost(ONE, 30)
    assert 7 not in all_aside(inventory, ONE)
    inventory.put_settled(ONE, settled())
    assert not inventory.is_lost(ONE, 30)


def test_who_lost_a_purged_chunk_does_not_matter_any_more():
    inventory = Inventory(bucket=BUCKET)
    for server in (ONE, TWO):
        inventory.put_settled(server, settled())
        for handle in (1, 30):
            inventory.drop(server, handle)
    inventory.forget_lost([30])
    assert inventory.is_lost(ONE, 1)
    assert inventory.is_lost(TWO, 1)
    assert not inventory.is_lost(ONE, 30)
    assert not inventory.is_lost(TWO, 30)
