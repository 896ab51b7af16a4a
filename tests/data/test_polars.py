"""polars: by file objects, and lazily over an Arrow data set."""

import fsspec
import polars as pl
import pyarrow.dataset as ds
import pytest

FRAME = pl.DataFrame({"n": range(5_000), "text": [f"row {n}" for n in range(5_000)]})


@pytest.mark.parametrize(
    ("write", "read"),
    [
        (pl.DataFrame.write_parquet, pl.read_parquet),
        (pl.DataFrame.write_csv, pl.read_csv),
        (pl.DataFrame.write_ipc, pl.read_ipc),
        (pl.DataFrame.write_ndjson, pl.read_ndjson),
    ],
    ids=["parquet", "csv", "ipc", "ndjson"],
)
def test_frames_go_and_come_by_file_objects(url, write, read):
    with fsspec.open(f"{url}/t", "wb") as file:
        write(FRAME, file)
    with fsspec.open(f"{url}/t", "rb") as file:
        assert read(file).equals(FRAME)


def test_a_data_set_is_scanned_lazily(fs, root):
    for number in range(3):
        with fs.open(f"{root}/set/{number}.parquet", "wb") as file:
            FRAME.with_columns(part=pl.lit(number)).write_parquet(file)
    lazy = pl.scan_pyarrow_dataset(ds.dataset(f"{root}/set", filesystem=fs))
    found = lazy.filter(pl.col("part") > 0).select(pl.col("n").sum()).collect()
    assert found.item() == 2 * sum(range(5_000))
