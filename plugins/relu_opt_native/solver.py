r"""Training by column generation with second-order steps in the dual.

The dual is  max D(ν)  subject to  g_b(ν) = ‖P_K(X_bᵀν)‖ ≤ λ. Each iteration

1. solves the master problem over the neurons found so far: a network, and an upper bound;
2. solves the same problem with the curvature of the active constraints, which predicts the
   dual optimum to second order;
3. projects the working set there: new neurons, and a lower bound from the multipliers;
4. prices the other blocks once the working set is nearly optimal.

The master alone is fully corrective column generation, so the upper bound falls at every step
and the method converges; the curvature makes it quadratic near the end.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.plugins.types import ProgressEvent, RawSolution, SolveOptions, StopReason
from relu_opt.program import ConvexProgram
from relu_opt_native.design import Design
from relu_opt_native.master import solve_master
from relu_opt_native.pricing import DualPoint, Pricer

# Blocks that join the working set at a time.
BATCH = 48
# Price all blocks when the working set's gap is below this share of the whole gap.
PRICE_BELOW = 0.2
# Columns of curvature: more would cost more than they bring.
MAX_TURNS = 4000
# Iterations without progress of either bound after which rounding is to blame.
PATIENCE = 12


class StopNow(Exception):
    """Raised inside the solver when it is time to stop."""

    def __init__(self, reason: StopReason) -> None:
        self.reason = reason


@dataclass
class Search:
    """What one run knows: neurons, working set, and the best bounds so far."""

    prog: ConvexProgram
    options: SolveOptions
    max_iter: int
    started: float = field(default_factory=time.perf_counter)
    directions: FloatArray = field(init=False)
    owners: IntArray = field(init=False)
    sizes: FloatArray = field(init=False)
    working: IntArray = field(init=False)
    weights: FloatArray = field(init=False)
    upper: float = field(init=False)
    dual: DualPoint = field(init=False)
    iteration: int = 0

    def __post_init__(self) -> None:
        prog = self.prog
        self.pricer = Pricer(prog, self.check)
        self.directions = np.empty((0, prog.d))
        self.owners = np.empty(0, dtype=np.intp)
        self.sizes = np.empty(0)
        self.working = np.empty(0, dtype=np.intp)
        self.weights = np.zeros(prog.weights_shape)
        self.upper = prog.objective(self.weights, prog.best_intercept(np.zeros(prog.n)))
        self.dual = DualPoint(np.zeros(prog.n), None, -np.inf)

    # -- bookkeeping -----------------------------------------------------------

    def check(self) -> None:
        """Raise `StopNow` when the time is up."""
        limit = self.options.time_limit
        if limit is not None and time.perf_counter() - self.started > limit:
            raise StopNow(StopReason.TIME_LIMIT)

    @property
    def rel_gap(self) -> float:
        """The gap between the best bounds."""
        return (self.upper - self.dual.bound) / max(1e-12, abs(self.upper))

    def report(self) -> None:
        """Tell observers how far it is."""
        self.options.progress(
            ProgressEvent(
                "solve",
                self.iteration,
                time.perf_counter() - self.started,
                self.upper,
                self.dual.bound,
                self.rel_gap,
                f"{np.count_nonzero(self.sizes)} neurons",
            )
        )

    def neurons(self) -> Design:
        """The columns found so far."""
        sign, which = np.divmod(self.owners, len(self.prog.patterns))
        return Design(
            self.prog, np.where(sign == 0, 1.0, -1.0)[:, None] * self.directions, which
        )

    def add(self, blocks: IntArray, points: FloatArray, least: float) -> None:
        """Make a neuron of every projection with a norm above `least`."""
        norms = np.linalg.norm(points, axis=1)
        keep = norms > max(least, 0.0)
        self.directions = np.concatenate([self.directions, points[keep] / norms[keep, None]])
        self.owners = np.concatenate([self.owners, blocks[keep]])
        self.sizes = np.concatenate([self.sizes, np.zeros(keep.sum())])

    def merge(self) -> None:
        """Make one neuron of those of a block, and forget those of size zero."""
        keep = self.sizes > 0
        owners, inverse = np.unique(self.owners[keep], return_inverse=True)
        blocks = np.zeros((len(owners), self.prog.d))
        np.add.at(blocks, inverse, self.sizes[keep, None] * self.directions[keep])
        norms = np.linalg.norm(blocks, axis=1)
        alive = norms > 0
        self.owners, self.sizes = owners[alive], norms[alive]
        self.directions = blocks[alive] / norms[alive, None]

    # -- the steps -------------------------------------------------------------

    def solve_over_neurons(self) -> FloatArray:
        """The master problem: updates the neurons and the upper bound, returns ν."""
        point = solve_master(self.neurons(), None, self.sizes, self.check)
        self.sizes = point.sizes
        self.merge()
        weights = np.zeros(self.prog.weights_shape)
        sign, which = np.divmod(self.owners, len(self.prog.patterns))
        weights[sign, which] = self.sizes[:, None] * self.directions
        fits = self.neurons().fits(self.sizes)
        constant = self.prog.best_intercept(fits)
        value = self.prog.mean_loss(fits + constant) + self.prog.lam * float(self.sizes.sum())
        if value < self.upper:
            self.weights, self.upper = weights, value
        return -self.prog.loss_gradient(fits + constant)

    def predict_dual(self, points: dict[int, FloatArray]) -> FloatArray:
        """ν from the master problem with the curvature of the active constraints."""
        turns = self.curvature(points)
        if turns is None:
            raise ValueError("no curvature")
        point = solve_master(self.neurons(), turns, self.sizes, self.check)
        return -self.prog.loss_gradient(point.fits)

    def curvature(self, points: dict[int, FloatArray]) -> Design | None:
        """Columns √(μ_b/‖v_b‖) X_b N, N the face's directions orthogonal to v_b."""
        bases, which, total = [], [], 0
        for k in np.argsort(-self.sizes):
            block = int(self.owners[k])
            v = points.get(block)
            if v is None or not v.any():
                continue
            sign, i = divmod(block, len(self.prog.patterns))
            normals = np.vstack([v / np.linalg.norm(v), self.prog.cone_rows.unit[
                self.pricer.rows(block)]])
            if len(normals) >= self.prog.d:
                continue
            full = np.linalg.qr(normals.T, mode="complete")[0]
            turn = full[:, len(normals):].T
            scale = np.sqrt(self.sizes[k] / np.linalg.norm(v)) * (1.0 if sign == 0 else -1.0)
            bases.append(scale * turn)
            which.append(np.full(len(turn), i))
            total += len(turn)
            if total > MAX_TURNS:
                break
        if not bases:
            return None
        return Design(self.prog, np.concatenate(bases), np.concatenate(which))

    def look(self, nu: FloatArray) -> tuple[dict[int, FloatArray], FloatArray, FloatArray]:
        """Project the working set at ν: points, XᵀDν, and bounds for all blocks."""
        common = self.prog.correlations(nu)
        points = self.pricer.project(common, self.working)
        bounds = self.pricer.bounds(common)
        self.add(self.working, points, 0.5 * self.prog.lam)
        dual = self.pricer.dual_point(nu, bounds)
        if dual.bound > self.dual.bound:
            self.dual = dual
        return dict(zip(self.working.tolist(), points, strict=True)), common, bounds

    def working_bound(self, nu: FloatArray, bounds: FloatArray) -> float:
        """D at ν scaled to feasibility on the working set alone."""
        largest = float(bounds[self.working].max(initial=0.0))
        return self.prog.dual_objective(self.prog.best_scale(nu, largest) * nu)

    def price(self, nu: FloatArray, common: FloatArray, bounds: FloatArray) -> int:
        """Project the blocks outside the working set; the most violated join it."""
        inside = np.zeros(len(bounds), dtype=np.bool_)
        inside[self.working] = True
        order = np.argsort(-np.where(inside, 0.0, bounds))
        lam = self.prog.lam
        found_blocks: list[IntArray] = []
        found_points: list[FloatArray] = []
        norms = np.empty(0)
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            part = part[~inside[part] & (bounds[part] > lam)]
            enough = np.partition(norms, -BATCH)[-BATCH] if len(norms) >= BATCH else 0.0
            if not len(part) or bounds[part[0]] <= max(lam, enough):
                break
            points = self.pricer.project(common, part)
            found_blocks.append(part)
            found_points.append(points)
            norms = np.append(norms, np.linalg.norm(points, axis=1))
        if not found_blocks:
            return 0
        blocks, points = np.concatenate(found_blocks), np.concatenate(found_points)
        worst = np.argsort(-norms)[:BATCH]
        worst = worst[norms[worst] > lam * (1 + 1e-14)]
        self.working = np.concatenate([self.working, blocks[worst]])
        self.add(blocks[worst], points[worst], lam)
        dual = self.pricer.dual_point(nu, self.pricer.bounds(common))
        if dual.bound > self.dual.bound:
            self.dual = dual
        return len(worst)

    def run(self) -> StopReason:
        """Iterate until a reason to stop."""
        prog, tol = self.prog, self.options.tol
        nu = prog.dual_start()
        points, common, bounds = self.look(nu)
        self.price(nu, common, bounds)
        best_working = -np.inf
        stalled = 0
        while True:
            self.report()
            if self.rel_gap <= tol:
                return StopReason.CONVERGED
            if self.iteration >= self.max_iter:
                return StopReason.ITERATION_LIMIT
            if stalled >= PATIENCE:
                return StopReason.NUMERICAL
            self.iteration += 1
            before = self.rel_gap, len(self.working)
            nu_master = self.solve_over_neurons()
            candidates = [nu_master]
            turns = self.curvature(points)
            if turns is not None:
                point = solve_master(self.neurons(), turns, self.sizes, self.check)
                candidates.insert(0, -prog.loss_gradient(point.fits))
            for nu in candidates:
                points, common, bounds = self.look(nu)
                value = self.working_bound(nu, bounds)
                if value > best_working:
                    best_working = value
                    break
            working_gap = (self.upper - best_working) / max(1e-12, abs(self.upper))
            if self.rel_gap > tol and working_gap <= max(PRICE_BELOW * self.rel_gap, 0.5 * tol):
                if self.price(nu, common, bounds):
                    best_working = -np.inf
            progressed = self.rel_gap < 0.99 * before[0] or len(self.working) > before[1]
            stalled = 0 if progressed else stalled + 1


def solve(prog: ConvexProgram, options: SolveOptions, max_iter: int) -> RawSolution:
    """Train; also when stopped early, return the best points found."""
    search = Search(prog, options, max_iter)
    try:
        stop = search.run()
    except StopNow as now:
        stop = now.reason
    except KeyboardInterrupt:
        stop = StopReason.INTERRUPTED
    search.report()
    return RawSolution(
        stop,
        search.weights,
        search.dual.nu,
        search.dual.multipliers,
        raw_status=f"{stop.value} after {search.iteration} iterations",
        objective=search.upper,
        stats={
            "iterations": search.iteration,
            "projections": search.pricer.projected,
            "working_set": len(search.working),
        },
    )
