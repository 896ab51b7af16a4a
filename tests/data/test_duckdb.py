"""duckdb: SQL over files, read and written through a registered filesystem."""

import duckdb
import pytest


@pytest.fixture
def sql(fs):
    with duckdb.connect() as connection:
        connection.register_filesystem(fs)
        yield connection.sql


def test_copy_to_and_read(sql, root, fs):
    sql(f"COPY (SELECT range AS n, range % 3 AS k FROM range(10000)) TO 'cairn://{root}/t.parquet' (FORMAT parquet)")
    assert fs.isfile(f"{root}/t.parquet")
    found = sql(f"SELECT k, sum(n) FROM read_parquet('cairn://{root}/t.parquet') GROUP BY k ORDER BY k").fetchall()
    assert found == [(k, sum(range(k, 10_000, 3))) for k in range(3)]


def test_csv_and_a_filter(sql, root):
    sql(f"COPY (SELECT range AS n FROM range(1000)) TO 'cairn://{root}/t.csv' (HEADER)")
    assert sql(f"SELECT count(*) FROM 'cairn://{root}/t.csv' WHERE n >= 990").fetchall() == [(10,)]


def test_a_pattern_reads_many_files(sql, root):
    for number in range(5):
        sql(f"COPY (SELECT {number} AS part, range AS n FROM range(100)) TO 'cairn://{root}/p{number}.parquet'")
    found = sql(f"SELECT count(*), count(DISTINCT part) FROM read_parquet('cairn://{root}/p*.parquet')").fetchall()
    assert found == [(500, 5)]


def test_joins_across_the_cluster_and_memory(sql, root):
    sql(f"COPY (SELECT range AS id, 'name ' || range AS name FROM range(10)) TO 'cairn://{root}/names.parquet'")
    found = sql(f"SELECT name FROM (VALUES (3), (5)) v(id) JOIN 'cairn://{root}/names.parquet' USING (id) ORDER BY id")
    assert found.fetchall() == [("name 3",), ("name 5",)]


def test_a_table_that_is_not_there_is_said_so(sql, root):
    with pytest.raises((duckdb.IOException, FileNotFoundError), match="none"):
        sql(f"SELECT * FROM read_parquet('cairn://{root}/none.parquet')").fetchall()
    with pytest.raises(duckdb.Error, match=r"none"):
        sql(f"SELECT * FROM read_parquet('cairn://{root}/none-*.parquet')").fetchall()
