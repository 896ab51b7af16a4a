"""Every decoder against damaged input: it decodes what it understands, and refuses the rest in its own words."""

import os
import random

import pytest
from tests.fuzz import disk_targets, meta_targets, text_targets, wire_targets
from tests.fuzz.budget import little_memory
from tests.fuzz.mutate import mutated

TARGETS = [*wire_targets.TARGETS, *disk_targets.TARGETS, *meta_targets.TARGETS, *text_targets.TARGETS]
SEEDS = (1, 2, 3)
"""The same in each run; a fourth part of the inputs is new each time, from a seed that a failure names."""
INPUTS_MIN = 100_000


def fuzz(target, seed, inputs):
    """Give a decoder `inputs` inputs; return how many it decoded. A failure names seed and input."""
    chance = random.Random(f"{target.name} {seed}")
    valid, decoded = target.valid(chance), 0
    for one in valid:
        assert target.decode(one, chance) in (True, False)
    for number in range(inputs):
        data = mutated(chance, valid)
        try:
            decoded += target.decode(data, chance)
        except BaseException as error:
            error.add_note(f"target {target.name}, seed {seed}, input {number}: {data[:2000].hex()}")
            raise
    return decoded


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_damaged_input_is_decoded_or_refused_and_nothing_else(target):
    """Goal: rule 27: no input crashes a decoder, or makes it take memory without bound. Method: valid encodings are
    flipped, cut, spliced and made to lie; each is decoded (and survives another round) or refused with the documented
    error. The address space is limited, so that memory taken before a check shows.
    """
    seeds = [*SEEDS, int.from_bytes(os.urandom(4))]
    print(f"{target.name}: seeds {seeds}, {target.inputs} inputs")
    each = target.inputs // len(seeds)
    with little_memory():
        decoded = sum(fuzz(target, seed, each) for seed in seeds)
    # A fuzzer whose inputs are all refused at the first byte tests nothing, and one that damages nothing neither.
    assert 0 < decoded < each * len(seeds), decoded


def test_the_inputs_are_at_least_a_hundred_thousand():
    assert sum(target.inputs // (len(SEEDS) + 1) * (len(SEEDS) + 1) for target in TARGETS) >= INPUTS_MIN
    assert len({target.name for target in TARGETS}) == len(TARGETS)
