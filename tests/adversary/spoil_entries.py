"""Spoils of single entries: of other types and shapes, missing, not finite, absurd."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from .answers import Answer
from .data import Rng
from .registry import PROBLEMS, spoil, tiny

NUMBERS = ("primal", "dual", "rel_gap", "gap")
# What a JSON file can hold in place of anything.
ODDITIES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**63, 10**400, -(10**400), 1e308, -1e308, 5e-324, math.nan,
    math.inf, -math.inf, "", "all", "certified", "\0", "é" * 3000, "1e-8", [], [1.0], [[]], {},
    {"delta": None}, {"delta": math.nan}, {"delta": 1.0}, {"delta": 1.0, "more": 1}, {"": {"": []}},
)  # fmt: skip
DTYPES = ("f4", "f8", ">f8", "f2", "c16", "i8", "i4", ">i8", "u1", "u8", "b1", "U3", "S3", "M8[s]")


def _one_of(rng: Rng, names: Any) -> Any:
    names = sorted(names)
    return names[rng.integers(len(names))]


@spoil(*PROBLEMS)
def claim_missing(rng: Rng, answer: Answer) -> Answer:
    """One claim less."""
    gone = _one_of(rng, answer.claims)
    return replace(answer, claims={k: v for k, v in answer.claims.items() if k != gone})


@spoil(*PROBLEMS)
def claim_odd(rng: Rng, answer: Answer) -> Answer:
    """One claim of another type or an absurd value."""
    return answer.saying(**{_one_of(rng, answer.claims): ODDITIES[rng.integers(len(ODDITIES))]})


@spoil(*PROBLEMS)
def claim_number(rng: Rng, answer: Answer) -> Answer:
    """One number a little off, or not a number."""
    name = _one_of(rng, [name for name in NUMBERS if name in answer.claims])
    moved = answer.claims[name] * (1 + rng.choice([-1, 1]) * tiny(rng))
    return answer.saying(**{name: float(rng.choice([moved, 0.0, math.nan, math.inf, -math.inf]))})


@spoil(*PROBLEMS)
def claim_verdict(rng: Rng, answer: Answer) -> Answer:
    return answer.saying(verdict=str(rng.choice(["certified", "not_certified", "inconclusive"])))


@spoil(*PROBLEMS)
def claim_fingerprint(rng: Rng, answer: Answer) -> Answer:
    digits = str(answer.claims["fingerprint"])
    k = int(rng.integers(len(digits) or 1))
    return answer.saying(fingerprint=f"{digits[:k]}{rng.choice(list('0Fz'))}{digits[k + 1 :]}")


@spoil(*PROBLEMS)
def claim_problem(rng: Rng, answer: Answer) -> Answer:
    """The claims of one problem over the arrays of another."""
    kinds = ("spline", "several_outputs", "network", "deep", "interpolation", "sparsity", "")
    return answer.saying(problem=str(rng.choice(kinds)))


@spoil(*PROBLEMS)
def entry_missing(rng: Rng, answer: Answer) -> Answer:
    return answer.having(**{_one_of(rng, answer.arrays): None})


@spoil(*PROBLEMS)
def entry_typed(rng: Rng, answer: Answer) -> Answer:
    """One array of another type."""
    name = _one_of(rng, answer.arrays)
    array = answer.arrays[name]
    if rng.random() < 0.1:
        return answer.having(**{name: array.astype(object)})
    dtype = str(rng.choice(DTYPES))
    with np.errstate(all="ignore"):
        return answer.having(**{name: np.nan_to_num(array).astype("i8").astype(dtype)})


@spoil(*PROBLEMS)
def entry_shaped(rng: Rng, answer: Answer) -> Answer:
    """One array of another shape."""
    name = _one_of(rng, answer.arrays)
    array = answer.arrays[name]
    shapes = (
        array[None], array.ravel(), array.T, array[:0] if array.ndim else array[None][:0],
        np.concatenate([array, array]) if array.ndim else np.array([array, array]),
        array[..., None], array[:-1] if array.ndim else array,
    )  # fmt: skip
    return answer.having(**{name: shapes[rng.integers(len(shapes))]})


@spoil(*PROBLEMS)
def entry_value(rng: Rng, answer: Answer) -> Answer:
    """One number of one array: not finite, huge, tiny, or a bit flipped."""
    name = _one_of(rng, answer.arrays)
    array = np.array(answer.arrays[name])
    if not array.size:
        return answer
    if rng.random() < 0.5:
        flat = np.frombuffer(array.tobytes(), dtype=np.uint8).copy()
        flat[rng.integers(len(flat))] ^= np.uint8(1 << rng.integers(8))
        return answer.having(**{name: flat.view(array.dtype).reshape(array.shape)})
    values = (math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, -0.0, 1e155, 1e-155)
    value = values[rng.integers(len(values))]
    if array.dtype.kind != "f":
        value = (
            int(rng.choice([0, 1, 127])) if array.dtype.kind == "u" else int(rng.integers(-9, 9))
        )
    array.flat[rng.integers(array.size)] = value
    return answer.having(**{name: array})


@spoil(*PROBLEMS)
def entry_borrowed(rng: Rng, answer: Answer) -> Answer:
    """One array in the place of another, or one that nobody asked for."""
    name, other = _one_of(rng, answer.arrays), _one_of(rng, answer.arrays)
    extra = str(
        rng.choice([name, "gates", "sample_weight", "pattern_gates", "patches", "rho_more"])
    )
    return answer.having(**{extra: answer.arrays[other]})
