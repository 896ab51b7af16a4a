"""Damages bytes the way disks, networks and attackers do; every choice comes from one seeded `Random`.

A mutation is cheap (a few microseconds), which is why this is not Hypothesis: 100,000 inputs fit into a test run.
"""

INTERESTING = tuple(
    number.to_bytes(size, order)
    for size in (1, 2, 4, 8)
    for number in (0, 1, 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 2, 2 ** (8 * size) - 1)
    for order in ("little", "big")
)
"""Lengths and counts that lie: the least, the largest, and those beside a sign."""
RANDOM_BYTES_MAX = 300
ROUNDS_MAX = 3


def mutated(chance, valid):
    """Return one input made from valid encodings: mostly damaged, sometimes one as it is, sometimes only noise."""
    what = chance.random()
    if what < 0.02:
        return chance.choice(valid)
    if what < 0.10:
        return chance.randbytes(chance.randrange(RANDOM_BYTES_MAX))
    data = bytearray(chance.choice(valid))
    for _ in range(chance.randint(1, ROUNDS_MAX)):
        chance.choice(DAMAGES)(chance, data, valid)
    return bytes(data)


def flip_bit(chance, data, _valid):
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def set_byte(chance, data, _valid):
    if data:
        data[chance.randrange(len(data))] = chance.randrange(256)


def cut(chance, data, _valid):
    del data[chance.randrange(len(data) + 1) :]


def remove(chance, data, _valid):
    start = chance.randrange(len(data) + 1)
    del data[start : start + chance.randint(1, 8)]


def insert(chance, data, _valid):
    place = chance.randrange(len(data) + 1)
    data[place:place] = chance.randbytes(chance.randint(1, 8))


def repeat(chance, data, _valid):
    start = chance.randrange(len(data) + 1)
    data[start:start] = data[start : start + chance.randint(1, 16)] * chance.randint(1, 4)


def lie(chance, data, _valid):
    """Put a length, count or tag that promises far more, or less, than there is."""
    number = chance.choice(INTERESTING)
    place = chance.randrange(len(data) + 1)
    data[place : place + len(number)] = number


def splice(chance, data, valid):
    """Go on with the rest of another valid encoding."""
    other = chance.choice(valid)
    del data[chance.randrange(len(data) + 1) :]
    data += other[chance.randrange(len(other) + 1) :]


DAMAGES = (flip_bit, flip_bit, set_byte, cut, remove, insert, repeat, lie, lie, splice)
