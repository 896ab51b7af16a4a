"""The data tools beside the client's own stream, on one Parquet file, in one run.

    python benchmarks/python.py [--size 1G] [--rounds 5] [--json]

    plain    the blocking client reads the file from begin to end, 8 MiB at a time
    scan     pyarrow scans all columns of it as a data set over `cairn://`, batch by batch, on all its threads
    ranges   `cat_ranges` fetches 64 ranges of 1 MiB at places drawn anew each time: whole MiB, then any byte

Each round measures plain, scan, ranges, plain, each as the better of two runs; the ratios are to the mean of the two
plain reads of their round, and the table shows the medians. The columns are plain numbers, neither compressed nor in
dictionaries, so that the figure is about moving bytes and not about decoding. Replicas are on tmpfs. Needs the extra
`test-data`.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from run import read_speed, warm_memory

from cairnfs.cluster.processes import ProcessCluster
from cairnfs.units import format_size, parse_size

COLUMNS = 8
ROW_GROUP_BYTES = 64 << 20
RANGES, RANGE_BYTES = 64, 1 << 20
GOAL = 0.7


def write_table(fs: fsspec.AbstractFileSystem, path: str, total: int) -> int:
    """Write about `total` bytes; return how many rows."""
    rows = ROW_GROUP_BYTES // COLUMNS // 8
    numbers = np.random.default_rng(1)
    groups = max(1, total // ROW_GROUP_BYTES)
    schema = pa.schema([(f"c{number}", pa.float64()) for number in range(COLUMNS)])
    with pq.ParquetWriter(
        path, schema, filesystem=fs, compression="none", use_dictionary=False, write_statistics=False
    ) as writer:
        for _ in range(groups):
            columns = [pa.array(numbers.random(rows)) for _ in range(COLUMNS)]
            writer.write_table(pa.table(columns, schema=schema), row_group_size=rows)
    return rows * groups


def scan_speed(fs: fsspec.AbstractFileSystem, path: str, total: int, rows: int) -> float:
    """Return bytes of the file per second of a scan of all its columns."""
    begun = time.perf_counter()
    data = ds.dataset(path, filesystem=fs, format="parquet")
    got = sum(batch.num_rows for batch in data.to_batches())
    took = time.perf_counter() - begun
    assert got == rows, (got, rows)
    return total / took


def ranges_speed(fs: fsspec.AbstractFileSystem, path: str, total: int, *, align: int) -> float:
    """Return bytes per second of calls of `cat_ranges` one after another, which fetch as much as the file has.

    Ranges begin at multiples of `align`: of others the blocks at both ends are fetched whole, to be verified.
    """
    calls = max(1, total // (RANGES * RANGE_BYTES))
    begun = time.perf_counter()
    for _ in range(calls):
        starts = [random.randrange(0, total - RANGE_BYTES, align) for _ in range(RANGES)]
        found = fs.cat_ranges([path] * RANGES, starts, [start + RANGE_BYTES for start in starts], on_error="raise")
        assert all(len(data) == RANGE_BYTES for data in found)
    return calls * RANGES * RANGE_BYTES / (time.perf_counter() - begun)


def twice(job: Callable[[], float]) -> float:
    """Return the better of two runs: the first one after another job pays for pages that this machine sees anew."""
    return max(job(), job())


def one_round(*jobs: Callable[[], float]) -> dict[str, float]:
    plain, scan, ranges, odd_ranges = jobs
    first, scanned, ranged, odd, second = twice(plain), twice(scan), twice(ranges), twice(odd_ranges), twice(plain)
    both = (first + second) / 2
    return {
        "plain_bytes_per_s": both,
        "scan_bytes_per_s": scanned,
        "ranges_bytes_per_s": ranged,
        "scan_ratio": scanned / both,
        "ranges_ratio": ranged / both,
        "odd_ranges_bytes_per_s": odd,
        "odd_ranges_ratio": odd / both,
    }


def measure(cluster: ProcessCluster, wanted: int, rounds: int) -> tuple[int, list[dict[str, float]]]:
    """Return the length of the file and the figures of each round."""
    fs = fsspec.filesystem("cairn", masters=cluster.address)
    path = "/table.parquet"
    rows = write_table(fs, path, wanted)
    total = fs.size(path)
    jobs = (
        lambda: read_speed(cluster.address, total, path),
        lambda: scan_speed(fs, path, total, rows),
        lambda: ranges_speed(fs, path, total, align=RANGE_BYTES),
        lambda: ranges_speed(fs, path, total, align=1),
    )
    one_round(*jobs)  # warms memory and imports
    return total, [one_round(*jobs) for _ in range(rounds)]


def print_table(figures: dict[str, float], total: int) -> None:
    print(f"{format_size(total)} of Parquet, 3 replicas on tmpfs, {os.cpu_count()} cores, pyarrow {pa.__version__}")
    print(f"{'what':<36}{'speed':>14}{'of plain':>10}{'goal':>6}")
    print(f"{'plain read by the client':<36}{format_size(int(figures['plain_bytes_per_s'])) + '/s':>14}")
    rows = [
        ("scan by pyarrow", "scan"),
        ("64 ranges of 1 MiB by cat_ranges", "ranges"),
        ("the same at any byte", "odd_ranges"),
    ]
    for what, name in rows:
        speed, ratio = format_size(int(figures[f"{name}_bytes_per_s"])) + "/s", figures[f"{name}_ratio"]
        print(f"{what:<36}{speed:>14}{ratio:>10.2f}{GOAL:>6.1f}  {'ok' if ratio >= GOAL else 'NOT REACHED'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=parse_size, default=1 << 30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warm_memory(options.size // 2)
    with tempfile.TemporaryDirectory() as meta, tempfile.TemporaryDirectory(dir="/dev/shm") as data:
        for number in range(1, 4):
            on_tmpfs = Path(data, f"chunkserver{number}")
            on_tmpfs.mkdir()
            Path(meta, on_tmpfs.name).symlink_to(on_tmpfs)
        cluster = ProcessCluster(meta, chunkservers=3)
        cluster.start()
        try:
            total, rounds = measure(cluster, options.size, options.rounds)
        finally:
            cluster.stop()
    figures = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    if options.json:
        print(json.dumps({"file_bytes": total, "figures": figures, "rounds": rounds}))
    else:
        print_table(figures, total)
    sys.exit(0 if min(figures["scan_ratio"], figures["ranges_ratio"]) >= GOAL else 1)


if __name__ == "__main__":
    main()
