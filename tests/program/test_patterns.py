"""Patterns: packing, gates, sampling, and the errors of unusable input."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from relu_opt.errors import DataError
from relu_opt.program import patterns as module
from relu_opt.program.patterns import (
    Patterns,
    masks_of,
    patterns_of_gates,
    sample_patterns,
    unique_rows,
)

some_masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20))


@given(some_masks)
def test_packing_keeps_every_bit(masks):
    patterns = Patterns(masks)
    n, p = masks.shape
    assert (patterns.n, len(patterns)) == (n, p)
    assert patterns.packed.shape == (p, (n + 7) // 8)
    np.testing.assert_array_equal(patterns.masks, masks)
    assert patterns.masks.dtype == bool
    np.testing.assert_array_equal(patterns.unpack(slice(1, None)), masks.T[1:])
    chosen = np.arange(p)[::-2]
    np.testing.assert_array_equal(patterns.unpack(chosen), masks.T[chosen])
    again = Patterns.from_packed(patterns.packed, n)
    np.testing.assert_array_equal(again.masks, masks)


@given(some_masks, st.integers(1, 64))
def test_chunks_cover_the_patterns_once(masks, bytes_each):
    patterns = Patterns(masks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK_BYTES", 100)
        chunks = list(patterns.chunks(bytes_each))
    covered = np.concatenate([np.arange(len(patterns))[part] for part in chunks])
    np.testing.assert_array_equal(covered, np.arange(len(patterns)))
    for part in chunks:
        size = part.stop - part.start
        assert size == 1 or size * bytes_each * patterns.n <= 100


@given(some_masks)
def test_unique_rows_are_the_first_ones_in_order(masks):
    packed = np.packbits(masks, axis=1)
    seen, wanted = set(), []
    for i, row in enumerate(packed):
        if row.tobytes() not in seen:
            seen.add(row.tobytes())
            wanted.append(i)
    assert unique_rows(packed).tolist() == wanted


@pytest.mark.parametrize("dtype", [int, np.uint8, np.float64, np.float32])
def test_numbers_0_and_1_are_masks(dtype):
    masks = np.array([[0, 1], [1, 1], [0, 0]])
    np.testing.assert_array_equal(Patterns(masks.astype(dtype)).masks, masks.astype(bool))


def test_input_is_copied_and_frozen():
    masks, gates = np.ones((3, 2), dtype=bool), np.ones((4, 2))
    patterns = Patterns(masks, gates)
    masks[:], gates[:] = False, 0.0
    assert patterns.masks.all()
    assert (patterns.gates == 1).all()
    with pytest.raises(ValueError, match="read-only"):
        patterns.packed[0, 0] = 0
    with pytest.raises(ValueError, match="read-only"):
        patterns.gates[0, 0] = 0.0
    packed = np.zeros((2, 1), dtype=np.uint8)
    patterns = Patterns.from_packed(packed, 5)
    packed[:] = 255
    assert not patterns.masks.any()


def test_repr_names_sizes():
    assert repr(Patterns(np.ones((3, 2)))) == "Patterns(n=3, p=2)"
    assert repr(Patterns(np.ones((3, 2)), complete=True)) == "Patterns(n=3, p=2, complete)"


@pytest.mark.parametrize("shape", [(3,), (0, 2), (2, 0), (2, 2, 2), ()])
def test_masks_of_a_wrong_shape(shape):
    with pytest.raises(DataError, match=r"masks has shape .* \(n, p\)") as caught:
        Patterns(np.ones(shape, dtype=bool))
    assert caught.value.fields["shape"] == shape


@pytest.mark.parametrize(
    "masks",
    [
        [[2, 0]],
        [[-1, 1]],
        [[0.5, 1.0]],
        [[np.nan, 1.0]],
        [["a", "b"]],
        [[None, 1]],
        [[1j, 0]],
    ],
)
def test_masks_of_other_values(masks):
    with pytest.raises(DataError, match="values other than 0 and 1"):
        Patterns(masks)


def test_ragged_masks():
    with pytest.raises(DataError, match="masks"):
        Patterns([[1], [1, 0]])


def test_bits_beyond_the_last_sample_have_no_meaning():
    """They would make two patterns of one, and the verifier refuses them."""
    try:
        patterns = Patterns.from_packed(np.array([[0b11111000], [0b11111111]], dtype=np.uint8), 5)
    except DataError:
        return
    np.testing.assert_array_equal(patterns.packed, [[0b11111000], [0b11111000]])


def test_gates_must_match_in_number():
    with pytest.raises(DataError, match="gates has 3 columns and masks has 2") as caught:
        Patterns(np.ones((4, 2)), np.ones((5, 3)))
    assert (caught.value.fields["gates"], caught.value.fields["masks"]) == (3, 2)
    with pytest.raises(DataError, match=r"gates holds nan at index \(0, 1\)"):
        Patterns(np.ones((4, 2)), [[1.0, np.nan]])


@pytest.mark.parametrize(
    ("packed", "n"),
    [
        (np.zeros((2, 1), dtype=np.int64), 8),
        (np.zeros(2, dtype=np.uint8), 8),
        (np.zeros((0, 1), dtype=np.uint8), 8),
        (np.zeros((2, 1), dtype=np.uint8), 9),
        (np.zeros((2, 2), dtype=np.uint8), 8),
        (np.zeros((2, 0), dtype=np.uint8), 0),
    ],
)
def test_unusable_packed_bits(packed, n):
    with pytest.raises(DataError, match="Packed patterns"):
        Patterns.from_packed(packed, n)


@given(st.integers(0, 10_000), st.integers(1, 20), st.integers(1, 4), st.integers(1, 30))
def test_patterns_of_gates(seed, n, d, k):
    rng = np.random.default_rng(seed)
    # Small integers, so that products are zero and gates share patterns often.
    X = rng.integers(-2, 3, (n, d)).astype(float)
    gates = rng.integers(-2, 3, (d, k)).astype(float)
    patterns = patterns_of_gates(X, gates)
    masks = X @ gates >= 0
    np.testing.assert_array_equal(patterns.masks, X @ patterns.gates >= 0)
    found = [mask.tobytes() for mask in patterns.masks.T]
    assert found == list(dict.fromkeys(mask.tobytes() for mask in masks.T))
    assert patterns.complete is False
    np.testing.assert_array_equal(masks_of(X, gates), masks)


def test_zero_rows_are_active_everywhere():
    X = np.array([[1.0, -1.0], [0.0, 0.0], [2.0, 0.5]])
    assert sample_patterns(X, 50).masks[1].all()


def test_sampling_is_the_recipe_and_depends_on_the_seed_alone():
    X = np.random.default_rng(0).standard_normal((30, 4))
    gates = np.random.default_rng(7).standard_normal((4, 25))
    sampled, given_ = sample_patterns(X, 25, seed=7), patterns_of_gates(X, gates)
    np.testing.assert_array_equal(sampled.packed, given_.packed)
    np.testing.assert_array_equal(sampled.gates, given_.gates)
    np.testing.assert_array_equal(sampled.packed, sample_patterns(X, 25, seed=7).packed)
    assert not np.array_equal(sampled.packed, sample_patterns(X, 25, seed=8).packed)


def test_gates_that_share_a_pattern_come_back_once():
    assert len(sample_patterns([[1.0], [2.0]], 40)) == 2


def test_chunked_packing_gives_the_same(monkeypatch):
    X = np.random.default_rng(0).standard_normal((30, 4))
    whole = sample_patterns(X, 25)
    monkeypatch.setattr(module, "CHUNK_BYTES", 8 * 30 * 3)
    np.testing.assert_array_equal(sample_patterns(X, 25).packed, whole.packed)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_gates": 0}, "n_gates is 0, and an integer of at least 1"),
        ({"n_gates": 2.0}, "n_gates is 2.0"),
        ({"n_gates": True}, "n_gates is True"),
        ({"seed": -1}, "seed is -1, and an integer of at least 0"),
        ({"seed": None}, "seed is None"),
        ({"X": [[1.0, np.inf]]}, r"X holds inf at index \(0, 1\)"),
        ({"X": [1.0, 2.0]}, r"X has shape \(2,\), and two axes, \(n, d\) are needed"),
        ({"X": np.empty((0, 2))}, r"X is empty \(shape \(0, 2\)\)"),
        ({"X": [["a"]]}, "X has dtype <U1, and real numbers are needed"),
        ({"X": [[1.0], [1.0, 2.0]]}, "X is ragged"),
        ({"X": [[10**400]]}, "X has dtype object"),
    ],
)
def test_unusable_arguments(changes, message):
    with pytest.raises(DataError, match=message):
        sample_patterns(**{"X": [[1.0], [2.0]], **changes})


def test_gates_of_another_size():
    with pytest.raises(DataError, match="gates has 3 rows, and X has 2 columns") as caught:
        patterns_of_gates(np.ones((4, 2)), np.ones((3, 5)))
    assert caught.value.fields == {"gates": (3, 5), "X": (4, 2)}


def test_memory_is_the_packed_bits_and_one_chunk():
    X = np.random.default_rng(0).standard_normal((20_000, 5))
    tracemalloc.start()
    try:
        patterns = sample_patterns(X, 3000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The masks would take 60 MB as bytes and 480 MB as the products they are made from.
    assert patterns.packed.nbytes <= 20_000 * 3000 / 8
    assert peak <= 3 * 20_000 * 3000 / 8 + 2 * module.CHUNK_BYTES
