"""Tables that are whole and odd: columns of every type that Parquet and npz can hold."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from .damage import HEADERS, array_bytes, saved, zipped
from .data import Rng

ROWS = 3
NAMES = ("a", "y", "", "__index_level_0__", "a b", "é", "\0", "x" * 300, "0", "-1")


def odd_parquet(rng: Rng) -> bytes:
    """A Parquet file of a few columns of any types."""
    import pyarrow as pa
    from pyarrow import parquet

    every = columns()
    count = int(rng.integers(1, 4))
    chosen = [every[k] for k in rng.integers(0, len(every), count)]
    names = [NAMES[k] for k in rng.integers(0, len(NAMES), count)]
    if rng.random() < 0.6:
        names = [f"c{k}" for k in range(count)]
    table = pa.table(chosen, names=names)
    if rng.random() < 0.2:
        table = table.replace_schema_metadata({b"pandas": b'{"index_columns": [3, {}, "a"]}'})
    stream = io.BytesIO()
    parquet.write_table(table, stream)
    return stream.getvalue()


def columns() -> list[Any]:
    """Arrow arrays of `ROWS` values of many types."""
    import pyarrow as pa

    big, none = 2**63 - 1, None
    simple = [
        pa.array([1, none, big], pa.int64()), pa.array([0, 2**64 - 1, none], pa.uint64()),
        pa.array([1.5, none, np.nan]), pa.array([np.float16(1), none, none], pa.float16()),
        pa.array([True, none, False]), pa.array([none] * ROWS), pa.array(["1", "x", none]),
        pa.array([b"\xff", b"", none]), pa.array([b"ab"] * ROWS, pa.binary(2)),
        pa.array(["1", none, "2"]).dictionary_encode(), pa.array([1, none, 2]).dictionary_encode(),
        pa.array([[1], [], none]), pa.array([{"a": 1}, none, {"a": none}]),
        pa.array([[("k", 1)], [], none], pa.map_(pa.string(), pa.int64())),
        pa.array([0, -(2**31), 2**31 - 1], pa.int32()).cast(pa.date32()),
        pa.array([0, 86_399_999_999, none], pa.int64()).cast(pa.time64("us")),
    ]  # fmt: skip
    units = ("s", "ms", "us", "ns")
    edges = pa.array([0, big, -big], pa.int64())
    moments = [edges.cast(pa.timestamp(unit)) for unit in units if unit != "s"]
    zones = [
        pa.array([0, 1, big], pa.int64()).cast(pa.timestamp("us", zone))
        for zone in ("UTC", "Mars/Phobos", "+99:99", "")
    ]
    spans = [edges.cast(pa.duration(unit)) for unit in units]
    decimals = [
        pa.array([1, none, 2], pa.int64()).cast(kind)
        for kind in (pa.decimal128(38, 10), pa.decimal256(76, 0))
    ]
    return [*simple, *moments, *zones, *spans, *decimals]


def odd_npz(rng: Rng) -> bytes:
    """A table as npz with members of any kind."""
    made: tuple[Any, ...] = (
        np.zeros(ROWS), np.zeros((ROWS, 2)), np.zeros((ROWS, 0)), np.zeros(0), np.array(1.0),
        np.zeros((ROWS, 1, 1)), np.array(["1", "x", ""]), np.array([b"\xff", b"1", b""]),
        np.array([1, None, "x"], dtype=object), np.zeros(ROWS, dtype=complex),
        np.zeros(ROWS, dtype="M8[ns]"), np.zeros(ROWS, dtype="m8[D]"),
        np.zeros(ROWS, dtype=[("a", "f8")]), np.zeros(ROWS, dtype="V4"),
        np.full(ROWS, 1e400), np.full(ROWS, np.longdouble(1)), np.zeros(ROWS, dtype="f2"),
        np.full(ROWS, 2**64 - 1, dtype="u8"), np.zeros(ROWS, dtype=bool), np.zeros(ROWS, ">f8"),
    )  # fmt: skip
    parts = []
    for k in range(int(rng.integers(1, 4))):
        name = f"{NAMES[rng.integers(len(NAMES))] if rng.random() < 0.3 else k}.npy"
        roll = rng.random()
        if roll < 0.7:
            parts.append((name, saved(made[rng.integers(len(made))])))
        elif roll < 0.85:
            parts.append((name, array_bytes(HEADERS[rng.integers(len(HEADERS))], rng.bytes(24))))
        else:
            parts.append((name[:-4], rng.bytes(30)))
    return zipped(dict(parts).items())


def odd_csv(rng: Rng) -> bytes:
    """Text of odd cells between commas."""
    cells = (
        "1", "-2.5", "1e3", "nan", "inf", "", " ", "x", '"1"', '"', '"a""b"', "NA", "1e999",
        "0x1p3", "1_000", "１", "é", "\0", "1;2", "1\t2", "true", "2020-01-01", "9" * 400, "\ufeff",
    )  # fmt: skip
    width = int(rng.integers(1, 4))
    header = ",".join(("a", "b", "y")[:width]) if rng.random() < 0.7 else ""
    lines = [header] if header else []
    for _ in range(int(rng.integers(1, 6))):
        count = width if rng.random() < 0.9 else int(rng.integers(0, 5))
        odd = rng.random() < 0.4
        picked = [cells[k] if odd else "1.5" for k in rng.integers(0, len(cells), count)]
        lines.append(",".join(picked))
    end = ("\n", "\r\n", "\r")[rng.integers(3)]
    encoding = ("utf-8", "utf-8", "utf-16", "utf-8-sig")[rng.integers(4)]
    return end.join(lines).encode(encoding)
