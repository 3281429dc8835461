"""Hostile files: every reader refuses them by an error that names the file, and stays small."""

from __future__ import annotations

import io
import os
import socket
import tracemalloc
import zipfile

import numpy as np
import pytest

from relu_opt.errors import DataError
from relu_opt.verify.archives import read_arrays, regular_file


def npy(array, **options):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array), **options)
    return stream.getvalue()


def archive(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as target:
        for name, content in members.items():
            target.writestr(name, content)
    return path


def read(path):
    return read_arrays(path, "an npz file", "Write it anew.")


def refuse(path, message):
    """Refused by a DataError with its fix, for at most 20 MB."""
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=message) as caught:
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 2e7
    finally:
        tracemalloc.stop()
    assert caught.value.fields["path"] == str(path)
    assert str(path) in caught.value.message
    return caught.value


ARRAYS = {
    "numbers": np.arange(6.0).reshape(2, 3),
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "swapped": np.arange(3.0).astype(">f8"),
    "halves": np.arange(3.0).astype("f2"),
    "flags": np.array([True, False]),
    "text": np.array(["a", "böse"]),
    "bytes": np.array([b"a", b"bc"]),
    "complex": np.array([1j]),
    "days": np.array(["2020-01-01"], dtype="M8[ns]"),
    "nothing": np.empty((0, 4)),
    "one": np.array(3.5),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back_as_they_were(tmp_path, save):
    save(tmp_path / "a.npz", **ARRAYS)
    found = read(tmp_path / "a.npz")
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].flags.writeable


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_small_member_of_another_compression_does_not_become_large(tmp_path, method):
    bomb = archive(tmp_path / "a.npz", {"x.npy": npy(np.zeros(2**20))}, method)
    assert bomb.stat().st_size < 10_000
    refuse(bomb, "is compressed in another way than numpy's, by method")


def test_a_deflated_bomb_is_not_unpacked(tmp_path):
    member = npy(np.zeros(2**23 + 2**20))
    bomb = archive(tmp_path / "a.npz", {"x.npy": member}, zipfile.ZIP_DEFLATED)
    del member
    refuse(bomb, r"unpacks to \d+ bytes, and \d+ are allowed")


def test_a_header_of_many_bytes_is_not_read(tmp_path):
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }".ljust(2**25) + b"\n"
    member = b"\x93NUMPY\x02\x00" + len(text).to_bytes(4, "little") + text + bytes(8)
    refuse(archive(tmp_path / "a.npz", {"x.npy": member}, zipfile.ZIP_DEFLATED), "ValueError")


def headed(descr, shape, data):
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


@pytest.mark.parametrize(
    ("descr", "shape", "data", "message"),
    [
        ("'<f8'", "(2,)", bytes(8), "says it has 16 bytes, and 8 are there"),
        ("'<f8'", "(2,)", bytes(24), "says it has 16 bytes, and 24 are there"),
        ("'<f8'", f"({2**60},)", bytes(8), "and 8 are there"),
        ("'<f8'", "(-1,)", b"", "has the shape"),
        ("'<f8'", "(-2, -1)", bytes(16), "has the shape"),
        ("'<f8'", f"(0, {2**62})", b"", "has the shape"),
        ("'<U0'", f"({2**62},)", b"", "numbers or text are needed"),
        ("'|V0'", f"({2**62},)", b"", "numbers or text are needed"),
        ("'|V8'", "(1,)", bytes(8), "numbers or text are needed"),
        ("[('a', '<f8')]", "(1,)", bytes(8), "numbers or text are needed"),
        ("('<f8', (1000000000,))", "(1,)", bytes(8), "damaged"),
        ("'|O'", "(1,)", bytes(8), "pickled Python objects"),
        ("[('a', '|O')]", "(1,)", bytes(8), "pickled Python objects"),
        ("'|b1'", "(1,)", b"\x07", "neither 0 nor 1"),
        ("'<f8'", "(" + "1," * 70 + ")", bytes(8), "damaged"),
    ],
    ids=str,
)
def test_a_header_that_lies(tmp_path, descr, shape, data, message):
    refuse(archive(tmp_path / "a.npz", {"x.npy": headed(descr, shape, data)}), message)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_that_no_archive_of_arrays_has(tmp_path):
    path = tmp_path / "a.npz"
    refuse(archive(path, {"notes.txt": b"text"}), "'notes.txt' is not an array")
    refuse(archive(path, {"x": npy([1.0])}), "'x' is not an array")
    refuse(archive(path, {"x.npy": b"text"}), "magic")
    refuse(archive(path, {"x.npy": b""}), "ValueError")
    refuse(archive(path, {"folder/": b""}), "is not an array")
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("x.npy", npy([1.0]))
        target.writestr("x.npy", npy([2.0]))
    refuse(path, "an array is there twice")


def test_encrypted_members(tmp_path):
    path = archive(tmp_path / "a.npz", {"x.npy": npy([1.0])})
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        content[content.index(signature) + offset] |= 1
    path.write_bytes(content)
    refuse(path, r"'x\.npy' is encrypted")


def test_members_that_share_their_bytes(tmp_path):
    """Two entries of the directory that point at one member unpack to more than is there."""
    path = archive(tmp_path / "a.npz", {"x.npy": npy(np.zeros(1000)), "y.npy": npy([1.0])})
    with zipfile.ZipFile(path, "a") as target:
        first, second = target.infolist()
        second.header_offset = first.header_offset
        second.compress_size, second.file_size, second.CRC = (
            first.compress_size, first.file_size, first.CRC,
        )  # fmt: skip
        target.writestr("z.npy", npy([2.0]))
    refuse(path, "overlap|damaged")


def test_changed_content_is_found_by_its_checksum(tmp_path):
    path = archive(tmp_path / "a.npz", {"x.npy": npy(np.arange(100.0))})
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)
    refuse(path, "Bad CRC")


# -- what is no regular file ---------------------------------------------------------------


def odd_files(folder):
    """Names of what is no regular file, by what it is."""
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    (folder / "lost").symlink_to("nowhere")
    (folder / "zero").symlink_to("/dev/zero")
    (folder / "file").write_text("x")
    with socket.socket(socket.AF_UNIX) as there:
        there.bind(str(folder / "socket"))
    return {
        "pipe": "is a pipe, a socket or a device",
        "socket": "is a pipe, a socket or a device",
        "zero": "is a pipe, a socket or a device",
        "loop": "cannot be read: Too many levels of symbolic links",
        "a": "cannot be read: Too many levels of symbolic links",
        "lost": "There is no file",
        "absent": "There is no file",
        "file/below": "There is no file",
        "x" * 300: "cannot be read: File name too long",
        "nul\0": "cannot be read: embedded null byte",
        "": "is a directory",
    }


def test_only_regular_files_are_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, message in odd_files(tmp_path).items():
        with pytest.raises(DataError, match=message) as caught:
            regular_file(tmp_path / name)
        assert caught.value.fields["path"] == str(tmp_path / name)
    for wrong in (None, 3, b"file", ""):
        with pytest.raises(DataError, match="is no name of a file"):
            regular_file(wrong)
    assert regular_file(tmp_path / "file") == tmp_path / "file"
    (tmp_path / "link").symlink_to("file")
    assert regular_file(str(tmp_path / "link")) == tmp_path / "link"
