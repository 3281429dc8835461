r"""The oracle `mip`: bounds on M(ν) by mixed-integer linear programs.

For each sign, with c = ±w over the distinct lines ℓ_k of the data and slope ±b,

    maximise  cᵀz + bᵀu   subject to  z ≥ 0,  z_k ≥ ℓ_kᵀu,
                                      z_k ≤ ℓ_kᵀu + 1 − β_k,  z_k ≤ β_k in {0, 1}   where c_k > 0,

and the ball ‖u‖ ≤ 1 replaced by a box and tangent cuts qᵀu ≤ 1. The program's optimum is above
the maximum and falls to it as cuts at its solutions are added. Cuts do not depend on ν, and are
kept between calls. The bound is the solver's own: this oracle is no proof that can be re-checked
without one. (Ergen & Pilanci, JMLR 2021, have the cutting-plane view; the program is derived here.)
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import block_array, csc_array, eye_array

from relu_opt.arrays import FloatArray
from relu_opt.clock import Clock, TimeUp
from relu_opt.plugins.stopping import until_stopped
from relu_opt.plugins.types import StopReason
from relu_opt.program.linear import LinearProgram
from relu_opt.proof.verdict import Verdict
from relu_opt.solving.standard import solve_in_time
from relu_opt.train.all_patterns.separation_bounds import (
    Kinks,
    RowSpace,
    Separation,
    polished,
    separation_of,
)

# Rounds of cuts at the most, with and without integers.
MOST_ROUNDS, RELAXED_ROUNDS = 200, 40
# A relaxed solution outside of the ball by less than this needs no further cut.
OUTSIDE = 1e-2
# A solution of the program itself outside by less is inside up to the solver's tolerance.
INSIDE = 1e-7
# Share of the relative gap that the solver gets, and the least that it can be asked for.
SHARE, TIGHTEST = 0.25, 1e-6


class MipOracle:
    """Mixed-integer programs for one data matrix, and the cuts that they share.

    Parameters
    ----------
    X : (n, d) array
    backend : str
        Who solves them.
    """

    name = "mip"

    def __init__(self, X: FloatArray, backend: str = "auto") -> None:
        self.X = X
        self.backend = backend
        self.space: RowSpace = RowSpace.of(X)
        self.cuts: list[FloatArray] = []
        self.solver = ""

    def search(self, nu: FloatArray, target: float, rel: float, clock: Clock) -> Separation:
        """Bound M(ν); see `Oracle`."""
        points = [np.zeros(self.space.rank)]
        upper, rounds, stop = 0.0, 0, StopReason.CONVERGED
        for sign in (1.0, -1.0):
            side = _Side(self, sign * nu, target, rel, clock)
            side.stop = until_stopped(side.run).stop
            points += side.points
            upper, rounds = max(upper, side.upper), rounds + side.rounds
            if side.stop is not StopReason.CONVERGED:
                stop = side.stop
        return separation_of(
            self.name,
            self.X,
            nu,
            self.space.outward(np.array(points)),
            self.space.whole(upper, nu),
            self._statement(rounds),
            stop,
            rounds,
        )

    def _statement(self, rounds: int) -> str:
        if not rounds:
            return "the sum of all terms that can rise, since no program ended"
        return f"the bound of {self.solver} in {rounds} linear and mixed-integer programs"


class _Side:
    """max νᵀ(Xu)₊ for one sign."""

    def __init__(
        self, oracle: MipOracle, nu: FloatArray, target: float, rel: float, clock: Clock
    ) -> None:
        self.oracle = oracle
        self.nu = nu
        self.target, self.rel, self.clock = target, rel, clock
        kinks = Kinks.of(oracle.space.rows, nu)
        self.lines, self.c, self.b = kinks.lines, kinks.weights, kinks.slope
        # What merging may cost, and what sums and the solver's own products may be off by.
        self.error = error = kinks.error + kinks.rounding
        rising = self.c > 0
        # No unit vector has more than the sum of what can rise.
        self.upper = float(self.c[rising].sum() + np.linalg.norm(self.b)) + error
        self.lower = 0.0
        self.rounds = 0
        self.settled = False
        self.points: list[FloatArray] = []
        self.stop = StopReason.UNKNOWN

    def run(self) -> StopReason:
        """Cuts from the relaxation first, then from the program itself."""
        if self.upper <= self.error:
            return StopReason.CONVERGED  # nothing rises
        for whole, most in ((False, RELAXED_ROUNDS), (True, MOST_ROUNDS)):
            for _ in range(most):
                if self._done():
                    return StopReason.CONVERGED
                outside = self._round(whole)
                if self.settled:
                    # The gap that is left is the solver's own.
                    return StopReason.CONVERGED_LOOSE
                if not whole and outside <= OUTSIDE:
                    break
        return StopReason.ITERATION_LIMIT

    def _done(self) -> bool:
        return self.upper <= max(self.target, self.lower * (1 + self.rel) + self.error)

    def _round(self, whole: bool) -> float:
        """Solve once, and cut where the solution leaves the ball; by how much it does."""
        tol = max(TIGHTEST, SHARE * self.rel) if whole else None
        # In units of the maximum: a solver's tolerances are absolute as well as relative.
        unit = self.lower or self.upper
        before = (self.upper, self.lower)
        program = self._program(whole, unit)
        found = solve_in_time(program, self.oracle.backend, tol, self.clock)
        self.rounds += 1
        self.oracle.solver = found.backend
        # The duals of a relaxation are a proof if they are feasible, and say nothing otherwise.
        proved = found.lower_bound if found.verdict is Verdict.CERTIFIED else None
        bound = found.claimed_bound if whole else proved
        if bound is not None and np.isfinite(bound):
            self.upper = min(self.upper, max(0.0, -bound) * unit + self.error)
        u = found.x[: self.oracle.space.rank]
        size = float(np.linalg.norm(u))
        if size > 0:
            there = u / size
            better = polished(self.oracle.space, self.nu, there[None])[0]
            self.points += [there, better]
            self.oracle.cuts += [there, better]
            heights = np.maximum(self.lines @ better, 0.0)
            self.lower = max(self.lower, float(self.c @ heights + self.b @ better))
        if found.stop is StopReason.TIME_LIMIT:
            raise TimeUp
        # A solution inside of the ball is not cut off: the same program would come again.
        self.settled = whole and size <= 1 + INSIDE and before == (self.upper, self.lower)
        return size - 1.0

    def _program(self, whole: bool, unit: float) -> LinearProgram:
        """The program with the cuts so far, as a minimisation over (u, z, β), costs over `unit`."""
        q, r = self.lines.shape
        rising = np.flatnonzero(self.c > 0)
        k = len(rising)
        L, eye = csc_array(self.lines), eye_array(q, format="csr")
        picked = eye_array(k, format="csc")
        pick = eye[rising]
        cuts = csc_array(np.array(self.oracle.cuts).reshape(-1, r))
        A = block_array(
            [
                [-L, eye, None],  # z − ℓᵀu ≥ 0
                [L[rising] if k else csc_array((0, r)), -pick, -picked],  # ≥ −1
                [None, -pick, picked],  # ≥ 0
                [-cuts, csc_array((cuts.shape[0], q)), csc_array((cuts.shape[0], k))],  # ≥ −1
            ],
            format="csc",
        )
        low = np.repeat([0.0, -1.0, 0.0, -1.0], [q, k, k, cuts.shape[0]])
        integer = np.concatenate([np.zeros(r + q, dtype=bool), np.ones(k, dtype=bool)])
        return LinearProgram(
            c=np.concatenate([-self.b, -self.c, np.zeros(k)]) / unit,
            A=A,
            row_lower=low,
            lower=np.concatenate([np.full(r, -1.0), np.zeros(q + k)]),
            upper=np.ones(r + q + k),
            integrality=integer if whole else None,
        )
