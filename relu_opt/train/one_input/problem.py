r"""One-dimensional data, and what a network with a free hidden bias costs there.

    minimise  F(f) + λ·cost(f)  over the values f at the data,

F the mean loss. cost(f) is the smallest Σ_j |w_j| of neurons w(±(x − t))_+ and a constant that
take these values: with the slopes s between neighbouring data,

    cost(f) = max(V, (V + |s_first + s_last|)/2),   V = Σ |s_{i+1} − s_i|,

which is P + N + max(0, s₁ − N, −P − s₁), P and N the sums of the slopes' rises and falls. Some
cheapest network has its kinks at data points.

A dual point ν has Σν = 0 and M(ν) = max_t |νᵀ(x − t)_+|, |νᵀ(t − x)_+| ≤ λ. Both are piecewise
linear in t with breaks at the data, so that M is a maximum over data points, found in O(n).

Source: Ergen & Pilanci (JMLR 2021), where the loss is a sum and the strength β = nλ; the closed
form of the cost is our own.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import (
    FloatArray,
    IntArray,
    as_array,
    as_floats,
    as_positive,
    as_targets,
    frozen,
)
from relu_opt.errors import DataError
from relu_opt.program.loss_term import LossTerm, of_mean_one
from relu_opt.program.losses import Loss, get_loss
from relu_opt.program.units import Units, centre_of, exponent
from relu_opt.train.one_input.constraints import CONSTRAINTS, Constraint, HardMargin, Interpolation

# Slopes between points that are closer than this share of the range mean nothing.
CLOSEST = 1e-15


@dataclass(frozen=True, eq=False)
class SplineProblem(LossTerm):
    """Training of a network of one input, its hidden bias free of charge.

    Parameters
    ----------
    x, y : (n,) array
        Data in any order; x may repeat.
    lam : float or None
        Strength λ on the scale of the *mean* loss; None with a constraint in place of a loss.
    loss : str, Loss or constraint
        A loss of `ConvexProgram`, `interpolation` or `hard_margin`.
    sample_weight : (n,) array, optional
        Weights > 0; they are rescaled to mean 1.

    Raises
    ------
    DataError
        For anything that is not such a problem.
    """

    x: FloatArray
    y: FloatArray
    lam: float
    loss: Loss = field(default="squared")  # type: ignore[assignment]
    sample_weight: FloatArray | None = None
    intercept: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        settle = object.__setattr__
        settle(self, "x", as_inputs(self.x))
        settle(self, "y", as_targets(self.y, "y", len(self.x), "x"))
        settle(self, "loss", loss_or_constraint(self.loss))
        settle(self, "lam", self._checked_strength(self.lam))
        self.loss.check_targets(self.y, intercept=True)
        if self.sample_weight is not None:
            settle(self, "sample_weight", self._checked_weights(self.sample_weight))
        self._check_distances()
        if self.constrained:
            self._check_agreement()

    def _checked_strength(self, lam: float | None) -> float:
        if not self.constrained:
            if lam is None:
                raise DataError(f"The {self.loss.name} loss needs lam > 0. Pass lam.", lam=lam)
            return as_positive(lam, "lam")
        if lam is not None:
            raise DataError(
                f"lam is {lam!r}, and {self.loss.name} has no strength: the fit is demanded, and "
                "the smallest cost is sought. Leave lam out.",
                lam=lam,
            )
        return 1.0

    def _checked_weights(self, sample_weight: ArrayLike) -> FloatArray:
        if self.constrained:
            raise DataError(
                f"sample_weight has no meaning with {self.loss.name}. Leave it out.",
                loss=self.loss.name,
            )
        return of_mean_one(as_targets(sample_weight, "sample_weight", self.n, "x"))

    def _check_distances(self) -> None:
        with np.errstate(over="ignore"):
            if not np.isfinite(np.ptp(self.x)):
                raise DataError("The range of x overflows. Rescale x.")
        if len(self.steps) and self.steps.min() < CLOSEST:
            first = int(np.argmin(self.steps))
            pair = self.positions[first : first + 2]
            raise DataError(
                f"x holds {pair[0]!r} and {pair[1]!r}, which differ by less than {CLOSEST:g} of "
                "the range. Round x, so that they are one point.",
                points=pair.tolist(),
            )

    def _check_agreement(self) -> None:
        """Whether samples at one x ask for one value."""
        low, high = np.full(len(self.positions), np.inf), np.full(len(self.positions), -np.inf)
        np.minimum.at(low, self.where, self.y)
        np.maximum.at(high, self.where, self.y)
        if (low < high).any():
            first = int(np.argmax(low < high))
            raise DataError(
                f"x = {self.positions[first]!r} has the targets {low[first]:g} and "
                f"{high[first]:g}, and no function has both values. Use a loss in place of "
                f"{self.loss.name}.",
                x=float(self.positions[first]),
            )

    # -- the data, sorted ------------------------------------------------------

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.x)

    @property
    def constrained(self) -> bool:
        """Whether the fit is demanded, and not paid for by a loss."""
        return isinstance(self.loss, Interpolation | HardMargin)

    @cached_property
    def positions(self) -> FloatArray:
        """The distinct x in increasing order, (m,)."""
        return np.unique(self.x)

    @cached_property
    def where(self) -> IntArray:
        """Which of the positions each sample is at, (n,)."""
        return np.searchsorted(self.positions, self.x)

    @cached_property
    def width(self) -> float:
        """The range of x; 1 if there is one position only."""
        return float(self.positions[-1] - self.positions[0]) or 1.0

    @cached_property
    def steps(self) -> FloatArray:
        """Distances of neighbouring positions over the range, (m − 1,)."""
        return np.diff(self.positions) / self.width

    @cached_property
    def _runs(self) -> tuple[IntArray, IntArray]:
        """The samples in the order of their positions, and where each position's begin."""
        order = np.argsort(self.where, kind="stable")
        return order, np.searchsorted(self.where[order], np.arange(len(self.positions)))

    def at_positions(self, values: FloatArray) -> FloatArray:
        """Sums over the samples of each position, (m,)."""
        return np.asarray(np.bincount(self.where, values, len(self.positions)), dtype=np.float64)

    # -- units -----------------------------------------------------------------

    @cached_property
    def units(self) -> Units:
        """The powers of two that bring the range of x and the targets to size one."""
        x = exponent(np.array([self.width]))
        if self.loss.rescaled(0) is None:
            return Units(x)
        # The constant is free, and so is what targets are measured from.
        centre = centre_of(self.y)
        return Units(x, exponent(self.y - centre), centre)

    @cached_property
    def canonical(self) -> SplineProblem:
        """The same problem in its `units`: what is solved.

        Raises
        ------
        DataError
            If λ is too small or too large beside x and y to be held by a double there.
        """
        units = self.units
        lam = self.lam if self.constrained else units.in_strength(self.lam)
        if not sys.float_info.min <= lam <= sys.float_info.max:
            raise DataError(
                f"lam is {self.lam:g}, which is beyond double precision beside x of range "
                f"2^{units.x} and y of size 2^{units.y}. Choose another lam.",
                lam=self.lam,
            )
        made = object.__new__(SplineProblem)  # checked already, weights and all
        made.__dict__.update(
            x=frozen(units.in_data(self.x)),
            y=frozen(units.in_targets(self.y)),
            lam=lam,
            loss=self.loss if self.constrained else units.in_loss(self.loss),
            sample_weight=self.sample_weight,
            intercept=True,
        )
        return made

    # -- the dual constraint ---------------------------------------------------

    def hinges(self, nu: FloatArray) -> FloatArray:
        """νᵀ(x − t)_+ at each position t, (m,), for Σν = 0; the first one is νᵀx."""
        return self._moments(self.at_positions(nu)[::-1], self.steps[::-1])[::-1]

    def largest(self, nu: FloatArray) -> float:
        """M(ν), the largest |νᵀ(±(x − t))_+| over the positions, and what rounding may hide of it.

        The left side has sums of its own: Σν = 0 holds up to rounding only, and a wide range of x
        makes more of that than λ allows.
        """
        order, starts = self._runs
        sums = np.add.reduceat(nu[order].astype(np.longdouble), starts)
        more = np.diff(starts, append=self.n) - 1
        shared = self.at_positions(np.abs(nu)) * more
        steps = np.diff(self.positions.astype(np.longdouble))
        right = _at_most(sums[::-1], shared[::-1], steps[::-1])
        return max(right, _at_most(sums, shared, steps))

    def _moments(self, sums: FloatArray, steps: FloatArray) -> FloatArray:
        """Σ of sums times distances to each position, over the positions that come before it."""
        # Long sums of numbers that cancel: in extended precision, where the machine has it.
        beyond = np.cumsum(sums[:-1].astype(np.longdouble))
        areas = np.append(np.longdouble(0), np.cumsum(beyond * steps))
        return np.asarray(areas.astype(np.float64) * self.width)


def _at_most(sums: np.ndarray, shared: FloatArray, steps: np.ndarray) -> float:
    """The largest |moment|, with the error of each operation along the way added to it.

    `shared`, times the unit of rounding, is what the sums may be off by.
    """
    unit = np.finfo(np.longdouble).eps  # twice what an operation may be off by: second orders too
    beyond = np.cumsum(sums[:-1])
    off = unit * np.cumsum(np.abs(beyond) + shared[:-1])
    areas = np.cumsum(beyond * steps)
    off = np.cumsum(off * steps + unit * (2 * np.abs(beyond * steps) + np.abs(areas)))
    largest = (np.abs(areas) + off).max(initial=np.longdouble(0))
    return float(np.nextafter(np.float64(largest), np.inf)) if largest else 0.0


def as_inputs(x: ArrayLike) -> FloatArray:
    """The inputs, (n,), of one axis or one column, or a DataError."""
    array = as_array(x, "x")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    return as_floats(array, "x", 1)


def loss_or_constraint(loss: object) -> Loss | Constraint:
    """The loss or constraint of this name, or a DataError."""
    if isinstance(loss, Interpolation | HardMargin):
        return loss
    if isinstance(loss, str) and loss in CONSTRAINTS:
        return CONSTRAINTS[loss]()
    return get_loss(loss)  # type: ignore[arg-type]


def spline_cost(values: FloatArray, steps: FloatArray) -> float:
    """The cost of a spline of these values at its knots, (k,), the distances being (k − 1,)."""
    if not len(steps):
        return 0.0
    slopes = np.diff(values) / steps
    variation = float(np.abs(np.diff(slopes)).sum())
    return max(variation, 0.5 * (variation + abs(float(slopes[0] + slopes[-1]))))


def spline_features(x: ArrayLike) -> FloatArray:
    """The kernel matrix K: the columns over which a spline's training is a Lasso.

    With the free hidden bias, training is min over w, c of F(Kw + c) + λ‖w‖₁ exactly, so that any
    Lasso solver can be used on it. For scikit-learn's `Lasso`, whose loss is half the mean square,
    alpha is λ. It takes 16 n² bytes; `fit_spline` does without it.

    Parameters
    ----------
    x : (n,) array
        Inputs in any order; they may repeat.

    Returns
    -------
    K : (n, 2(m − 1)) array
        For the m distinct inputs t₁ < … < t_m: the columns (x − t_j)_+ for j < m, then
        (t_j − x)_+ for j > 1.
    """
    inputs = as_inputs(x)
    positions = np.unique(inputs)
    right = np.maximum(inputs[:, None] - positions[:-1], 0.0)
    left = np.maximum(positions[1:] - inputs[:, None], 0.0)
    return np.hstack([right, left])
