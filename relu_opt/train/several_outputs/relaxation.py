r"""Semidefinite relaxations: certified *lower* bounds on training with several outputs.

With D_i the activation patterns, S_i = 2D_i − I, and u wᵀ replaced by Z_i, u uᵀ by A_i, wᵀw by B_i,

    minimise  (1/2n) ‖Σ_i D_iXZ_i − Y‖² + (λ/2) Σ_i (tr A_i + tr B_i)
    subject to  [A_i Z_i; Z_iᵀ B_i] ≽ 0,   S_iX A_i XᵀS_i ≥ 0 entrywise (doubly nonnegative),

is below every network. Its dual point V and multipliers N_i ≥ 0 prove that without the solver:
with XᵀD_iVVᵀD_iX + XᵀS_iN_iS_iX ≼ μ²I for all i, M(V) ≤ μ. The bound is the optimum where every
cone has at most four facets, as for X of rank 2; for rank 3 it may be below. Without the entrywise
rows ("psd") it is much weaker. (Sahiner et al., ICLR 2021, have the copositive program.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import block_diag, csc_array, eye_array, hstack, vstack

from relu_opt.arrays import BoolArray, FloatArray, IntArray
from relu_opt.errors import DataError, did_you_mean
from relu_opt.plugins.types import StopReason
from relu_opt.program.arrangement import enumerate_patterns
from relu_opt.program.conic import (
    Cones,
    ConicProgram,
    half_square_rows,
    split_rows,
    symmetric,
    triangle_size,
)
from relu_opt.rounding import charge, depth
from relu_opt.solving.standard import solve_program
from relu_opt.train.all_patterns.separation_bounds import RowSpace
from relu_opt.train.several_outputs.definite import row_sums, semidefinite
from relu_opt.train.several_outputs.lifted import MARGINS
from relu_opt.train.several_outputs.problem import VectorProblem
from relu_opt.train.several_outputs.proof import lower_bound

RELAXATIONS = ("dnn", "psd")


@dataclass(frozen=True, eq=False)
class Relaxation:
    """A relaxation's answer.

    Attributes
    ----------
    kind : {"dnn", "psd"}
        Doubly nonnegative, or positive semidefinite only.
    V : (n, c) array
        A dual point with M(V) ≤ λ, as the multipliers show.
    bound : float
        Its dual objective: no network is below.
    value : float
        What the solver's primal point has: the relaxation's optimum, up to its tolerance.
    directions : (k, d) array
        Unit vectors that the relaxation makes likely for neurons.
    patterns : int
        How many activation patterns there are.
    backend : str
    stop : StopReason
    """

    kind: str
    V: FloatArray
    bound: float
    value: float
    directions: FloatArray
    patterns: int
    backend: str
    stop: StopReason

    def __repr__(self) -> str:
        return f"Relaxation({self.kind}, bound={self.bound:.12g}, value={self.value:.12g})"


def relax(
    problem: VectorProblem,
    kind: str,
    max_patterns: int,
    backend: str = "auto",
    tol: float = 1e-8,
    time_limit: float | None = None,
    options: Mapping[str, object] | None = None,
) -> Relaxation:
    """Solve the relaxation over all patterns, and prove its bound from the multipliers.

    Raises
    ------
    DataError
        For patches, an unknown kind, or too many patterns to list.
    SolveFailed
        If the backend has no answer.
    """
    if kind not in RELAXATIONS:
        advice = did_you_mean(str(kind), RELAXATIONS)
        raise DataError(f"Unknown relaxation {kind!r}. {advice}", kind=kind)
    if problem.patches is not None:
        raise DataError(
            "The relaxation is for dense networks. Use method='column_generation' with patches."
        )
    masks = enumerate_patterns(problem.X, max_patterns).masks.T
    space = problem.space
    if not space.rank:
        raise DataError("X is zero, and no network sees anything. Pass other data.")
    model = _Model(problem, space, masks, kind)
    found = solve_program(model.program, backend, tol, time_limit, options=options)
    blocks = [symmetric(part) for part in model.triangles(found.x)]
    duals = found.backend_duals
    multipliers = model.multipliers(duals)
    points = [model.dual_point(blocks), *model.solver_point(duals)]
    feasible = [lower_bound(problem, V, model.largest(V, multipliers)) for V in points]
    best = max(feasible, key=lambda bound: bound.value)
    return Relaxation(
        kind,
        best.V,
        best.value,
        found.objective,
        space.outward(model.candidates(blocks)),
        len(masks),
        found.backend,
        found.stop,
    )


class _Model:
    """The conic program: its variables are the scaled triangles of all blocks, and the loss."""

    def __init__(
        self, problem: VectorProblem, space: RowSpace, masks: BoolArray, kind: str
    ) -> None:
        self.problem, self.space, self.x = problem, space, space.rows
        self.masks = masks
        self.r, self.c = space.rank, problem.Y.shape[1]
        self.order = self.r + self.c
        self.size = triangle_size(self.order)
        column, row = np.tril_indices(self.order)
        self.place = np.zeros((self.order, self.order), dtype=np.intp)
        self.place[row, column] = self.place[column, row] = np.arange(self.size)
        self.pairs = [
            np.array([(k, j) for k in facets for j in facets if k < j], dtype=np.intp).reshape(
                -1, 2
            )
            for facets in (_facets(self.x, masks) if kind == "dnn" else [()] * len(masks))
        ]

    @cached_property
    def program(self) -> ConicProgram:
        count = len(self.masks)
        cost = np.zeros(self.size)
        cost[np.diag(self.place)] = 0.5 * self.problem.lam
        entrywise = [self._entries(i) for i in range(count)]
        nonnegative = block_diag([-rows for rows in entrywise])
        Y = self.problem.Y
        fits = [self._centred(mask[:, None] * self.x) for mask in self.masks]
        root = np.sqrt(self.problem.n)
        wide = np.hstack([self._products(each) for each in fits]) / root
        targets = self._centred(Y).ravel() / root
        A, b = half_square_rows(_with_loss(wide), targets)
        total = count * self.size
        top, bottom = _with_loss(nonnegative), _with_loss(-eye_array(total))
        return ConicProgram(
            np.r_[np.tile(cost, count), 1.0],
            csc_array(vstack([top, A, bottom])),
            np.r_[np.zeros(top.shape[0]), b, np.zeros(total)],
            Cones(
                nonnegative=top.shape[0],
                second_order=(len(b),),
                semidefinite=(self.order,) * count,
            ),
        )

    def triangles(self, x: FloatArray) -> list[FloatArray]:
        """The scaled triangle of each block."""
        return list(x[:-1].reshape(len(self.masks), self.size))

    def dual_point(self, blocks: list[FloatArray]) -> FloatArray:
        """V = (Y − fits)/n at the blocks."""
        fits = np.zeros_like(self.problem.Y)
        for mask, block in zip(self.masks, blocks, strict=True):
            fits += mask[:, None] * (self.x @ block[: self.r, self.r :])
        return self._centred(self.problem.Y - fits) / self.problem.n

    def solver_point(self, duals: FloatArray | None) -> list[FloatArray]:
        """V from the dual of the loss's cone, if the backend gives one."""
        if duals is None:
            return []
        z = split_rows(duals, self.program.cones).second_order[0][2:]
        V = -np.sqrt(2.0 / self.problem.n) * z.reshape(self.problem.Y.shape)
        return [self._centred(V)]

    def multipliers(self, duals: FloatArray | None) -> list[FloatArray]:
        """N ≥ 0 of the pairs of each block; zeros where the backend gives none."""
        sizes = [len(pairs) for pairs in self.pairs]
        if duals is None:
            return [np.zeros(size) for size in sizes]
        z = np.maximum(split_rows(duals, self.program.cones).nonnegative, 0.0)
        return np.split(self.problem.lam * z, np.cumsum(sizes)[:-1])

    def largest(self, V: FloatArray, multipliers: list[FloatArray]) -> float:
        """What M(V) does not exceed, as the multipliers show; inf where they show nothing."""
        pieces = zip(self.masks, self.pairs, multipliers, strict=True)
        bounds = [self._largest_in(V, mask, pairs, N) for mask, pairs, N in pieces]
        strengths = np.linalg.norm(V, axis=1)
        rest = float(self.space.rest @ strengths) * (1 + charge(sum(V.shape) + 2))
        return (max(bounds, default=0.0) * self.space.stretch + rest) * (1 + charge(3))

    def _largest_in(self, V: FloatArray, mask: BoolArray, pairs: IntArray, N: FloatArray) -> float:
        """The same for a pattern: a μ with AᵀA + XᵀSNSX ≼ μ²I, which Cholesky's method shows."""
        A = row_sums(V[mask], self.x[mask])
        H = self._signed(mask)
        weighted = row_sums(H[pairs[:, 0]] * N[:, None], H[pairs[:, 1]])
        matrix = A.T @ A + weighted + weighted.T
        sizes = np.linalg.norm(self.x, axis=1)
        n, count = len(V), len(pairs)
        reach = float(np.linalg.norm(V, axis=1) @ sizes) * (1 + charge(n + sum(A.shape)))
        own = float(N @ (sizes[pairs[:, 0]] * sizes[pairs[:, 1]])) * (1 + charge(count + self.r))
        error = charge(2 * depth(n) + depth(count) + self.c + 8) * (reach**2 + 2 * own)
        # A direction of the data's cone leaves that of the turned rows by what these leave out.
        rest, (one, two) = self.space.rest, pairs.T
        left = rest[one] * sizes[two] + rest[two] * sizes[one] + rest[one] * rest[two]
        outside = 2 * float(N @ left) * (1 + charge(count + self.r))
        square = max(float(np.linalg.eigvalsh(matrix)[-1]), 0.0)
        for margin in MARGINS:
            tried = square * (1 + margin) + 2 * error
            room = tried * np.eye(self.r) - matrix
            if semidefinite(room, error + charge(1) * tried):
                return float(np.sqrt(tried + outside)) * (1 + charge(2))
        return np.inf

    def candidates(self, blocks: list[FloatArray]) -> FloatArray:
        """Eigenvectors of the A_i that matter, of both signs, in the row space."""
        found = []
        for block in blocks:
            sizes, vectors = np.linalg.eigh(block[: self.r, : self.r])
            for k in np.flatnonzero(sizes > 1e-5 * max(1e-300, abs(sizes[-1]))):
                found += [vectors[:, k], -vectors[:, k]]
        return np.array(found).reshape(-1, self.r)

    def _centred(self, rows: FloatArray) -> FloatArray:
        return rows - rows.mean(axis=0) if self.problem.intercept else rows

    def _signed(self, mask: BoolArray) -> FloatArray:
        return np.where(mask, 1.0, -1.0)[:, None] * self.x

    def _entries(self, i: int) -> FloatArray:
        """Rows with x_kᵀA x_j for the pairs of a block, over its scaled triangle."""
        H, pairs = self._signed(self.masks[i]), self.pairs[i]
        column, row = np.tril_indices(self.order)
        scale = np.where(row == column, 1.0, np.sqrt(0.5))
        wide = np.zeros((len(H), self.order))
        wide[:, : self.r] = H
        one, two = wide[pairs[:, 0]], wide[pairs[:, 1]]
        both = one[:, row] * two[:, column] + one[:, column] * two[:, row]
        return np.asarray(np.where(row == column, 0.5, 1.0) * both * scale)

    def _products(self, rows: FloatArray) -> FloatArray:
        """vec(rows Z) over the scaled triangle of a block, (n · c, size)."""
        result = np.zeros((len(rows), self.c, self.size))
        for a in range(self.r):
            for k in range(self.c):
                result[:, k, self.place[a, self.r + k]] = rows[:, a] * np.sqrt(0.5)
        return result.reshape(-1, self.size)


def _with_loss(rows: Any) -> csc_array:
    """Rows over the blocks, widened by a column of zeros for the loss."""
    wide = csc_array(rows)
    return csc_array(hstack([wide, csc_array((wide.shape[0], 1))]))


def _facets(x: FloatArray, masks: BoolArray) -> list[tuple[int, ...]]:
    """A row for each facet of each pattern's cone: those whose flip gives another pattern."""
    sizes = np.linalg.norm(x, axis=1)
    units = x / np.where(sizes > 0, sizes, 1.0)[:, None]
    same = (np.abs(units @ units.T) > 1 - 1e-12) & (sizes > 0)
    representatives = [k for k in range(len(x)) if sizes[k] > 0 and not same[k, :k].any()]
    known = {mask.tobytes() for mask in masks}
    return [
        tuple(k for k in representatives if (mask ^ same[k]).tobytes() in known) for mask in masks
    ]
