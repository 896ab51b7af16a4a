"""One cluster for the whole folder, and a filesystem object of it."""

import zlib

import fsspec
import pytest

import cairnfs


@pytest.fixture(scope="session")
def cluster():
    with cairnfs.local() as client:
        yield client


@pytest.fixture(scope="session")
def address(cluster):
    return cluster.config.master[0]


@pytest.fixture
def fs(address):
    return fsspec.filesystem("cairn", masters=address)


@pytest.fixture
def root(cluster, request):
    """A folder of the test's own."""
    path = f"/{zlib.crc32(request.node.nodeid.encode()):08x}"
    cluster.makedirs(path, exist_ok=True)
    yield path
    cluster.rmtree(path, now=True)
