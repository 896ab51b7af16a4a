"""Gives each conformance test every world in turn."""

import itertools

import pytest
from tests.conformance.parts import WORLDS


@pytest.fixture(params=sorted(WORLDS))
def world(request, tmp_path):
    numbers = itertools.count()

    def new_folder():
        folder = tmp_path / f"folder{next(numbers)}"
        folder.mkdir()
        return str(folder)

    return WORLDS[request.param](new_folder)
