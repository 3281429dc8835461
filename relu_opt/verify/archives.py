"""Files that nobody vouches for: regular files only, and of an npz archive its arrays only.

A result file is such an archive with one JSON text, `meta`, that names its kind and version.

What an archive unpacks to is bounded by its own size before anything is allocated, and no more of
a member is read than its header says.
"""

from __future__ import annotations

import io
import json
import math
import os
import stat
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relu_opt.verify.faults import DataError

# Of result files.
FORMAT_VERSION = 1
# An archive may unpack to so many bytes, or to so many times its size, whichever is more.
ALLOWANCE, RATIO = 2**26, 200
# The bytes that a member's header may take, and the length of an axis beside one of length 0.
HEADER_BYTES, WIDEST_EMPTY = 2**14, 2**20
# Numbers, text and times; what is left are Python objects and records.
KINDS = "biufcUSmM"
ENCRYPTED, CHUNK = 0x1, 2**20


def regular_file(path: str | os.PathLike[str]) -> Path:
    """The path of a regular file that may be read; anything else is a DataError.

    Pipes and devices have no end that can be known before it is reached.
    """
    name = path if isinstance(path, str) else str(path) if isinstance(path, os.PathLike) else ""
    if not name:
        raise DataError(f"{path!r:.60} is no name of a file. Pass a text or a Path.")
    try:
        mode = os.stat(name).st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"There is no file {name}. Check the name.", path=name) from error
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise DataError(
            f"{name!r:.200} cannot be read: {said}. Check the name.", path=name
        ) from error
    if stat.S_ISDIR(mode):
        raise DataError(f"{name} is a directory. Name a file.", path=name)
    if not stat.S_ISREG(mode):
        raise DataError(
            f"{name} is a pipe, a socket or a device, and a regular file is needed. Copy what it "
            "gives into a file.",
            path=name,
        )
    if not os.access(name, os.R_OK):
        raise DataError(
            f"{name} cannot be read: permission denied. Change its permissions.", path=name
        )
    return Path(name)


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


def most_bytes(size: int) -> int:
    """How much a compressed file of so many bytes may unpack to."""
    return max(ALLOWANCE, RATIO * size)


def read_arrays(path: str | os.PathLike[str], what: str, fix: str) -> dict[str, NDArray[Any]]:
    """The arrays of an npz archive, none of Python objects.

    Parameters
    ----------
    path : path
    what : str
        What errors say that a damaged file is not, such as "an npz file".
    fix : str
        What they say is to be done.

    Raises
    ------
    DataError
        If the file is missing, is no such archive, is damaged, or unpacks to too much.
    """
    source = regular_file(path)
    try:
        size = source.stat().st_size
        with zipfile.ZipFile(source) as archive:
            names = _checked_names(archive, size)
            return {name: _read(archive, member) for name, member in names.items()}
    # Damage reaches zipfile, its decompressor and numpy's parser of headers, which raise what
    # they like: struct.error, zlib.error, RuntimeError, KeyError, SyntaxError, MemoryError.
    except Exception as error:
        raise DataError(
            f"{source} is not {what}, or it is damaged ({type(error).__name__}: {error!s:.300}). "
            f"{fix}",
            path=str(source),
        ) from error


def _checked_names(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The members by the names of their arrays."""
    members = archive.infolist()
    names = {member.filename.removesuffix(".npy"): member for member in members}
    if len(names) < len(members):
        raise ValueError("an array is there twice")
    for member in members:
        if not member.filename.endswith(".npy"):
            raise ValueError(f"{member.filename!r:.80} is not an array")
        if member.flag_bits & ENCRYPTED:
            raise ValueError(f"{member.filename!r:.80} is encrypted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(
                f"{member.filename!r:.80} is compressed in another way than numpy's, by method "
                f"{member.compress_type}"
            )
    if sum(member.compress_size for member in members) > size:
        raise ValueError("its members overlap, or are cut off")
    total = sum(member.file_size for member in members)
    if total > most_bytes(size):
        raise ValueError(
            f"it unpacks to {total} bytes, and {most_bytes(size)} are allowed for {size}; one that "
            "is not compressed may be of any size"
        )
    return names


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as stream:
        head = io.BytesIO(stream.read(HEADER_BYTES))
        shape, fortran, dtype = _read_header(head, member.filename)
        count = math.prod(shape)
        needed, there = count * dtype.itemsize, member.file_size - head.tell()
        if needed != there:
            raise ValueError(f"{member.filename} says it has {needed} bytes, and {there} are there")
        content = bytearray(needed)
        filled = head.readinto(content)
        while filled < needed:
            part = stream.read(min(CHUNK, needed - filled))
            if not part:
                raise ValueError(f"{member.filename} is cut off")
            content[filled : filled + len(part)] = part
            filled += len(part)
    if dtype.kind == "b" and np.frombuffer(content, np.uint8).max(initial=0) > 1:
        raise ValueError(f"{member.filename} holds a truth value that is neither 0 nor 1")
    array = np.frombuffer(content, dtype, count)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def _read_header(head: io.BytesIO, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(head)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ValueError(f"{name} has array format {version}")
    shape, fortran, dtype = read_header(head)
    if dtype.hasobject:
        raise ValueError(f"{name} holds pickled Python objects, which are never loaded")
    if dtype.kind not in KINDS or dtype.subdtype is not None or not dtype.itemsize:
        raise ValueError(f"{name} holds {dtype!s:.80}, and numbers or text are needed")
    if any(axis < 0 for axis in shape) or (not all(shape) and max(shape) > WIDEST_EMPTY):
        raise ValueError(f"{name} has the shape {shape!s:.80}")
    return shape, fortran, dtype
