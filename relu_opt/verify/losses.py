r"""The losses and their conjugates, a second time for `relu_opt.verify`, with every rounding.

F(z) = (1/n) Σ_k s_k ℓ(z_k, y_k) is bounded from above at fits that are known up to an error, and
D(ν) = −(1/n) Σ_k s_k ℓ*(−n ν_k/s_k, y_k) from below. D is concave and D(0) = 0, since every loss
is nonnegative and reaches 0; so D(tν) ≥ t D(ν) for t in [0, 1], and a point that leaves the domain
of a conjugate on its far side is shrunk into it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from relu_opt.verify.logs import entropy_below, softplus_above
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

# Losses whose targets are the labels −1 and +1.
LABELLED = ("logistic", "squared_hinge", "hinge")


class Term(Protocol):
    """What the mean loss depends on, beside the data."""

    @property
    def loss(self) -> str: ...

    @property
    def delta(self) -> float: ...

    @property
    def weight(self) -> FloatArray: ...


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


# -- from above ----------------------------------------------------------------


def mean_loss_above(
    term: Term, hidden: FloatArray, error: FloatArray, constant: float, y: FloatArray
) -> float:
    """What F does not exceed at fits within `error` of `hidden`, plus the constant exactly."""
    if term.loss in LABELLED:
        fits = hidden + constant
        error = error + UNIT * np.abs(fits)
        losses = _of_margins(term.loss, y * fits, error)
    else:
        # An offset of y that the constant takes up costs one rounding only.
        offset = constant - y
        residual = hidden + offset
        error = error + UNIT * (np.abs(offset) + np.abs(residual))
        size = (np.abs(residual) + error * (1 + 8 * UNIT)) * (1 + 2 * UNIT)
        near = np.minimum(size, term.delta) if term.loss == "huber" else size
        losses = near * (size - near / 2)
    mean = above(total(term.weight * losses) / len(y), 10)
    return mean + UNDERFLOW if losses.any() else mean


def _of_margins(loss: str, margins: FloatArray, error: FloatArray) -> FloatArray:
    if loss == "logistic":
        return softplus_above(-margins, error)
    short = 1 - margins
    error = (error + UNIT * np.abs(short)) * (1 + 8 * UNIT)
    short = np.maximum(short + error, 0.0) * (1 + 2 * UNIT)
    return short if loss == "hinge" else short * short / 2


# -- from below ----------------------------------------------------------------


def dual_point(term: Term, nu: FloatArray, y: FloatArray, free_constant: bool) -> DualPoint | None:
    """The dual point that ν gives; None where an entry has the wrong sign for its label.

    With a free constant Σν has to be zero: what is left is taken out of one entry, exactly.
    """
    n, labels = len(y), term.loss in LABELLED
    edge = {"logistic": 1.0, "hinge": 1.0, "huber": term.delta}.get(term.loss, math.inf)
    parts = remainders(nu) if free_constant else []
    moves: tuple[tuple[int, float], ...] = ()
    row = 0
    if parts:
        size = n * np.abs(nu) / term.weight
        row = int(np.argmax(size if edge == math.inf else np.minimum(size, edge - size)))
        # Twice: the roundings of the others are relative to ν.
        moves = ((row, above(2 * math.fsum(abs(part) for part in parts), 2)),)
    settled = nu.copy()
    # One rounding, so that its sign is right.
    settled[row] = math.fsum([settled[row], *(-part for part in parts)])
    slope = n * settled / term.weight
    tau = slope * y if labels else np.abs(slope)
    if not (tau >= 0).all():
        return None
    top = above(float(tau.max()), 4)
    share = 1.0 if top <= edge else edge / top * (1 - gamma(8))
    if term.loss == "logistic":
        return _of_entropy(term, np.minimum(share * tau, 1.0), share, moves, y, free_constant)
    linear = exact_dot((nu, y), *(([-part], [y[row]]) for part in parts))
    square = 0.0
    if term.loss != "hinge":
        square = above(n / 2 * total(settled * settled / term.weight), 8) + UNDERFLOW

    def below(t: float) -> float:
        t *= share
        one, two = t * linear, t * t * square
        return one - two - 8 * UNIT * (abs(one) + two) - (UNDERFLOW if linear else 0.0)

    scaled = tuple((k, share * size) for k, size in moves)
    return DualPoint(share, 2, scaled, below)


def _of_entropy(
    term: Term,
    tau: FloatArray,
    share: float,
    moves: tuple[tuple[int, float], ...],
    y: FloatArray,
    free_constant: bool,
) -> DualPoint:
    """D at these very doubles τ = n ν y/s; their distance from ν is charged to feasibility."""
    n, repair = len(y), 0.0
    moves = tuple((k, share * size) for k, size in moves)
    left = abs(exact_dot((term.weight * y, tau))) * (1 + 4 * UNIT) if free_constant else 0.0
    if left:
        # The doubles do not sum to zero any more: again taken out of one entry, whose entropy has
        # at most the slope −log(a/2) in between.
        room = np.minimum(tau, 1 - tau)
        row = int(np.argmax(room * term.weight))
        if not 4 * left / term.weight[row] < room[row]:
            return DualPoint(share, 12, moves, lambda t: 0.0)
        moves = (*moves, (row, above(left / n, 4)))
        repair = left / n * math.log(2 / float(room[row])) * (1 + 1e-9)
    value = math.fsum((term.weight * entropy_below(tau)).tolist()) / n * (1 - gamma(8)) - repair

    def below(t: float) -> float:
        return t * value - 4 * UNIT * abs(t * value) - (UNDERFLOW if value else 0.0)

    return DualPoint(share, 12, moves, below)
