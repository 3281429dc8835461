"""Result files: written whole or not at all, and distrusted when they are read."""

from __future__ import annotations

import io
import json
import os
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import relu_opt as ro
from relu_opt import io as module
from relu_opt.errors import DataError
from relu_opt.io import need, read_npz, write_atomically, write_npz, write_text
from relu_opt.verify import archives

ARRAYS = {
    "weights": np.arange(6.0).reshape(2, 3),
    "counts": np.array([1, 2], dtype=np.int64),
    "bits": np.array([[255]], dtype=np.uint8),
    "constant": np.array(0.5),
    "nothing": np.empty((0, 4)),
}


def npy(array, **options):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array), **options)
    return stream.getvalue()


def header(text, version=(1, 0)):
    """An .npy header of any text."""
    text = text.encode("latin1") + b"\n"
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + size + text


META = json.dumps({"kind": "thing", "version": module.FORMAT_VERSION})


def archive(path, members, meta=META, compression=zipfile.ZIP_STORED):
    """A zip file of chosen members, with a description unless `meta` is None."""
    with zipfile.ZipFile(path, "w", compression) as target:
        for name, content in members.items():
            target.writestr(name, content)
        if meta is not None:
            target.writestr("meta.npy", npy(np.array(meta)))
    return path


# -- writing -----------------------------------------------------------------------------


def test_what_is_written_is_read(tmp_path):
    write_npz(tmp_path / "a.npz", "thing", {**ARRAYS, "left_out": None}, {"x": [1, "two", None]})
    arrays, meta = read_npz(tmp_path / "a.npz", "thing")
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype
    assert meta == {"kind": "thing", "version": 1, "x": [1, "two", None]}
    assert list(tmp_path.iterdir()) == [tmp_path / "a.npz"]


def test_infinite_numbers_of_the_description_survive(tmp_path):
    write_npz(tmp_path / "a.npz", "thing", {}, {"dual": -np.inf, "gap": np.inf})
    assert read_npz(tmp_path / "a.npz", "thing")[1]["dual"] == -np.inf


def test_compressed_archives_are_read(tmp_path):
    packed = archive(tmp_path / "a.npz", {"x.npy": npy([1.0])}, compression=zipfile.ZIP_DEFLATED)
    assert read_npz(packed, "thing")[0]["x"] == 1.0


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, DataError])
def test_an_earlier_file_survives_an_exception(tmp_path, kind):
    target = tmp_path / "a.npz"
    write_text(target, "earlier")

    def fail(stream):
        stream.write(b"half of")
        raise kind("no more")

    with pytest.raises(kind, match="no more"):
        write_atomically(target, fail)
    assert target.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [target]


def test_an_earlier_file_survives_a_full_disk(tmp_path):
    target = tmp_path / "a.txt"
    write_text(target, "earlier")

    def fail(stream):
        raise OSError(28, "No space left on device")

    with pytest.raises(DataError, match=r"Cannot write .*a\.txt: No space left") as caught:
        write_atomically(target, fail)
    assert caught.value.fields["path"] == str(target)
    assert target.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [target]


def test_values_that_no_file_can_hold_leave_the_earlier_file(tmp_path):
    target = tmp_path / "a.npz"
    write_npz(target, "thing", ARRAYS, {})
    before = target.read_bytes()
    with pytest.raises(TypeError):
        write_npz(target, "thing", ARRAYS, {"x": object()})
    with pytest.raises(ValueError, match="allow_pickle"):
        write_npz(target, "thing", {"x": np.array([object()])}, {})
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]


def test_a_directory_is_no_output(tmp_path):
    with pytest.raises(DataError, match="is a directory") as caught:
        write_text(tmp_path, "x")
    assert caught.value.fields["path"] == str(tmp_path)
    network = ro.ReLUNetwork([[1.0]], [1.0])
    with pytest.raises(DataError, match="is a directory"):
        network.save(tmp_path)


@pytest.mark.parametrize("name", ["absent/a.npz", "file/a.npz"])
def test_a_folder_that_is_not_there(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="Choose a folder that exists and is writable") as caught:
        write_text(tmp_path / name, "x")
    assert isinstance(caught.value.__cause__, OSError)


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


def test_an_earlier_file_is_replaced(tmp_path):
    for text in ("one", "zwei"):
        write_text(str(tmp_path / "a.txt"), text)
        assert (tmp_path / "a.txt").read_text() == text


# -- reading -----------------------------------------------------------------------------


def refuse(path, message=None):
    with pytest.raises(DataError, match=message) as caught:
        read_npz(path, "thing")
    return caught.value


def test_no_file(tmp_path):
    assert refuse(tmp_path / "a.npz", "There is no file").fields == {
        "path": str(tmp_path / "a.npz")
    }
    refuse(tmp_path, "is a directory. Name a file")


@pytest.mark.parametrize("content", [b"", b"PK", b"x" * 1000, npy([1.0]), b"PK\x03\x04" * 50])
def test_what_is_no_archive(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    refuse(tmp_path / "a.npz", "is not a relu-opt file, or it is damaged")


def test_pickles_are_never_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "opened"),))

    trap = npy(np.array([Trap()], dtype=object), allow_pickle=True)
    refuse(archive(tmp_path / "a.npz", {"x.npy": trap}), "pickled Python objects")
    fields = np.zeros(1, dtype=[("a", float), ("b", object)])
    refuse(archive(tmp_path / "b.npz", {"x.npy": npy(fields)}), "pickled Python objects")
    np.savez(tmp_path / "c.npz", x=np.array([Trap()], dtype=object))
    refuse(tmp_path / "c.npz", "pickled Python objects")
    assert not (tmp_path / "opened").exists()


SHAPES = [
    "(1000000000000,)",
    "(1000000, 1000000, 1000000)",
    "(2**70,)".replace("2**70", str(2**70)),
    f"({2**62}, {2**62})",
    f"(0, {2**70})",
    f"(0, {2**62}, 8)",
    "(-1,)",
    "(-2, -8)",
    "(1.5,)",
    "('a',)",
    "(None,)",
    "5",
    "()" * 2000,
    "(" * 200 + ")" * 200,
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape[:24])
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_a_header_that_claims_a_wrong_size(tmp_path, shape, version):
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"
    member = header(text, version) + bytes(64)
    tracemalloc.start()
    try:
        refuse(archive(tmp_path / "a.npz", {"x.npy": member}))
        assert tracemalloc.get_traced_memory()[1] < 1e7
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{'descr': '<f8'}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': 'nonsense', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f8', 'fortran_order': 3, 'shape': (1,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1L,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'more': 1}",
        "{'descr': [('a', '<f8', (1000000000,))], 'fortran_order': False, 'shape': (1,), }",
        "__import__('os').mkdir('opened')",
        "\x00" * 30,
        "'''",
        "(" * 5000,
        "1" * 6000,
    ],
    ids=lambda text: text[:40],
)
def test_a_header_that_is_nonsense(tmp_path, text):
    refuse(archive(tmp_path / "a.npz", {"x.npy": header(text) + bytes(64)}))


@pytest.mark.parametrize("version", [(3, 0), (0, 0), (9, 9)])
def test_other_array_formats(tmp_path, version):
    text = "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }"
    member = header(text, version) + bytes(8)
    refuse(archive(tmp_path / "a.npz", {"x.npy": member}), "array format|magic")


def test_an_archive_that_unpacks_to_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "ALLOWANCE", 10_000)
    packed = npy(np.zeros(1_000_000))
    bomb = archive(tmp_path / "a.npz", {"x.npy": packed}, compression=zipfile.ZIP_DEFLATED)
    size = bomb.stat().st_size
    error = refuse(bomb, rf"unpacks to 80\d+ bytes, and {200 * size} are allowed for {size}")
    assert error.fields["path"] == str(bomb)
    refuse(archive(tmp_path / "b.npz", {"x.npy": packed[:-1]}), "are there")
    read_npz(archive(tmp_path / "c.npz", {"x.npy": packed}), "thing")


def forge(path, members, x=None):
    """An archive whose directory says of x.npy what `members` says, field by field."""
    archive(path, {"x.npy": x or npy(np.zeros(8))}, compression=zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    for signature, offsets in ((b"PK\x01\x02", (8, 10, 24)), (b"PK\x03\x04", (6, 8, 22))):
        at = content.index(signature)
        for (name, value), offset in zip(members, offsets, strict=False):
            layout = "<I" if name == "file_size" else "<H"
            if value is not None:
                struct.pack_into(layout, content, at + offset, value)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("flags", [1, 0x40, 0x20])
def test_encrypted_and_patched_members(tmp_path, flags):
    path = forge(tmp_path / "a.npz", [("flags", flags)])
    refuse(path, "damaged")


@pytest.mark.parametrize("method", [1, 6, 9, 12, 14, 93, 98, 999])
def test_members_of_another_compression(tmp_path, method):
    refuse(forge(tmp_path / "a.npz", [("flags", None), ("method", method)]), "damaged")


def test_a_directory_that_lies_about_sizes(tmp_path):
    """The header and the directory agree on 80 MB that are not there."""
    text = "{'descr': '<f8', 'fortran_order': False, 'shape': (10000000,), }"
    lies = [("flags", None), ("method", None), ("file_size", 80_001_000)]
    refuse(forge(tmp_path / "a.npz", lies, header(text) + bytes(64)), "damaged")


@pytest.mark.parametrize(
    "members",
    [
        {"x.npy": b""},
        {"x.npy": npy(np.ones(3))[:-1]},
        {"x.npy": npy(np.ones(3))[:20]},
        {"x.txt": b"text"},
        {"folder/": b""},
    ],
    ids=repr,
)
def test_odd_members(tmp_path, members):
    refuse(archive(tmp_path / "a.npz", members))


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        (None, "was not written by relu-opt"),
        ("", "was not written by relu-opt"),
        ("{", "was not written by relu-opt"),
        ("[]", "was not written by relu-opt"),
        ("3", "was not written by relu-opt"),
        ("[" * 100_000, "was not written by relu-opt"),
        ("{}", "was not written by relu-opt"),
        ('{"kind": "thing"}', r"has format version None, and this relu_opt reads version 1"),
        ('{"kind": "thing", "version": 2}', "format version 2.*Upgrade relu_opt"),
        ('{"kind": "thing", "version": "1"}', "format version '1'"),
        ('{"kind": "network", "version": 1}', "holds a 'network', and a 'thing' is needed"),
        ('{"kind": ["thing"], "version": 1}', "was not written by relu-opt"),
        ('{"kind": "thing", "version": ' + "9" * 5000 + "}", "was not written by relu-opt"),
    ],
    ids=lambda text: repr(text)[:30],
)
def test_descriptions_of_something_else(tmp_path, meta, message):
    refuse(archive(tmp_path / "a.npz", {"x.npy": npy([1.0])}, meta), message)


@pytest.mark.parametrize("array", [np.array([META]), np.array([1.0]), np.array(META.encode())])
def test_a_description_that_is_no_text(tmp_path, array):
    path = archive(tmp_path / "a.npz", {"meta.npy": npy(array)}, meta=None)
    refuse(path, "was not written by relu-opt")


@pytest.mark.parametrize(
    ("name", "kind", "ndim", "found"),
    [
        ("absent", "f", 1, "nothing"),
        ("counts", "f", 1, "int64 with 1 axes"),
        ("weights", "f", 1, "float64 with 2 axes"),
    ],
)
def test_needed_arrays(name, kind, ndim, found):
    with pytest.raises(DataError, match=rf"{name!r} should be of kind {kind!r}.*{found}") as caught:
        need(ARRAYS, name, kind, ndim)
    assert caught.value.fields["entry"] == name
    assert need(ARRAYS, "weights", "f", 2) is ARRAYS["weights"]


# -- damage ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def intact(tmp_path_factory, make_program):
    """The bytes of each kind of file, by the function that reads it."""
    folder = tmp_path_factory.mktemp("intact")
    prog = make_program(1, n=9, d=2, p=4, loss=ro.losses.Huber(0.4), weighted=True)
    weights = np.zeros(prog.weights_shape)
    weights[0, 0] = prog.patterns.gates[:, 0]
    cert = ro.certify(prog, weights)
    cert.save(folder / "certificate.npz")
    cert.network.save(folder / "network.npz")
    files = {name: (folder / f"{name}.npz").read_bytes() for name in ("certificate", "network")}
    readers = {"certificate": ro.Certificate.load, "network": ro.ReLUNetwork.load}
    # The same, compressed, so that damage reaches the decompressor.
    for name in list(files):
        with zipfile.ZipFile(folder / f"{name}.npz") as source:
            members = {each: source.read(each) for each in source.namelist()}
        packed = archive(folder / "packed.npz", members, None, zipfile.ZIP_DEFLATED)
        files[f"packed {name}"] = packed.read_bytes()
        readers[f"packed {name}"] = readers[name]
    return folder, files, readers


FILES = ("certificate", "network", "packed certificate", "packed network")


def load_or_refuse(intact, name, content):
    folder, _, readers = intact
    path = folder / "damaged.npz"
    path.write_bytes(content)
    try:
        readers[name](path)
    except DataError:
        return False
    return True


@pytest.mark.parametrize("name", FILES)
def test_intact_files_load(intact, name):
    assert load_or_refuse(intact, name, intact[1][name])


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=40)
@given(data=st.data())
def test_truncated_files(intact, name, data):
    content = intact[1][name]
    size = data.draw(st.integers(0, len(content) - 1))
    assert not load_or_refuse(intact, name, content[:size])


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=100)
@given(data=st.data())
def test_changed_bytes(intact, name, data):
    content = bytearray(intact[1][name])
    place = st.integers(0, len(content) - 1)
    for at, value in data.draw(st.lists(st.tuples(place, st.integers(0, 255)), max_size=6)):
        content[at] = value
    load_or_refuse(intact, name, bytes(content))


@pytest.mark.parametrize("name", FILES)
def test_every_byte_of_the_headers(intact, name):
    """Each byte of some of the zip's own records, set to 0 and to one more."""
    content = intact[1][name]
    directory = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    for at in [*range(34), *range(directory, directory + 50), *range(end, len(content))]:
        for value in {0, (content[at] + 1) % 256}:
            changed = bytearray(content)
            changed[at] = value
            load_or_refuse(intact, name, bytes(changed))


def rewritten(content, name, change):
    """The archive with one member's bytes changed, its checksums right."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(stream, "w") as target:
        for each in source.namelist():
            data = source.read(each)
            target.writestr(each, change(data) if each == name else data)
    return stream.getvalue()


@pytest.mark.parametrize("name", FILES[:2])
@settings(max_examples=150)
@given(data=st.data())
def test_changed_members_with_right_checksums(intact, name, data):
    with zipfile.ZipFile(io.BytesIO(intact[1][name])) as source:
        member = data.draw(st.sampled_from(source.namelist()))
        size = source.getinfo(member).file_size
    # Most bytes of an .npy file worth changing are in its header.
    place = st.integers(0, min(size, 128) - 1) | st.integers(0, size - 1)
    changes = data.draw(st.lists(st.tuples(place, st.integers(0, 255)), min_size=1, max_size=4))

    def change(content):
        content = bytearray(content)
        for at, value in changes:
            content[at] = value
        return bytes(content)

    load_or_refuse(intact, name, rewritten(intact[1][name], member, change))


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["squared", "huber", "relu", "own", "certified"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=150)
@given(data=st.data())
@example(data=None)
def test_changed_descriptions(intact, data):
    """Any JSON value in any place of a certificate's description."""
    content = intact[1]["certificate"]
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        text = str(np.load(io.BytesIO(source.read("meta.npy"))))
    meta = json.loads(text)
    name, value = ("lam", 10**400)
    if data is not None:
        name, value = data.draw(st.sampled_from(sorted(meta))), data.draw(values)
    for other in ({**meta, name: value}, {key: meta[key] for key in meta if key != name}):
        try:
            text = json.dumps(other)
        except ValueError:  # an integer of more digits than Python prints
            continue
        changed = rewritten(content, "meta.npy", lambda _, text=text: npy(np.array(text)))
        load_or_refuse(intact, "certificate", changed)


def test_a_truncated_stream_inside_a_sound_directory(intact):
    """The compressed data end early although sizes and checksum say otherwise."""
    raw = npy(np.zeros(1000))
    path = archive(intact[0] / "x.npz", {"x.npy": raw}, compression=zipfile.ZIP_DEFLATED)
    content = path.read_bytes()
    packed = zlib.compressobj(wbits=-15)
    stream = packed.compress(raw) + packed.flush()
    at = content.index(stream)
    path.write_bytes(content[:at] + b"\xff" * len(stream) + content[at + len(stream) :])
    refuse(path, "damaged")
