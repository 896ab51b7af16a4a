"""Addresses, sequences, masters that are gone or do not lead, and what a connection loads."""

import asyncio
import subprocess
import sys

import pytest
from tests.support.fake_cluster import FakeCluster, fake_cluster
from tests.unit.client.support import cluster_on_a_thread

import cairnfs
from cairnfs.client.connection import Connection
from cairnfs.client.sequences import Sequences
from cairnfs.client.urls import parse_url
from cairnfs.config import ClientConfig
from cairnfs.env.light import client_env
from cairnfs.errors import BadRequestError, ConnectError, NotLeaderError, SettingError
from cairnfs.ids import ClientId
from cairnfs.wire.namespace import Stat


@pytest.mark.parametrize(
    ("url", "masters", "path"),
    [
        ("cairn://host:7401/a/b", ("host:7401",), "/a/b"),
        ("cairn://one,two:2", ("one:7400", "two:2"), ""),
        ("127.0.0.1:7400", ("127.0.0.1:7400",), ""),
        ("cairn://[::1]:9/x", ("[::1]:9",), "/x"),
        ("cairn://[::1]/x", ("[::1]:7400",), "/x"),
        ("cairn:///path", (), "/path"),
    ],
)
def test_urls_name_masters_and_a_path(url, masters, path):
    assert parse_url(url) == (masters, path)


@pytest.mark.parametrize("url", ["http://host/x", "cairn://host:port", "host:70000"])
def test_other_urls_are_refused(url):
    with pytest.raises(BadRequestError):
        parse_url(url)


def test_lowest_is_the_oldest_sequence_still_waited_for():
    sequences = Sequences(ClientId(1))
    first, second = sequences.take(), sequences.take()
    assert sequences.lowest == first
    sequences.done(first)
    assert sequences.lowest == second
    with sequences.once() as once:
        assert (once.sequence, once.lowest) == (3, second)
    sequences.done(second)
    assert sequences.lowest == 4


def test_the_next_master_is_asked_when_one_is_gone_or_does_not_lead():
    async def claim():
        gone = FakeCluster()
        await gone.start()
        await gone.stop()
        async with fake_cluster() as (cluster, _):
            config = ClientConfig(master=(gone.master.address, cluster.master.address))
            connection = Connection(client_env(), config)
            await connection.ready()
            cluster.master.fail(Stat, NotLeaderError(leader=gone.master.address))
            await connection.ask(Stat(path=b"/"))
            await connection.close()

    asyncio.run(claim())


def test_a_first_contact_that_fails_is_told_at_once():
    async def claim():
        connection = Connection(client_env(), ClientConfig(master=("127.0.0.1:1",)))
        async with asyncio.timeout(5):
            with pytest.raises(ConnectError, match=r"no master at 127\.0\.0\.1:1: .*cairn up"):
                await connection.ready()
        await connection.close()

    asyncio.run(claim())


def test_settings_that_do_not_exist_are_refused():
    with pytest.raises(SettingError):
        cairnfs.connect("127.0.0.1:1", no_such_setting=1)


def test_connecting_loads_no_server_code_and_no_store():
    with cluster_on_a_thread() as cluster:
        program = f"import cairnfs, sys; cairnfs.connect({cluster.master.address!r}).exists('/'); print(*sys.modules)"
        asked = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in asked.stdout.split()}
    assert not loaded & {"lmdb", "click", "rich", "aiohttp", "fsspec"}
    mine = {name.split(".")[1] for name in asked.stdout.split() if name.startswith("cairnfs.")}
    assert not mine & {"master", "chunkserver", "meta", "cluster", "sim"}


def test_the_package_names_what_it_has():
    assert {"connect", "local", "aio", "errors", "Client"} <= set(dir(cairnfs))
    assert cairnfs.errors.CairnError is cairnfs.CairnError
    with pytest.raises(AttributeError):
        cairnfs.nothing  # noqa: B018


def test_a_file_that_is_open_at_the_end_of_the_program_is_closed():
    """Method: one buffered file at module level, one raw; the program ends without a word, and does not hang."""
    with cluster_on_a_thread() as cluster:
        program = (
            f"import cairnfs; fs = cairnfs.connect({cluster.master.address!r})\n"
            "text = fs.open('/text', 'w'); text.write('kept')\n"
            "raw = fs.open('/raw', 'wb', buffering=0); raw.write(b'kept too')\n"
        )
        asked = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
        fs = cairnfs.connect(cluster.master.address)
        assert (fs.read_text("/text"), fs.read_bytes("/raw")) == ("kept", b"kept too")
        assert asked.stderr == ""
        fs.close()
