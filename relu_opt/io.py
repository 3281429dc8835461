"""Result files: npz archives without pickle, written whole or not at all.

An archive holds named arrays and one JSON text, `meta`, with the kind and version of the
result. Reading distrusts the file: sizes are checked before anything is allocated.
"""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from relu_opt.errors import DataError

FORMAT_VERSION = 1
MAX_BYTES = 16 * 2**30


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
    header = json.dumps({"kind": kind, "version": FORMAT_VERSION, **meta}, allow_nan=True)
    present = {name: array for name, array in arrays.items() if array is not None}

    def write(stream: BinaryIO) -> None:
        np.savez(stream, allow_pickle=False, meta=np.array(header), **present)

    write_atomically(path, write)


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
    source = Path(path)
    if not source.is_file():
        raise DataError(f"There is no file {source}. Check the name.", path=str(source))
    try:
        with zipfile.ZipFile(source) as archive:
            _check_members(source, archive)
            arrays = {
                name.removesuffix(".npy"): _read_member(archive, name)
                for name in archive.namelist()
            }
    except DataError:
        raise
    # Damage reaches zipfile, its decompressors and numpy's parser of headers, which raise what
    # they like: struct.error, zlib.error, RuntimeError, KeyError, SyntaxError, MemoryError.
    except Exception as error:
        raise DataError(
            f"{source} is not a relu-opt file, or it is damaged "
            f"({type(error).__name__}: {error!s:.300}). Write it anew.",
            path=str(source),
        ) from error
    meta = _read_meta(source, arrays.pop("meta", None))
    if meta.get("kind") != kind:
        raise DataError(
            f"{source} holds a {meta.get('kind')!r}, and a {kind!r} is needed.",
            path=str(source),
            kind=meta.get("kind"),
        )
    if meta.get("version") != FORMAT_VERSION:
        raise DataError(
            f"{source} has format version {meta.get('version')}, and this relu_opt reads "
            f"version {FORMAT_VERSION}. Upgrade relu_opt.",
            path=str(source),
        )
    return arrays, meta


def _check_members(source: Path, archive: zipfile.ZipFile) -> None:
    total = sum(member.file_size for member in archive.infolist())
    if total > MAX_BYTES:
        raise DataError(
            f"{source} unpacks to {total} bytes, more than the {MAX_BYTES} allowed.",
            path=str(source),
        )


def _read_member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    size = archive.getinfo(name).file_size
    with archive.open(name) as stream:
        version = np.lib.format.read_magic(stream)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read_header is None:
            raise ValueError(f"{name} has array format {version}")
        shape, _, dtype = read_header(stream)
        if dtype.hasobject:
            raise ValueError(f"{name} holds pickled Python objects, which are never loaded")
        needed = dtype.itemsize * int(np.prod([int(k) for k in shape], dtype=object))
        if needed > size:
            raise ValueError(f"{name} says it has {needed} bytes, and {size} are there")
    with archive.open(name) as stream:
        return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))


def _read_meta(source: Path, text: np.ndarray | None) -> dict[str, Any]:
    try:
        meta = json.loads(str(text))
    except (ValueError, RecursionError):
        meta = None
    if not isinstance(meta, dict):
        raise DataError(f"{source} was not written by relu-opt: it has no description.")
    return meta


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
