"""Columns of a table from arrays of Arrow and numpy: float64 where they are numbers, else text.

The text is for errors about cells that are no numbers. What has no text of its own, such as a
list or a duration, stands there as its type, so that nobody takes it for a number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

TEXT = ("string", "large_string", "string_view", "binary", "large_binary", "binary_view")


def arrow_columns(table: Any) -> dict[str, NDArray[Any]]:
    """The columns of an Arrow table by name, without the detour through pandas that Arrow takes."""
    columns: dict[str, NDArray[Any]] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        chunks = [_chunk(chunk) for chunk in column.chunks]
        columns[name] = np.concatenate(chunks) if chunks else np.empty(0)
    return columns


def _chunk(chunk: Any) -> NDArray[Any]:
    import pyarrow as pa
    from pyarrow import types

    kind = chunk.type
    if types.is_dictionary(kind):
        values = _chunk(chunk.dictionary)
        missing = np.array([np.nan if values.dtype.kind == "f" else ""], dtype=values.dtype)
        places = chunk.indices.cast(pa.int64()).fill_null(-1)
        return np.asarray(np.concatenate([values, missing])[np.from_dlpack(places)])
    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
        floats = chunk.cast(pa.float64(), safe=False)
        return np.from_dlpack(floats.fill_null(float("nan")) if floats.null_count else floats)
    cells = ["" if cell is None else _text(cell) for cell in _as_text(chunk).to_pylist()]
    return np.array(cells, dtype=object)


def _as_text(chunk: Any) -> Any:
    """The Arrow array as one of texts or bytes."""
    import pyarrow as pa
    from pyarrow import types

    kind = chunk.type
    if str(kind) in TEXT or types.is_fixed_size_binary(kind) or types.is_null(kind):
        return chunk
    dated = types.is_date(kind) or types.is_time(kind) or types.is_timestamp(kind)
    if dated or types.is_decimal(kind):
        try:
            return chunk.cast(pa.string())
        except pa.ArrowException:  # a time zone that is not known here
            pass
    return pa.array([f"<{kind!s:.60}>"] * len(chunk))


def numpy_column(array: NDArray[Any]) -> NDArray[Any]:
    """The column of a numpy array (n,)."""
    kind = array.dtype.kind
    if kind in "biuf":
        return array.astype(np.float64)
    if kind in "US":
        return np.array([_text(cell) for cell in array.tolist()], dtype=object)
    return np.full(len(array), f"<{array.dtype}>", dtype=object)


def _text(cell: object) -> str:
    return cell.decode(errors="replace") if isinstance(cell, bytes) else str(cell)
