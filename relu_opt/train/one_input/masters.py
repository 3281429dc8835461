r"""The training of a spline with given knots, as a quadratic or a linear program for a backend.

    minimise  loss(v) + Σ (p_j + q_j) + e   subject to
        slope changes:  δ_j (s_{j+1} − s_j) = δ_j (p_j − q_j),   p, q ≥ 0,
        the ends:       e ≥ s₁ − Σ q,  e ≥ −s₁ − Σ p,            e ≥ 0

in the values v at the knots, δ_j the harmonic distance of the knot's neighbours, so that no entry
is larger than one. s₁ is written as the slope of the widest cell less the changes in between:
a narrow first cell would make it the difference of nearly equal numbers. Values are in units of
the targets' spread about the current ones, the cost in units of λ times it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import block_array, csc_array, diags_array, eye_array, hstack, vstack

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt.train.one_input.knots import Knots


@dataclass(frozen=True, eq=False)
class Bounds:
    """Rows and costs of the slope changes and ends, over (v, p, q, e) about the current values."""

    A: csc_array
    lower: FloatArray
    upper: FloatArray
    cost: FloatArray
    free: int

    @classmethod
    def of(cls, knots: Knots, values: FloatArray, unit: float) -> Bounds:
        """Those of splines with values `values + unit · v` at the knots."""
        count, steps = len(knots), knots.steps
        inner = count - 2
        harmonic = 1 / (1 / steps[1:] + 1 / steps[:-1])
        slopes, scale = knots.slope_rows, diags_array(harmonic)
        bends = scale @ (slopes[1:] - slopes[:-1])
        wide = int(np.argmax(steps))
        slope = slopes[[wide]] * steps[wide]
        # Up to the widest cell, a change that leaves the first slope alone moves the last one.
        before = np.where(np.arange(inner) < wide, steps[wide], 0.0)[None]
        after = steps[wide] - before
        one = csc_array([[-steps[wide]]])
        A = block_array([
            [bends, -scale, scale, None],
            [slope, csc_array(-before), csc_array(-after), one],
            [-slope, csc_array(-after), csc_array(-before), one],
        ]) if inner else vstack([hstack([slope, one]), hstack([-slope, one])])  # fmt: skip
        start = np.concatenate([bends @ values, slope @ values, -(slope @ values)]) / unit
        lower = np.append(-start[:inner], [-np.inf, -np.inf])
        cost = np.append(np.zeros(count), np.ones(2 * inner + 1))
        return cls(csc_array(A), lower, -start, cost, count)

    @property
    def variable_lower(self) -> FloatArray:
        """−∞ for the values, 0 for the rest."""
        return np.append(np.full(self.free, -np.inf), np.zeros(len(self.cost) - self.free))


def quadratic_master(
    knots: Knots,
    values: FloatArray,
    gradient: FloatArray,
    curvature: tuple[FloatArray, FloatArray],
    lam: float,
    unit: float,
) -> QuadraticProgram:
    """The loss as its quadratic model at the current values.

    Parameters
    ----------
    values, gradient : (k,) array
        Values at the knots, and ∂F/∂v there.
    curvature : (k,) array, (k − 1,) array
        Diagonal and off-diagonal of the model's Hessian.
    lam : float
        λ over the range of x.
    unit : float
        What one unit of v is.
    """
    bounds = Bounds.of(knots, values, unit)
    diagonal, off = (part * (unit / lam) for part in curvature)
    count, rest = len(knots), len(bounds.cost) - len(knots)
    model = diags_array([off, diagonal, off], offsets=[-1, 0, 1], shape=(count, count))
    P = block_array([[model, None], [None, csc_array((rest, rest))]])
    c = bounds.cost + np.append(gradient / lam, np.zeros(rest))
    return QuadraticProgram(
        P=csc_array(P),
        c=c,
        A=bounds.A,
        row_lower=bounds.lower,
        row_upper=bounds.upper,
        lower=bounds.variable_lower,
    )


def margin_master(
    knots: Knots, margins: csc_array, weights: FloatArray | None, lam: float
) -> LinearProgram:
    """Margins ≥ 1, or their shortfalls ξ ≥ 0 at a price; the multipliers of the margins come first.

    Parameters
    ----------
    margins : (g, k) array
        Rows y φ: the margin of each group is its row times v.
    weights : (g,) array or None
        Weight of each group's shortfall in F; None forbids shortfalls.
    lam : float
        λ over the range of x.
    """
    bounds = Bounds.of(knots, np.zeros(len(knots)), 1.0)
    groups, rest = margins.shape[0], len(bounds.cost) - len(knots)
    A = vstack([hstack([margins, csc_array((groups, rest))]), bounds.A])
    c, lower = bounds.cost, bounds.variable_lower
    if weights is not None:
        shortfalls = vstack([eye_array(groups), csc_array((bounds.A.shape[0], groups))])
        A = hstack([A, shortfalls])
        c, lower = np.append(c, weights / lam), np.append(lower, np.zeros(groups))
    return LinearProgram(
        c=c,
        A=csc_array(A),
        row_lower=np.append(np.ones(groups), bounds.lower),
        row_upper=np.append(np.full(groups, np.inf), bounds.upper),
        lower=lower,
    )


def hat_rows(knots: Knots, rows: IntArray, where: IntArray, weights: FloatArray) -> csc_array:
    """The matrix with `weights` times the hats' values at positions `where` in given rows."""
    cell, share = knots.cell[where], knots.share[where]
    entries = np.concatenate([weights * (1 - share), weights * share])
    at = (np.concatenate([rows, rows]), np.concatenate([cell, cell + 1]))
    return csc_array((entries, at), shape=(int(rows.max()) + 1, len(knots)))
