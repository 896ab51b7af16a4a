"""One cluster for the tests that only use it; those that break something make their own."""

import pytest
from tests.e2e.tools import cluster_in


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    with cluster_in(tmp_path_factory.mktemp("shared")) as running:
        yield running


@pytest.fixture
def own_cluster(tmp_path):
    with cluster_in(tmp_path / "cluster") as running:
        yield running
