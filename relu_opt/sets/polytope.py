r"""The polytope {x : Mx = b, x_j ≥ 0} of neurons' sizes, and linear programs over it.

x holds the sizes ‖w_j‖ of the neurons in units of their sum, the output intercept if there is one
(free), and a slack for every sample whose fit may move because its loss is flat there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.sparse import csc_array, csr_array, hstack, vstack

from relu_opt.arrays import BoolArray, FloatArray
from relu_opt.errors import NotCertified
from relu_opt.plugins.dispatch import can_start
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt.solving.standard import ProgramSolution, solve_program

# Singular values below RANK of the largest are zero; between them and DOUBT of it, in doubt.
RANK = 1e-10
DOUBT = 1e-7
# A size, in units of the sum of sizes, that is zero; and what rounding may leave of one.
ZERO = 1e-9
ROUNDING = 1e-13
# A price of a coordinate that is zero, relative to the coefficients of the objective.
SETTLED = 1e-10
LP_TOL = 1e-9


@dataclass(eq=False)
class Polytope:
    """{x : Mx = b, x_j ≥ 0 where `bounded`}, M of full row rank.

    Parameters
    ----------
    M : (r, q) array
    b : (r,) array
    bounded : (q,) array of bool
        Which entries are ≥ 0.
    sizes : int
        How many of the entries are sizes of neurons: the first.
    start : (q,) array
        A point of it.
    doubtful_rank : int
        How many singular values were near the rule that decides the rank of M.
    backend : str
        Who solves the programs over it.
    """

    M: FloatArray
    b: FloatArray
    bounded: BoolArray
    sizes: int
    start: FloatArray
    doubtful_rank: int
    backend: str
    _last: ProgramSolution | None = field(default=None, repr=False)

    def minimise(self, cost: FloatArray) -> tuple[FloatArray, float]:
        """A vertex at which cost · x is smallest, exact up to rounding; and a proved lower bound.

        Raises
        ------
        NotCertified
            If the backend's answer is not proved optimal.
        """
        size = max(float(np.abs(cost).max(initial=0.0)), np.finfo(float).tiny)
        program = self.linear.with_cost(cost / size)
        start = self._last if self._starts else None
        self._last = solve_program(program, self.backend, LP_TOL, warm_start=start).require()
        return self.polished(self._last.x), size * self._last.lower_bound

    @cached_property
    def linear(self) -> LinearProgram:
        """The polytope as a linear program without a cost.

        Solvers drop tiny coefficients and keep each row to a tolerance: rows of norm 1 make this a
        tolerance of the sizes, however weak the direction that a row fixes.
        """
        norms = np.linalg.norm(self.M, axis=1)
        rows = self.M / np.where(norms > 0, norms, 1.0)[:, None]
        fixed = rows @ self.start
        return LinearProgram(
            c=np.zeros(len(self.bounded)),
            A=csc_array(rows),
            row_lower=fixed,
            row_upper=fixed,
            lower=np.where(self.bounded, 0.0, -np.inf),
        )

    @cached_property
    def _starts(self) -> bool:
        return can_start(self.linear, self.backend)

    def restricted(self, keep: BoolArray) -> Polytope:
        """The polytope of the entries to keep, the others being zero."""
        basis, _ = independent_rows(self.M[:, keep])
        return Polytope(
            basis @ self.M[:, keep],
            basis @ self.b,
            self.bounded[keep],
            int(keep[: self.sizes].sum()),
            self.start[keep],
            self.doubtful_rank,
            self.backend,
        )

    def nearest(self, weights: FloatArray, root: FloatArray, target: FloatArray) -> FloatArray:
        """The x that minimises ½ Σ weights·x² + ½‖root x − target‖², exact up to rounding."""
        P = np.diag(weights) + root.T @ root
        c = -root.T @ target
        size = max(float(np.abs(P).max()), float(np.abs(c).max(initial=0.0)))
        parts = self.linear.parts() | {"c": c / size}
        program = QuadraticProgram(P=csc_array(P / size), **parts)
        near = self.polished(solve_program(program, self.backend, LP_TOL).require().x)
        return self._settled(P / size, c / size, near)

    def _settled(self, P: FloatArray, c: FloatArray, x: FloatArray) -> FloatArray:
        """The minimiser of ½xᵀPx + cᵀx over the polytope, by active sets from a point near it.

        A solver's tolerance is one of the objective, which is flat at its minimum.
        """
        on = (x > 0) | ~self.bounded
        rows = len(self.M)
        for _ in range(3 * len(x)):
            M = self.M[:, on]
            system = np.block([[P[np.ix_(on, on)], M.T], [M, np.zeros((rows, rows))]])
            right = np.append(-(P[on] @ x + c[on]), np.zeros(rows))
            step, y = np.split(np.linalg.lstsq(system, right, rcond=RANK)[0], [int(on.sum())])
            falling = self.bounded[on] & (step < 0)
            room = np.full(len(step), np.inf)
            room[falling] = x[on][falling] / -step[falling]
            length = min(1.0, float(room.min(initial=np.inf)))
            x = x.copy()
            x[on] += length * step
            if length < 1.0:
                first = np.flatnonzero(on)[int(room.argmin())]
                x[first], on[first] = 0.0, False
                continue
            prices = np.where(on, 0.0, P @ x + c + self.M.T @ y)
            worst = int(prices.argmin())
            if prices[worst] >= -SETTLED:
                break
            on[worst] = True
        return self.polished(x)

    def polished(self, x: FloatArray) -> FloatArray:
        """x with tiny entries zero and Mx = b up to rounding.

        Raises
        ------
        NotCertified
            If x is further from the polytope than rounding explains.
        """
        keep = (x > ZERO) | ~self.bounded
        for _ in range(5):
            result = np.where(keep, x, 0.0)
            lacking = self.b - self.M @ result
            result[keep] += np.linalg.lstsq(self.M[:, keep], lacking, rcond=RANK)[0]
            negative = keep & self.bounded & (result < -ROUNDING)
            if not negative.any():
                break
            keep &= ~negative
        result = np.where(self.bounded, np.maximum(result, 0.0), result)
        off = float(np.abs(self.M @ result - self.b).max(initial=0.0))
        if off > ZERO * (1.0 + float(np.abs(self.b).max(initial=0.0))):
            raise NotCertified(
                f"A point found by backend {self.backend!r} misses the optimal fits by {off:.1e} "
                "once its tiny neurons are left out. Use another backend, or a larger lam.",
                backend=self.backend,
                residual=off,
            )
        return result


def independent_rows(rows: FloatArray) -> tuple[FloatArray, int]:
    """An orthonormal basis Uᵀ (r, n) of the columns' span of `rows` (n, q), and the doubts."""
    if not rows.size:
        return np.zeros((0, len(rows))), 0
    U, values, _ = np.linalg.svd(rows, full_matrices=False)
    relative = values / max(float(values[0]), np.finfo(float).tiny)
    rank = int((relative > RANK).sum())
    return U[:, :rank].T, int(((relative > RANK) & (relative < DOUBT)).sum())


def support(polytope: Polytope) -> tuple[BoolArray, FloatArray]:
    """Which entries are positive somewhere, and a point where all of those are; (q,) both.

    Each linear program asks for the largest sum of the entries that are not known to be positive
    yet; the last one proves that the rest are zero everywhere.
    """
    points = [polytope.start]
    positive = (polytope.start > ZERO) | ~polytope.bounded
    while not positive.all():
        x, _ = polytope.minimise(np.where(positive, 0.0, -1.0))
        found = ~positive & (x > ZERO)
        if not found.any():
            break
        points.append(x)
        positive |= found
    inner = np.mean(points, axis=0)
    return positive, np.where(positive, inner, 0.0)


def null_space(M: FloatArray) -> FloatArray:
    """An orthonormal basis of {x : Mx = 0}, (q, q − rank)."""
    if not M.size:
        return np.eye(M.shape[1])
    _, values, Vt = np.linalg.svd(M, full_matrices=True)
    rank = int((values > RANK * max(float(values[0]), np.finfo(float).tiny)).sum())
    return np.asarray(Vt[rank:].T)


def smallest_largest(polytope: Polytope, which: BoolArray, largest: bool) -> FloatArray:
    """The point whose largest size is smallest, or whose smallest size is largest.

    Parameters
    ----------
    polytope : Polytope
    which : (k,) array of bool
        The sizes that count.
    largest : bool
        Minimise the largest, else maximise the smallest.
    """
    sign = 1.0 if largest else -1.0
    q, chosen = len(polytope.bounded), np.flatnonzero(which)
    plain = polytope.linear
    # sign · (x_j − t) ≤ 0 for the chosen, with the level t as one more variable.
    levels = csr_array(
        (
            np.repeat([sign, -sign], len(chosen)),
            (np.tile(np.arange(len(chosen)), 2), np.append(chosen, np.full(len(chosen), q))),
        ),
        shape=(len(chosen), q + 1),
    )
    program = LinearProgram(
        c=np.append(np.zeros(q), sign),
        A=csc_array(vstack([hstack([plain.A, csc_array((plain.rows, 1))]), levels])),
        row_lower=np.append(plain.row_lower, np.full(len(chosen), -np.inf)),
        row_upper=np.append(plain.row_upper, np.zeros(len(chosen))),
        lower=np.append(plain.lower, 0.0),
    )
    return polytope.polished(solve_program(program, polytope.backend, LP_TOL).require().x[:q])
