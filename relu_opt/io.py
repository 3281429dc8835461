"""Result files: npz archives without pickle, written whole or not at all.

An archive holds named arrays and one JSON text, `meta`, with the kind and version of the
result. Reading distrusts the file, as `relu_opt.verify.archives` says.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from relu_opt.errors import DataError
from relu_opt.verify.archives import FORMAT_VERSION
from relu_opt.verify.archives import read_npz as read_npz
from relu_opt.verify.archives import read_result as read_result

# Entries that some certificates have, and none of which anybody else may choose.
RESERVED = ("kind", "version", "problem", "coverage", "oracle", "oracle_bound")


def write_npz(
    path: str | os.PathLike[str],
    kind: str,
    arrays: Mapping[str, np.ndarray | None],
    meta: Mapping[str, Any],
) -> None:
    """Write a result file; an earlier file of that name survives any failure.

    Arrays that are None are left out.

    Raises
    ------
    DataError
        If the place cannot be written.
    """
    header = json.dumps({**meta, "kind": kind, "version": FORMAT_VERSION}, allow_nan=True)
    present = {name: array for name, array in arrays.items() if array is not None}

    def write(stream: BinaryIO) -> None:
        np.savez(stream, allow_pickle=False, meta=np.array(header), **present)

    write_atomically(path, write)


def with_extra(meta: Mapping[str, Any], extra: Mapping[str, Any] | None) -> dict[str, Any]:
    """A description of a certificate with entries of the user's own.

    Raises
    ------
    DataError
        If one of these has the name of an entry that is read.
    """
    taken = sorted({*meta, *RESERVED} & {*(extra or {})})
    if taken:
        raise DataError(
            f"extra has {', '.join(map(repr, taken))}, which the file says itself. Choose other "
            "names.",
            names=taken,
        )
    return {**meta, **(extra or {})}


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file, whole or not at all."""
    write_atomically(path, lambda stream: stream.write(text.encode()))


def write_atomically(path: str | os.PathLike[str], write: Any) -> None:
    """Call `write(stream)` on a temporary file beside `path`, then rename it."""
    target = Path(path)
    if target.is_dir():
        raise DataError(f"{target} is a directory. Name a file to write.", path=str(target))
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise DataError(
            f"Cannot write {target}: {error.strerror}. Choose a folder that exists and is "
            "writable.",
            path=str(target),
        ) from error
    try:
        with os.fdopen(descriptor, "wb") as stream:
            write(stream)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, target)
    except OSError as error:
        raise DataError(f"Cannot write {target}: {error.strerror}.", path=str(target)) from error
    finally:
        Path(temporary).unlink(missing_ok=True)


@contextmanager
def complete(path: str | os.PathLike[str], thing: str) -> Iterator[None]:
    """Whatever a file lacks or has of another type, as a DataError that names the file."""
    try:
        yield
    except (KeyError, TypeError, ValueError, OverflowError, IndexError) as error:
        said, known = f"{error!r:.200}.", {}
        if isinstance(error, DataError):
            said, known = error.message, error.fields
        raise DataError(
            f"{path} is not a complete {thing}: {said} Write it anew.",
            **{**known, "path": str(path)},
        ) from error


def need(arrays: Mapping[str, np.ndarray], name: str, kind: str, ndim: int) -> np.ndarray:
    """The named array of a file, of a dtype kind (one of "f", "i", "u") and so many axes.

    Raises
    ------
    DataError
        If it is missing or of another type or shape.
    """
    array = arrays.get(name)
    if array is None or array.dtype.kind != kind or array.ndim != ndim:
        found = "nothing" if array is None else f"{array.dtype} with {array.ndim} axes"
        raise DataError(
            f"The file's entry {name!r} should be of kind {kind!r} with {ndim} axes, and holds "
            f"{found}. The file is damaged.",
            entry=name,
        )
    return array


def maybe(arrays: Mapping[str, np.ndarray], name: str, kind: str, ndim: int) -> np.ndarray | None:
    """As `need`, of an array that a file may do without: None then."""
    return need(arrays, name, kind, ndim) if name in arrays else None
