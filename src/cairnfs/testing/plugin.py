"""What pytest loads: the fixture `cairn_cluster`, its mark, its options, and what a failure's report says.

    @pytest.mark.cairn(chunkservers=4, seed=7, processes=False)   see `settings.Settings` for every keyword
    pytest --cairn-seed N          the seed of every simulated test, to repeat a failure
    pytest --cairn-seeds COUNT     each simulated test with so many seeds
    pytest --cairn-processes       real processes wherever the mark does not say otherwise

It is loaded by every run of pytest where CairnFS is installed, so servers are imported by the fixture only.
"""

import hashlib
import shlex
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

from cairnfs.testing.settings import OnlySimulatedError, Settings

if TYPE_CHECKING:
    from cairnfs.testing.cluster import CairnCluster

SEED_ID = "cairn-seed"
"""How the part of a test's id begins that tells its seed."""
CLUSTER = pytest.StashKey["CairnCluster"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("cairnfs", "CairnFS clusters under test")
    group.addoption("--cairn-processes", action="store_true", help="real processes instead of simulated clusters")
    group.addoption("--cairn-seed", type=int, metavar="N", help="seed of every simulated cluster (default: by test)")
    group.addoption(
        "--cairn-seeds", type=int, default=1, metavar="COUNT", help="run each simulated test with COUNT seeds"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "cairn(processes=False, chunkservers=4, seed=None, chunk_bytes=1048576, block_bytes=65536, master={}): "
        "what the fixture cairn_cluster is to be like",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    count: int = metafunc.config.option.cairn_seeds
    if count == 1 or "cairn_cluster" not in metafunc.fixturenames:
        return
    settings = settings_of(metafunc.definition)
    if not settings.processes:
        first = seed_of(metafunc.definition, settings)
        seeds = range(first, first + count)
        metafunc.parametrize("cairn_seed", seeds, ids=[f"{SEED_ID}={seed}" for seed in seeds], indirect=True)


@pytest.fixture
def cairn_seed(request: pytest.FixtureRequest) -> int:
    """Return what decides this test's simulated cluster; good for a test's own chance too."""
    given: int | None = getattr(request, "param", None)
    return seed_of(request.node, settings_of(request.node)) if given is None else given


@pytest.fixture
def cairn_cluster(request: pytest.FixtureRequest, cairn_seed: int) -> Iterator["CairnCluster"]:
    """Return a cluster of CairnFS, simulated or real, that fails when told to: see `cairnfs.testing.cluster`."""
    from cairnfs.testing.cluster import CairnCluster

    settings = settings_of(request.node)
    if settings.processes:
        from cairnfs.testing.real import RealMachines

        folder = request.getfixturevalue("tmp_path_factory").mktemp("cairn")
        cluster = CairnCluster(RealMachines(settings, folder))
    else:
        from cairnfs.testing.simulated import SimulatedMachines

        cluster = CairnCluster(SimulatedMachines(settings, cairn_seed))
    request.node.stash[CLUSTER] = cluster
    with cluster:
        yield cluster


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    try:
        return (yield)
    except OnlySimulatedError as error:
        pytest.skip(str(error))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    cluster = item.stash.get(CLUSTER, None)
    if cluster is not None and report.failed:
        report.sections.append(("CairnFS", f"{cluster.report()}repeat it with: {command(item, cluster.seed)}"))
    if cluster is not None and call.when == "teardown":
        del item.stash[CLUSTER]  # pytest keeps its items; a world is large
    return report


def settings_of(item: pytest.Item) -> Settings:
    """Return what the marks of a test and the command line ask for; the closest mark wins.

    Raises:
        pytest.UsageError: a mark asks for something else.
    """
    given: dict[str, object] = {"processes": item.config.option.cairn_processes}
    for mark in reversed(list(item.iter_markers("cairn"))):
        given.update(mark.kwargs)
    try:
        return Settings(**given)  # type: ignore[arg-type] # a wrong name is a TypeError
    except (TypeError, ValueError) as error:
        raise pytest.UsageError(f"{item.nodeid}: mark cairn: {error}") from error


def seed_of(item: pytest.Item, settings: Settings) -> int:
    """Return the seed of a test: of the command line, of its mark, or made of its name."""
    asked: int | None = item.config.option.cairn_seed
    if asked is not None:
        return asked
    if settings.seed is not None:
        return settings.seed
    return int.from_bytes(hashlib.blake2b(item.nodeid.encode(), digest_size=4).digest())


def command(item: pytest.Item, seed: int | None) -> str:
    """Return what runs this very test again."""
    node = item.nodeid
    if seed is None:
        return f"pytest {shlex.quote(node)}{' --cairn-processes' if item.config.option.cairn_processes else ''}"
    own = f"{SEED_ID}={seed}"
    for part in (f"[{own}]", f"-{own}", f"{own}-"):
        node = node.replace(part, "")
    return f"pytest {shlex.quote(node)} --cairn-seed {seed}"
