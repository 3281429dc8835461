r"""Training by column generation with second-order steps in the dual, along a path of λ.

The dual is  max D(ν)  subject to  g_b(ν) = ‖P_K(X_bᵀν)‖ ≤ λ. Each iteration

1. solves the master problem over the neurons found so far: a network, and an upper bound;
2. solves it again with the curvature of the constraints at the best ν: the prediction of the
   dual optimum is exact to second order;
3. goes from the best ν towards the prediction (or towards the master's ν) until the bound
   over the working set rises, each look giving new neurons;
4. prices the other blocks once the working set is nearly optimal.

Without step 2 this is column generation with in-out separation, which converges from
anywhere; with it the end is quadratic. λ falls to its value in stages, since the second-order
model is good only near the optimum and the stages before are cheap.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.plugins.types import RawSolution, SolveOptions, StopReason
from relu_opt.program import ConvexProgram
from relu_opt.program.multipliers import ConeMultipliers
from relu_opt.proof.verdict import relative_gap
from relu_opt.solving.column_generation.bounds import Bounds
from relu_opt.solving.column_generation.design import Design
from relu_opt.solving.column_generation.master import QuadraticSolver, solve_master
from relu_opt.solving.column_generation.neurons import Neurons, outward
from relu_opt.solving.column_generation.pricing import Look, Pricer, Projector, Proof
from relu_opt.solving.search import best_multiple

# Blocks that join the working set at a time.
BATCH = 24
# Pricing ends when so many violated blocks are known.
PLENTY = 48
# λ falls by this factor from stage to stage; a stage before the last ends at this gap.
STAGE_FACTOR = 0.25
STAGE_GAP = 0.05
# Price all blocks when the working set's gap is below this share of the whole gap.
PRICE_BELOW = 0.2
# Shares of the way to a predicted dual point that are tried until the bound rises.
STEPS = (0.5, 0.2, 0.05, 0.01)
# A prediction is also good when it closes this share of the gap from above.
WORTHWHILE = 0.1
# Shares of λ from which a block's ‖v_b‖ makes it a neuron, or a cut of the second-order model.
NEURONS_FROM, CUTS_FROM = 0.3, 0.9
# Columns of curvature: more would cost more than they bring.
MAX_TURNS = 4000
# Iterations without progress after which rounding is to blame.
PATIENCE = 15
# With a gap this small the end is near, where it falls fast or not at all: less than this share
# of it is no progress.
END, PROGRESS_AT_END = 1e-9, 0.1
# Accuracy of the subproblems, relative to the distance of the bounds.
ACCURACY = 1e-12
MAX_ITER = 500


@dataclass(frozen=True)
class Anchor:
    """A dual point over the working set, with the projections there.

    `nu` is scaled to be feasible over the working set, `bound` is D(nu), and `points` are v_b of
    `blocks` before the scaling. The search keeps two: the one with the best bound, from which it
    moves, and the one that the second-order model is made at.
    """

    nu: FloatArray
    bound: float
    blocks: IntArray
    points: FloatArray


class Search(Bounds):
    """One run: its neurons and working set."""

    def __init__(
        self,
        prog: ConvexProgram,
        options: SolveOptions,
        solver: QuadraticSolver,
        max_iter: int,
        projector: Projector,
    ) -> None:
        super().__init__(prog, options, max_iter, PATIENCE)
        self.solver = solver
        self.pricer = Pricer(prog, self.clock, projector)
        self.neurons = Neurons(prog.d)
        self.working: IntArray = np.empty(0, dtype=np.intp)
        self.block_sizes = np.zeros(len(prog.signs) * len(prog.patterns))
        self.cuts = Neurons(prog.d)
        self.toward = np.zeros(prog.n)
        self.proof: Proof | None = None

    def size(self) -> str:
        """This stage's λ, and how many neurons there are."""
        return f"{self.prog.lam / self.target.lam:.3g} lam, {len(self.neurons.sizes)} neurons"

    def record_upper(self, fits: FloatArray) -> None:
        """Note the network of the current neurons."""
        norms = float(self.neurons.sizes.sum())
        self.note_upper(fits, norms, lambda: self.neurons.weights(self.prog))

    def record_lower(self, look: Look) -> None:
        """Note the bound that a look proves."""
        scale = self.note_lower(look.nu, float(look.bounds.max(initial=0.0)))
        if scale is not None:
            self.proof = self.pricer.proof(look, scale)

    # -- the steps -------------------------------------------------------------

    def master(self) -> FloatArray:
        """Solve over the neurons: a network, an upper bound, and ν = −∇F there."""
        accuracy = ACCURACY * self.distance
        neurons = self.neurons
        design = neurons.design(self.prog)
        point = solve_master(design, None, neurons.sizes, accuracy, self.clock.check, self.solver)
        neurons.sizes = point.sizes
        neurons.merge()
        fits = neurons.design(self.prog).fits(neurons.sizes)
        self.record_upper(fits + self.prog.best_intercept(fits))
        return self.prog.dual_candidate(fits)

    def predict(self, anchor: Anchor) -> tuple[FloatArray, FloatArray] | None:
        """The second-order prediction of ν, and the sizes of the blocks there."""
        turns, owners = self.curvature(anchor)
        if turns is None:
            return None
        columns = Neurons(self.prog.d)
        columns.add(anchor.blocks, anchor.points, NEURONS_FROM * self.prog.lam)
        columns.add(self.cuts.owners, self.cuts.directions, 0.0)
        design = columns.design(self.prog)
        start = np.where(
            np.arange(len(design)) < len(design) - len(self.cuts.owners),
            self.block_sizes[columns.owners],
            0.0,
        )
        accuracy = ACCURACY * self.distance
        point = solve_master(design, turns, start, accuracy, self.clock.check, self.solver)
        columns.sizes = point.sizes
        blocks = columns.weights(self.prog).reshape(-1, self.prog.d)
        count = len(self.prog.patterns)
        np.add.at(blocks, owners, outward(owners, count) * point.turns[:, None] * turns.bases)
        nu = self.prog.admissible(-self.prog.loss_gradient(point.fits))
        return nu, np.linalg.norm(blocks, axis=1)

    def curvature(self, anchor: Anchor) -> tuple[Design | None, IntArray]:
        """Columns √(μ_b/λ) X_b N, N the directions of the face of v_b orthogonal to v_b.

        They carry −Σ_b μ_b ∇²g_b(ν), the curvature of the active constraints, whose ‖v_b‖ is λ
        at the optimum; in the primal they let neuron b turn at the price of its norm.
        """
        norms = np.linalg.norm(anchor.points, axis=1)
        sizes = self.block_sizes[anchor.blocks]
        bases, owners, total = [], [], 0
        for k in np.argsort(-sizes):
            if sizes[k] <= 0 or total > MAX_TURNS:
                break
            if norms[k] <= 0:
                continue
            block = int(anchor.blocks[k])
            rows = self.prog.cone_rows.unit[self.pricer.rows(block)]
            normals = np.vstack([anchor.points[k] / norms[k], rows])
            if len(normals) >= self.prog.d:
                continue
            basis = np.linalg.qr(normals.T, mode="complete")[0][:, len(normals) :].T
            bases.append(np.sqrt(sizes[k] / self.prog.lam) * basis)
            owners.append(np.full(len(basis), block))
            total += len(basis)
        if not bases:
            return None, np.empty(0, dtype=np.intp)
        owner = np.concatenate(owners)
        count = len(self.prog.patterns)
        columns = outward(owner, count) * np.concatenate(bases)
        return Design(self.prog, columns, owner % count), owner

    def look(self, nu: FloatArray) -> tuple[Look, Anchor]:
        """Project the working set at ν: new neurons, bounds, and ν made feasible there."""
        least = NEURONS_FROM * self.prog.lam
        look, points = self.pricer.look(nu, self.working, least)
        self.neurons.add(self.working, points, least)
        self.cuts.add(self.working, points, CUTS_FROM * self.prog.lam)
        self.record_lower(look)
        largest = float(look.bounds[self.working].max(initial=0.0))
        best = best_multiple(self.prog, nu, largest)
        return look, Anchor(best.nu, best.value, self.working, points)

    def price(self, look: Look) -> int:
        """Project blocks outside the working set; the most violated of those found join it."""
        lam = self.prog.lam
        outside = look.bounds.copy()
        outside[self.working] = 0.0
        order = np.argsort(-outside)
        order = order[outside[order] > lam]
        blocks: IntArray = np.empty(0, dtype=np.intp)
        points = np.empty((0, self.prog.d))
        norms = np.empty(0)
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            enough = np.partition(norms, -BATCH)[-BATCH] if len(norms) >= BATCH else lam
            if outside[part[0]] <= enough or (norms > lam).sum() >= PLENTY:
                break
            blocks = np.concatenate([blocks, part])
            points = np.concatenate([points, self.pricer.project(look.common, part, lam)])
            norms = np.linalg.norm(points, axis=1)
        worst = np.argsort(-norms)[:BATCH]
        worst = worst[norms[worst] > lam * (1 + 1e-14)]
        self.working = np.concatenate([self.working, blocks[worst]])
        self.neurons.add(blocks[worst], points[worst], lam)
        self.record_lower(self.pricer.bound(look.nu, look.common))
        return len(worst)

    # -- the loop --------------------------------------------------------------

    def follow(self) -> StopReason:
        """Follow λ down to its value; from a start that was given, begin there."""
        start = self.options.warm_start
        if start is not None and self._helps(start):
            return self.stage(self.target.lam, self.warm_up(start), self.tol)
        nu = self.target.dual_start()
        first, _ = self.pricer.look(nu, self.working)
        self.record_lower(first)
        lam, goal = float(first.bounds.max()), self.tol
        while True:
            lam = max(STAGE_FACTOR * lam, self.target.lam)
            last = lam <= self.target.lam
            stop = self.stage(lam, nu, goal if last else max(STAGE_GAP, goal))
            nu = self.anchor.nu
            if last or stop is StopReason.ITERATION_LIMIT:
                return stop
            if self.final_gap <= goal:
                return StopReason.CONVERGED

    def _helps(self, weights: FloatArray) -> bool:
        """Whether a start is better than the zero network; others lead astray."""
        prog = self.target
        return prog.objective(weights, prog.best_intercept(prog.fits(weights))) < self.answer.upper

    def warm_up(self, weights: FloatArray) -> FloatArray:
        """Take over given blocks; returns ν = −∇F there."""
        if isinstance(self.options.state, ConeMultipliers):
            self.pricer.adopt(self.options.state)
        sign, which = np.nonzero(weights.any(axis=2))
        self.working = sign * len(self.prog.patterns) + which
        self.neurons.add(self.working, weights[sign, which], 0.0)
        self.neurons.sizes = np.linalg.norm(weights[sign, which], axis=1)
        return self.prog.dual_candidate(self.prog.fits(weights))

    def stage(self, lam: float, nu: FloatArray, tol: float) -> StopReason:
        """Iterate at one λ, from a dual point, until the gap is at most `tol`."""
        self.begin_stage(lam)
        self.tol = tol
        fits = self.neurons.design(self.prog).fits(self.neurons.sizes)
        self.record_upper(fits + self.prog.best_intercept(fits))
        self.cuts.clear()
        self.seen, self.anchor = self.look(nu)
        if self.price(self.seen):
            self.seen, self.anchor = self.look(nu)
        self.base, self.known, self.due = self.anchor, len(self.working), False
        self.toward = self.master()
        self.block_sizes = self.neurons.block_sizes(self.prog)
        return self.run()

    def ask(self) -> None:
        """Price the other blocks when the working set is nearly optimal."""
        if self.due and self.price(self.seen):
            self.seen, self.anchor = self.look(self.anchor.nu)
            self.base = self.anchor

    def progressed(self, before: tuple[float, float]) -> bool:
        """Whether either bound has moved, or blocks have joined; near the end, how fast."""
        joined, self.known = len(self.working) > self.known, len(self.working)
        if self.gap <= END:
            return self.gap <= (1 - PROGRESS_AT_END) * relative_gap(*before)
        return joined or super().progressed(before)

    def advance(self) -> None:
        """One iteration."""
        self.move()
        whole, inside = self.distance, self.upper - self.anchor.bound
        enough = inside <= max(PRICE_BELOW * whole, 0.5 * self.tol * self.lower)
        self.due = self.gap > self.tol and enough

    def move(self) -> None:
        """Find a better dual point: the prediction, or one on the way to it."""
        predicted = self.predict(self.base)
        aims = [self.toward]
        if predicted is not None:
            aims.insert(0, predicted[0])
            before = self.upper
            self.seen, self.base = self.look(predicted[0])
            self.toward = self.master()
            better = self.base.bound > self.anchor.bound
            if better or before - self.upper > WORTHWHILE * (before - self.anchor.bound):
                self.block_sizes = predicted[1] if better else self.neurons.block_sizes(self.prog)
                self.cuts.clear()
                self.anchor = self.base if better else self.anchor
                return
            aims[1] = self.toward
        self.seen, self.base = self.look(self.toward)
        if self.base.bound > self.anchor.bound:
            self.anchor = self.base
        else:
            for aim, step in itertools.product(aims, STEPS):
                self.seen, candidate = self.look(self.anchor.nu + step * (aim - self.anchor.nu))
                if candidate.bound > self.anchor.bound:
                    self.anchor = self.base = candidate
                    break
        self.toward = self.master()
        self.block_sizes = self.neurons.block_sizes(self.prog)


def train(
    prog: ConvexProgram,
    options: SolveOptions,
    solver: QuadraticSolver,
    max_iter: int = MAX_ITER,
    projector: Projector = ConvexProgram.project,
) -> RawSolution:
    """Train; also when stopped early, return the best points found.

    Parameters
    ----------
    prog : ConvexProgram
    options : SolveOptions
        `tol`, `time_limit`, `warm_start` and `progress` are honoured here.
    solver : QuadraticSolver
        Solves the master problems. It may raise `StopNow` to end the search with the best answer
        so far.
    max_iter : int
        Outer iterations.
    projector : callable
        Projects onto the cones; see `pricing.Projector`.
    """
    search = Search(prog, options, solver, max_iter, projector)
    stop, said = search.outcome()
    answer = search.answer
    return RawSolution(
        stop,
        answer.weights,
        answer.nu,
        search.proof.pack() if search.proof else None,
        raw_status=said or f"{stop.value} after {search.rounds} iterations",
        objective=answer.upper,
        stats={
            "iterations": search.rounds,
            "projections": search.pricer.projected,
            "working_set": len(search.working),
        },
    )
