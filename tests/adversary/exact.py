"""Objectives in exact rationals, of the doubles as they are.

Sums of products are made of Python's integers times a common power of two. The logistic loss, which
is not rational, is computed to 100 digits or more.
"""

from __future__ import annotations

import decimal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIGITS = decimal.Context(
    prec=200, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[decimal.InvalidOperation]
)
# e^-z is below the last digit that is kept from here on.
FLAT = 2000


@dataclass(frozen=True, eq=False)
class Network:
    """Neurons (xᵀu)₊ a, or 1[xᵀg ≥ 0] (xᵀu) a with gates, and the output constants.

    `output` is (m,), (m, c) or (m, K, c), and `constant` has as many axes as one output row.
    """

    hidden: NDArray[np.float64]
    output: NDArray[np.float64]
    constant: NDArray[np.float64]
    gates: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Network:
        """The network of a certificate's arrays."""
        return cls(arrays["hidden"], arrays["output"], arrays["intercept"], arrays.get("gates"))


def integers(values: NDArray[np.float64]) -> tuple[NDArray[Any], int]:
    """Python integers k, as an array of objects, and e: the values are k · 2^e exactly."""
    mantissas, exponents = np.frexp(np.asarray(values, dtype=np.float64))
    whole = (mantissas * 2.0**53).astype(np.int64)
    used = exponents[whole != 0]
    low = int(used.min()) if used.size else 0
    result = np.empty(whole.shape, dtype=object)
    result.flat = [
        int(k) << int(e) - low if k else 0 for k, e in zip(whole.flat, exponents.flat, strict=True)
    ]
    return result, low - 53


def scaled(k: int, exponent: int) -> Fraction:
    """k · 2^exponent."""
    return Fraction(k << exponent) if exponent >= 0 else Fraction(k, 1 << -exponent)


def products(one: NDArray[np.float64], two: NDArray[np.float64]) -> tuple[NDArray[Any], int]:
    """The matrix one @ two in integers, and its exponent."""
    (a, ea), (b, eb) = integers(one), integers(two)
    result = a @ b if a.shape[-1] else np.zeros((*a.shape[:-1], *b.shape[1:]), dtype=object)
    return result, ea + eb


def predictions(
    rows: NDArray[np.float64],
    hidden: NDArray[np.float64],
    output: NDArray[np.float64],
    gates: NDArray[np.float64] | None = None,
) -> list[Fraction]:
    """Σ_j (x_kᵀu_j)₊ a_j for each row, or with gates in place of the signs."""
    if not len(hidden):
        return [Fraction(0)] * len(rows)
    linear, exponent = products(rows, hidden.T)
    active = linear > 0 if gates is None else products(rows, gates.T)[0] >= 0
    weights, low = integers(output)
    return [scaled(int(k), exponent + low) for k in np.where(active, linear, 0) @ weights]


def squares(*arrays: NDArray[np.float64]) -> Fraction:
    """The sum of the squares of all entries."""
    total = Fraction(0)
    for values in arrays:
        whole, exponent = integers(values)
        total += scaled(sum(int(k) * int(k) for k in whole.flat), 2 * exponent)
    return total


def fractions(values: Iterable[float]) -> list[Fraction]:
    """The doubles as rationals."""
    return [Fraction(float(value)) for value in values]


def loss(name: str, delta: Fraction, z: Fraction, y: Fraction) -> Fraction:
    """ℓ(z, y)."""
    if name == "squared":
        return (z - y) ** 2 / 2
    if name == "huber":
        far = abs(z - y)
        near = min(far, delta)
        return near * (far - near / 2)
    if name == "logistic":
        return softplus(-y * z)
    miss = max(Fraction(0), 1 - y * z)
    return miss if name == "hinge" else miss**2 / 2


def softplus(z: Fraction) -> Fraction:
    """log(1 + e^z) to 100 digits, or below the true value by less than e^-2000."""
    positive, size = max(z, Fraction(0)), abs(z)
    if size > FLAT:
        return positive
    # No operator here: it would round to the 28 digits of the context that is in force.
    power = DIGITS.exp(DIGITS.divide(decimal.Decimal(-size.numerator), size.denominator))
    # log(1 + p) = p - p²/2 + … where 1 + p would lose the digits of p.
    small = power < decimal.Decimal("1e-100")
    grown = power if small else DIGITS.ln(DIGITS.add(1, power))
    return positive + Fraction(grown)


def mean_loss(
    name: str,
    delta: float,
    weights: Iterable[float] | None,
    fits: list[Fraction],
    targets: Iterable[float],
) -> Fraction:
    """(1/n) Σ_k s_k ℓ(z_k, y_k)."""
    edge = Fraction(delta) if name == "huber" else Fraction(0)
    losses = [loss(name, edge, z, y) for z, y in zip(fits, fractions(targets), strict=True)]
    shares = [Fraction(1)] * len(losses) if weights is None else fractions(weights)
    return sum((s * each for s, each in zip(shares, losses, strict=True)), Fraction(0)) / len(fits)


def shown(value: Fraction) -> str:
    """20 digits of a rational that may be out of the range of doubles."""
    return f"{DIGITS.divide(decimal.Decimal(value.numerator), value.denominator):.20g}"
