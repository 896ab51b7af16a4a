"""dask with two worker processes: each opens its own connections."""

import os

import dask.bag as db
import dask.dataframe as dd
import pandas as pd

ROWS = 10_000
WORKERS = {"scheduler": "processes", "num_workers": 2}


def test_frames_are_written_and_read_by_two_processes(url, fs, root):
    frame = dd.from_pandas(pd.DataFrame({"n": range(ROWS), "k": [n % 7 for n in range(ROWS)]}), npartitions=4)
    dd.to_parquet(frame, f"{url}/set", compute_kwargs=WORKERS)
    assert len(fs.glob(f"{root}/set/*.parquet")) == 4
    back = dd.read_parquet(f"{url}/set")
    assert back["n"].sum().compute(**WORKERS) == ROWS * (ROWS - 1) // 2
    sums = back.groupby("k")["n"].sum().compute(**WORKERS)
    assert list(sums.sort_index()) == [sum(range(k, ROWS, 7)) for k in range(7)]


def test_csv_is_cut_into_blocks_and_read_by_two_processes(url, fs, root):
    frame = dd.from_pandas(pd.DataFrame({"n": range(ROWS)}), npartitions=3)
    frame.to_csv(f"{url}/csv/part-*.csv", index=False, compute_kwargs=WORKERS)
    assert len(fs.ls(f"{root}/csv")) == 3
    back = dd.read_csv(f"{url}/csv/part-*.csv", blocksize=4_096)
    assert back.npartitions > 6
    assert back["n"].sum().compute(**WORKERS) == ROWS * (ROWS - 1) // 2


def test_the_readers_are_other_processes(url, fs, root):
    for number in range(4):
        fs.pipe_file(f"{root}/lines/{number}.txt", b"one\ntwo\n")
    lines = db.read_text(f"{url}/lines/*.txt")
    found = lines.map(lambda line: (line.strip(), os.getpid())).compute(**WORKERS)
    assert [line for line, _ in found] == ["one", "two"] * 4
    assert os.getpid() not in {process for _, process in found}
