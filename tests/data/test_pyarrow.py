"""pyarrow: Parquet and data sets, through `filesystem=` and through a URI."""

import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset as ds
import pyarrow.fs
import pyarrow.parquet as pq
import pytest

ROWS = 50_000


@pytest.fixture
def table():
    return pa.table(
        {"n": range(ROWS), "part": [f"p{n % 3}" for n in range(ROWS)], "text": [f"row {n}" for n in range(ROWS)]}
    )


def by_n(table):
    return table.sort_by("n")


def test_a_partitioned_data_set_goes_and_comes(fs, root, table):
    ds.write_dataset(
        table, f"{root}/set", filesystem=fs, format="parquet", partitioning=["part"], partitioning_flavor="hive"
    )
    assert sorted(fs.ls(f"{root}/set", detail=False)) == [f"{root}/set/part=p{k}" for k in range(3)]
    back = ds.dataset(f"{root}/set", filesystem=fs, format="parquet", partitioning="hive")
    assert by_n(back.to_table(columns=["n", "part", "text"])).equals(table)
    assert back.count_rows(filter=ds.field("part") == "p1") == len(range(1, ROWS, 3))


def test_a_data_set_is_replaced_and_added_to(fs, root, table):
    first, second = table.slice(0, 10), table.slice(10, 10)
    write = {"filesystem": fs, "format": "parquet"}
    ds.write_dataset(first, f"{root}/set", basename_template="a-{i}.parquet", **write)
    ds.write_dataset(
        second, f"{root}/set", basename_template="b-{i}.parquet", existing_data_behavior="overwrite_or_ignore", **write
    )
    assert ds.dataset(f"{root}/set", filesystem=fs).count_rows() == 20
    ds.write_dataset(second, f"{root}/set", existing_data_behavior="delete_matching", partitioning=["part"], **write)
    ds.write_dataset(first, f"{root}/set", existing_data_behavior="delete_matching", partitioning=["part"], **write)
    assert (
        ds.dataset(f"{root}/set", filesystem=fs, partitioning=["part"], exclude_invalid_files=True).count_rows() >= 10
    )
    with pytest.raises(pa.ArrowInvalid, match="not empty"):
        ds.write_dataset(first, f"{root}/set", **write)


def test_a_uri_is_enough(url, table):
    """`fsspec+` tells pyarrow to ask fsspec."""
    pq.write_table(table, f"fsspec+{url}/t.parquet", row_group_size=5_000)
    assert pq.read_table(f"fsspec+{url}/t.parquet").equals(table)
    found, path = pyarrow.fs.FileSystem.from_uri(f"fsspec+{url}/t.parquet")
    assert found.get_file_info(path).is_file
    assert ds.dataset(f"fsspec+{url}/t.parquet").head(3).num_rows == 3


def test_row_groups_are_read_side_by_side(fs, root, table):
    pq.write_table(table, f"{root}/t.parquet", filesystem=fs, row_group_size=1_000)
    file = pq.ParquetFile(f"{root}/t.parquet", filesystem=fs, pre_buffer=True)
    assert file.num_row_groups == 50
    assert file.read_row_groups([7, 30], columns=["n"])["n"].to_pylist() == [
        *range(7_000, 8_000),
        *range(30_000, 31_000),
    ]
    assert pq.read_table(f"{root}/t.parquet", filesystem=fs, use_threads=True, pre_buffer=True).equals(table)


def test_files_folders_and_their_times_are_seen_through_arrow(fs, root):
    arrow = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(fs))
    arrow.create_dir(f"{root}/a/b", recursive=True)
    with arrow.open_output_stream(f"{root}/a/b/x.csv") as out:
        out.write(b"n,m\n1,2\n")
    with arrow.open_append_stream(f"{root}/a/b/x.csv") as out:
        out.write(b"3,4\n")
    found = arrow.get_file_info(pyarrow.fs.FileSelector(f"{root}/a", recursive=True))
    assert [(one.base_name, one.type) for one in found] == [
        ("b", pyarrow.fs.FileType.Directory),
        ("x.csv", pyarrow.fs.FileType.File),
    ]
    assert found[1].size == 12
    assert found[1].mtime_ns > 0
    with arrow.open_input_stream(f"{root}/a/b/x.csv") as source:
        assert pyarrow.csv.read_csv(source).to_pydict() == {"n": [1, 3], "m": [2, 4]}
    arrow.copy_file(f"{root}/a/b/x.csv", f"{root}/a/y.csv")
    arrow.move(f"{root}/a/y.csv", f"{root}/z.csv")
    arrow.delete_dir(f"{root}/a")
    assert arrow.get_file_info(f"{root}/a").type is pyarrow.fs.FileType.NotFound
    assert arrow.get_file_info(f"{root}/z.csv").size == 12


def test_errors_are_pythons(fs, root):
    with pytest.raises(FileNotFoundError):
        pq.read_table(f"{root}/none.parquet", filesystem=fs)
    fs.pipe_file(f"{root}/no.parquet", b"this is no Parquet file")
    with pytest.raises(pa.ArrowInvalid):
        pq.read_table(f"{root}/no.parquet", filesystem=fs)
