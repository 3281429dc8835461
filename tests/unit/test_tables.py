"""Tables: what is read, and that every fault of a file is named with its place."""

import subprocess
import sys
import time

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from relu_opt.errors import DataError
from relu_opt.tables import Table, read_table


@pytest.fixture
def write(tmp_path):
    """Write a file of bytes or text and return its path."""

    def write(content, name="t.csv"):
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return write


@pytest.mark.parametrize(
    ("text", "names", "values"),
    [
        ("a,b\n1,2\n3,4\n", ("a", "b"), [[1, 2], [3, 4]]),
        ("1,2\n3,4", ("c0", "c1"), [[1, 2], [3, 4]]),
        ("a;b\n1;2", ("a", "b"), [[1, 2]]),
        ("a\tb\n1\t+2.5e1", ("a", "b"), [[1, 25]]),
        (" a , b \n 1 , 2 \n", ("a", "b"), [[1, 2]]),
        ("\ufeffa,b\r\n1,2\r\n", ("a", "b"), [[1, 2]]),
        ("\n\na,b\n\n1,2\n", ("a", "b"), [[1, 2]]),
        ('"x, y",b\n"1",2', ("x, y", "b"), [[1, 2]]),
        ("a,b\ntrue,1\nfalse,2\n", ("a", "b"), [[1, 1], [0, 2]]),
        ("a\n1\n2\n", ("a",), [[1], [2]]),
    ],
)
def test_csv_is_read(write, text, names, values):
    table = read_table(write(text))
    assert table.names == names
    np.testing.assert_array_equal(table.matrix(names), values)


def test_csv_keeps_every_digit(write):
    numbers = np.random.default_rng(0).standard_normal(200) * 10.0 ** np.arange(-100, 100)
    table = read_table(write("a\n" + "\n".join(f"{value:.17g}" for value in numbers)))
    np.testing.assert_array_equal(table.numbers("a"), numbers)


@pytest.mark.parametrize(
    ("text", "column", "place", "cell"),
    [
        ("a,b\n1,2\n3,x\n", "b", "line 3", "'x'"),
        ("a,b\n1,2\n\n\n3,x\n", "b", "line 5", "'x'"),
        ('a,b\n"1",2\n"\n3",x\n', "b", "line 4", "'x'"),
        ("a,b\n1,2\n3,\n", "b", "line 3", "empty"),
        ("a,b\n1,x\n3,\n", "b", "line 2", "'x'"),
        ("a,b\nx,\ny,\n", "b", "line 2", "empty"),
        ("a,b\n1,NA\n", "b", "line 2", "'NA'"),
        ("a,b\n1,nan\n", "b", "line 2", "NaN"),
        ("a,b\n1,2\n1,-inf\n", "b", "line 3", "infinite"),
        ("a,b\n1,1e400\n", "b", "line 2", "infinite"),
        ("a,b\n2020-01-01,2\n", "a", "line 2", "'2020-01-01'"),
        ("1,2\n3,x\n", "c1", "line 2", "'x'"),
        (b"a,b\n1,caf\xe9\n", "b", "line 2", "caf"),
        ("a,b\n" + "1,2\n" * 200_000 + "1,2.x\n", "b", "line 200002", "'2.x'"),
    ],
)
def test_a_bad_cell_is_named_when_its_column_is_used(write, text, column, place, cell):
    table = read_table(write(text))
    with pytest.raises(DataError) as caught:
        table.numbers(column)
    for part in (f"column {column!r}", place, cell):
        assert part in caught.value.message
    assert caught.value.fields["column"] == column
    assert caught.value.fields["place"] == place


def test_a_bad_column_that_nobody_uses_does_no_harm(write):
    table = read_table(write("a,name,b\n1,ann,2\n3,bob,4\n"))
    np.testing.assert_array_equal(table.matrix(["b", "a"]), [[2, 1], [4, 3]])


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("a,b\n", "no data rows"),
        ("a,b", "no data rows"),
        ("a,b\n1,2\n3\n", "line 3"),
        ("a,b\n1,2\n3,4\n5,6,7\n", "line 4"),
        ("a,b\n" + "1,2\n" * 200_000 + "1,2,3\n", "line 200002"),
        ("a,b,a\n1,2,3\n", "two columns named 'a'"),
        (",b\n1,2\n", "column 0"),
        (b"a,caf\xe9\n1,2\n", "not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "not UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "not UTF-8"),
        ("a,b\n" + "x" * 200_000 + ",2\n", "line 2"),
    ],
)
def test_a_bad_csv_is_refused(write, content, part):
    file = write(content)
    with pytest.raises(DataError) as caught:
        read_table(file)
    assert part in caught.value.message
    assert caught.value.fields["source"] == str(file)


def test_a_missing_file_and_a_directory_are_named(tmp_path):
    with pytest.raises(DataError, match=r"no file .*gone\.csv"):
        read_table(tmp_path / "gone.csv")
    with pytest.raises(DataError, match="is a directory"):
        read_table(tmp_path)


def test_columns_are_found_by_name_and_by_position(write):
    table = read_table(write("alpha,beta,7\n1,2,3\n"))
    assert [table.resolve(name) for name in ("beta", "0", "-1", "7")] == [
        "beta",
        "alpha",
        "7",
        "7",
    ]
    with pytest.raises(DataError, match="Did you mean 'alpha'"):
        table.resolve("alfa")
    for position in ("3", "-4"):
        with pytest.raises(DataError, match="numbered 0 to 2"):
            table.resolve(position)
    with pytest.raises(DataError, match="Did you mean 'beta'"):
        table.numbers("Beta")


def test_parquet_is_read(tmp_path):
    file = tmp_path / "t.parquet"
    columns = {
        "i": pa.array([1, 2]),
        "b": pa.array([True, False]),
        "category": pa.array(["3", "4"]).dictionary_encode(),
        "text": pa.array(["u", None]),
        "hole": pa.array([1.5, None]),
        "__index_level_0__": pa.array(["p", "q"]),
    }
    parquet.write_table(pa.table(columns), file)
    table = read_table(file)
    assert table.names == ("i", "b", "category", "text", "hole")
    np.testing.assert_array_equal(table.matrix(["i", "b", "category"]), [[1, 1, 3], [2, 0, 4]])
    with pytest.raises(DataError, match="column 'hole', row 2"):
        table.numbers("hole")
    with pytest.raises(DataError, match=r"column 'text', row 1.*'u'"):
        table.numbers("text")


def test_a_damaged_parquet_is_refused(tmp_path, write):
    file = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"a": [1, 2]}), file)
    whole = file.read_bytes()
    for content in (b"junk", whole[:-20], whole[: len(whole) // 2]):
        with pytest.raises(DataError, match="not a Parquet file, or it is damaged"):
            read_table(write(content, "bad.parquet"))
    parquet.write_table(pa.table({"a": pa.array([], pa.int64())}), file)
    with pytest.raises(DataError, match="no data rows"):
        read_table(file)


def test_npz_is_read(tmp_path):
    X = np.arange(6.0).reshape(3, 2)
    np.savez(tmp_path / "t.npz", X=X, y=np.array([1, 0, 1]), z=np.ones((3, 1), dtype=np.float32))
    table = read_table(tmp_path / "t.npz")
    assert table.names == ("X0", "X1", "y", "z")
    np.testing.assert_array_equal(table.matrix(["X0", "X1"]), X)


@pytest.mark.parametrize(
    ("arrays", "part"),
    [
        ({"X": np.eye(2), "y": np.ones(3)}, "number of rows"),
        ({"X": np.zeros((2, 2, 2))}, "shape (2, 2, 2)"),
        ({"X": np.array(3)}, "shape ()"),
        ({"X": np.array([{}, {}], dtype=object)}, "pickled"),
        ({"X": np.eye(2), "X1": np.ones(2)}, "two columns named 'X1'"),
        ({"X": np.zeros((0, 2))}, "no data rows"),
        ({}, "no data rows"),
    ],
)
def test_a_bad_npz_is_refused(tmp_path, arrays, part):
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(DataError) as caught:
        read_table(tmp_path / "t.npz")
    assert part in caught.value.message


def test_a_damaged_npz_is_refused(tmp_path, write):
    np.savez(tmp_path / "t.npz", X=np.eye(20))
    whole = (tmp_path / "t.npz").read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    for content in (b"junk", whole[:-30], bytes(flipped)):
        with pytest.raises(DataError, match="damaged"):
            read_table(write(content, "bad.npz"))


def test_complex_and_text_arrays_are_named_when_used(tmp_path):
    np.savez(tmp_path / "t.npz", z=np.array([1j, 2]), s=np.array(["1", "x"]))
    table = read_table(tmp_path / "t.npz")
    with pytest.raises(DataError, match="column 'z', row 1"):
        table.numbers("z")
    with pytest.raises(DataError, match=r"column 's', row 2.*'x'"):
        table.numbers("s")


def test_a_hundred_thousand_rows_are_read_in_well_under_a_second(tmp_path):
    numbers = np.random.default_rng(0).standard_normal((100_000, 20))
    file = tmp_path / "big.csv"
    parquet_table = pa.table({f"x{k}": numbers[:, k] for k in range(20)})
    from pyarrow import csv

    csv.write_csv(parquet_table, file)
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        table = read_table(file)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 1.0
    np.testing.assert_array_equal(table.matrix(table.names), numbers)


def test_reading_does_not_import_pandas(write):
    file = write("a,b\n1,2\n3,4\n")
    script = (
        "import sys; from relu_opt.tables import read_table; "
        f"t = read_table({str(file)!r}); t.matrix(t.names); sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame, pa.table, pa.record_batch])
def test_a_frame_is_a_table(kind):
    frame = kind({"a": [1, 2, 3], "b": [0.5, None, 2.5], "c": ["x", "y", "z"]})
    table = Table.from_frame(frame, "prices")
    assert table.names == ("a", "b", "c")
    np.testing.assert_array_equal(table.numbers("a"), [1.0, 2.0, 3.0])
    with pytest.raises(DataError, match="prices, column 'b', row 2: the cell is empty"):
        table.numbers("b")
    with pytest.raises(DataError, match="prices, column 'c', row 1: the cell is 'x'"):
        table.numbers("c")


def test_the_index_and_slices_of_a_frame():
    indexed = pd.DataFrame({"a": [1.0, 2.0, 3.0]}, index=["p", "q", "r"])
    assert Table.from_frame(indexed).names == ("a",)
    assert Table.from_frame(indexed[::-2]).numbers("a").tolist() == [3.0, 1.0]
    assert Table.from_frame(pl.DataFrame({"a": [1, 2, 3]})[1:]).numbers("a").tolist() == [2, 3]


@pytest.mark.parametrize(
    ("frame", "part"),
    [
        (np.eye(2), "the frame is a ndarray"),
        ({"a": [1]}, "the frame is a dict"),
        (pd.DataFrame({"a": []}), "no data rows"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "columns named 'a'|Duplicate column names"),
        (pd.DataFrame({"a": [1, "x", b"y"]}), "cannot be read"),
    ],
)
def test_what_is_no_table(frame, part):
    with pytest.raises(DataError, match=part):
        Table.from_frame(frame)
