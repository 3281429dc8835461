"""Tables of numbers from CSV, Parquet and npz files.

A file may hold text that nobody asks for: a column is checked when it is used, and then an
error names the column, the place in the file and the cell.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relu_opt.arrays import FloatArray
from relu_opt.errors import DataError, did_you_mean
from relu_opt.tabular.columns import arrow_columns, numpy_column
from relu_opt.verify.archives import most_bytes, read_arrays, regular_file

NUMBER = re.compile(
    r"\s*[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|nan|inf|infinity)\s*", re.ASCII | re.IGNORECASE
)
# What stands for a missing number, in lower case.
MISSING = ("", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "?", ".")
SEPARATORS = ",;\t"


@dataclass(frozen=True, eq=False)
class Table:
    """Named columns of equal length, as a file holds them.

    Parameters
    ----------
    names : tuple of str
        Column names, in the order of the file.
    columns : mapping of str to (n,) array
        float64 where every cell is a number (NaN where one is empty), text otherwise.
    source : str
        The file.
    place : callable
        Says where a row (counted from 0) is in the file, such as "line 17".
    """

    names: tuple[str, ...]
    columns: Mapping[str, NDArray[Any]]
    source: str
    place: Callable[[int], str]

    def __post_init__(self) -> None:
        if not self.names or not len(self):
            raise DataError(
                f"{self.source} has no data rows. At least one is needed.", source=self.source
            )

    def __len__(self) -> int:
        return len(self.columns[self.names[0]])

    @classmethod
    def from_frame(cls, frame: Any, source: str = "the frame") -> Table:
        """The table of a frame of pandas, polars, pyarrow or another that gives an Arrow stream.

        Parameters
        ----------
        frame : object with `__arrow_c_stream__`
            Its index, if it has one, is left out.
        source : str
            What errors call it.

        Raises
        ------
        DataError
            If it is no such frame, has no rows, or has columns without names of their own.
        """
        import pyarrow as pa

        if not hasattr(frame, "__arrow_c_stream__"):
            raise DataError(
                f"{source} is a {type(frame).__name__}, and a frame with __arrow_c_stream__ is "
                "needed, such as those of pandas, polars and pyarrow.",
                source=source,
            )
        with _refusing(source, "cannot be read", "Make it a frame of numbers and text."):
            return _arrow_table(pa.table(frame), source)

    def resolve(self, name: str) -> str:
        """The column that `name` means: a name, or else a position such as 3 or −1.

        Raises
        ------
        DataError
            If there is no such column.
        """
        if name in self.columns:
            return name
        if re.fullmatch(r"[+-]?\d+", name):
            if -len(self.names) <= int(name) < len(self.names):
                return self.names[int(name)]
            raise DataError(
                f"{self.source} has no column {name}: its {len(self.names)} columns are "
                f"numbered 0 to {len(self.names) - 1}.",
                source=self.source,
                column=name,
            )
        raise DataError(
            f"{self.source} has no column {name!r}. {did_you_mean(name, self.names)}",
            source=self.source,
            column=name,
            known=self.names,
        )

    def numbers(self, name: str) -> FloatArray:
        """The finite numbers of one column, (n,).

        Raises
        ------
        DataError
            If the column is missing, or a cell is empty, not a number or not finite.
        """
        if name not in self.columns:
            raise DataError(
                f"{self.source} has no column {name!r}. {did_you_mean(name, self.names)}",
                source=self.source,
                column=name,
                known=self.names,
            )
        column = self.columns[name]
        if column.dtype.kind != "f":
            column = self._parsed(name, column)
        bad = ~np.isfinite(column)
        if bad.any():
            row = int(np.argmax(bad))
            cell = "empty or not a number (NaN)" if np.isnan(column[row]) else "infinite"
            raise self._bad_cell(name, row, cell, "Drop or impute such rows")
        return column

    def matrix(self, names: Sequence[str]) -> FloatArray:
        """The finite numbers of some columns, (n, k)."""
        result = np.empty((len(self), len(names)))
        for k, name in enumerate(names):
            result[:, k] = self.numbers(name)
        return result

    def _parsed(self, name: str, column: NDArray[Any]) -> FloatArray:
        for row, cell in enumerate(column):
            if not NUMBER.fullmatch(str(cell)):
                text = f"{str(cell)[:40]!r}, not a number" if str(cell).strip() else "empty"
                if _is_missing(str(cell)):
                    raise self._bad_cell(name, row, text, "Drop or impute such rows")
                raise self._bad_cell(name, row, text, "Encode text as numbers, or drop the column")
        return np.array([float(str(cell)) for cell in column])

    def _bad_cell(self, name: str, row: int, cell: str, fix: str) -> DataError:
        place = self.place(row)
        return DataError(
            f"{self.source}, column {name!r}, {place}: the cell is {cell}. {fix}.",
            source=self.source,
            column=name,
            row=row,
            place=place,
        )


def read_table(path: str | os.PathLike[str]) -> Table:
    """Read a table; the name's ending tells `.parquet`, `.pq`, `.npz`, and anything else CSV.

    CSV is UTF-8, separated by commas (or semicolons or tabs where the first line has no
    comma). The first line is a header unless it holds numbers and nothing else but marks of missing
    ones, such as NA; columns without a header are c0, c1, … Of a Parquet file that pandas wrote,
    the index is left out. An npz file's one-dimensional arrays are columns, and a two-dimensional
    array `X` with k columns gives X0, …, X(k−1). Nothing pickled is ever loaded.

    Raises
    ------
    DataError
        If the file is missing, empty, damaged, ragged, or has columns without names of their
        own.
    """
    file = regular_file(path)
    if file.stat().st_size == 0:
        raise DataError(f"{file} is empty.", source=str(file))
    readers = {".parquet": _read_parquet, ".pq": _read_parquet, ".npz": _read_npz}
    return readers.get(file.suffix.lower(), _read_csv)(file)


# -- CSV -----------------------------------------------------------------------------------


def _read_csv(file: Path) -> Table:
    import pyarrow as pa
    from pyarrow import csv as pacsv

    with file.open(newline="", encoding="utf-8-sig", errors="replace") as stream:
        start = stream.read(65536)
    line = next((text for text in start.splitlines() if text), "")
    separator = "," if "," in line else max(SEPARATORS, key=line.count)
    records = _records(file, separator)
    header_line, first = next(records, (0, []))
    if any("�" in cell or "\0" in cell for cell in first):
        raise DataError(f"{file} is not UTF-8 text. Save it as UTF-8 CSV.", source=str(file))
    if not first:
        raise DataError(f"{file} is empty.", source=str(file))
    headless = all(NUMBER.fullmatch(cell) or _is_missing(cell) for cell in first) and any(
        NUMBER.fullmatch(cell) for cell in first
    )
    names = tuple(f"c{k}" for k in range(len(first))) if headless else tuple(map(str.strip, first))
    _check_names(names, str(file))
    skip = 0 if headless else header_line
    if not headless and next(records, None) is None:
        raise DataError(f"{file} has a header and no data rows.", source=str(file))
    try:
        # From a stream, lest a name such as t.csv.gz lets it be unpacked.
        table = pacsv.read_csv(
            pa.OSFile(str(file)),
            read_options=pacsv.ReadOptions(column_names=names, skip_rows=skip),
            parse_options=pacsv.ParseOptions(delimiter=separator, newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(null_values=[""]),
        )
    except (pa.ArrowException, OSError) as error:
        raise _csv_fault(file, separator, len(names), error) from error

    def place(row: int) -> str:
        """Lines are counted only when an error needs one."""
        wanted = row + (0 if headless else 1)
        for index, (number, _) in enumerate(_records(file, separator)):
            if index == wanted:
                return f"line {number}"
        return f"row {row + 1}"

    with _refusing(file, "cannot be read as CSV", "Save it as UTF-8 CSV."):
        return Table(names, arrow_columns(table), str(file), place)


def _records(file: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The records that are not empty, each with the number of its (last) line."""
    with file.open(newline="", encoding="utf-8-sig", errors="replace") as stream:
        reader = csv.reader(stream, delimiter=separator)
        try:
            for record in reader:
                if record:
                    yield reader.line_num, record
        except csv.Error as error:
            raise DataError(
                f"{file}, line {reader.line_num}: this is not CSV ({error}).",
                source=str(file),
                line=reader.line_num,
            ) from error


def _is_missing(cell: str) -> bool:
    return cell.strip().lower() in MISSING


def _csv_fault(file: Path, separator: str, width: int, error: Exception) -> DataError:
    for line, record in _records(file, separator):
        if len(record) != width:
            return DataError(
                f"{file}, line {line}: the number of cells is {len(record)}, and {width} in the "
                "first line. Every row needs as many.",
                source=str(file),
                line=line,
                cells=len(record),
                needed=width,
            )
    return DataError(f"{file} cannot be read as CSV: {error}.", source=str(file))


# -- Parquet -------------------------------------------------------------------------------


def _read_parquet(file: Path) -> Table:
    from pyarrow import parquet

    with _refusing(file, "is not a Parquet file, or it is damaged", "Write it anew."):
        stored = parquet.ParquetFile(file)
        rows, fields = stored.metadata.num_rows, stored.schema_arrow
        needed, most = 8 * rows * max(1, len(fields)), most_bytes(file.stat().st_size)
        if needed > most:
            raise ValueError(f"it unpacks to {needed} bytes, and {most} are allowed for its size")
        # Texts that repeat stay one text each.
        texts = [field.name for field in fields if str(field.type) in ("string", "binary")]
        return _arrow_table(parquet.ParquetFile(file, read_dictionary=texts).read(), str(file))


def _arrow_table(table: Any, source: str) -> Table:
    index = _index_of(table)
    # pandas stores the index of a frame beside its columns.
    kept = [
        name
        for name in table.column_names
        if name not in index and not name.startswith("__index_level_")
    ]
    _check_names(kept, source)
    return Table(tuple(kept), arrow_columns(table.select(kept)), source, _row)


def _index_of(table: Any) -> set[str]:
    """The columns that were the index of a frame, as pandas says in the description."""
    said = json.loads((table.schema.metadata or {}).get(b"pandas", b"{}"))
    names = said.get("index_columns") if isinstance(said, dict) else None
    return {name for name in names or [] if isinstance(name, str)}


def _row(row: int) -> str:
    return f"row {row + 1}"


# -- npz -----------------------------------------------------------------------------------


def _read_npz(file: Path) -> Table:
    advice = "Write it with numpy.savez(file, X=X, y=y)."
    arrays = read_arrays(file, "an npz file", advice)
    columns: dict[str, NDArray[Any]] = {}
    for key, array in arrays.items():
        if array.ndim not in (1, 2):
            raise DataError(
                f"{file}: array {key!r} has shape {array.shape}, and columns (n,) or tables "
                "(n, k) are needed.",
                source=str(file),
                array=key,
            )
        single = array.ndim == 1 or array.shape[1] == 1
        split = {key: array.ravel()} if single else {f"{key}{k}": a for k, a in enumerate(array.T)}
        _check_names([*columns, *split], str(file))
        columns.update(split)
    sizes = {key: len(array) for key, array in arrays.items()}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{key} {size}" for key, size in sizes.items())
        raise DataError(
            f"{file}: the arrays differ in their number of rows ({listed}).", source=str(file)
        )
    with _refusing(file, "is damaged", advice):
        cells = {name: numpy_column(column) for name, column in columns.items()}
        return Table(tuple(cells), cells, str(file), _row)


# -- what every kind needs -----------------------------------------------------------------


@contextmanager
def _refusing(source: object, what: str, fix: str) -> Iterator[None]:
    """Any exception of a library that reads, as a DataError that names the source.

    Nobody vouches for what is read, and the libraries raise what they like.
    """
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        said = next(iter(str(error).splitlines()), "")
        raise DataError(
            f"{source} {what} ({type(error).__name__}: {said:.300}). {fix}", source=str(source)
        ) from error


def _check_names(names: Sequence[str], source: str) -> None:
    seen: set[str] = set()
    for k, name in enumerate(names):
        if not name:
            raise DataError(
                f"{source}: column {k} (counted from 0) has no name. Name it, or drop it; "
                "pandas writes its index so unless told index=False.",
                source=source,
                column=k,
            )
        if name in seen:
            raise DataError(
                f"{source} has two columns named {name!r}. Rename one.", source=source, column=name
            )
        seen.add(name)
