"""URLs, storage options, and what happens when they lead nowhere."""

import socket

import fsspec
import pytest
from fsspec.core import url_to_fs

from cairnfs.errors import BadRequestError, ConnectError, SettingError
from cairnfs.fsspec import CairnFileSystem
from cairnfs.fsspec.urls import config_of, masters_of, path_of


@pytest.mark.parametrize(
    ("url", "masters", "path"),
    [
        ("cairn://h:1/a/b", "h:1", "/a/b"),
        ("cairn://h/a", "h:7400", "/a"),
        ("cairn://h:1,h2:2/a", "h:1,h2:2", "/a"),
        ("cairn://[::1]:9/a", "[::1]:9", "/a"),
        ("cairn://h:1", "h:1", "/"),
        ("cairn:///a//b/../c/.", "", "/a/c"),
        ("cairn:///", "", "/"),
        ("cairn::/a", "", "/a"),
        ("/a", "", "/a"),
        ("a/b/", "", "/a/b"),
        ("/s3://x", "", "/s3:/x"),
        ("/a b#c%20*?[1]\n\udcff", "", "/a b#c%20*?[1]\n\udcff"),
    ],
)
def test_urls_name_masters_and_a_path(url, masters, path):
    assert masters_of(url) == masters
    assert path_of(url) == path


def test_bytes_that_are_no_text_become_surrogates():
    assert path_of(b"/\xff") == "/\udcff"


@pytest.mark.parametrize("url", ["s3://bucket/key", "cairn://host:port/x", "cairn://a:b:c/x"])
def test_a_wrong_url_is_refused_with_what_was_expected(url):
    with pytest.raises(BadRequestError, match="not an address"):
        path_of(url)


@pytest.mark.parametrize(
    ("options", "masters"),
    [
        ({"host": "h"}, ("h:7400",)),
        ({"host": "h", "port": 1}, ("h:1",)),
        ({"host": "h", "port": "1"}, ("h:1",)),
        ({"masters": "h:1,h2:2"}, ("h:1", "h2:2")),
        ({"masters": ["h:1", "h2:2"]}, ("h:1", "h2:2")),
        ({"host": "h", "port": 1, "masters": "h:1"}, ("h:1",)),
    ],
)
def test_options_name_the_masters(options, masters):
    given = {"host": None, "port": None, "masters": None, **options}
    assert config_of(**given).master == masters


def test_options_are_settings_of_the_client(monkeypatch):
    monkeypatch.setenv("CAIRN_MASTER", "configured:5")
    fs = fsspec.filesystem("cairn", timeout=3, readahead_bytes=0)
    assert fs.config.master == ("configured:5",)
    assert (fs.config.meta_timeout_s, fs.config.data_timeout_s, fs.config.readahead_bytes) == (3.0, 3.0, 0)
    assert fs.unstrip_protocol("/x") == "cairn:///x"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"nonsense": 1}, "nonsense"),
        ({"port": 1}, "without host"),
        ({"host": "h", "masters": "h2:1"}, "two clusters"),
        ({"masters": "h:1/x"}, "not an address"),
        ({"readahead_bytes": "much"}, "readahead_bytes"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, text):
    with pytest.raises((SettingError, BadRequestError), match=text):
        fsspec.filesystem("cairn", **options)


def test_the_entry_point_finds_the_class(address):
    fs, path = url_to_fs(f"cairn://{address}/a/b")
    assert type(fs) is CairnFileSystem
    assert (path, fs.config.master) == ("/a/b", (address,))
    assert fs.unstrip_protocol(path) == f"cairn://{address}/a/b"
    assert fs.unstrip_protocol("cairn:///x") == "cairn:///x"
    assert fs.fsid == f"cairn-{address}"
    assert fs is fsspec.filesystem("cairn", masters=address)


@pytest.fixture
def nobody():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield fsspec.filesystem("cairn", masters=f"127.0.0.1:{unused.getsockname()[1]}")


@pytest.mark.parametrize(
    "call",
    [
        lambda fs: fs.ls("/"),
        lambda fs: fs.exists("/x"),
        lambda fs: fs.isfile("/x"),
        lambda fs: fs.isdir("/x"),
        lambda fs: fs.find("/"),
        lambda fs: fs.glob("/*"),
        lambda fs: fs.rm("/*"),
        lambda fs: fs.open("/x"),
        lambda fs: fs.open("/x", "w"),
        lambda fs: fs.cat_ranges(["/x"], 0, 1, on_error="raise"),
    ],
)
def test_a_missing_cluster_is_an_error_that_says_how_to_start_one(nobody, call):
    """Goal: fsspec takes many OSErrors for "no such file"; a cluster that cannot be reached must not look empty."""
    with pytest.raises(ConnectError, match="cairn up"):
        call(nobody)


def test_a_silent_master_is_waited_for_no_longer_than_asked():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        fs = fsspec.filesystem("cairn", masters=f"127.0.0.1:{silent.getsockname()[1]}", timeout=0.25)
        with pytest.raises(ConnectError, match=r"within 0\.25 s"):
            fs.ls("/")
