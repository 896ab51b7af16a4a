"""What decides about moves, outliers and limits. Pure, but for a clock."""

from cairnfs.master.balance import Use, keeps_apart, plan_move
from cairnfs.master.outliers import outliers
from cairnfs.master.streams import COPIES_MAX, Budget, Streams
from cairnfs.sim.world import SimWorld, pass_time


def use(server, used, *, load=0.0, has_room=True, rack=""):
    return Use(server=server, rack=rack, used=used, load=load, has_room=has_room)


def test_chunks_go_from_the_fullest_to_the_emptiest_while_they_differ():
    assert plan_move([use(1, 0.9), use(2, 0.5), use(3, 0.2)], spread=0.1) == (1, [3, 2])
    assert plan_move([use(1, 0.55), use(2, 0.5), use(3, 0.47)], spread=0.1) is None
    assert plan_move([use(1, 0.9)], spread=0.1) is None


def test_who_has_no_room_takes_nothing_and_a_move_never_makes_the_giver_the_emptier():
    assert plan_move([use(1, 0.9), use(2, 0.5), use(3, 0.2, has_room=False)], spread=0.1) == (1, [2])
    assert plan_move([use(1, 0.9), use(2, 0.88), use(3, 0.5)], spread=0.1) == (1, [3])
    assert plan_move([use(1, 0.9, has_room=False), use(2, 0.2, has_room=False)], spread=0.1) is None


def test_with_even_disks_load_decides():
    even = [use(1, 0.5, load=60.0), use(2, 0.5, load=2.0), use(3, 0.5, load=1.0)]
    assert plan_move(even, spread=0.1)[0] == 1
    assert plan_move([use(1, 0.5, load=5.0), use(2, 0.5), use(3, 0.5)], spread=0.1) is None, "a few requests are chance"


def test_a_move_leaves_no_fewer_racks():
    assert keeps_apart(["a", "b", "b"], "b", "c")
    assert keeps_apart(["a", "b", "b"], "b", "a")
    assert not keeps_apart(["a", "b", "c"], "a", "b")
    assert keeps_apart(["a", "a"], "a", "a")


def test_an_outlier_is_four_times_slower_than_the_middle_one():
    assert outliers({1: 0.01, 2: 0.02, 3: 0.9}) == [3]
    assert outliers({1: 0.2, 2: 0.3, 3: 0.9}) == []
    assert outliers({1: 0.01, 2: 0.02, 3: 0.09}) == [], "fast enough, whatever the others do"
    assert outliers({1: 0.01, 2: 0.9}) == [], "of two nobody knows which is the slow one"
    assert outliers({1: 0.0, 2: 0.01, 3: 0.9}) == [], "who did nothing is no peer"
    slow = outliers({number: 0.01 if number < 6 else 5.0 for number in range(10)})
    assert len(slow) < 5


def test_a_server_gives_and_takes_two_full_chunks_at_a_time_or_many_small_ones():
    streams = Streams(64)
    assert streams.may_give(1, 64)
    streams.begin(1, 2, 64)
    assert streams.may_give(1, 64)
    streams.begin(1, 3, 64)
    assert not streams.may_give(1, 1)
    assert streams.may_take(2, 64)
    assert streams.given_by(1) == 128
    streams.end(1, 2, 64)
    assert streams.may_give(1, 64)
    for number in range(COPIES_MAX):
        streams.begin(9, 100 + number, 1)
    assert not streams.may_give(9, 1)
    assert streams.may_take(100, 1)


def test_a_budget_lets_the_next_copy_begin_when_the_last_one_is_paid():
    async def go(clock):
        budget = Budget(clock)
        assert budget.is_open(100)
        budget.spend(1000, 100)  # one second of it was saved
        assert not budget.is_open(100)
        assert budget.is_open(0), "no limit"
        await pass_time(8.9)
        assert not budget.is_open(100)
        await pass_time(0.2)
        assert budget.is_open(100)

    with SimWorld(1) as world:
        world.run(go(world.env("here").clock))
