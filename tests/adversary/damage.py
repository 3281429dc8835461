"""Ways to damage files: any bytes, the zip container, its members, texts, tables."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from .data import Rng
from .spoil_entries import DTYPES, ODDITIES

Damage = Callable[[Rng, bytes], bytes]
# By what a file is: any bytes, a zip of arrays, a text.
DAMAGES: dict[str, dict[str, Damage]] = {"bytes": {}, "npz": {}, "text": {}}


def damage(kind: str) -> Callable[[Damage], Damage]:
    """Register a way to damage files of a kind."""

    def register(function: Damage) -> Damage:
        DAMAGES[kind][function.__name__] = function
        return function

    return register


def _span(rng: Rng, size: int) -> tuple[int, int]:
    start = int(rng.integers(0, size + 1))
    return start, min(size, start + int(rng.integers(1, 200)))


# -- any bytes -----------------------------------------------------------------


@damage("bytes")
def truncated(rng: Rng, raw: bytes) -> bytes:
    return raw[: int(rng.integers(0, len(raw) + 1))]


@damage("bytes")
def headless(rng: Rng, raw: bytes) -> bytes:
    return raw[int(rng.integers(0, len(raw) + 1)) :]


@damage("bytes")
def bits_flipped(rng: Rng, raw: bytes) -> bytes:
    flat = np.frombuffer(raw, dtype=np.uint8).copy()
    if len(flat):
        places = rng.integers(0, len(flat), rng.integers(1, 9))
        flat[places] ^= np.uint8(1) << rng.integers(0, 8, len(places)).astype(np.uint8)
    return flat.tobytes()


@damage("bytes")
def overwritten(rng: Rng, raw: bytes) -> bytes:
    start, stop = _span(rng, len(raw))
    filler = b"\0" if rng.random() < 0.3 else rng.bytes(1)
    return raw[:start] + filler * (stop - start) + raw[stop:]


@damage("bytes")
def noise_inserted(rng: Rng, raw: bytes) -> bytes:
    start, stop = _span(rng, len(raw))
    return raw[:start] + rng.bytes(stop - start) + raw[start:]


@damage("bytes")
def cut_out(rng: Rng, raw: bytes) -> bytes:
    start, stop = _span(rng, len(raw))
    return raw[:start] + raw[stop:]


@damage("bytes")
def doubled(rng: Rng, raw: bytes) -> bytes:
    return raw + raw[int(rng.integers(0, len(raw) + 1)) :]


# -- the zip container ---------------------------------------------------------


def members(raw: bytes) -> dict[str, bytes]:
    """The members of a zip by name."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(parts: Any, method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip of (name, bytes) pairs."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, part in parts:
            with archive.open(zipfile.ZipInfo(name), "w") as member:
                member.write(part)
    return stream.getvalue()


def _one(rng: Rng, parts: dict[str, bytes]) -> str:
    names = sorted(parts)
    return names[rng.integers(len(names))]


@damage("npz")
def compressed(rng: Rng, raw: bytes) -> bytes:
    """By another method; some of them unpack to far more than they are."""
    method = (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)[rng.integers(3)]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, part in members(raw).items():
            more = b"\0" * 10**6 if rng.random() < 0.02 else b""
            archive.writestr(name, part + more, method)
    return stream.getvalue()


@damage("npz")
def header_lied(rng: Rng, raw: bytes) -> bytes:
    """A field of a local or central header of the zip: flags, method, sizes, offsets, lengths."""
    mark, fields = ((b"PK\3\4", (6, 8, 14, 18, 22, 26, 28)), (b"PK\1\2", (8, 10, 16, 20, 24, 28)))[
        rng.integers(2)
    ]
    places = [k for k in range(len(raw)) if raw.startswith(mark, k)]
    if not places:
        return raw
    at = places[rng.integers(len(places))] + fields[rng.integers(len(fields))]
    value = int(rng.choice([0, 1, 9, 12, 14, 99, 0xFFFF, 2**31, 2**32 - 1]))
    width = "<H" if value < 2**16 and rng.random() < 0.5 else "<I"
    new = struct.pack(width, value)
    return raw[:at] + new + raw[at + len(new) :]


@damage("npz")
def end_lied(rng: Rng, raw: bytes) -> bytes:
    """A field of the zip's last record: counts, size and place of the directory."""
    at = raw.rfind(b"PK\5\6")
    field = (4, 8, 10, 12, 16, 20)[rng.integers(6)]
    new = struct.pack("<H", int(rng.choice([0, 1, 2, 0xFFFF])))
    return raw[: at + field] + new + raw[at + field + 2 :]


@damage("npz")
def member_missing(rng: Rng, raw: bytes) -> bytes:
    parts = members(raw)
    parts.pop(_one(rng, parts))
    return zipped(parts.items())


@damage("npz")
def member_twice(rng: Rng, raw: bytes) -> bytes:
    parts = members(raw)
    name, other = _one(rng, parts), _one(rng, parts)
    stream = io.BytesIO(raw)
    with zipfile.ZipFile(stream, "a") as archive:
        twice = zipfile.ZipInfo(name)
        archive.NameToInfo.pop(name, None)
        archive.writestr(twice, parts[other])
    return stream.getvalue()


@damage("npz")
def member_swapped(rng: Rng, raw: bytes) -> bytes:
    parts = members(raw)
    parts[_one(rng, parts)] = parts[_one(rng, parts)]
    return zipped(parts.items())


@damage("npz")
def member_renamed(rng: Rng, raw: bytes) -> bytes:
    parts = members(raw)
    name = _one(rng, parts)
    names = ("../x.npy", "/etc/x.npy", "a/b.npy", name[:-4], name.upper(), "a\0b.npy", "é.npy", "")
    moved = names[rng.integers(len(names))]
    return zipped((moved if key == name else key, part) for key, part in parts.items())


@damage("npz")
def member_damaged(rng: Rng, raw: bytes) -> bytes:
    """The bytes of one member damaged, under a checksum that is right."""
    parts = members(raw)
    name = _one(rng, parts)
    ways = sorted(DAMAGES["bytes"])
    parts[name] = DAMAGES["bytes"][ways[rng.integers(len(ways))]](rng, parts[name])
    return zipped(parts.items())


# -- arrays in the zip ---------------------------------------------------------

HEADERS = (
    "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
    "{'descr': '<f8', 'fortran_order': True, 'shape': (2, 2), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 99999999999), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '<U268435456', 'fortran_order': False, 'shape': (), }",
    "{'descr': '|V0', 'fortran_order': False, 'shape': (1000000000,), }",
    "{'descr': '|S0', 'fortran_order': False, 'shape': (4000000000,), }",
    "{'descr': [('a', '<f8'), ('b', '|O')], 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (True,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': 3, }",
    "{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '<f8', 'shape': (1,), }",
    "[1, 2, 3]", "()", "", "(" * 4000, "{" * 300, "-" * 9000 + "1", "9" * 5000, "'\\ud800'",
)  # fmt: skip


def array_bytes(header: str, body: bytes, version: tuple[int, int] = (1, 0)) -> bytes:
    """An npy file of any header."""
    text = header.encode("utf-8", "surrogatepass") + b"\n"
    size = (
        struct.pack("<H", len(text) % 2**16) if version == (1, 0) else struct.pack("<I", len(text))
    )
    return b"\x93NUMPY" + bytes(version) + size + text + body


@damage("npz")
def array_header(rng: Rng, raw: bytes) -> bytes:
    """An array whose header lies."""
    parts = members(raw)
    version = ((1, 0), (2, 0), (3, 0), (9, 9))[rng.integers(4)]
    header = HEADERS[rng.integers(len(HEADERS))]
    parts[_one(rng, parts)] = array_bytes(header, rng.bytes(int(rng.integers(0, 64))), version)
    return zipped(parts.items())


@damage("npz")
def array_other(rng: Rng, raw: bytes) -> bytes:
    """An array of another type, shape or values."""
    parts = members(raw)
    name = _one(rng, parts)
    shape = ((), (0,), (1,), (3,), (2, 2), (0, 3), (1, 1, 1))[rng.integers(7)]
    values: Any = rng.choice([np.nan, np.inf, 1e308, -1.0, 0.0, 1.0, 7.0], shape)
    dtype = str(rng.choice([d for d in DTYPES if d not in ("M8[s]", "U3", "S3")]))
    with np.errstate(all="ignore"):
        made = np.nan_to_num(values).astype(dtype) if dtype[-2] != "f" else values.astype(dtype)
    parts[name] = saved(made if rng.random() < 0.9 else np.full(shape, "x"))
    return zipped(parts.items())


def saved(array: Any) -> bytes:
    """The npy file of an array."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


# -- texts ---------------------------------------------------------------------

TEXTS = (
    "null", "[]", "3", '""', "{", "[" * 100_000, '{"a":' * 50_000, "9" * 5000, "NaN", "1e999",
    '{"kind": "certificate", "version": 1}', '{"kind": "model", "version": 1e999}', '"\\ud800"',
    '{"kind": ' + "9" * 5000 + "}", "\ufeff{}", "{}garbage", '{"kind": "\\ud800", "version": 1}',
)  # fmt: skip
NUMBERS = ("NaN", "-Infinity", "1e999", "9" * 400, "9" * 5000, "-0", "1e-999", "true", "null")


def mutated(rng: Rng, value: Any, depth: int = 0) -> Any:
    """A JSON value with one value in it, anywhere, replaced by an odd one."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = sorted(value)[rng.integers(len(value))]
        if rng.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        return {**value, key: mutated(rng, value[key], depth + 1)}
    if isinstance(value, list) and value and rng.random() < 0.7:
        k = int(rng.integers(len(value)))
        return [*value[:k], mutated(rng, value[k], depth + 1), *value[k + 1 :]]
    return ODDITIES[rng.integers(len(ODDITIES))]


def json_mutated(rng: Rng, text: str) -> str:
    """JSON text with odd values in it, some that no writer would write."""
    value = json.loads(text)
    for _ in range(int(rng.integers(1, 4))):
        value = mutated(rng, value)
    old = sys_digits(value)
    if rng.random() < 0.2:
        numbers = [k for k, c in enumerate(old) if c.isdigit() and not old[k - 1].isalnum()]
        if numbers:
            at = numbers[rng.integers(len(numbers))]
            return old[:at] + NUMBERS[rng.integers(len(NUMBERS))] + old[at + 1 :]
    return old


def sys_digits(value: Any) -> str:
    """JSON of a value."""
    return json.dumps(value)


@damage("npz")
def meta_mutated(rng: Rng, raw: bytes) -> bytes:
    """The description with odd values, or another text in its place."""
    parts = members(raw)
    if "meta.npy" not in parts:
        return array_other(rng, raw)
    if rng.random() < 0.15:
        text = TEXTS[rng.integers(len(TEXTS))]
    else:
        text = json_mutated(rng, str(np.load(io.BytesIO(parts["meta.npy"]))))
    made: Any = text
    if rng.random() < 0.1:
        made = (text.encode(), [text, text], [text])[rng.integers(3)]
    parts["meta.npy"] = saved(np.array(made))
    return zipped(parts.items())


@damage("text")
def json_or_words(rng: Rng, raw: bytes) -> bytes:
    """JSON with odd values; in other texts a word or number replaced."""
    text = raw.decode("utf-8", "replace")
    if text.lstrip().startswith("{"):
        return json_mutated(rng, text).encode("utf-8", "surrogatepass")
    words = [k for k, c in enumerate(text) if c.isalnum() and not text[k - 1 : k].isalnum()]
    if not words:
        return raw
    at = words[rng.integers(len(words))]
    stop = at
    while stop < len(text) and (text[stop].isalnum() or text[stop] in ".-+"):
        stop += 1
    odd = (*NUMBERS, "", '"', "'", "[[", "a.b", "é", "\0", "=", "1979-05-27", "inf", "nan", "0x1")
    return (text[:at] + odd[rng.integers(len(odd))] + text[stop:]).encode()


@damage("text")
def lines_moved(rng: Rng, raw: bytes) -> bytes:
    """Lines dropped, doubled, swapped."""
    lines = raw.splitlines(keepends=True)
    if not lines:
        return raw
    k, j = rng.integers(0, len(lines), 2)
    return b"".join(
        (
            [*lines[:k], *lines[k + 1 :]],
            [*lines[: k + 1], *lines[k:]],
            [lines[j] if i == k else lines[k] if i == j else line for i, line in enumerate(lines)],
        )[rng.integers(3)]
    )


@damage("text")
def text_replaced(rng: Rng, raw: bytes) -> bytes:
    """Another text altogether."""
    more = ("a,b\n1,2\n" * 3, ",,,\n", "a" * 10_000, '"', "x\n\n\n", "\r\r\r", "tol = [[[", "=")
    every = (*TEXTS, *more)
    return every[rng.integers(len(every))].encode("utf-8", "surrogatepass")
