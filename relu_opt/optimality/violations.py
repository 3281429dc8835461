"""How far a point is outside of its rows, bounds and cones, each against its own size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.optimality.form import Form, largest_of
from relu_opt.program.conic import cone_distances
from relu_opt.rounding import exact_residuals

# What solvers in doubles reach.
LEAST_VIOLATION = 1e-11
# Of a double, and some operations with it.
EPSILON = 2.0**-50
# How much of what the grid of doubles makes of a row is excused, relative to the row's own size.
EXCUSED = 1e-9


@dataclass(frozen=True, eq=False)
class Excess:
    """By how much a point misses what it has to meet; negative where it has room.

    Attributes
    ----------
    form : Form
    x : (k,) array
    rows : (2, m) array
        Below the lower and above the upper sides.
    excused : (2, m) array
        What no double near x can help.
    bounds : (2, k) array
        Below the lower and above the upper bounds of the variables.
    cones : array
        The distance from each cone, 0 inside.
    """

    form: Form
    x: FloatArray
    rows: FloatArray
    excused: FloatArray
    bounds: FloatArray
    cones: FloatArray

    @classmethod
    @np.errstate(all="ignore")
    def of(cls, form: Form, x: FloatArray) -> Self:
        """Of a point.

        Where rounding is more than a violation may be, the row is summed exactly, and excused by
        what the grid of doubles around x makes of it: all of it at ordinary points, and up to a
        share of the row's own size at those far out.
        """
        at, signs = form.A @ x, np.array([[-1.0], [1.0]])
        sides = np.stack([form.row_lower, form.row_upper])
        rows, excused = signs * (at - sides), np.zeros(sides.shape)
        rounding, sizes = EPSILON * (form.sizes[1] @ np.abs(x)), np.abs(sides) + form.own
        allowed = LEAST_VIOLATION * sizes
        unsure = (rounding > allowed) & (np.abs(rows) <= rounding + allowed)
        if unsure.any():
            ordinary = EPSILON * (form.sizes[1] @ np.minimum(np.abs(x), form.ordinary))
            most = np.minimum(rounding, np.maximum(ordinary, EXCUSED * sizes))
            excused[unsure] = most[unsure]
            for which in (0, 1):
                some = np.flatnonzero(unsure[which])
                exact = exact_residuals(form.rows[some], x, sides[which, some])
                rows[which, some] = signs[which] * exact
        cones = np.empty(0)
        if form.cones.rows:
            cones = cone_distances((form.b - at)[form.plain :], form.cones, dual=False)
        return cls(form, x, rows, excused, np.stack([form.lower - x, x - form.upper]), cones)

    @np.errstate(all="ignore")
    def largest(self) -> float:
        """The largest violation, each relative to its own row, cone or variable; NaN for NaN.

        Sizes are those of the program, not of x, whose own size would excuse what it likes.
        """
        form, x = self.form, self.x
        if np.isnan(x).any() or np.isnan(self.rows).any():
            return math.nan
        sides = np.stack([form.row_lower, form.row_upper])
        bounds = np.stack([form.lower, form.upper])
        worst = [
            _largest(self.rows - self.excused, sides, form.own),
            _largest(self.bounds, bounds, form.units),
        ]
        if len(self.cones):
            sizes = largest_of((np.abs(form.b) + form.own)[form.plain :], form.owners)
            worst.append(float((self.cones / positive(sizes)).max()))
        if form.whole is not None:
            entries = x[form.whole]
            worst.append(float(np.abs(entries - np.rint(entries)).max(initial=0.0)))
        return max(worst)

    @np.errstate(all="ignore")
    def worth(self, y: FloatArray, z: FloatArray) -> float:
        """What the violations come to, each times its multiplier: y of rows, z of bounds."""
        total = float((_weights(y) * np.maximum(self.rows, 0.0)).sum())
        total += float((_weights(z) * np.maximum(self.bounds, 0.0)).sum())
        if len(self.cones):
            squares = np.bincount(self.form.owners, np.square(y[self.form.plain :]))
            total += float(np.sqrt(squares) @ self.cones)
        return total


def violation(form: Form, x: FloatArray) -> float:
    """The largest violation of a point, each relative to its own row, cone or variable."""
    return Excess.of(form, x).largest()


def _weights(multipliers: FloatArray) -> FloatArray:
    """Of the lower and the upper side."""
    return np.stack([np.maximum(-multipliers, 0.0), np.maximum(multipliers, 0.0)])


def _largest(excess: FloatArray, sides: FloatArray, sizes: FloatArray) -> float:
    over = excess > 0
    relative = excess[over] / positive(np.abs(sides) + sizes)[over]
    return float(relative.max(initial=0.0))


def positive(sizes: FloatArray) -> FloatArray:
    """Sizes that can be divided by."""
    return np.maximum(sizes, float(np.finfo(np.float64).tiny))
