"""Many writers, one file of records, and a table of who wrote how much: `python examples/collect.py [cairn://host:port]`.

Without an address it starts a cluster of its own. It is checked by `mypy --strict`, and run by a test.
"""

import asyncio
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import cairnfs

WRITERS = 4
RECORDS = 25


def collect(fs: cairnfs.Client, path: str) -> Counter[str]:
    """Let several threads append to one file; count the records of each."""

    def write(name: str) -> None:
        with fs.append_writer(path, codec="jsonl") as writer:
            for number in range(RECORDS):
                writer.put({"by": name, "number": number})

    threads = [Thread(target=write, args=(f"writer-{number}",)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Counter(record.value["by"] for record in fs.records(path, codec="jsonl"))


def keep(fs: cairnfs.Client, counts: Counter[str], path: str) -> str:
    """Write the table, take it home, and return it."""
    with fs.open(path, "w") as file:
        file.writelines(f"{name}: {count}\n" for name, count in sorted(counts.items()))
    with TemporaryDirectory() as home:
        target = Path(home) / "table.txt"
        fs.download(path, target, timeout=30)
        return target.read_text()


async def sizes(address: str, folder: str) -> dict[str, int]:
    """Return the size of each file in a folder, with await."""
    async with await cairnfs.aio.connect(address) as fs:
        return {entry.name: entry.stat.size async for entry in fs.scandir(folder) if entry.is_file()}


def main(arguments: list[str]) -> None:
    """Run on the cluster that was named, else on one inside this process."""
    with cairnfs.connect(arguments[0]) if arguments else cairnfs.local() as fs:
        fs.makedirs("/example", exist_ok=True)
        fs.unlink("/example/records", missing_ok=True)
        print(keep(fs, collect(fs, "/example/records"), "/example/table.txt"), end="")
        print(asyncio.run(sizes(fs.config.master[0], "/example"))["table.txt"], "bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
