"""Tables: what is read, and that every fault of a file is named with its place."""

import bz2
import datetime
import decimal
import gzip
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet
from stopping import calls_of

from relu_opt.errors import DataError
from relu_opt.tabular.tables import Table, read_table


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


def test_no_row_is_read_by_the_interpreter(tmp_path):
    numbers = np.random.default_rng(0).standard_normal((100_000, 20))
    file = tmp_path / "big.csv"
    parquet_table = pa.table({f"x{k}": numbers[:, k] for k in range(20)})
    from pyarrow import csv

    csv.write_csv(parquet_table, file)
    table = read_table(file)
    assert calls_of(lambda: read_table(file)) < 10_000
    np.testing.assert_array_equal(table.matrix(table.names), numbers)


def test_reading_does_not_import_pandas(write):
    file = write("a,b\n1,2\n3,4\n")
    script = (
        "import sys; from relu_opt.tabular.tables import read_table; "
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


# -- columns of every type -----------------------------------------------------------------

DAY = datetime.datetime(2020, 1, 2)
NUMBERS = {
    "int8": pa.array([1, 2], pa.int8()),
    "uint64": pa.array([1, 2], pa.uint64()),
    "float32": pa.array([1, 2], pa.float32()),
    "flags": pa.array([True, 2 > 3]),
    "decimals": pa.array([decimal.Decimal("1.10"), decimal.Decimal("-2.50")]),
    "large decimals": pa.array([decimal.Decimal("1.10")] * 2, pa.decimal256(50, 3)),
    "numbers by code": pa.array([1.5, 2.5]).dictionary_encode(),
    "texts by code": pa.array(["1.5", "2.5"]).dictionary_encode(),
    "numerals": pa.array(["1", " 2e3 "]),
    "bytes": pa.array([b"1", b"2"]),
    "large text": pa.array(["1", "2"], pa.large_string()),
}
OTHERS = {
    "nanoseconds": pa.array([1, 2], pa.timestamp("ns")),
    "microseconds": pa.array([DAY, DAY]),
    "far away": pa.array([2**62, 2**62], pa.timestamp("ms")),
    "zone": pa.array([DAY, DAY], pa.timestamp("us", "Europe/Berlin")),
    "nanoseconds in a zone": pa.array([1, 2], pa.timestamp("ns", "UTC")),
    "unknown zone": pa.array([1, 2], pa.timestamp("us", "Mars/Olympus")),
    "duration": pa.array([1, 2], pa.duration("ns")),
    "duration in seconds": pa.array([1, 2], pa.duration("s")),
    "date": pa.array([DAY.date()] * 2),
    "date64": pa.array([0, 86_400_000], pa.date64()),
    "date beyond": pa.array([2**31 - 1] * 2, pa.date32()),
    "time": pa.array([1, 2], pa.time64("ns")),
    "list": pa.array([[1.0], [2.0]]),
    "large list": pa.array([[1.0], [2.0]], pa.large_list(pa.float64())),
    "fixed list": pa.array([[1.0], [2.0]], pa.list_(pa.float64(), 1)),
    "struct": pa.array([{"a": 1}, {"a": 2}]),
    "map": pa.array([[("a", 1)], [("b", 2)]], pa.map_(pa.string(), pa.int64())),
    "deep": pa.array([[[[{"a": [1]}]]], None]),
    "dates by code": pa.array([1, 2], pa.timestamp("ns")).dictionary_encode(),
    "text": pa.array(["u", "v"]),
    "odd bytes": pa.array([b"\xff\xfe", b"x"]),
    "fixed bytes": pa.array([b"ab", b"cd"], pa.binary(2)),
    "nothing": pa.nulls(2),
    "holes": pa.array([1.0, None]),
    "holes by code": pa.array(["1", None]).dictionary_encode(),
    "number holes by code": pa.array([1.0, None]).dictionary_encode(),
    "holes in days": pa.array([None, 2], pa.timestamp("ns")),
}
NOT_IN_PARQUET = {
    "months": pa.array([(1, 2, 3)] * 2, pa.month_day_nano_interval()),
    "union": pa.UnionArray.from_sparse(pa.array([0, 0], pa.int8()), [pa.array([1, 2])]),
    "runs": pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array([1.0])),
    "half": pa.array(np.array([1, 2], np.float16)),
    "list view": pa.array([[1.0], [2.0]], pa.list_view(pa.float64())),
    "text view": pa.array(["u", "v"], pa.string_view()),
}


def tables_of(columns, tmp_path):
    """The table of a file with one column `x`, and of a frame with it, where there can be one."""
    for k, (name, column) in enumerate(columns.items()):
        frame = pa.table({"y": [0.0, 1.0], "x": column})
        yield name, Table.from_frame(frame)
        if name not in NOT_IN_PARQUET:
            file = tmp_path / f"{k}.parquet"
            parquet.write_table(frame, file)
            yield name, read_table(file)


def test_numbers_of_every_type_are_numbers(tmp_path):
    for name, table in tables_of({**NUMBERS, "half": NOT_IN_PARQUET["half"]}, tmp_path):
        found = table.numbers("x").tolist()
        assert [type(each) for each in found] == [float, float], name
    (_, decimals), *_ = tables_of({"d": NUMBERS["decimals"]}, tmp_path)
    assert decimals.numbers("x").tolist() == [1.1, -2.5]


def test_what_is_no_number_is_named_when_it_is_used(tmp_path):
    others = {**OTHERS, **NOT_IN_PARQUET}
    del others["half"]
    for name, table in tables_of(others, tmp_path):
        assert table.numbers("y").tolist() == [0.0, 1.0]
        with pytest.raises(DataError, match=r"column 'x', row [12]: the cell is") as caught:
            table.numbers("x")
        assert len(caught.value.message) < 500, name


def test_times_in_a_csv_are_named_as_they_stand(write):
    for cell in ("2020-01-02", "2020-01-02T03:04:05.123456789", "12:30:00", "2020-01-02T03:04Z"):
        table = read_table(write(f"a,b\n{cell},1\n{cell},2\n"))
        with pytest.raises(DataError, match=f"the cell is '{cell[:5]}"):
            table.numbers("a")


def test_a_parquet_that_unpacks_to_too_much_is_refused(tmp_path):
    file = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"a": pa.array(np.zeros(2**24))}), file, row_group_size=2**24)
    assert file.stat().st_size < 100_000
    with pytest.raises(DataError, match=r"unpacks to \d+ bytes, and \d+ are allowed"):
        read_table(file)


def test_a_text_that_repeats_is_kept_once(tmp_path):
    file = tmp_path / "a.parquet"
    words = pa.DictionaryArray.from_arrays(np.zeros(100_000, np.int32), ["x" * 100_000])
    parquet.write_table(pa.table({"a": words, "y": np.arange(100_000.0)}), file)
    column = read_table(file).columns["a"]
    assert len(column) == 100_000
    assert column[0] is column[-1]


def refusal(file):
    """What reading a table and its last column says, or None if it is read."""
    try:
        table = read_table(file)
        table.numbers(table.names[-1])
    except DataError as error:
        return error.message
    return None


def test_damage_anywhere_in_a_parquet_is_a_data_error(tmp_path):
    file = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"a": ["u", "v"], "b": [1.0, 2.0]}), file)
    whole, rng = file.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            content[rng.integers(len(content))] = rng.integers(256)
        file.write_bytes(content)
        message = refusal(file)
        assert message is None or "a.parquet" in message


@pytest.mark.parametrize("said", [b"[" * 100_000, b"{", b"3", b'{"index_columns": 3}', b"\xff"])
def test_a_description_of_an_index_that_is_none(tmp_path, said):
    frame = pa.table({"a": [1.0]}).replace_schema_metadata({b"pandas": said})
    parquet.write_table(frame, tmp_path / "a.parquet")
    message = refusal(tmp_path / "a.parquet")
    assert message is None or "a.parquet" in message


@pytest.mark.parametrize(
    "index",
    [
        pd.Index(["p", "q"], name="id"),
        pd.Index([10, 20], name="id"),
        pd.RangeIndex(5, 7, name="id"),
        pd.Index([10, 20]),
        pd.MultiIndex.from_tuples([(1, 2), (3, 4)], names=["id", "day"]),
        pd.MultiIndex.from_tuples([(1, 2), (3, 4)], names=["id", None]),
        pd.DatetimeIndex(["2020-01-01", "2020-01-02"], name="day"),
    ],
    ids=repr,
)
def test_the_index_of_pandas_is_no_feature(tmp_path, index):
    frame = pd.DataFrame({"a": [1.0, 2.0], "y": [3.0, 4.0]}, index=index)
    frame.to_parquet(tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.parquet").names == ("a", "y")
    assert Table.from_frame(frame).names == ("a", "y")
    assert Table.from_frame(pa.Table.from_pandas(frame)).names == ("a", "y")
    kept = frame.reset_index()
    if len(kept.columns) == 3 and "id" in kept:
        assert Table.from_frame(kept).names == ("id", "a", "y")


@pytest.mark.parametrize("mark", ["NA", "nan", "N/A", "", "?", "null", "None", "#N/A", " NA "])
def test_a_first_row_with_a_missing_number_is_no_header(write, mark):
    table = read_table(write(f"1,{mark},3\n4,5,6\n"))
    assert table.names == ("c0", "c1", "c2")
    assert table.numbers("c0").tolist() == [1.0, 4.0]
    with pytest.raises(DataError, match=r"line 1: the cell is .*Drop or impute such rows"):
        table.numbers("c1")


def test_a_header_may_hold_years_beside_names(write):
    assert read_table(write("name,2019,2020\n1,2,3\n")).names == ("name", "2019", "2020")
    with pytest.raises(DataError, match="two columns named 'NA'"):
        read_table(write("NA,NA\n1,2\n"))


def test_very_many_columns_are_read_in_one_pass(tmp_path):
    np.savez(tmp_path / "wide.npz", X=np.zeros((1, 50_000)))
    assert len(read_table(tmp_path / "wide.npz").names) == 50_000


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
def test_a_table_is_a_regular_file(tmp_path, suffix):
    os.mkfifo(tmp_path / f"pipe{suffix}")
    (tmp_path / f"zero{suffix}").symlink_to("/dev/zero")
    (tmp_path / f"loop{suffix}").symlink_to(f"loop{suffix}")
    for name in ("pipe", "zero", "loop"):
        with pytest.raises(DataError, match=f"{name}{suffix}"):
            read_table(tmp_path / f"{name}{suffix}")


def test_a_compressed_table_is_not_unpacked(tmp_path):
    for name, module in (("a.csv.gz", gzip), ("a.csv.bz2", bz2)):
        (tmp_path / name).write_bytes(module.compress(b"a,b\n1,2\n" * 1000))
        with pytest.raises(DataError, match=r"is not UTF-8 text|is not CSV|cannot be read"):
            read_table(tmp_path / name)


def test_times_and_odd_texts_of_an_npz_are_named_when_used(tmp_path):
    np.savez(
        tmp_path / "a.npz",
        y=np.arange(2.0),
        days=np.array(["2020-01-01"] * 2, "M8[ns]"),
        spans=np.array([1, 2], "m8[ns]"),
        words=np.array([b"1", b"\xff"]),
    )
    table = read_table(tmp_path / "a.npz")
    assert table.numbers("y").tolist() == [0.0, 1.0]
    for name in ("days", "spans", "words"):
        with pytest.raises(DataError, match=f"column '{name}', row [12]: the cell is"):
            table.numbers(name)
    np.savez(tmp_path / "b.npz", x=np.array([0xFFFFFFFF], "<u4").view("<U1"))
    with pytest.raises(DataError, match=r"b\.npz is damaged"):
        read_table(tmp_path / "b.npz")
