"""Rule 28: until there is authentication, only this machine is served unless somebody says otherwise."""

import pytest

from cairnfs.cli.serve import _warn_if_open_to_others
from cairnfs.config import ChunkserverConfig, MasterConfig
from cairnfs.env.addresses import split_address


@pytest.mark.parametrize("config", [MasterConfig(), ChunkserverConfig()])
def test_by_default_only_this_machine_is_served(config):
    assert all(split_address(address)[0] == "127.0.0.1" for address in config.listen)


def test_an_address_that_others_reach_is_worth_exactly_one_warning(caplog):
    _warn_if_open_to_others(("127.0.0.1:1", "10.0.0.1:7400", "0.0.0.0:7400"))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "10.0.0.1:7400" in caplog.text


@pytest.mark.parametrize("address", ["127.0.0.1:0", "127.8.8.8:1", "[::1]:7400", "localhost:7400"])
def test_this_machine_is_no_reason_to_warn(caplog, address):
    _warn_if_open_to_others((address,))
    assert not caplog.records
