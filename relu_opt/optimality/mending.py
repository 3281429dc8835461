r"""What solvers leave at the size of their tolerance, taken back: x onto rows, y onto columns.

An interior-point method returns points that miss rows by 10⁻⁹ and multipliers of bounds that are
not there of 10⁻⁹. Least squares over what is free to move removes them where the program allows
it. A step is kept only if the judge likes its outcome better; nothing is changed that is good.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csc_array, diags_array, hstack, vstack

from relu_opt.arrays import BoolArray, FloatArray, IntArray
from relu_opt.optimality.form import Form, StandardProgram, form_of, largest_of
from relu_opt.optimality.least_squares import shortest
from relu_opt.optimality.measures import (
    PAST,
    REACH,
    Residuals,
    admissible,
    allowed_residual,
    column_sizes,
    into_cones,
    judge,
    residuals_of,
    scale,
)
from relu_opt.optimality.moves import moves
from relu_opt.optimality.violations import LEAST_VIOLATION, violation
from relu_opt.program.conic import cone_cuts, cone_depths
from relu_opt.proof.verdict import Verdict

ROUNDS, MENDINGS, PUSHES = 8, 3, 2
# Errors above these are no noise, and mending them would be solving.
NOISE = 1e-3
# How far a point may be mended, relative to its size: in tolerances, and in any case.
ROUGH, LEAST_ROUGH = 100.0, 1e-6
# Where x is this near to a side, relative to its sizes, the side may hold it.
NEAR = 1e-6
# A multiplier that moves the objective by less than this share is none.
NOTHING = 1e-18
# So is one that is less than this beside what it may well have been.
FAINT = 1e-14
# How much smaller a multiplier has to be than the room of its variable.
CLEAR = 1e-3
TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True, eq=False)
class Proof:
    """An answer as it was found or mended, and what the judge says of it.

    Attributes
    ----------
    x : (k,) array
    duals : (m,) array or None
        Multipliers of the rows that show the bound.
    residuals : Residuals
    verdict : Verdict
    """

    x: FloatArray
    duals: FloatArray | None
    residuals: Residuals
    verdict: Verdict


def prove(
    program: StandardProgram,
    x: FloatArray,
    duals: FloatArray | None,
    tol: float,
    dent: float = 0.0,
) -> Proof:
    """The verdict on an answer, mended where it is good up to noise.

    Parameters
    ----------
    program : LinearProgram, QuadraticProgram or ConicProgram
    x : (k,) array
    duals : (m,) array or None
        Multipliers of the rows, with the signs of `RawSolution.duals`.
    tol : float
        The relative gap to certify.
    dent : float
        By how much P may be missing to be semidefinite, as `convexity.dent` found it.
    """
    with np.errstate(all="ignore"):
        form = replace(form_of(program), dent=dent) if dent else form_of(program)
        return _prove(form, x, duals, tol)


def _prove(form: Form, x: FloatArray, duals: FloatArray | None, tol: float) -> Proof:
    found = residuals_of(form, x, x, duals)
    verdict = judge(found, tol)
    if verdict is Verdict.CERTIFIED or not np.isfinite(x).all():
        return Proof(x, duals, found, verdict)
    given = Proof(x, duals, found, verdict)
    if found.primal > LEAST_VIOLATION:
        x = _near(form, x, mended_point(form, x, duals), tol)
    best = given if x is given.x else Proof(x, duals, *_judged(form, x, x, duals, tol))
    if best.verdict is Verdict.CERTIFIED:
        return best
    if duals is not None and best.residuals.primal <= allowed_residual(tol):
        for dual in _mended(form, x, duals):
            # One point for both bounds is best: anyone can look at it.
            for point in (_near(form, x, mended_point(form, dual.at), tol), x):
                trial = Proof(point, dual.y, *_judged(form, point, dual.at, dual.y, tol))
                if trial.verdict is Verdict.CERTIFIED:
                    return trial
    return given if best.verdict is given.verdict else best


def _judged(
    form: Form, x: FloatArray, at: FloatArray, y: FloatArray | None, tol: float
) -> tuple[Residuals, Verdict]:
    residuals = residuals_of(form, x, at, y)
    return residuals, judge(residuals, tol)


@dataclass(frozen=True, eq=False)
class _Dual:
    """A point of the dual: where the gradient is taken, multipliers, and which of them have ended.

    Multipliers that were about to change their sign stay at zero.
    """

    at: FloatArray
    y: FloatArray
    ended: BoolArray


def _mended(form: Form, x: FloatArray, y: FloatArray) -> Iterator[_Dual]:
    """Points of the dual near a given one, each better than the last if things go well."""
    none = np.zeros(len(y), dtype=np.bool_)
    if not (form.c.any() or form.P.nnz):
        yield _Dual(x, np.zeros_like(y), none)  # what costs nothing needs no multipliers
    dual = _Dual(x, _active_multipliers(form, x, y), none)
    for step in (*[_mended_multipliers] * MENDINGS, *[_pushed_inside] * PUSHES):
        moved = step(form, x, dual)
        if moved is None:
            return
        dual = moved
        yield dual


def _near(form: Form, x: FloatArray, mended: FloatArray, tol: float) -> FloatArray:
    """The mended point, or the given one if that would be another point and not the same."""
    rough = max(LEAST_ROUGH, ROUGH * tol) * np.maximum(np.abs(x).max(initial=0.0), form.units)
    return mended if (np.abs(mended - x) <= rough).all() else x


def mended_point(form: Form, x: FloatArray, y: FloatArray | None = None) -> FloatArray:
    """x moved into its bounds and onto the rows that it violates, where a small step does that.

    With multipliers y, first onto the bounds and sides that they say hold it.
    """
    best = x, violation(form, x)
    for target in (form,) if y is None else (_held(form, x, y), form):
        for trial in points_on_rows(target, x):
            error = violation(form, trial)
            if error < best[1]:
                best = trial, error
            if best[1] <= LEAST_VIOLATION / 10:
                return best[0]
    return best[0]


def _held(form: Form, x: FloatArray, y: FloatArray) -> Form:
    """The program with equations for the sides and bounds that x is at and multipliers push to."""
    at, z = form.A @ x, form.multipliers(x, y)
    low, high = _pushed(form.lower, form.upper, x, z / column_sizes(form, x, y), form.magnitudes(x))
    terms, typical = form.sizes[1] @ form.magnitudes(x), _typical(form, x)[0]
    relative = np.divide(y, typical, out=np.zeros_like(y), where=typical > 0)
    row_low, row_high = _pushed(form.row_lower, form.row_upper, at, relative, terms)
    return replace(form, lower=low, upper=high, row_lower=row_low, row_upper=row_high)


def _pushed(
    lower: FloatArray, upper: FloatArray, at: FloatArray, push: FloatArray, sizes: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Equal bounds where something is near to one, nearer than noise, and is pushed to it."""
    limit = np.minimum(NEAR, CLEAR * np.abs(push)) * sizes
    down, up = (push < 0) & (at - lower <= limit), (push > 0) & (upper - at <= limit)
    return np.where(up, upper, lower), np.where(down, lower, upper)


def points_on_rows(form: Form, x: FloatArray) -> Iterator[FloatArray]:
    """Points in the bounds, each nearer to the rows that it or one before it violated."""
    held = form.row_lower == form.row_upper
    for _ in range(ROUNDS):
        x = np.clip(x, form.lower, form.upper)
        if form.whole is not None:
            x = np.where(form.whole, np.rint(x), x)
        yield x
        missing = np.clip(form.A @ x, form.row_lower, form.row_upper) - form.A @ x
        held = held | (missing != 0)
        x = _onto_rows(form, x, missing, np.flatnonzero(held))


def _onto_rows(form: Form, x: FloatArray, missing: FloatArray, rows: IntArray) -> FloatArray:
    """x after the shortest step that gives these rows what they miss, each entry by its room.

    Cones that x is outside of are rows too, where their boundary is cut by its tangent.
    """
    room = np.minimum(np.minimum(x - form.lower, form.upper - x), form.magnitudes(x))
    if form.whole is not None:
        room = np.where(form.whole, 0.0, room)
    columns = np.flatnonzero(room > 0)
    matrix, target = form.rows[rows], missing[rows]
    if form.cones.rows:
        slack = (form.b - form.A @ x)[form.plain :]
        gradients, excess = cone_cuts(slack, form.cones)
        matrix = vstack([matrix, gradients @ form.rows[form.plain :]], format="csr")
        target = np.concatenate([target, PAST * excess])
    if not len(target) or not len(columns):
        return x
    system = csc_array(matrix[:, columns] @ diags_array(room[columns]))
    moved = x.copy()
    moved[columns] += room[columns] * shortest(system, target, np.zeros(len(target)))
    return moved


def _mended_multipliers(form: Form, x: FloatArray, dual: _Dual) -> _Dual | None:
    """A point of the dual whose multipliers vanish where x has room, near to the given one."""
    system = _System.of(form, x, dual)
    if system is None:
        return None
    return system.moved(shortest(system.matrix, system.z, system.sizes))


def _pushed_inside(form: Form, x: FloatArray, dual: _Dual) -> _Dual | None:
    """A point of the dual with the right signs, where there are points strictly inside.

    A direction that takes all multipliers of one-sided bounds to their side of zero, and those of
    free variables nowhere, is followed until none is on the wrong side.
    """
    system = _System.of(form, x, dual)
    if system is None:
        return None
    columns = system.columns
    side = np.isinf(form.upper[columns]).astype(np.float64) - np.isinf(form.lower[columns])
    norms = np.sqrt(np.asarray(system.matrix.power(2).sum(axis=1)).ravel())
    step = shortest(system.matrix, side * norms, np.zeros(len(columns)))
    progress = side * (system.matrix @ step)
    wrong = (side * system.z > 0) & (progress > 0)
    if not wrong.any():
        return None
    return system.moved(PAST * (side * system.z / progress)[wrong].max() * step)


@dataclass(frozen=True, eq=False)
class _System:
    """How the multipliers z of some columns depend on what may move of a dual point.

    Attributes
    ----------
    columns : index array
        Those without the bound that z speaks of, and those where x has room.
    z, sizes : arrays
        Their multipliers, and what these are relative to.
    matrix : csc_array
        What a step takes from z; its columns are directions of y, then entries of `at`.
    directions : csc_array
        See `moves`.
    lengths : array
        How far the entries of `at` go in a step of one; empty where nothing curves.
    """

    form: Form
    x: FloatArray
    dual: _Dual
    columns: IntArray
    z: FloatArray
    sizes: FloatArray
    matrix: csc_array
    directions: csc_array
    lengths: FloatArray

    @classmethod
    def of(cls, form: Form, x: FloatArray, dual: _Dual) -> _System | None:
        """None where multipliers are wrong by more than noise."""
        at, y = dual.at, dual.y
        z, sizes = form.multipliers(at, y), column_sizes(form, at, y)
        size = form.magnitudes(x)
        below, above = x - form.lower, form.upper - x
        noise = np.abs(z) <= NOISE * sizes
        homeless = (np.where(z > 0, above, below) > REACH * size) & (z != 0)
        dear = np.abs(z) * size > NOISE * _objective_size(form, x)
        if (homeless & ~noise & dear).any():
            return None
        # Strict complementarity: where room and multiplier are both small, neither counts.
        room = np.minimum(below, above)
        inside = noise & (CLEAR * room * sizes > np.abs(z) * np.abs(x).max(initial=0.0))
        columns = np.flatnonzero(homeless | inside)
        directions = moves(form, y, _typical(form, x)[0], dual.ended)
        pieces = [form.A[:, columns].T.tocsc() @ directions]
        lengths = form.magnitudes(at) if form.P.nnz else np.empty(0)
        if form.P.nnz:
            pieces.append(form.P[:, columns].T.tocsc() @ diags_array(lengths))
        matrix = csc_array(hstack(pieces, format="csc"))
        parts = columns, z[columns], sizes[columns], matrix, directions, lengths
        return cls(form, x, dual, *parts)

    def moved(self, step: FloatArray) -> _Dual:
        """The dual point after a step, with multipliers of possible signs alone."""
        count = self.directions.shape[1]
        y, at = self.dual.y + self.directions @ step[:count], self.dual.at
        if len(self.lengths):
            at = at + self.lengths * step[count:]
        y = into_cones(self.form, y)
        kept = _active_multipliers(self.form, self.x, y)
        return _Dual(at, kept, self.dual.ended | ((kept == 0) & (y != 0)))


def _objective_size(form: Form, x: FloatArray) -> float:
    return scale(form, x, float(form.c @ x) + form.curvature(x))


def _active_multipliers(form: Form, x: FloatArray, y: FloatArray) -> FloatArray:
    """y without those of rows that are away from the side that they speak of, or nothing."""
    y, at = admissible(form, y), form.A @ x
    typical, largest = _typical(form, x)
    slack = np.where(y > 0, form.row_upper - at, np.where(y < 0, at - form.row_lower, 0.0))
    if form.cones.rows:
        rows = slice(form.plain, None)
        slack[rows] = cone_depths((form.b - at)[rows], form.cones)[form.owners]
    room = slack * typical / np.maximum(largest * np.abs(x).max(initial=0.0), TINY)
    away = (np.abs(y) <= NOISE * typical) & (CLEAR * room > np.abs(y))
    away |= np.abs(y) <= FAINT * typical
    away |= np.abs(y) * (form.sizes[1] @ form.magnitudes(x)) <= NOTHING * _objective_size(form, x)
    if form.cones.rows:
        # All rows of a cone, or none.
        away[rows] = largest_of(~away[rows], form.owners)[form.owners] == 0
    return np.where(away, 0.0, y)


def _typical(form: Form, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The size that a multiplier of each row may well have, 0 without entries; and the largest."""
    largest = np.zeros(len(form.b))
    np.maximum.at(largest, form.A.indices, np.abs(form.A.data))
    cost = np.abs(form.gradient(x)).max(initial=0.0) or 1.0
    return np.divide(cost, largest, out=np.zeros_like(largest), where=largest > 0), largest
