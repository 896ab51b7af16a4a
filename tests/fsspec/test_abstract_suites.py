"""fsspec's own suites for filesystems: copy, get, put, open, pipe."""

import posixpath

import fsspec
import pytest
from fsspec.tests.abstract import (
    AbstractCopyTests,
    AbstractFixtures,
    AbstractGetTests,
    AbstractOpenTests,
    AbstractPipeTests,
    AbstractPutTests,
)


class CairnFixtures(AbstractFixtures):
    @pytest.fixture
    def fs(self, address):
        return fsspec.filesystem("cairn", masters=address)

    @pytest.fixture
    def fs_join(self):
        return posixpath.join

    @pytest.fixture
    def fs_path(self, root):
        return root


class TestCopy(AbstractCopyTests, CairnFixtures):
    pass


class TestGet(AbstractGetTests, CairnFixtures):
    pass


class TestPut(AbstractPutTests, CairnFixtures):
    pass


class TestOpen(AbstractOpenTests, CairnFixtures):
    pass


class TestPipe(AbstractPipeTests, CairnFixtures):
    pass
