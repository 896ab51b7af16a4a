"""How things show themselves: reprs, tables, names for a completer. None of it asks the cluster."""

import asyncio
from html.parser import HTMLParser

import pytest
from tests.support.fake_cluster import fake_cluster
from tests.unit.client.support import cluster_on_a_thread

import cairnfs
from cairnfs.client.records import Record
from cairnfs.client.stats import Space, Usage
from cairnfs.tables import ROWS_MAX, html_table


@pytest.fixture
def connected():
    with cluster_on_a_thread() as cluster:
        fs = cairnfs.connect(cluster.master.address)
        yield cluster, fs
        fs.close()


def test_a_client_says_whom_it_knows_and_how(connected):
    cluster, fs = connected
    assert repr(fs) == f"<cairnfs.Client of {cluster.master.address} (connected)>"
    assert repr(fs.with_timeout(1.5)) == f"<cairnfs.Client of {cluster.master.address} (connected, 1.5 s a call)>"
    fs.close()
    assert repr(fs) == f"<cairnfs.Client of {cluster.master.address} (not connected)>"


def test_files_say_their_name_mode_and_state(connected):
    _, fs = connected
    for mode, kind in (("wb", "BufferedWriter"), ("rb", "BufferedReader"), ("r+b", "BufferedRandom")):
        file = fs.open("/file", mode)
        assert repr(file) == f"<cairnfs.{kind} '/file' mode={mode!r} open>"
        file.close()
        assert repr(file) == f"<cairnfs.{kind} '/file' mode={mode!r} closed>"
    raw = fs.open("/file", "rb", buffering=0)
    assert repr(raw) == "<cairnfs.RawFile '/file' mode='rb' open>"
    raw.close()


def test_files_with_await_say_where_they_are():
    async def claim():
        async with fake_cluster() as (_, fs):
            file = await fs.open("/file", "wb")
            await file.write(b"12345")
            assert repr(file) == "<cairnfs.File '/file' mode='wb' open at=5>"
            await file.close()
            assert repr(file) == "<cairnfs.File '/file' mode='wb' closed>"
            async with await fs.open_text("/file") as text:
                assert repr(text) == "<cairnfs.TextFile '/file' mode='rb' encoding='utf-8' open>"
            assert repr(text).endswith("closed>")

    asyncio.run(claim())


def test_no_repr_asks_the_cluster(connected):
    cluster, fs = connected
    things = [fs, fs.stat("/"), fs.open("/file", "wb"), fs.open("/file", "rb"), fs.append_writer("/log"), fs.ls("/")]
    before = sum(cluster.master.asked.values())
    for thing in things:
        assert repr(thing)
        assert dir(thing)
    assert sum(cluster.master.asked.values()) == before


def test_what_the_cluster_tells_is_short():
    with cairnfs.local() as fs:
        fs.makedirs("/folder")
        fs.write_bytes("/folder/file", bytes(4096))
        fs.symlink("file", "/folder/link")
        assert repr(fs.stat("/folder/file")) == "<Stat '/folder/file' file 4.0 KiB mode=644 replicas=3>"
        assert repr(fs.ls("/folder")).splitlines() == [
            "<Listing of 2>",
            "  <DirEntry 'file' file 4.0 KiB>",
            "  <DirEntry 'link' symlink to 'file'>",
        ]
        assert repr(fs.du("/folder")) == "<Usage files=2 folders=1 size=4.0 KiB stored=12 KiB>"
        fs.remove("/folder/file")
        assert repr(list(fs.trash())) == "[<Trashed '/folder/file' file 4.0 KiB>]"
        assert "127.0.0.1" in fs.status()._repr_html_()
        assert fs.complete("/fol") == ["/folder/"]
        assert fs.complete("/folder/l") == ["/folder/link"]
        assert fs.complete("/nowhere/x") == fs.complete("relative") == []


def test_values_without_a_cluster_are_short():
    assert repr(Usage(1, 2, 1024, 3072)) == "<Usage files=1 folders=2 size=1.0 KiB stored=3.0 KiB>"
    assert repr(Space(2**30, 2**20)) == "<Space free=1.0 MiB of 1.0 GiB>"
    assert repr(Record(7, 1, 1, b"x" * 100, None, 1, 8, None)) == f"<Record offset=7 bytes=100 {b'x' * 32!r}...>"


class Cells(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text.append(data)


def test_a_name_cannot_become_markup():
    """Method: a file named as a script is one cell of text; a byte that is no UTF-8 leaves the table printable."""
    with cairnfs.local(chunkservers=1) as fs:
        name = "<script>alert(1)<&script>"
        fs.write_bytes(f"/{name}", b"")
        fs.write_bytes(b"/\xff", b"")
        for html in (fs.ls("/")._repr_html_(), fs.stat(f"/{name}")._repr_html_()):
            cells = Cells()
            cells.feed(html)
            assert "script" not in cells.tags
            assert any(name in text for text in cells.text)
            html.encode()


def test_a_long_table_is_cut_and_says_so():
    html = html_table(("n",), [(number,) for number in range(ROWS_MAX + 5)])
    assert html.count("<tr>") == ROWS_MAX + 2
    assert "and 5 more" in html


def test_a_completer_sees_no_private_names(connected):
    _, fs = connected
    assert [name for name in dir(fs) if name.startswith("_") and not name.startswith("__")] == []
    assert {"read_bytes", "open", "upload"} <= set(dir(fs))
