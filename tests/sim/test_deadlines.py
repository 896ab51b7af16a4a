"""Every public call of the client ends by its deadline, whoever has fallen silent. Rule 27."""

import inspect

import pytest

from cairnfs.client.file import File
from cairnfs.client.filesystem import Client
from cairnfs.client.record_writer import RecordWriter
from cairnfs.client.records import RecordOptions
from cairnfs.config import ClientConfig
from cairnfs.errors import CairnError
from cairnfs.sim.cluster import MASTER, SimCluster
from cairnfs.sim.world import SimWorld

LIMIT_S = 0.3
SLACK_S = 0.01
"""What it takes to be cancelled, in virtual time: steps of the loop, of microseconds each."""
TIDY_S = 2.0
"""What `copytree` may take on top, to remove the part of a file that it gives up."""
FOREVER_S = 100_000.0
DATA = bytes(range(250)) * 500
BRISK = ClientConfig(meta_timeout_s=2.0, data_timeout_s=4.0)
OWN_S = 4 * BRISK.data_timeout_s
"""Without a limit each step of a call has the deadline of the settings, twice it where a peer shows that it works on
it; a call that fails at its first or second step is over by then."""


async def all_of(items):
    async for _ in items:
        pass


async def one_put_then(writer, call):
    await writer.put(b"record")
    await call()


CALLS = {
    "accept_restore": lambda fs: fs.accept_restore(),
    "append": lambda fs: fs.append("/log", b"record"),
    "append_writer": lambda fs: fs.append_writer("/log"),
    "cat": lambda fs: all_of(fs.cat("/file")),
    "chmod": lambda fs: fs.chmod("/file", 0o600),
    "chown": lambda fs: fs.chown("/file", 1, 1),
    "chunk_table": lambda fs: fs.chunk_table("/file"),
    "clear_quota": lambda fs: fs.clear_quota("/folder"),
    "complete": lambda fs: fs.complete("/f"),
    "connect": lambda fs: fs.connect(),
    "copy": lambda fs: fs.copy("/file", "/copy"),
    "copytree": lambda fs: fs.copytree("/folder", "/other"),
    "deletions": lambda fs: fs.deletions(),
    "drain": lambda fs: fs.drain(1),
    "du": lambda fs: fs.du("/"),
    "exists": lambda fs: fs.exists("/file"),
    "forget_server": lambda fs: fs.forget_server(1),
    "free": lambda fs: fs.free(),
    "glob": lambda fs: fs.glob("/*"),
    "info": lambda fs: fs.info(),
    "isdir": lambda fs: fs.isdir("/folder"),
    "isfile": lambda fs: fs.isfile("/file"),
    "islink": lambda fs: fs.islink("/link"),
    "listdir": lambda fs: fs.listdir("/"),
    "ls": lambda fs: fs.ls("/"),
    "lstat": lambda fs: fs.lstat("/file"),
    "maintain": lambda fs: fs.maintain(1),
    "makedirs": lambda fs: fs.makedirs("/a/b"),
    "mkdir": lambda fs: fs.mkdir("/c"),
    "open": lambda fs: fs.open("/new", "wb"),
    "open_text": lambda fs: fs.open_text("/file"),
    "purge": lambda fs: fs.purge("/gone"),
    "quota": lambda fs: fs.quota("/folder"),
    "quotas": lambda fs: fs.quotas(),
    "read_bytes": lambda fs: fs.read_bytes("/file"),
    "read_text": lambda fs: fs.read_text("/text"),
    "readlink": lambda fs: fs.readlink("/link"),
    "realpath": lambda fs: fs.realpath("/link"),
    "record_batches": lambda fs: all_of(fs.record_batches("/log", RecordOptions())),
    "records": lambda fs: all_of(fs.records("/log")),
    "release_deletions": lambda fs: fs.release_deletions(),
    "remove": lambda fs: fs.remove("/remove"),
    "rename": lambda fs: fs.rename("/file", "/file2"),
    "replace": lambda fs: fs.replace("/file2", "/file"),
    "replica_info": lambda fs: fs.replica_info("cs0:7410", 1),
    "restored_ns": lambda fs: fs.restored_ns(),
    "rmdir": lambda fs: fs.rmdir("/folder/empty"),
    "rmtree": lambda fs: fs.rmtree("/folder"),
    "scandir": lambda fs: all_of(fs.scandir("/")),
    "server_counters": lambda fs: fs.server_counters("cs0:7410"),
    "set_attributes": lambda fs: fs.set_attributes("/file", mode=0o600),
    "set_quota": lambda fs: fs.set_quota("/folder", files=1000),
    "set_replicas": lambda fs: fs.set_replicas("/file", 2),
    "snapshot": lambda fs: fs.snapshot("/log", "/snapshot"),
    "stat": lambda fs: fs.stat("/log"),
    "status": lambda fs: fs.status(),
    "symlink": lambda fs: fs.symlink("/file", "/link2"),
    "touch": lambda fs: fs.touch("/touched"),
    "trash": lambda fs: all_of(fs.trash()),
    "truncate": lambda fs: fs.truncate("/file", 100),
    "tune": lambda fs: fs.tune(repair=0),
    "undelete": lambda fs: fs.undelete("/gone2"),
    "unlink": lambda fs: fs.unlink("/unlink"),
    "utime": lambda fs: fs.utime("/file"),
    "verify_replica": lambda fs: fs.verify_replica("cs0:7410", 1),
    "walk": lambda fs: all_of(fs.walk("/")),
    "write_bytes": lambda fs: fs.write_bytes("/written", DATA),
    "write_text": lambda fs: fs.write_text("/written2", "text"),
}  # fmt: skip
ELSEWHERE = {"upload", "download", "close"}
"""Two read and write local files, which no simulated host has: tests/unit/client/test_deadlines.py. `close` of a client
asks nobody: the end of each scene."""
OF_FILES = {
    "append": lambda file: file.append(b"record"),
    "append_all": lambda file: file.append_all([b"record", b"another"]),
    "close": lambda file: file.close(),
    "data": lambda file: all_of(file.data()),
    "data_ranges": lambda file: all_of(file.data_ranges()),
    "first_chunk": lambda file: file.first_chunk(),
    "flush": lambda file: file.flush(),
    "pread": lambda file: file.pread(len(DATA), 0),
    "pread_stale": lambda file: file.pread_stale(100, 0),
    "preadinto": lambda file: file.preadinto(bytearray(100), 0),
    "pwrite": lambda file: file.pwrite(DATA, 0),
    "read": lambda file: file.read(),
    "readinto": lambda file: file.readinto(bytearray(len(DATA))),
    "readline": lambda file: file.readline(),
    "seek": lambda file: file.seek(0, 2),
    "size": lambda file: file.size(),
    "sync": lambda file: file.sync(),
    "truncate": lambda file: file.truncate(10),
    "wait_longer": lambda file: file.wait_longer(10**9, wait_s=2.0),
    "write": lambda file: file.write(DATA),
}  # fmt: skip
OF_WRITERS = {
    "append": lambda writer: writer.append(b"record"),
    "close": lambda writer: one_put_then(writer, writer.close),
    "flush": lambda writer: one_put_then(writer, writer.flush),
    "put": lambda writer: writer.put(b"record"),
    "room": lambda writer: writer.room(10),
}


def public_calls(kind):
    return {
        name
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
        and (inspect.iscoroutinefunction(inspect.unwrap(method)) or inspect.isasyncgenfunction(inspect.unwrap(method)))
    }


def test_no_call_is_forgotten_here():
    assert public_calls(Client) == set(CALLS) | ELSEWHERE
    assert public_calls(File) == set(OF_FILES)
    assert public_calls(RecordWriter) == set(OF_WRITERS)


async def furnish(fs):
    """Make what the calls work on."""
    await fs.write_bytes("/file", DATA)
    for path in ("/text", "/remove", "/unlink", "/gone", "/gone2"):
        await fs.write_text(path, "text")
    for path in ("/gone", "/gone2"):
        await fs.remove(path)
    await fs.makedirs("/folder/empty")
    await fs.write_bytes("/folder/file", DATA)
    await fs.symlink("/file", "/link")
    async with await fs.append_writer("/log") as writer:
        for number in range(10):
            await writer.put(b"%d" % number)


class Ledger:
    """Which calls took how long."""

    def __init__(self, cluster, fs):
        self.cluster, self.fs = cluster, fs
        self.took_s, self.ended = {}, {}

    async def play(self, stop, *, limit_s):
        """Prepare each call, let `stop` happen, then make them one after the other."""
        prepared = {name: (call, self.fs.with_timeout(limit_s)) for name, call in CALLS.items()}
        for number, (name, call) in enumerate(OF_FILES.items()):
            path = "/log" if "append" in name else f"/of-files-{number}"
            await self.fs.append(path, DATA[:100])
            file = await self.fs.open(path, "r+b")
            if name in ("flush", "sync", "close"):
                await file.write(b"too little to be sent at once")
            prepared[f"file.{name}"] = (call, file)
        for name, call in OF_WRITERS.items():
            prepared[f"writer.{name}"] = (call, await self.fs.append_writer("/log"))
        stop()
        for name, (call, owner) in prepared.items():
            owner.limit_s = limit_s
            await self.timed(name, call, owner)

    async def timed(self, name, call, owner):
        began_s = self.cluster.world.now_s()
        try:
            await call(owner)
            self.ended[name] = "returned"
        except (CairnError, TimeoutError) as error:
            self.ended[name] = type(error).__name__
        self.took_s[name] = self.cluster.world.now_s() - began_s


def overdue(stopped, *, limit_s, most_s):
    """Return the calls that took longer than `most_s` while some servers sleep, and how all of them ended."""
    with SimWorld(3) as world:
        cluster = SimCluster(world, chunkservers=3, client_config=BRISK)
        cluster.start()

        async def job(fs):
            await furnish(fs)
            ledger = Ledger(cluster, fs)

            def stop():
                for name in stopped:
                    world.suspend(name, FOREVER_S)

            await ledger.play(stop, limit_s=limit_s)
            return ledger

        ledger = world.run(cluster.on_client(job))
    allowed = {"copytree": most_s + TIDY_S}
    late = {name: took_s for name, took_s in ledger.took_s.items() if took_s > allowed.get(name, most_s)}
    return late, ledger.ended


SERVERS = ("cs0", "cs1", "cs2")
NEED_DATA = {"append", "read_bytes", "write_bytes", "snapshot", "file.pread", "file.sync", "file.close", "writer.flush"}
NEED_MASTER = {"stat", "open", "rename", "walk", "file.size", "writer.append"}
STOPPED = {
    "chunkservers": (SERVERS, NEED_DATA),
    "master": ((MASTER,), NEED_MASTER),
    "all": ((MASTER, *SERVERS), NEED_DATA | NEED_MASTER),
}


@pytest.mark.parametrize("stopped, sure", STOPPED.values(), ids=STOPPED)
def test_every_call_ends_by_its_limit(stopped, sure):
    """`sure`: those that cannot be carried out, so that their limit must end them."""
    late, ended = overdue(stopped, limit_s=LIMIT_S, most_s=LIMIT_S + SLACK_S)
    assert late == {}
    assert {name for name in sure if ended[name] != "TimeLimitError"} == set()


@pytest.mark.parametrize("stopped, sure", STOPPED.values(), ids=STOPPED)
def test_every_call_ends_without_a_limit_too(stopped, sure):
    late, ended = overdue(stopped, limit_s=None, most_s=OWN_S)
    assert late == {}
    assert {name for name in sure if ended[name] in ("returned", "TimeLimitError")} == set()
