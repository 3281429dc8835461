"""Array types and the checks that every public entry point applies to its input."""

from __future__ import annotations

import contextlib
import math
import numbers
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from relu_opt.errors import DataError

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]
ByteArray = NDArray[np.uint8]


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Mark an array that we own as read-only and return it."""
    array.setflags(write=False)
    return array


# What a number is not, although Python or NumPy would make one of it.
NO_NUMBERS = (str, bytes, complex, np.complexfloating, np.datetime64, np.timedelta64)
# Integers up to this are doubles.
LAST_EXACT = 2**53


def without_mask(values: Any, name: str) -> Any:
    """The values as they are, unless some of them are masked: NumPy would drop the mask.

    Raises
    ------
    DataError
        If a `numpy.ma` array, or one in a list, has a masked entry.
    """
    if isinstance(values, list | tuple):
        for each in values:
            if isinstance(each, list | tuple | np.ma.MaskedArray):
                without_mask(each, name)
    elif isinstance(values, np.ma.MaskedArray) and np.ma.getmaskarray(values).any():
        where = tuple(int(k) for k in np.argwhere(np.ma.getmaskarray(values))[0])
        raise DataError(
            f"{name} is masked{f' at index {where}' if where else ''}, and what is under a mask is "
            "no data. Drop or fill the masked values.",
            name=name,
            index=where,
        )
    return values


def as_array(values: Any, name: str) -> NDArray[Any]:
    """The values as an array of whatever type; a DataError if they are masked or ragged."""
    values = without_mask(values, name)
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(
            f"{name} is ragged: its rows have different lengths. Pass a rectangular array.",
            name=name,
        ) from error


def as_doubles(values: ArrayLike, name: str) -> FloatArray:
    """A C-ordered float64 copy of real numbers, each equal to the one that was given.

    Raises
    ------
    DataError
        If the values are masked, ragged, sparse or no real numbers, or if no double equals one.
    """
    if type(values).__module__.split(".")[0] == "scipy":
        raise DataError(
            f"{name} is a scipy.sparse matrix, and dense data are needed. Pass {name}.toarray().",
            name=name,
        )
    array = raw = as_array(values, name)
    if raw.dtype.kind == "O" and not any(isinstance(each, NO_NUMBERS) for each in raw.flat):
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            array = raw.astype(np.float64)
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"{name} has dtype {raw.dtype}, and real numbers are needed. "
            "Encode text, dates and complex values as numbers first.",
            name=name,
            dtype=str(raw.dtype),
        )
    with np.errstate(over="ignore"):
        doubles: FloatArray = np.array(array, dtype=np.float64, order="C", copy=True)
    _check_equal(raw, doubles, name)
    return doubles


def _check_equal(raw: NDArray[Any], doubles: FloatArray, name: str) -> None:
    """Refuse numbers that no double equals: what is proved would be of others."""
    kind, size = raw.dtype.kind, raw.dtype.itemsize
    if kind == "b" or (kind in "iu" and size < 8) or (kind == "f" and size <= 8):
        return
    doubtful = np.isfinite(doubles)
    if kind in "iu":
        doubtful = np.abs(doubles) >= LAST_EXACT
    elif kind == "f":
        doubtful = np.isfinite(raw) & (raw != doubles)
    for where in np.argwhere(doubtful):
        place = tuple(where)
        given, double = raw[place], float(doubles[place])
        # NumPy would round its integers before it compares them.
        given = int(given) if isinstance(given, np.integer) else given
        if given != double:
            shown = tuple(int(k) for k in place)
            raise DataError(
                f"{name} holds {given!s} at index {shown}, which no double equals: the nearest is "
                f"{double!r}. Round it yourself, such as by {name}.astype(float), or subtract an "
                "offset first.",
                name=name,
                index=shown,
            )


def check_doubles(values: Any, name: str) -> None:
    """Refuse masked entries and numbers that no double equals; all else is for others to judge.

    Parameters
    ----------
    values : array-like or frame
        What another library is about to turn into doubles.
    name : str
    """
    without_mask(values, name)
    if hasattr(values, "dtypes") and hasattr(values, "items"):
        for label, column in values.items():
            check_doubles(column, f"{name}[{label!r}]")
        return
    try:
        raw = np.asarray(values)
    except (TypeError, ValueError):
        return
    if raw.dtype.kind in "iuf" or (
        raw.dtype.kind == "O" and all(isinstance(each, numbers.Real) for each in raw.flat)
    ):
        as_doubles(raw, name)


def as_floats(values: ArrayLike, name: str, ndim: int) -> FloatArray:
    """A read-only, C-ordered float64 copy of `values`, finite and of `ndim` axes.

    Raises
    ------
    DataError
        If the values are not real numbers, not doubles, masked, not finite, empty or of another
        shape.
    """
    raw = as_doubles(values, name)
    if raw.ndim != ndim:
        axes = {1: "one axis, (n,)", 2: "two axes, (n, d)", 3: "three axes"}[ndim]
        raise DataError(
            f"{name} has shape {raw.shape}, and {axes} are needed. Reshape it.",
            name=name,
            shape=raw.shape,
        )
    if raw.size == 0:
        raise DataError(
            f"{name} is empty (shape {raw.shape}). Pass at least one value.",
            name=name,
            shape=raw.shape,
        )
    if not np.isfinite(raw).all():
        where = tuple(int(k) for k in np.argwhere(~np.isfinite(raw))[0])
        raise DataError(
            f"{name} holds {raw[where]} at index {where}. Drop or impute missing and "
            "infinite values.",
            name=name,
            index=where,
        )
    return frozen(raw)


def as_targets(values: ArrayLike, name: str, rows: int, of: str) -> FloatArray:
    """One finite number for each of the rows of `of`, (rows,), or a DataError."""
    targets = as_floats(values, name, 1)
    if len(targets) != rows:
        raise DataError(f"{of} has {rows} rows and {name} has {len(targets)} values.")
    return targets


def as_rows(values: ArrayLike, name: str, n: int) -> IntArray:
    """Distinct row numbers from 0 to n − 1, (k,) with k ≥ 1, or a DataError."""
    values = without_mask(values, name)
    try:
        rows = np.asarray(values)
    except ValueError as error:
        raise DataError(f"{name} is no list of row numbers: {error}.", name=name) from error
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or not len(rows):
        raise DataError(
            f"{name} has shape {rows.shape} and dtype {rows.dtype}, and a list of row numbers is "
            "needed. Pass np.flatnonzero(mask) for a mask.",
            name=name,
            shape=rows.shape,
        )
    if rows.min() < 0 or rows.max() >= n:
        wrong = rows[(rows < 0) | (rows >= n)][0]
        raise DataError(
            f"{name} holds the row {wrong}, and the rows are 0 to {n - 1}.",
            name=name,
            row=int(wrong),
        )
    if len(np.unique(rows)) < len(rows):
        raise DataError(f"{name} holds a row twice. Weight rows by sample_weight.", name=name)
    return np.asarray(frozen(rows.astype(np.intp)))


def as_positive(value: object, name: str) -> float:
    """A finite float > 0, or a DataError."""
    number = as_number(value, name)
    if number <= 0:
        raise DataError(
            f"{name} is {number}, and a number greater than zero is needed.",
            name=name,
            value=number,
        )
    return number


def as_tolerance(value: object, name: str) -> float:
    """A relative gap, above 0 and below 1, or a DataError.

    At a gap of 1 or more nothing is said of an objective that is positive.
    """
    number = as_number(value, name)
    if not 0 < number < 1:
        raise DataError(
            f"{name} is {number}, and a number above 0 and below 1 is needed: it is a relative "
            "gap, such as 1e-8.",
            name=name,
            value=number,
        )
    return number


def as_number(value: object, name: str) -> float:
    """A finite float, or a DataError."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = without_mask(value, name).item()
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise DataError(f"{name} is {value!r}, and a number is needed.", name=name, value=value)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise DataError(
            f"{name} is {number}, and a finite number is needed.", name=name, value=number
        )
    if number != (int(value) if isinstance(value, np.integer) else value):
        raise DataError(
            f"{name} is {value}, which no double equals: the nearest is {number!r}. Pass that.",
            name=name,
            value=value,
        )
    return number


def as_count(value: object, name: str, least: int = 1) -> int:
    """An integer of at least `least`, or a DataError."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise DataError(
            f"{name} is {value!r}, and an integer of at least {least} is needed.",
            name=name,
            value=value,
        )
    return int(value)
