"""Result files: npz archives without pickle, written whole or not at all.

An archive holds named arrays and one JSON text, `meta`, with the kind and version of the
result. Reading distrusts the file, as `relu_opt.archives` says.
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

from relu_opt.archives import read_arrays
from relu_opt.errors import DataError

FORMAT_VERSION = 1
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


def read_npz(
    path: str | os.PathLike[str], kind: str
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a result file of the given kind: its arrays and its meta data.

    Raises
    ------
    DataError
        If the file is missing, truncated, damaged, holds Python objects, is of another kind
        or was written by a newer version.
    """
    arrays, meta = read_result(path)
    if meta["kind"] != kind:
        raise DataError(
            f"{path} holds a {meta['kind']!r:.60}, and a {kind!r} is needed. relu_opt.load reads "
            "files of every kind.",
            path=str(path),
            kind=meta["kind"],
        )
    return arrays, meta


def read_result(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a result file of any kind, which `meta["kind"]` names.

    Raises
    ------
    DataError
        As of `read_npz`.
    """
    arrays = read_arrays(path, "a relu-opt file", "Write it anew.")
    source = Path(path)
    meta = _read_meta(source, arrays.pop("meta", None))
    if meta.get("version") != FORMAT_VERSION:
        raise DataError(
            f"{source} has format version {meta.get('version')!r:.60}, and this relu_opt reads "
            f"version {FORMAT_VERSION}. Upgrade relu_opt.",
            path=str(source),
        )
    return arrays, meta


def _read_meta(source: Path, text: np.ndarray | None) -> dict[str, Any]:
    try:
        said = text is not None and text.dtype.kind == "U" and text.ndim == 0
        meta = json.loads(str(text)) if said else None
    except (ValueError, RecursionError):
        meta = None
    if not isinstance(meta, dict) or not isinstance(meta.get("kind"), str):
        raise DataError(
            f"{source} was not written by relu-opt: it has no description.", path=str(source)
        )
    return meta


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
