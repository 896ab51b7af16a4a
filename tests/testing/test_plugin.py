"""The plugin as users meet it: their files, run by pytest."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

# Loaded here, so that a run inside this one finds them loaded, and both know the same classes.
import cairnfs.testing.cluster
import cairnfs.testing.real
import cairnfs.testing.simulated  # noqa: F401

pytest_plugins = ["pytester"]

PLAIN = ("-p", "no:hypothesispytest")
"""Without what takes a second to load and is not used."""
PAGE = Path(__file__).parents[2] / "docs/TESTING.md"


@pytest.fixture
def run(pytester):
    """Run a user's file and return what pytest said."""

    def run(text, *options):
        pytester.makepyfile(test_user=text)
        return pytester.runpytest_inprocess(*PLAIN, *options)

    return run


def said(result):
    return result.stdout.str()


# ---- the example of the documentation


@pytest.fixture
def example():
    section = PAGE.read_text().partition("## Testing your own code")[2]
    return re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]


def test_the_example_of_the_documentation_passes_with_many_seeds(run, example):
    run(example, "--cairn-seeds", "3").assert_outcomes(passed=9)


def test_the_example_runs_on_processes_and_skips_what_they_cannot_do(run, example):
    result = run(example, "--cairn-processes", "-rs")
    result.assert_outcomes(passed=1, skipped=2)
    assert re.search(r"SKIPPED.*cutting the power of a process is not possible.*use crash", said(result))
    assert re.search(r"SKIPPED.*cutting the network.*needs root.*use pause", said(result))


# ---- a failure


FAILING = """
    def test_fails(cairn_cluster):
        cairn_cluster.fs.append("/log", b"one")
        cairn_cluster.crash("chunkserver2")
        cairn_cluster.fs.append("/log", b"two")
        assert cairn_cluster.fs.read_bytes("/log") == b"three"
"""


def test_a_failure_tells_its_seed_what_was_done_the_last_events_and_how_to_repeat_it(run):
    result = run(FAILING, "--cairn-seed", "17")
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines([
        r"what was done to the cluster:",
        r"  \d\.\d+ s  crash chunkserver2",
        r"simulated, seed 17, \d\.\d+ s of virtual time, trace \w{32}; the last events:",
        r"  \d\.\d+ s  client net .*",
        r"repeat it with: pytest \S+::test_fails --cairn-seed 17",
    ])  # fmt: skip


def test_the_command_in_the_report_repeats_the_very_run(pytester):
    """Goal: a failure under one of many seeds is met again, event by event.

    Method: run the printed command in another process, whose strings hash otherwise, and compare the traces.
    """
    pytester.makepyfile(test_user=FAILING)
    first = pytester.runpytest_inprocess(*PLAIN, "--cairn-seeds", "3")
    first.assert_outcomes(failed=3)
    commands = re.findall(r"repeat it with: pytest (\S+) (\S+) (\S+)", said(first))
    traces = re.findall(r"trace (\w{32})", said(first))
    assert len(set(traces)) == 3, "seeds make no difference"
    for hash_seed in ("1", "2"):
        pytester._monkeypatch.setenv("PYTHONHASHSEED", hash_seed)
        again = pytester.runpytest_subprocess(*PLAIN, *commands[1])
        again.assert_outcomes(failed=1)
        assert re.findall(r"trace (\w{32})", said(again)) == [traces[1]]


def test_a_failure_of_processes_shows_the_ends_of_their_logs(run):
    result = run("""
        import pytest

        @pytest.mark.cairn(processes=True, chunkservers=1)
        def test_fails(cairn_cluster):
            cairn_cluster.crash("chunkserver1")
            assert not "reached"
    """)
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines([
        r"  \d\.\d+ s  crash chunkserver1",
        r"real processes, which no seed decides",
        r"chunkserver1, the last of .*chunkserver1.log:",
        r"  .*chunkserver started.*",
        r"repeat it with: pytest \S+::test_fails$",
    ])  # fmt: skip


def test_what_goes_wrong_at_a_set_time_fails_the_test(run):
    result = run("""
        def test_fails(cairn_cluster):
            cairn_cluster.after(1, cairn_cluster.restart, "master")
            cairn_cluster.pass_time(2)
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ValueError: master runs already*"])


# ---- seeds


SEEDS = """
    import pytest

    def test_plain(cairn_cluster, cairn_seed):
        print("seed of", cairn_cluster.seed, cairn_seed)

    @pytest.mark.cairn(seed=7)
    def test_marked(cairn_cluster, cairn_seed):
        print("seed of", cairn_cluster.seed, cairn_seed)
"""


def seeds(result):
    pairs = re.findall(r"seed of (\d+) (\d+)", said(result))
    assert all(one == other for one, other in pairs), pairs
    return [int(one) for one, _ in pairs]


def test_a_seed_is_the_tests_own_and_the_same_every_time(run):
    first, again = (seeds(run(SEEDS, "-s")) for _ in range(2))
    assert first == again
    assert first[1] == 7
    assert first[0] != 7


def test_the_option_overrides_every_seed(run):
    assert seeds(run(SEEDS, "-s", "--cairn-seed", "99")) == [99, 99]


def test_a_test_with_many_seeds_begins_with_its_own(run):
    result = run(SEEDS, "-s", "-v", "--cairn-seeds", "3")
    plain = seeds(run(SEEDS, "-s"))[0]
    assert seeds(result) == [plain, plain + 1, plain + 2, 7, 8, 9]
    assert "test_marked[cairn-seed=8]" in said(result)


def test_processes_run_once_whatever_seeds_are_asked_for(run):
    run("""
        import pytest

        @pytest.mark.cairn(processes=True)
        def test_collected(cairn_cluster): ...
    """, "--cairn-seeds", "3", "--collect-only").stdout.fnmatch_lines(["*1 test collected*"])  # fmt: skip


# ---- marks and loading


def test_marks_of_module_and_test_add_up(run):
    run("""
        import pytest

        pytestmark = pytest.mark.cairn(chunkservers=5, chunk_bytes=131072)

        @pytest.mark.cairn(chunkservers=2, master={"lease_s": 3})
        def test_it(cairn_cluster):
            assert cairn_cluster.servers == ["master", "chunkserver1", "chunkserver2"]
            assert cairn_cluster.fs.info().chunk_bytes == 131072
            assert cairn_cluster.fs.info().replicas == 2
    """, "--strict-markers").assert_outcomes(passed=1)  # fmt: skip


@pytest.mark.parametrize("mark", ["chunkserver=3", "chunkservers=0"])
def test_a_mark_that_asks_for_what_there_is_not_is_refused(run, mark):
    result = run(f"""
        import pytest

        @pytest.mark.cairn({mark})
        def test_it(cairn_cluster): ...
    """)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*UsageError: test_user.py::test_it: mark cairn:*chunkserver*"])


def test_a_run_without_clusters_loads_no_server():
    program = "import sys, cairnfs.testing.plugin; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in loaded if name.startswith("cairnfs")] == [
        "cairnfs", "cairnfs.testing", "cairnfs.testing.plugin", "cairnfs.testing.settings",
    ]  # fmt: skip
    assert not {"msgspec", "lmdb", "uvloop"} & set(loaded)
