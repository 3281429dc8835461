"""Powers of two that bring data near 1: the proof is made there, and depends on no unit."""

from __future__ import annotations

import numpy as np

from relu_opt.verify.rounding import FloatArray

# Proofs in doubles are for numbers of at most 2^RANGE, once the data are near 1.
RANGE = 200
TOO_WIDE = (
    "The certificate's numbers span more than doubles can prove anything of. "
    "Use arithmetic='exact'."
)


def exponent(values: FloatArray) -> int:
    """The e for which the largest |value| is in [2^(e−1), 2^e); 0 if all are zero."""
    return int(np.frexp(np.abs(values).max(initial=0.0))[1])


def scaled(values: FloatArray, power: int) -> FloatArray:
    """values·2^power: exact, but for what is smaller than 2⁻¹⁰⁷⁴."""
    return np.asarray(np.ldexp(values, power))


def in_range(*arrays: FloatArray) -> bool:
    """Whether all numbers are at most 2^RANGE."""
    return all(bool((np.abs(array) <= 2.0**RANGE).all()) for array in arrays)
