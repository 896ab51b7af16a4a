"""The models of the protocol: nothing is found with all safeguards, and each one is missed. docs/CONSISTENCY.md."""

import dataclasses

import pytest
import spec.closing.state
import spec.core.safeguards
import spec.deletion.state
import spec.fence
import spec.joining.state
import spec.journal.state
import spec.maps
import spec.push
from spec.__main__ import main
from spec.explore import Property, ViolationError, explore, find_stuck
from spec.table import PARTS, is_expected, run_ablation, run_one

SHORT = [(part, one) for part in PARTS for one in part.configurations if one.is_short]
OTHERS = [(part, one) for part in PARTS for one in (*part.progress, *part.reaches) if one.is_short]
ABLATIONS = [(part, one) for part in PARTS for one in part.ablations if one.is_short]
SAFEGUARDS = {
    "core": spec.core.safeguards.Safeguards,
    "fence": spec.fence.Safeguards,
    "maps": spec.maps.Safeguards,
    "push": spec.push.Safeguards,
    "joining": spec.joining.state.Safeguards,
    "closing": spec.closing.state.Safeguards,
    "journal": spec.journal.state.Safeguards,
    "deletion": spec.deletion.state.Safeguards,
}


def ids(pairs):
    return [f"{part.name}: {one.name}" for part, one in pairs]


@pytest.mark.parametrize(("part", "one"), SHORT, ids=ids(SHORT))
def test_nothing_is_found_with_all_safeguards(part, one):
    result = run_one(one)
    assert not result.violation, "\n".join([result.violation, *result.trace])
    assert result.exhaustive


@pytest.mark.parametrize(("part", "one"), OTHERS, ids=ids(OTHERS))
def test_safety_is_not_bought_by_doing_nothing(part, one):
    result = one.run()
    assert not result.violation, "\n".join([result.violation, *result.trace])
    assert result.exhaustive


@pytest.mark.parametrize(("part", "one"), ABLATIONS, ids=ids(ABLATIONS))
def test_each_safeguard_is_missed(part, one):
    result = run_ablation(one)
    assert is_expected(one, result), result
    if not one.redundant:
        assert result.trace
        assert "(contract" in result.violation or "rule" in result.violation


def test_every_safeguard_of_every_model_has_an_ablation():
    for part in PARTS:
        names = [field.name for field in dataclasses.fields(SAFEGUARDS[part.name])]
        assert sorted(names) == sorted({one.safeguard for one in part.ablations}), part.name


def test_every_name_is_used_once():
    names = [f"{part.name}: {name}" for part in PARTS for name in part.names()]
    assert len(names) == len(set(names))


# ---- the explorer itself


class Counter:
    """Counts to a limit, by one or by two; a number may be forbidden, another a trap."""

    def __init__(self, limit, forbidden=-1, trap=-1):
        self.limit, self.forbidden, self.trap = limit, forbidden, trap

    def initial(self):
        return 0

    def check(self, state):
        if state == self.forbidden:
            raise ViolationError(Property("never", "nowhere", "no such number"), f"{state}")

    def steps(self, state):
        if state != self.trap:
            for more in (1, 2):
                if state + more <= self.limit:
                    yield ("add {}", more), state + more


def test_the_explorer_visits_every_state_and_says_when_it_did_not():
    assert explore(Counter(10)).states == 11
    assert explore(Counter(10)).exhaustive
    assert not explore(Counter(10), states_max=5).exhaustive


def test_a_violation_comes_with_a_shortest_trace():
    result = explore(Counter(10, forbidden=5))
    assert result.violation == "never (nowhere): 5"
    assert len(result.trace) == 3
    assert sum(int(step.split()[1]) for step in result.trace) == 5


def test_a_state_without_a_way_to_the_goal_is_found():
    goals = {"is_goal": lambda state: state == 10, "is_spent": lambda state: False}
    assert not find_stuck(Counter(10), **goals).violation
    stuck = find_stuck(Counter(10, trap=4), **goals)
    assert stuck.violation
    assert sum(int(step.split()[1]) for step in stuck.trace) == 4


# ---- the command


def test_the_command_prints_a_table_and_traces(capsys):
    assert main(["--only", "maps: "]) == 0
    assert "nothing found, exhaustive" in capsys.readouterr().out
    assert main(["--ablate", "--trace", "--only", "maps: raise before"]) == 0
    out = capsys.readouterr().out
    assert "a snapshot never changes (contract 3, rule 9)" in out
    assert "  1 " in out
    assert main(["--list"]) == 0
    assert "core: fence" in capsys.readouterr().out
