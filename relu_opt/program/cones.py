r"""Euclidean projection onto activation cones K = {u : S X u ≥ 0}, many at a time.

By Moreau, P_K(c) = c + (SX)ᵀρ with the ρ ≥ 0 that minimises ‖c + (SX)ᵀρ‖. At most d rows
carry a positive ρ, so each problem is solved over few rows; the slacks of all rows are then
computed for the whole batch by one matrix product, and the most violated rows join.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from relu_opt.arrays import BoolArray, FloatArray, IntArray

# Slack, relative to ‖c‖ and to the row's norm, that rounding explains.
SLACK = 1e-13
# A projection that is this short, relative to ‖c‖, is zero.
APEX = 1e-14
# Rows that join a problem at a time, at the least, and entries of a slack matrix held at a time.
ROWS_PER_ROUND = 12
CHUNK_ENTRIES = 4_000_000
MAX_ROUNDS = 500


@dataclass(frozen=True)
class Projections:
    """Projections v_b = c_b + (S_b X)ᵀρ_b of a batch.

    `points` is (m, d); `rows[b]` are the samples with ρ > 0 and `rho[b]` their values.
    The face of the cone that holds v_b is {u : x_kᵀu = 0, k in rows[b]}.
    """

    points: FloatArray
    rows: list[IntArray]
    rho: list[FloatArray]


@dataclass(frozen=True)
class ConeRows:
    """The data's rows, scaled to unit norm (zero rows stay), as constraints of cones."""

    unit: FloatArray
    norms: FloatArray

    @classmethod
    def of(cls, X: FloatArray) -> ConeRows:
        """The rows of X."""
        norms = np.linalg.norm(X, axis=1)
        return cls(X / np.where(norms > 0, norms, 1.0)[:, None], norms)

    def violation(self, points: FloatArray, masks: BoolArray) -> FloatArray:
        """Largest max(0, −S x_kᵀu)/(‖x_k‖‖u‖) of each point u (m, d); masks is (m, n)."""
        sizes = np.linalg.norm(points, axis=1)
        worst = np.zeros(len(points))
        step = max(1, CHUNK_ENTRIES // len(self.unit))
        for start in range(0, len(points), step):
            part = slice(start, start + step)
            slack = points[part] @ self.unit.T
            np.negative(slack, out=slack, where=~masks[part])
            worst[part] = np.maximum(0.0, -slack.min(axis=1))
        return np.asarray(np.divide(worst, sizes, out=np.zeros_like(worst), where=sizes > 0))


def project_cones(
    cone_rows: ConeRows,
    masks: BoolArray,
    targets: FloatArray,
    guesses: Sequence[IntArray] | None = None,
    enough: float = 0.0,
) -> Projections:
    """Project target b onto the cone of pattern b.

    Parameters
    ----------
    cone_rows : ConeRows
        Rows of the data, (n, d).
    masks : (m, n) array of bool
        Activation pattern of each cone, one row a cone.
    targets : (m, d) array
        The points to project.
    guesses : sequence of index arrays, optional
        Rows that are expected to carry a multiplier (a warm start; any rows will do).
    enough : float
        A point of at most this norm is not worth making exact: its multipliers are valid, so
        that its norm is an upper bound on that of the projection, and may lie outside the cone.
    """
    count = len(targets)
    points = targets.copy()
    rows: list[IntArray] = [np.empty(0, dtype=np.intp)] * count
    rho: list[FloatArray] = [np.empty(0)] * count
    step = max(1, CHUNK_ENTRIES // len(cone_rows.unit))
    for start in range(0, count, step):
        part = np.arange(start, min(start + step, count))
        _project_chunk(cone_rows, masks, targets, guesses, enough, part, points, rows, rho)
    for b in range(count):
        rho[b] = rho[b] / cone_rows.norms[rows[b]]
    return Projections(points, rows, rho)


def _project_chunk(
    cone_rows: ConeRows,
    masks: BoolArray,
    targets: FloatArray,
    guesses: Sequence[IntArray] | None,
    enough: float,
    part: IntArray,
    points: FloatArray,
    rows: list[IntArray],
    rho: list[FloatArray],
) -> None:
    unit = cone_rows.unit
    sizes = np.linalg.norm(targets, axis=1)
    if guesses is not None:
        for b in part:
            _solve_rows(unit, masks[b], targets[b], guesses[b], b, points, rows, rho)
    pending = part
    for _ in range(MAX_ROUNDS):
        if enough:
            pending = pending[np.linalg.norm(points[pending], axis=1) > enough]
            if not len(pending):
                return
        slack = points[pending] @ unit.T
        np.negative(slack, out=slack, where=~masks[pending])
        open_ = slack.min(axis=1) < -SLACK * sizes[pending]
        pending, slack = pending[open_], slack[open_]
        if not len(pending):
            return
        take = min(max(ROWS_PER_ROUND, unit.shape[1] // 4), slack.shape[1])
        worst = np.argpartition(slack, take - 1, axis=1)[:, :take]
        progressed = np.zeros(len(pending), dtype=np.bool_)
        for k, b in enumerate(pending):
            joining = worst[k][slack[k, worst[k]] < -SLACK * sizes[b]]
            trial = np.union1d(rows[b], joining)
            before = points[b].copy()
            _solve_rows(unit, masks[b], targets[b], trial, b, points, rows, rho)
            progressed[k] = not np.array_equal(before, points[b])
        pending = pending[progressed]
        if not len(pending):
            return


def least_squares(A: FloatArray, b: FloatArray) -> FloatArray:
    """The x ≥ 0 with the smallest ‖Ax − b‖.

    Raises
    ------
    LinAlgError
        If rounding keeps the active-set method from ending.
    """
    try:
        return np.asarray(nnls(A, b, maxiter=max(100, 30 * A.shape[1]))[0])
    except RuntimeError as error:
        raise np.linalg.LinAlgError(str(error)) from error


def _solve_rows(
    unit: FloatArray,
    mask: BoolArray,
    target: FloatArray,
    trial: IntArray,
    b: int,
    points: FloatArray,
    rows: list[IntArray],
    rho: list[FloatArray],
) -> None:
    """Solve cone b over the rows `trial` alone and keep those with a multiplier."""
    if not len(trial):
        return
    normals = unit[trial] * np.where(mask[trial], 1.0, -1.0)[:, None]
    multipliers = least_squares(normals.T, -target)
    carries = multipliers > 0
    rows[b], rho[b] = trial[carries], multipliers[carries]
    point = target + rho[b] @ normals[carries]
    # The apex of the cone: what is left is rounding, and has no direction.
    apex = np.linalg.norm(point) <= APEX * np.linalg.norm(target)
    points[b] = 0.0 if apex else point
