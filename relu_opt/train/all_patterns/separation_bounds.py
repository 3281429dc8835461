"""What an oracle finds out about max |νᵀ(Xu)₊| over ‖u‖ ≤ 1, and the space that it searches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.clock import Clock
from relu_opt.plugins.types import StopReason
from relu_opt.program.cones import ConeRows, project_cones
from relu_opt.program.lines import merge, units
from relu_opt.rounding import UNDERFLOW, above, depth, gamma

EPS = float(np.finfo(np.float64).eps)
# Directions that are handed on.
MOST_DIRECTIONS = 256
# Sine of the angle below which rows are taken as parallel; what that costs is added to the bound.
SAME_LINE = 16 * EPS


@dataclass(frozen=True, eq=False)
class Separation:
    """Bounds on M(ν) = max |νᵀ(Xu)₊| over ‖u‖ ≤ 1, and directions with large values.

    Attributes
    ----------
    lower : float
        The value at the best direction.
    upper : float
        What M(ν) does not exceed. With the oracle `mip` it is the claim of a MILP solver.
    directions : (k, d) array
        Unit vectors u, the best first; empty if every value is zero.
    values : (k,) array
        νᵀ(Xu)₊ of each, with its sign.
    oracle : {"sphere", "cells", "mip", "spike_free"}
        The last one for data that need no search.
    statement : str
        Who says so, and how exactly.
    stop : StopReason
        `CONVERGED`, or why the bounds are no closer.
    work : int
        How many cones, cells or rounds it took.
    """

    lower: float
    upper: float
    directions: FloatArray
    values: FloatArray
    oracle: str
    statement: str
    stop: StopReason
    work: int

    @property
    def rel_gap(self) -> float:
        """(upper − lower)/max(1e−300, upper)."""
        return (self.upper - self.lower) / max(1e-300, self.upper)

    @property
    def direction(self) -> FloatArray | None:
        """The best direction, (d,), or None if every value is zero."""
        return self.directions[0] if len(self.directions) else None

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.lower:.12g} to {self.upper:.12g}, "
            f"oracle={self.oracle!r}, stop={self.stop.value!r})"
        )


class Oracle(Protocol):
    """Searches all activation patterns of one data matrix."""

    name: str

    def search(self, nu: FloatArray, target: float, rel: float, clock: Clock) -> Separation:
        """Bound M(ν).

        Parameters
        ----------
        nu : (n,) array
        target : float
            The search may end when M(ν) is shown to be at most this.
        rel : float
            Or when M(ν) is known to this relative gap.
        clock : Clock
            When its limit is over, what is known is returned.
        """
        ...


@dataclass(frozen=True, eq=False)
class RowSpace:
    """The data in coordinates of their row space: X ≈ rows @ axes.

    Attributes
    ----------
    rows : (n, r) array
    axes : (r, d) array
        Orthonormal rows, up to rounding.
    rest : (n,) array
        At least ‖x_k − row_k @ axes‖.
    stretch : float
        At least ‖axes u‖ for ‖u‖ ≤ 1: 1 up to rounding.
    """

    rows: FloatArray
    axes: FloatArray
    rest: FloatArray
    stretch: float

    @classmethod
    def of(cls, X: FloatArray) -> RowSpace:
        """The row space of a data matrix, up to rounding."""
        _, sizes, axes = np.linalg.svd(X, full_matrices=False)
        axes = axes[sizes > 4 * max(X.shape) * EPS * sizes[0]]
        rank, d = axes.shape
        rows = X @ axes.T
        apart = np.abs(axes @ axes.T - np.eye(rank)).sum(axis=1).max(initial=0.0)
        stretch = 1.0 + above(float(apart) + rank * gamma(d + 4), rank)
        sums = np.sqrt(rank) * stretch * np.linalg.norm(rows, axis=1) + np.linalg.norm(X, axis=1)
        rest = np.linalg.norm(X - rows @ axes, axis=1) + gamma(rank + 4) * sums
        return cls(rows, axes, rest * (1 + gamma(d + rank + 8)), stretch)

    @property
    def left_out(self) -> float:
        """At least the spectral norm of X − rows @ axes."""
        return above(float(np.linalg.norm(self.rest)), len(self.rest))

    @property
    def rank(self) -> int:
        return len(self.axes)

    def whole(self, bound: float, nu: FloatArray) -> float:
        """A bound on |νᵀ(Xu)₊| for ‖u‖ ≤ 1 from one on |νᵀ(rows w)₊| for ‖w‖ ≤ 1."""
        rest = above(float(np.abs(nu) @ self.rest), len(nu))
        return above(bound * self.stretch + rest, 4)

    def outward(self, points: FloatArray) -> FloatArray:
        """Unit vectors of the data's space, (k, d), from those of the row space, (k, r)."""
        directions = points @ self.axes
        norms = np.linalg.norm(directions, axis=1, keepdims=True)
        return np.asarray(directions / np.where(norms > 0, norms, 1.0))


def values_at(X: FloatArray, nu: FloatArray, directions: FloatArray) -> FloatArray:
    """νᵀ(Xu)₊ of each row u of `directions`, (k,)."""
    return np.asarray(nu @ np.maximum(X @ directions.T, 0.0))


def separation_of(
    oracle: str,
    X: FloatArray,
    nu: FloatArray,
    directions: FloatArray,
    upper: float,
    statement: str,
    stop: StopReason,
    work: int,
) -> Separation:
    """What an oracle found, with the best of its directions, one a pattern.

    Parameters
    ----------
    oracle, statement, stop, work
        As of a `Separation`.
    X : (n, d) array
    nu : (n,) array
    directions : (k, d) array
        Unit vectors; those without a value are left out.
    upper : float
        The proved or claimed bound, what rounding may add included.
    """
    values = values_at(X, nu, directions)
    order = np.argsort(-np.abs(values), kind="stable")
    order = order[np.abs(values[order]) > 0]
    packed = np.packbits(X @ directions[order].T > 0, axis=0).T
    _, first = np.unique(packed, axis=0, return_index=True)
    chosen = order[np.sort(first)][:MOST_DIRECTIONS]
    lower = float(np.abs(values[chosen]).max(initial=0.0))
    return Separation(
        lower, max(upper, lower), directions[chosen], values[chosen], oracle, statement, stop, work
    )


@dataclass(frozen=True, eq=False)
class Kinks:
    """νᵀ(Xu)₊ as Σ_k w_k (ℓ_kᵀu)₊ + bᵀu, up to an error: parallel rows change sign as one.

    Attributes
    ----------
    lines : (m, r) array
        The ℓ_k, unit vectors up to rounding.
    weights : (m,) array
    slope : (r,) array
        b.
    error : float
        At least |νᵀ(Xu)₊ − Σ_k w_k (ℓ_kᵀu)₊ − bᵀu| for ‖u‖ ≤ 1.
    """

    lines: FloatArray
    weights: FloatArray
    slope: FloatArray
    error: float

    @classmethod
    def of(cls, rows: FloatArray, nu: FloatArray) -> Kinks:
        """The kinks of rows with a ν ≠ 0."""
        norms = np.linalg.norm(rows, axis=1)
        counts = (norms > 0) & (nu != 0)
        rows, nu, norms = rows[counts], nu[counts], norms[counts]
        lines, which, back = merge(units(rows), SAME_LINE)
        turned, sizes = np.where(back, -norms, norms), nu * norms
        moved = np.linalg.norm(rows - turned[:, None] * lines[which], axis=1) + gamma(4) * norms
        # Sums of many are rounded once; ν·norm is rounded, and so is each product with a line.
        order = np.argsort(which, kind="stable")
        members = np.bincount(which, minlength=len(lines))
        ends, ordered = np.cumsum(members), sizes[order]
        weights = ordered[ends - members]
        for k in np.flatnonzero(members > 1):
            weights[k] = math.fsum(ordered[ends[k] - members[k] : ends[k]])
        slope = np.array([-math.fsum(sizes[back] * column) for column in lines[which[back]].T])
        error = float(np.abs(nu) @ moved) + 2 * gamma(4) * float(np.abs(sizes).sum())
        return cls(lines, weights, slope, above(error, len(nu) + rows.shape[1] + 8))

    @property
    def size(self) -> float:
        """At least Σ_k |w_k|‖ℓ_k‖ + ‖b‖: no intermediate sum is larger."""
        total = math.fsum(np.abs(self.weights)) + float(np.linalg.norm(self.slope))
        return above(total, 2 * len(self.slope) + 12)

    @property
    def rounding(self) -> float:
        """What values, and bounds of a cone at its corners, may be off by."""
        size = self.size
        relative = gamma(depth(len(self.weights)) + 3 * len(self.slope) + 16)
        return relative * size + (UNDERFLOW if size else 0.0)


def polished(space: RowSpace, nu: FloatArray, points: FloatArray) -> FloatArray:
    """The best unit vector in the cell of each point of the row space, (k, r), by projection.

    Points in whose cells no value is larger stay as they are.
    """
    masks = (space.rows @ points.T > 0).T
    values = values_at(space.rows, nu, points)
    targets = np.sign(values)[:, None] * ((masks * nu) @ space.rows)
    found = project_cones(ConeRows.of(space.rows), masks, targets).points
    norms = np.linalg.norm(found, axis=1, keepdims=True)
    better = found / np.where(norms > 0, norms, 1.0)
    gained = np.abs(values_at(space.rows, nu, better)) >= np.abs(values)
    return np.where(gained[:, None], better, points)
