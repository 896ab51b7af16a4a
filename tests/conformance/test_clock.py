"""What every Clock must do."""


def test_now_never_goes_back_and_wall_time_is_a_date_of_this_century(world):
    async def scenario():
        times = [world.env.clock.now_s() for _ in range(100)]
        assert times == sorted(times)
        assert world.env.clock.wall_ns() > 1_500_000_000 * 10**9
        assert isinstance(world.env.clock.wall_ns(), int)

    world.run(scenario())


def test_chance_that_was_seeded_is_repeatable(world):
    assert 0 <= world.env.random.getrandbits(63) < 1 << 63
