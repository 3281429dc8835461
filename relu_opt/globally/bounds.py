"""What an oracle finds out about max |νᵀ(Xu)₊| over ‖u‖ ≤ 1, and the space that it searches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.plugins.types import StopReason
from relu_opt.program.cones import ConeRows, project_cones
from relu_opt.program.lines import merge, units

EPS = float(np.finfo(np.float64).eps)
# Directions that are handed on.
MOST_DIRECTIONS = 256
# Sine of the angle below which rows are taken as parallel; what that costs is added to the bound.
SAME_LINE = 1e-12


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

    def search(
        self, nu: FloatArray, target: float, rel: float, deadline: float | None
    ) -> Separation:
        """Bound M(ν).

        Parameters
        ----------
        nu : (n,) array
        target : float
            The search may end when M(ν) is shown to be at most this.
        rel : float
            Or when M(ν) is known to this relative gap.
        deadline : float, optional
            Of `time.perf_counter`: then what is known is returned.
        """
        ...


@dataclass(frozen=True, eq=False)
class RowSpace:
    """The data in coordinates of their row space: X ≈ rows @ axes.

    Attributes
    ----------
    rows : (n, r) array
    axes : (r, d) array
        Orthonormal rows.
    left_out : float
        The spectral norm of X − rows @ axes: rounding.
    """

    rows: FloatArray
    axes: FloatArray
    left_out: float

    @classmethod
    def of(cls, X: FloatArray) -> RowSpace:
        """The row space of a data matrix, up to rounding."""
        _, sizes, axes = np.linalg.svd(X, full_matrices=False)
        kept = sizes > 4 * max(X.shape) * EPS * sizes[0]
        rest = sizes[~kept]
        return cls(X @ axes[kept].T, axes[kept], float(rest.max(initial=0.0)))

    @property
    def rank(self) -> int:
        return len(self.axes)

    def rounding(self, nu: FloatArray) -> float:
        """What rounding may make of νᵀ(Xu)₊ at a unit vector."""
        size = float(np.abs(nu) @ np.linalg.norm(self.rows, axis=1))
        sums = 8 * EPS * np.sqrt(len(nu) + 1.0) * size
        return float(sums + self.left_out * np.linalg.norm(nu))

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


def as_kinks(rows: FloatArray, nu: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """νᵀ(Xu)₊ as Σ w (ℓᵀu)₊ + bᵀu over distinct lines: parallel rows change sign as one.

    Returns the lines' unit vectors ℓ, w, b, and what the merging may be wrong by.
    """
    norms = np.linalg.norm(rows, axis=1)
    counts = (norms > 0) & (nu != 0)
    directions, sizes = units(rows[counts]), (nu * norms)[counts]
    lines, which, back = merge(directions, SAME_LINE)
    turned = np.where(back, -1.0, 1.0)[:, None] * directions
    error = float(np.abs(sizes) @ np.linalg.norm(turned - lines[which], axis=1))
    weights: FloatArray = np.bincount(which, sizes, len(lines)).astype(np.float64)
    return lines, weights, -(sizes[back] @ lines[which[back]]), error


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
