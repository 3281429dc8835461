r"""Proofs that a program has no optimum: rays, and the programs that look for them.

No point meets all constraints if multipliers y of the rows show it (Farkas): with z = −Aᵀy, every
feasible x would have 0 = yᵀAx + zᵀx ≤ h(y) + h(z), and that is negative. It is the lower bound of
the program without its costs, and so `lower_bound` computes it.

The objective falls without end from any feasible point along d if Pd = 0, cᵀd < 0 and neither Ad
nor d leaves the directions that the constraints leave open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy.sparse import csc_array, diags_array, eye_array, hstack, vstack

from relu_opt.arrays import FloatArray
from relu_opt.optimality.form import Form, StandardProgram, largest_of
from relu_opt.optimality.least_squares import shortest
from relu_opt.optimality.measures import (
    ROUNDING,
    admissible,
    into_cones,
    lower_bound,
)
from relu_opt.optimality.mending import points_on_rows
from relu_opt.optimality.violations import violation
from relu_opt.program.conic import ConicProgram, cone_distances
from relu_opt.program.linear import LinearProgram, QuadraticProgram

# What h(y) + h(z) has to be below, and cᵀd, relative to the sizes of their terms.
MARGIN = 1e-12
# Entries of a ray below this share of the largest are noise and may go.
NOISE = 1e-9
# A feasible point beside a ray may miss its constraints by this.
FEASIBLE = 1e-9
ROUNDS = 4


def proves_infeasible(program: StandardProgram, y: FloatArray) -> FloatArray | None:
    """The ray, mended where it has to be, if it proves that no point meets all constraints.

    Parameters
    ----------
    program : LinearProgram, QuadraticProgram or ConicProgram
        Integrality is left out: a ray is of the relaxation.
    y : (m,) array
        Multipliers of the rows, with the signs of `RawSolution.duals`.
    """
    form = Form.of(program)
    if y.shape != form.b.shape or not np.isfinite(y).all() or not y.any():
        return None
    flat = replace(form, P=csc_array(form.P.shape), c=np.zeros_like(form.c), whole=None)
    y = y / np.abs(y).max()
    with np.errstate(all="ignore"):
        for trial in _mended_multipliers(flat, y):
            if _shows_contradiction(flat, trial):
                return trial
    return None


def _shows_contradiction(form: Form, y: FloatArray) -> bool:
    bound, _, terms = lower_bound(form, np.zeros_like(form.c), y, far=True)
    return bool(bound > MARGIN * terms)


def _mended_multipliers(form: Form, y: FloatArray) -> Iterator[FloatArray]:
    """y, and what is left of it when the multipliers of missing bounds are taken out."""
    y = admissible(form, y)
    yield y
    y = np.where(np.abs(y) <= ROUNDING, 0.0, y)
    yield y
    equal = form.row_lower == form.row_upper
    for target in (0.0, 1.0):
        for _ in range(ROUNDS):
            z = form.multipliers(np.zeros_like(form.c), y)
            side = np.isinf(form.upper).astype(np.float64) - np.isinf(form.lower)
            free = np.isinf(form.upper) & np.isinf(form.lower)
            columns = np.flatnonzero(free | (side * z > 0))
            if not len(columns):
                break
            weights = np.where(equal, np.maximum(np.abs(y), NOISE), np.abs(y))
            if form.cones.rows:
                cone = slice(form.plain, None)
                weights[cone] = largest_of(np.abs(y[cone]), form.owners)[form.owners]
            system = csc_array(form.A[:, columns].T @ diags_array(weights))
            beyond = target * np.abs(z[columns]).max() * side[columns]
            step = shortest(system, z[columns] + beyond, np.zeros(len(columns)))
            y = into_cones(form, admissible(form, y + weights * step))
            yield y


def proves_unbounded(program: StandardProgram, d: FloatArray, x: FloatArray) -> FloatArray | None:
    """The direction, mended, if the objective falls along it for ever from the feasible point x.

    Parameters
    ----------
    program : LinearProgram, QuadraticProgram or ConicProgram
    d, x : (k,) arrays
    """
    form = Form.of(program)
    if x.shape != form.c.shape or not violation(form, x) <= FEASIBLE:
        return None
    return descent_for_ever(program, d)


def descent_for_ever(program: StandardProgram, d: FloatArray) -> FloatArray | None:
    """The direction, mended, if the objective falls along it for ever from any feasible point."""
    form = Form.of(program)
    if d.shape != form.c.shape or not np.isfinite(d).all() or not d.any():
        return None
    with np.errstate(all="ignore"):
        for trial in _mended_directions(program, d / np.abs(d).max()):
            if _falls_for_ever(form, trial):
                return trial
    return None


def _mended_directions(program: StandardProgram, d: FloatArray) -> Iterator[FloatArray]:
    form = Form.of(program)
    d = _open(form, d)
    yield d
    if isinstance(program, ConicProgram):
        return
    d = np.where(np.abs(d) <= NOISE, 0.0, d)
    yield d
    open_ones = Form.of(recession(program))
    still = {"lower": open_ones.lower * (d != 0), "upper": open_ones.upper * (d != 0)}
    yield from points_on_rows(replace(open_ones, **still), d)
    yield from points_on_rows(open_ones, d)


def _open(form: Form, d: FloatArray) -> FloatArray:
    """The direction without what bounds of the variables close."""
    low = np.where(np.isinf(form.lower), -np.inf, 0.0)
    return np.asarray(np.clip(d, low, np.where(np.isinf(form.upper), np.inf, 0.0)))


def _falls_for_ever(form: Form, d: FloatArray) -> bool:
    P, A = form.sizes
    size, rows, terms = np.abs(d), form.A @ d, A @ np.abs(d)
    if not form.c @ d < -MARGIN * (np.abs(form.c) @ size):
        return False
    noise = ROUNDING * terms
    if (np.abs(form.P @ d) > ROUNDING * (P @ size)).any():
        return False
    plain = slice(0, form.plain)
    low, high = np.isfinite(form.row_lower[plain]), np.isfinite(form.row_upper[plain])
    if (low & (rows < -noise)[plain]).any() or (high & (rows > noise)[plain]).any():
        return False
    if not form.cones.rows:
        return True
    cone = slice(form.plain, None)
    outside = cone_distances(-rows[cone], form.cones, dual=False)
    return bool((outside <= ROUNDING * largest_of(terms[cone], form.owners)).all())


def elastic(program: LinearProgram | QuadraticProgram) -> LinearProgram:
    """The least violation of the rows by any x in its bounds: its multipliers are a ray.

    Its columns are those of the program, then a slack for each lower and each upper side.
    """
    m, k = program.A.shape
    below = np.flatnonzero(np.isfinite(program.row_lower))
    above = np.flatnonzero(np.isfinite(program.row_upper))
    eye = csc_array(eye_array(m))
    sizes = np.zeros(m)
    np.maximum.at(sizes, program.A.indices, np.abs(program.A.data))
    price = 1.0 / np.where(sizes > 0, sizes, 1.0)
    count = len(below) + len(above)
    return LinearProgram(
        c=np.concatenate([np.zeros(k), price[below], price[above]]),
        A=csc_array(hstack([program.A, eye[:, below], -eye[:, above]], format="csc")),
        row_lower=program.row_lower,
        row_upper=program.row_upper,
        lower=np.concatenate([program.lower, np.zeros(count)]),
        upper=np.concatenate([program.upper, np.full(count, np.inf)]),
    )


def recession(program: LinearProgram | QuadraticProgram) -> LinearProgram:
    """The steepest descent among the directions, of size one at most, in which nothing ends."""
    flat = np.zeros(program.columns)

    def side(bounds: FloatArray, none: float) -> FloatArray:
        return np.where(np.isfinite(bounds), 0.0, none)

    A, low, high = program.A, side(program.row_lower, -np.inf), side(program.row_upper, np.inf)
    if isinstance(program, QuadraticProgram) and program.P.nnz:
        A = csc_array(vstack([program.P, A], format="csc"))
        low, high = np.concatenate([flat, low]), np.concatenate([flat, high])
    return LinearProgram(
        c=program.c / max(np.abs(program.c).max(initial=0.0), 1e-300),
        A=A,
        row_lower=low,
        row_upper=high,
        lower=side(program.lower, -1.0),
        upper=side(program.upper, 1.0),
    )
