"""A metadata store as a dict, and a caller of `execute` with a clock of its own."""

from bisect import bisect_left, insort
from itertools import islice

from cairnfs.config import ClusterConfig
from cairnfs.errors import NotCountedError
from cairnfs.ids import BootId, ChunkVersion, ClientId, ClusterId, Epoch, Sequence, ServerId
from cairnfs.limits import Geometry
from cairnfs.meta import tables
from cairnfs.meta.commands import CountFolders
from cairnfs.meta.decide import Choice, Placement, answer, execute
from cairnfs.wire.common import Member, Once

EPOCH = Epoch(7)
GEOMETRY = Geometry(chunk_bytes=1024, block_bytes=256)
NOW_NS = 1_700_000_000_000_000_000


class DictStore:
    """MetaWrite over sorted lists of keys. Jobs are not undone: `execute` must not change anything when it refuses."""

    def __init__(self):
        self.rows = {}
        self.keys = {}

    def get(self, table, key):
        return self.rows.get(table, {}).get(key)

    def scan(self, table, start=b"", stop=None, *, backwards=False):
        keys = self.keys.get(table, [])
        chosen = keys[bisect_left(keys, start) : len(keys) if stop is None else bisect_left(keys, stop)]
        for key in reversed(chosen) if backwards else chosen:
            yield key, self.rows[table][key]

    def page(self, table, start, count):
        return list(islice(self.scan(table, start), count))

    def count(self, table):
        return len(self.rows.get(table, {}))

    def put(self, table, key, value):
        assert 0 < len(key) <= 500
        assert isinstance(value, bytes)
        rows = self.rows.setdefault(table, {})
        if key not in rows:
            insort(self.keys.setdefault(table, []), key)
        rows[key] = value

    def delete(self, table, key):
        if key not in self.rows.get(table, {}):
            return False
        del self.rows[table][key]
        self.keys[table].remove(key)
        return True

    def dump(self, *without):
        return {name: dict(rows) for name, rows in self.rows.items() if rows and name not in without}


def new_store():
    store = DictStore()
    tables.initialise(
        store, cluster=ClusterId("c" * 32), geometry=GEOMETRY, config=ClusterConfig(), now_ns=NOW_NS, replicas=3
    )
    return store


class Caller:
    """One client, and the master's numbers."""

    def __init__(self, store=None, client=1):
        self.store = new_store() if store is None else store
        self.client = ClientId(client)
        self.sequence = 0
        self.now_ns = NOW_NS
        self.counter = 0

    def once(self, lowest=None):
        self.sequence += 1
        return Once(client=self.client, sequence=Sequence(self.sequence), lowest=Sequence(lowest or self.sequence))

    def version(self):
        self.counter += 1
        return ChunkVersion(EPOCH, self.counter)

    def placement(self, *servers):
        members = [Member(server=ServerId(one), boot=BootId(one * 10), address=f"s{one}:1") for one in servers]
        return Placement(members=members, primary=members[0].server, version=self.version())

    def choice(self, placement=None, barrier=None):
        self.now_ns += 1000
        return Choice(self.now_ns, placement, *([barrier] if barrier else []))

    def result(self, command, placement=None, barrier=None):
        return execute(self.store, command, self.choice(placement, barrier), epoch=EPOCH)

    def ask(self, command, placement=None, barrier=None):
        return answer(self.result(command, placement, barrier))

    def counted(self, kind, placement=None, **fields):
        """A request with `once`, as the master carries it out: what must be counted first is."""
        request = kind(once=self.once(), **fields)
        while isinstance(result := self.result(request, placement), NotCountedError):
            # Ends: each turn counts what the refusal names.
            while self.ask(CountFolders(top=result.folder, limit=2)).more:
                pass
        return answer(result)

    def do(self, kind, placement=None, barrier=None, **fields):
        """A request with `once`."""
        return self.ask(kind(once=self.once(), **fields), placement, barrier)
