"""pandas with nothing but a URL: fsspec finds CairnFS by itself."""

import pandas as pd
import pytest

FRAME = pd.DataFrame({"city": ["Zürich", "Bern, BE", 'a "b"', ""], "people": [4, 1, 3, 2], "mean": [0.5, -1, 2e9, 0]})


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "a folder/100% #1.csv"])
def test_csv_goes_and_comes(url, name):
    FRAME.to_csv(f"{url}/{name}", index=False)
    back = pd.read_csv(f"{url}/{name}", keep_default_na=False)
    pd.testing.assert_frame_equal(back, FRAME)


def test_parquet_goes_and_comes(url):
    FRAME.to_parquet(f"{url}/t.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(f"{url}/t.parquet"), FRAME)
    some = pd.read_parquet(f"{url}/t.parquet", columns=["people"], filters=[("people", ">", 2)])
    assert list(some["people"]) == [4, 3]


def test_storage_options_name_the_cluster(address, root):
    options = {"masters": address, "timeout": 30}
    FRAME.to_json(f"cairn://{root}/t.jsonl", orient="records", lines=True, storage_options=options)
    back = pd.read_json(f"cairn://{root}/t.jsonl", lines=True, storage_options=options)
    pd.testing.assert_frame_equal(back, FRAME, check_dtype=False)


def test_a_large_csv_is_read_in_pieces(url, fs, root):
    rows = 200_000
    pd.DataFrame({"n": range(rows)}).to_csv(f"{url}/big.csv", index=False)
    assert fs.size(f"{root}/big.csv") > 1_000_000
    with pd.read_csv(f"{url}/big.csv", chunksize=7_000) as pieces:
        assert sum(int(piece["n"].sum()) for piece in pieces) == rows * (rows - 1) // 2


def test_a_table_is_replaced_in_one_step(url, fs, root):
    """Goal: who reads meanwhile sees the old table or the new one, never a part."""
    FRAME.to_parquet(f"{url}/t.parquet")
    with fs.open(f"{root}/t.parquet") as old:
        old.read(4)
        FRAME.head(1).to_parquet(f"{url}/t.parquet")
        old.seek(0)
        pd.testing.assert_frame_equal(pd.read_parquet(old), FRAME)
    assert len(pd.read_parquet(f"{url}/t.parquet")) == 1


def test_a_table_that_cannot_be_written_leaves_the_old_one(url, fs, root):
    """pandas itself closes what it has opened by a URL as if all were well; a file of one's own `with` knows better."""

    class Broken:
        def __str__(self):
            raise ZeroDivisionError

    FRAME.to_csv(f"{url}/t.csv", index=False)
    with pytest.raises(ZeroDivisionError), fs.open(f"{root}/t.csv", "w") as file:
        pd.DataFrame({"n": [1, Broken()]}).to_csv(file)
    assert len(pd.read_csv(f"{url}/t.csv")) == len(FRAME)
    assert fs.ls(root, detail=False) == [f"{root}/t.csv"]


def test_a_missing_table_is_a_missing_file(url):
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        pd.read_csv(f"{url}/none.csv")
    with pytest.raises(FileNotFoundError):
        pd.read_parquet(f"{url}/none.parquet")
