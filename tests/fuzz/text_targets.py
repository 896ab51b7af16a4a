"""Decoders of what people and programs write: client records, settings, sizes and times, addresses, URLs, paths."""

import os
import tempfile
from functools import cache
from pathlib import Path

from tests.fuzz.target import Target, refused

from cairnfs import paths
from cairnfs.cli import settings
from cairnfs.client.framing import HEADER_BYTES, RecordDecoder, encode_record
from cairnfs.client.positions import Heard, Position, parse_position
from cairnfs.client.urls import parse_url
from cairnfs.config import ChunkserverConfig, ClientConfig, MasterConfig
from cairnfs.env.addresses import join_address, split_address
from cairnfs.errors import BadNameError, BadRequestError, SettingError
from cairnfs.units import parse_size, parse_time

DIGITS = b"9" * 5000
"""More than Python turns into a number."""


# ---- records in files


def record_files(chance):
    made = [encode_record(7, number, chance.randbytes(chance.randrange(80))) for number in range(1, 30)]
    padded = b"".join(one + bytes(chance.randrange(20)) for one in made[:8])
    return [*made, padded, b"".join(made[8:12]), made[0] * 3]


def find_records(data, chance):
    decoder = RecordDecoder()
    found, place = [], 0
    while place < len(data):
        step = chance.choice([1, 7, 100, 10_000])
        found += decoder.feed(data[place : place + step])
        place += step
    found += decoder.finish()
    for record in found:
        frame = encode_record(record.writer, record.sequence, record.data)
        assert data[record.offset : record.offset + len(frame)] == frame
    taken = sum(HEADER_BYTES + len(record.data) for record in found)
    assert taken + decoder.skipped_bytes == len(data)
    return bool(found)


# ---- positions of readers


def positions(chance):
    heard = {chance.getrandbits(63): Heard(chance.getrandbits(40), chance.getrandbits(1023)) for _ in range(5)}
    some = [
        Position(chance.getrandbits(60), chance.getrandbits(50), dict(list(heard.items())[:count]))
        for count in range(6)
    ]
    return [str(one).encode() for one in some]


def parse_any_position(data, _chance):
    try:
        text = data.decode("utf-8", "surrogateescape")
        position = parse_position(text)
    except BadRequestError as error:
        return refused(error)
    assert str(position) == text
    return True


# ---- settings


def settings_files(_chance):
    return [
        b'[master]\nlease_s = "60s"\nreplicas = 3\nlisten = ["127.0.0.1:7400"]\n',
        b'[client]\nmaster = ["127.0.0.1:7400", "[::1]:1"]\nreadahead_bytes = "8M"\nnear = ""\n',
        b'[chunkserver]\nreserve_bytes = 1024\nreserve_fraction = 0.02\ndata = ["/a", "/b"]\n',
        b"[master]\nlease_s = 1e400\n[client]\nmeta_timeout_s = inf\n",
        b"[master]\nreplicas = " + DIGITS,
        b'[chunkserver]\nreserve_bytes = "' + DIGITS + b'"\n',
        b'[master]\nlease_s = "' + DIGITS + b'd"\n',
        b"[master]\nlisten = " + b"[" * 3000,
        b"[master]\nlisten = " + b"[" * 200 + b"]" * 200,
        b"[" + b"a." * 3000 + b"b]\n",
        b"[master]\nlease_s = 2020-01-01T00:00:00Z\n",
        b"a.b = 1\n[[master]]\n",
    ]


@cache
def settings_path():
    memory = Path("/dev/shm")
    folder = tempfile.mkdtemp(prefix="cairnfs-fuzz-", dir=memory if memory.is_dir() else None)
    return Path(folder) / "cairn.toml"


def load_settings(data, chance):
    path = settings_path()
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    kind = chance.choice([MasterConfig, ChunkserverConfig, ClientConfig])
    try:
        loaded = settings.load(kind, flags={}, config_file=str(path))
    except SettingError as error:
        return refused(error)
    finally:
        path.unlink()
        path.parent.rmdir()
    assert isinstance(loaded.config, kind)
    return True


def amounts(_chance):
    return [b"64", b"1.5 GiB", b"512M", b"10s", b"500ms", b"3d", b"0", b"1" * 400, DIGITS, b"9" * 400 + b"T", b" 7 k "]


def parse_amount(data, chance):
    parse = chance.choice([parse_size, parse_time])
    try:
        found = parse(data.decode("utf-8", "replace"))
    except ValueError as error:
        return refused(error)
    assert found >= 0
    return True


# ---- addresses and paths


def urls(_chance):
    return [
        b"cairn://127.0.0.1:7400/path/x",
        b"cairn://[::1]:7400,host:1,h2/",
        b"cairn:///only/path",
        b"host",
        b"host:7400,other:7401",
        b"http://host/",
        b"cairn://host:" + DIGITS,
        b"cairn://[::1",
        b"cairn://host:65536/",
        "cairn://hôst:٣/".encode(),
    ]


def decode_url(data, chance):
    text = data.decode("utf-8", chance.choice(["replace", "surrogateescape"]))
    try:
        masters, path = parse_url(text)
    except BadRequestError as error:
        return refused(error)
    assert not path or path[0] == "/"
    for address in masters:
        assert split_address(join_address(*split_address(address))) == split_address(address)
    return True


def odd_paths(_chance):
    return [
        b"/", b"/a/b/../c//./d", b"/a/" + b"n" * 255, b"/" + b"x/" * 2048, b"relative", b"/nul\0", b"/\xff\xfe",
        b"/\xed\xa0\x80", b"/..", "/ü/ß".encode(), b"/" + b"n" * 256,
    ]  # fmt: skip


def parse_any_path(data, chance):
    given = chance.choice([bytes, os.fsdecode, lambda raw: raw.decode("utf-8", "surrogatepass")])
    try:
        path = paths.parse_path(given(data))
    except BadNameError as error:
        return refused(error)
    except UnicodeDecodeError:
        return False  # of `surrogatepass` here: no such text exists
    paths.check_path(path)
    assert paths.parse_path(paths.show(path)) == path
    return True


TARGETS = [
    Target("client records", 24_000, record_files, find_records),
    Target("positions of records", 6_000, positions, parse_any_position),
    Target("settings files", 4_000, settings_files, load_settings),
    Target("sizes and times", 12_000, amounts, parse_amount),
    Target("URLs", 12_000, urls, decode_url),
    Target("paths", 6_000, odd_paths, parse_any_path),
]
