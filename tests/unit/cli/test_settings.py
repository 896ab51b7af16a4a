"""Settings: who wins, where a value comes from, and what is refused."""

import pytest

from cairnfs.cli.settings import default_data, load, parse_pairs
from cairnfs.config import ChunkserverConfig, ClientConfig, MasterConfig
from cairnfs.errors import SettingError
from cairnfs.units import DAY_S, MIB


@pytest.fixture(autouse=True)
def nobodys_machine(tmp_path, monkeypatch):
    """No file and no variable of whoever runs the tests."""
    import os

    for name in [name for name in os.environ if name.startswith("CAIRN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def test_nothing_given_is_every_default():
    loaded = load(MasterConfig, flags={})
    assert loaded.config == MasterConfig()
    assert set(loaded.sources.values()) == {"default"}


def test_each_place_beats_the_ones_behind_it(tmp_path, monkeypatch):
    """Goal: flag > CAIRN_* > --config > ./cairn.toml > ~/.config/cairn.

    Method: all five say something about one key, and are taken away one after the other.
    """
    home = tmp_path / "config" / "cairn" / "cairn.toml"
    here = tmp_path / "here" / "cairn.toml"
    named = tmp_path / "named.toml"
    for number, path in enumerate((home, here, named), start=1):
        write(path, f"[master]\nrepairs_max = {number}\n")
    monkeypatch.setenv("CAIRN_MASTER_REPAIRS_MAX", "4")

    def seen(flags, config_file):
        loaded = load(MasterConfig, flags=flags, config_file=config_file)
        return loaded.config.repairs_max, loaded.sources["repairs_max"]

    assert seen({"repairs_max": "5"}, str(named)) == (5, "flag")
    assert seen({}, str(named)) == (4, "CAIRN_MASTER_REPAIRS_MAX")
    monkeypatch.delenv("CAIRN_MASTER_REPAIRS_MAX")
    assert seen({}, str(named)) == (3, str(named))
    assert seen({}, None) == (2, "cairn.toml")
    here.unlink()
    assert seen({}, None) == (1, str(home))


def test_files_are_merged_key_by_key(tmp_path):
    write(tmp_path / "here" / "cairn.toml", "[master]\nrepairs_max = 2\n")
    named = write(tmp_path / "named.toml", "[master]\nreplicas = 5\n")
    config = load(MasterConfig, flags={}, config_file=named).config
    assert (config.replicas, config.repairs_max) == (5, 2)


def test_sizes_and_times_are_read_as_people_write_them(monkeypatch):
    monkeypatch.setenv("CAIRN_CHUNKSERVER_RESERVE_BYTES", "512M")
    assert load(ChunkserverConfig, flags={}).config.reserve_bytes == 512 * MIB
    assert load(MasterConfig, flags={"trash_s": "7d"}).config.trash_s == 7 * DAY_S


def test_lists_come_with_commas_from_variables_and_as_lists_from_files(tmp_path, monkeypatch):
    named = write(tmp_path / "named.toml", '[chunkserver]\ndata = ["/a", "/b"]\n')
    assert load(ChunkserverConfig, flags={}, config_file=named).config.data == ("/a", "/b")
    monkeypatch.setenv("CAIRN_CHUNKSERVER_DATA", "/c, /d")
    assert load(ChunkserverConfig, flags={}).config.data == ("/c", "/d")


def test_one_variable_names_the_master_for_client_and_chunkserver(monkeypatch):
    monkeypatch.setenv("CAIRN_MASTER", "example:7400")
    assert load(ClientConfig, flags={}).config.master == ("example:7400",)
    assert load(ChunkserverConfig, flags={}).config.master == ("example:7400",)
    assert load(ClientConfig, flags={"master": "other:1"}).config.master == ("other:1",)


@pytest.mark.parametrize(
    "text, nearest",
    [
        ("[master]\nleas_s = 3\n", "lease_s"),
        ("[mster]\nlease_s = 3\n", "master"),
        ("[client]\ndata_timeout = 3\n", "data_timeout_s"),
    ],
)
def test_an_unknown_key_is_refused_and_the_nearest_one_named(tmp_path, text, nearest):
    named = write(tmp_path / "named.toml", text)
    with pytest.raises(SettingError, match=f"unknown setting .*did you mean '{nearest}'"):
        load(MasterConfig, flags={}, config_file=named)


def test_an_unknown_variable_is_refused_and_the_nearest_one_named(monkeypatch):
    monkeypatch.setenv("CAIRN_MASTER_LEASE", "3")
    with pytest.raises(SettingError, match="did you mean 'CAIRN_MASTER_LEASE_S'"):
        load(ClientConfig, flags={})


@pytest.mark.parametrize(
    "text", ["[master\n", "master = 3\n", "[master]\nlease_s = 'soon'\n", "[master]\nreplicas = 'x'\n"]
)
def test_a_file_that_says_nonsense_is_refused_with_its_name(tmp_path, text):
    named = write(tmp_path / "named.toml", text)
    with pytest.raises(SettingError, match=r"named\.toml"):
        load(MasterConfig, flags={}, config_file=named)


def test_a_named_file_that_is_missing_is_an_error():
    with pytest.raises(SettingError, match=r"no settings file at nowhere\.toml"):
        load(MasterConfig, flags={}, config_file="nowhere.toml")


def test_a_pair_without_equals_is_refused():
    assert parse_pairs(["lease_s=5", "data=/a=b"]) == {"lease_s": "5", "data": "/a=b"}
    with pytest.raises(SettingError):
        parse_pairs(["lease_s"])


def test_the_default_folder_is_the_users_own_or_the_systems(monkeypatch, tmp_path):
    import os

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    expected = "/var/lib/cairn/master" if os.geteuid() == 0 else str(tmp_path / "cairn" / "master")
    assert default_data("master") == expected
