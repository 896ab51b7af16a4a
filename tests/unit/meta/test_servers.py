import pytest
from tests.unit.meta.support import Caller

from cairnfs.errors import NoSuchServerError
from cairnfs.meta.check import check
from cairnfs.meta.commands import ForgetServer, OrderServer, SeeServer, Tune
from cairnfs.meta.servers import TuningRow, get_server, get_tuning, servers


def seen(**changes):
    return SeeServer(**{"server": 1, "boot": 10, "address": "a:1", "rack": "r", "disks": [5, 6], **changes})


@pytest.fixture
def world():
    caller = Caller()
    caller.ask(seen())
    return caller


def test_what_an_operator_said_outlives_restarts_of_the_server(world):
    world.ask(OrderServer(server=1, draining=True, drain_disks=[5], maintenance_until_ns=77))
    world.ask(seen(boot=11, address="b:1", disks=[5]))
    row = get_server(world.store, 1)
    assert (row.boot, row.address, row.draining, row.draining_disks, row.maintenance_until_ns) == (
        11,
        "b:1",
        True,
        [5],
        77,
    )


def test_each_word_changes_only_what_it_is_about(world):
    world.ask(OrderServer(server=1, draining=True))
    world.ask(OrderServer(server=1, drain_disks=[5, 6]))
    world.ask(OrderServer(server=1, keep_disks=[5]))
    world.ask(OrderServer(server=1, maintenance_until_ns=9))
    row = get_server(world.store, 1)
    assert (row.draining, row.draining_disks, row.maintenance_until_ns) == (True, [6], 9)
    world.ask(OrderServer(server=1, draining=False))
    assert get_server(world.store, 1).draining_disks == [6]
    before = world.store.dump()
    world.ask(OrderServer(server=1, draining=False))
    assert world.store.dump() == before, "nothing new is nothing written"
    assert check(world.store) == []


def test_who_was_never_seen_or_is_forgotten_takes_no_orders(world):
    with pytest.raises(NoSuchServerError):
        world.ask(OrderServer(server=2, draining=True))
    world.ask(ForgetServer(server=1))
    assert servers(world.store) == []
    with pytest.raises(NoSuchServerError):
        world.ask(ForgetServer(server=1))
    world.ask(seen())
    assert not get_server(world.store, 1).draining


def test_speeds_are_set_one_by_one(world):
    assert get_tuning(world.store) == TuningRow()
    world.ask(Tune(repair_bytes_s=7))
    world.ask(Tune(balance_bytes_s=5))
    world.ask(Tune())
    assert get_tuning(world.store) == TuningRow(repair_bytes_s=7, balance_bytes_s=5)
    world.ask(Tune(repair_bytes_s=0))
    assert get_tuning(world.store) == TuningRow(balance_bytes_s=5)
