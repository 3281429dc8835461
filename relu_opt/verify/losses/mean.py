r"""The mean loss from above and its conjugate from below, in doubles with every rounding.

F(z) = (1/n) Σ_k s_k ℓ(z_k, y_k) is bounded at fits that are known up to an error, and
D(ν) = −(1/n) Σ_k s_k ℓ*(−n ν_k/s_k, y_k) at the doubles ν themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from relu_opt.verify.losses.base import Loss
from relu_opt.verify.rounding import (
    UNDERFLOW,
    UNIT,
    FloatArray,
    above,
    exact_dot,
    gamma,
    remainders,
    total,
)


class Term(Protocol):
    """What the mean loss depends on, beside the data."""

    @property
    def loss(self) -> Loss: ...

    @property
    def weight(self) -> FloatArray: ...


@dataclass(frozen=True)
class MeanLoss:
    """A mean loss by itself."""

    loss: Loss
    weight: FloatArray


@dataclass(frozen=True)
class DualPoint:
    """A point in the domain of the conjugates, made of ν, and the bound of it and its multiples.

    Attributes
    ----------
    share : float
        The point is `share`·ν, but for what follows.
    roundings : int
        Its entries differ from that by at most so many roundings,
    moves : tuple of (int, float)
        and at these rows by at most so much.
    below : callable
        A lower bound on D at t times the point, for t in [0, 1].
    """

    share: float
    roundings: int
    moves: tuple[tuple[int, float], ...]
    below: Callable[[float], float]


def mean_loss_above(
    term: Term, hidden: FloatArray, error: FloatArray, constant: float, y: FloatArray
) -> float:
    """What F does not exceed at fits within `error` of `hidden`, plus the constant exactly."""
    losses = term.loss.above(hidden, error, constant, y)
    mean = above(total(term.weight * losses) / len(y), 14)
    return mean + UNDERFLOW if losses.any() else mean


def dual_point(term: Term, nu: FloatArray, y: FloatArray, free_constant: bool) -> DualPoint | None:
    """The dual point that ν gives; None where no multiple of an entry has a finite conjugate.

    With a free constant Σν has to be zero: what is left is taken out of one entry, exactly.
    """
    n, loss = len(y), term.loss
    low, high = loss.slopes(y)
    parts = remainders(nu) if free_constant else []
    moves: tuple[tuple[int, float], ...] = ()
    row = 0
    if parts:
        v = n * nu / term.weight
        row = int(np.argmax(np.minimum(np.abs(v), np.minimum(high - v, v - low))))
        # Twice: the roundings of the others are relative to ν.
        moves = ((row, above(2 * math.fsum(abs(part) for part in parts), 2)),)
    settled = nu.copy()
    # One rounding, so that its sign is right.
    settled[row] = math.fsum([settled[row], *(-part for part in parts)])
    v = n * settled / term.weight
    edges = np.where(v > 0, high, low)
    used = np.where(v == 0, 0.0, v / np.where(v == 0, 1.0, edges))
    top = above(float(used.max()), 6)
    if not top < math.inf:
        return None
    share = 1.0 if top <= 1 else (1 - gamma(8)) / top
    offset = loss.offset(y)
    linear = share * exact_dot((nu, offset), *(([-part], [offset[row]]) for part in parts))
    rests = term.weight * loss.rest_above(share * v, y)
    slack = gamma(10) * math.fsum(np.abs(rests).tolist()) / n
    rest = math.fsum(rests.tolist()) / n + slack + (UNDERFLOW if v.any() else 0.0)

    def below(t: float) -> float:
        one, two = t * linear, t**loss.degree * rest
        return one - two - 8 * UNIT * (abs(one) + abs(two)) - (UNDERFLOW if linear else 0.0)

    return DualPoint(share, 2, tuple((k, share * size) for k, size in moves), below)
