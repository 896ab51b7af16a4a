"""Small parts of the command line that need no cluster."""

import io
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairnfs.cli.common import address_of, plain, remote
from cairnfs.cli.content import _start_of_last_lines
from cairnfs.cli.health import Health, judge, until_healthy
from cairnfs.client.transfer_plan import part_name
from cairnfs.errors import BadNameError, ConnectError, WrongClusterError
from cairnfs.ids import BootId, ChunkVersion, DiskId, Epoch, ServerId
from cairnfs.observe.logs import LogFormat, start_logging
from cairnfs.wire.common import Durability
from cairnfs.wire.membership import DiskReport
from cairnfs.wire.status import ClusterStatus, ServerStatus


@given(st.lists(st.binary(max_size=5)), st.integers(0, 6))
def test_tail_begins_where_the_last_lines_begin(lines, count):
    data = b"\n".join(line.replace(b"\n", b"") for line in lines)
    start = _start_of_last_lines(io.BytesIO(data), len(data), count)
    expected = b"".join(data.splitlines(keepends=True)[-count:]) if count else b""
    if b"\r" not in data and not any(odd in data for odd in (b"\x0b", b"\x0c")):
        assert data[start:] == expected


def test_tail_looks_back_over_many_pieces():
    data = b"".join(b"line %d\n" % number for number in range(50_000))
    start = _start_of_last_lines(io.BytesIO(data), len(data), 20_000)
    assert data[start:].count(b"\n") == 20_000


def test_a_path_may_name_its_cluster():
    assert (address_of("cairn://host:1/a"), remote("cairn://host:1/a")) == ("host:1", "/a")
    assert (address_of("cairn:///a/b"), remote("cairn:///a/b")) == ("", "/a/b")
    assert (address_of("/a"), remote("/a/../b")) == ("", "/b")
    assert remote("cairn://host:1") == "/"


def test_a_relative_path_is_refused():
    with pytest.raises(BadNameError, match="starts with /"):
        remote("notes.txt")


def test_a_long_name_has_a_part_name_that_is_short_enough():
    part = part_name("/folder/" + "n" * 255, 7)
    assert part.startswith("/folder/.nnn")
    assert len(part.rpartition("/")[2].encode()) <= 255
    assert part_name("local", 7) == ".local.00000007.part"


def test_json_has_words_for_versions_structs_and_odd_names():
    assert plain(ChunkVersion(Epoch(2), 3)) == "2.3"
    assert json.loads(json.dumps(plain({"name": b"\xff"}))) == {"name": "\udcff"}


def picture(**changes):
    numbers = [
        "files",
        "folders",
        "chunks",
        "open_chunks",
        "chunks_missing",
        "chunks_one_copy",
        "chunks_below_goal",
        "chunks_above_goal",
        "repairs_running",
        "garbage",
        "trash_entries",
        "log_index",
        "metadata_bytes",
    ]
    return ClusterStatus(
        **{
            "cluster": "c", "epoch": Epoch(1), "uptime_s": 1.0, "servers": [], "durability": Durability.DISK,
            "safe_start": False, **dict.fromkeys(numbers, 0), **changes,
        }
    )  # fmt: skip


def test_the_exit_code_of_status_is_how_bad_it_is():
    assert judge(picture())[0] is Health.DEGRADED  # no server at all
    assert judge(picture(chunks_below_goal=1))[0] is Health.DEGRADED
    assert judge(picture(chunks_below_goal=1, chunks_one_copy=1))[0] is Health.AT_RISK
    assert judge(picture(chunks_missing=1))[0] is Health.AT_RISK
    assert judge(picture(chunks_missing=1, safe_start=True))[0] is Health.DEGRADED  # it has not heard everybody yet


def server(number, *, told, held):
    disk = DiskReport(disk=DiskId(number), folder="/d", free=1, total=2, replicas=held)
    return ServerStatus(
        server=ServerId(number), address=f"s{number}:1", rack="", state="live", boot=BootId(1), disks=[disk],
        replicas=told, primaries=0, heard_s=0.1,
    )  # fmt: skip


def test_waiting_shows_how_much_was_told_and_ends_when_the_cluster_is_healthy(capsys):
    """Goal: a person sees a start go on. Method: a script of pictures, with a master that is silent once."""
    half = picture(
        safe_start=True, chunks=100, chunks_reported=60, servers_reported=1,
        servers=[server(1, told=60, held=60), server(2, told=0, held=1040)],
    )  # fmt: skip
    more = picture(
        safe_start=True, chunks=100, chunks_reported=90, servers_reported=1,
        servers=[server(1, told=60, held=60), server(2, told=500, held=1040)],
    )  # fmt: skip
    whole = picture(chunks=100, servers=[server(1, told=60, held=60), server(2, told=1040, held=1040)])
    script = iter([half, half, ConnectError(address="m:1", why="refused"), more, whole, half])

    def ask():
        found = next(script)
        if isinstance(found, Exception):
            raise found
        return found

    assert until_healthy(ask, timeout_s=None, pause_s=0) is whole
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 3, "a line only when it changes"
    assert "1 of 2 chunkservers have reported, 60 of 1,100 replicas, 60 % of chunks" in told[0]
    assert told[1].startswith("no answer: ")
    assert "560 of 1,100 replicas" in told[2]


def test_waiting_ends_with_its_time_or_with_an_error_that_stays():
    bad = picture(chunks_missing=1)
    assert until_healthy(lambda: bad, timeout_s=0, pause_s=0) is bad
    script = iter([bad])

    def ask():
        for found in script:
            return found
        raise WrongClusterError(what="m:1", expected="a", found="b")

    with pytest.raises(WrongClusterError):
        until_healthy(ask, timeout_s=5, pause_s=0)


@pytest.mark.parametrize("log_format", list(LogFormat))
def test_a_log_line_has_level_logger_message_and_traceback(log_format):
    stream = io.StringIO()
    before = logging.getLogger().handlers[:]
    try:
        start_logging(log_format, "info", stream)
        try:
            raise ValueError("broken")
        except ValueError:
            logging.getLogger("cairnfs.test").exception("it failed chunk=%016x", 42)
    finally:
        logging.getLogger().handlers[:] = before
    text = stream.getvalue()
    if log_format is LogFormat.JSON:
        found = json.loads(text)
        assert (found["level"], found["logger"]) == ("ERROR", "cairnfs.test")
        assert found["message"] == "it failed chunk=000000000000002a"
        text = found["exception"]
    assert "ValueError: broken" in text
