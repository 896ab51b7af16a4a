"""The cluster, filesystem and folder of `tests/fsspec`, and how a tool names a path there."""

import pytest
from tests.fsspec.conftest import address, cluster, fs, root  # noqa: F401 - fixtures


@pytest.fixture
def url(address, root):  # noqa: F811
    """Give the URL of the test's folder, as a user would write it."""
    return f"cairn://{address}{root}"
