"""A producer and a reader of records as programs of their own.

    python -m tests.e2e.record_processes produce ADDRESS NAME COUNT
    python -m tests.e2e.record_processes read ADDRESS STORE

The reader stores what each record said in a database, in one transaction with the record's position: whenever it is
killed, it goes on behind the last record that it has stored.
"""

import sqlite3
import sys
from contextlib import closing

import cairnfs
from cairnfs.errors import CairnError

LOG = "/events"


def produce(address, name, count):
    with cairnfs.connect(address) as fs:
        writer = fs.append_writer(LOG, "msgpack", pending_bytes_max=20_000)
        for number in range(count):
            repeat(lambda number=number: writer.put({"who": name, "number": number}))
        repeat(writer.close)


def repeat(call):
    """The cluster is hurt meanwhile; what was put is kept by the writer."""
    while True:  # ends once the cluster is whole again
        try:
            return call()
        except CairnError as error:
            print(error, file=sys.stderr)


def open_store(path):
    store = sqlite3.connect(path)
    store.execute("CREATE TABLE IF NOT EXISTS events (who TEXT, number INTEGER)")
    store.execute("CREATE TABLE IF NOT EXISTS place (id INTEGER PRIMARY KEY, position TEXT)")
    store.commit()
    return store


def read(address, path):
    with closing(open_store(path)) as store, cairnfs.connect(address) as fs:
        row = store.execute("SELECT position FROM place").fetchone()
        for record in fs.records(LOG, from_position=row and row[0], codec="msgpack", follow=True):
            with store:
                store.execute("INSERT INTO events VALUES (:who, :number)", record.value)
                store.execute("INSERT OR REPLACE INTO place VALUES (1, ?)", (record.position,))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["produce", address, name, count]:
            produce(address, name, int(count))
        case ["read", address, path]:
            read(address, path)
