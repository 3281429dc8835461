r"""Training gated-ReLU networks: a group lasso, solved by Newton's method on few groups.

Each iteration

1. prices the groups, XᵀD_iν, which gives a lower bound; the most violating groups may join;
2. solves a small quadratic program for the sizes of the groups along their directions, and along
   XᵀD_iν for those that may join (`radii`): groups join and leave here;
3. takes a Newton step on the non-zero groups (`group_newton`), after which they have turned.

Both steps search along a line, so the objective falls at each. λ falls to its value in stages of
one or two iterations, while the groups are few.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.plugins.types import RawSolution, SolveOptions, StopReason
from relu_opt.program import ConvexProgram
from relu_opt.program.line_search import crossing
from relu_opt.solving.column_generation.bounds import Bounds
from relu_opt_native.curvature import Curvature, Damping
from relu_opt_native.group_columns import DiagonalData, GroupColumns
from relu_opt_native.group_newton import LARGE, Manner, NewtonSystem
from relu_opt_native.radii import best_sizes, curvature_root

# λ falls by this factor from stage to stage; a stage before the last ends at this gap.
STAGE_FACTOR, STAGE_GAP = 0.5, 0.2
# Above this gap, groups of large data are priced in single precision.
ROUGH = 1e-3
# Groups that may join at a time: so many, or this share of those that are not zero.
FEWEST_NEW, NEW_SHARE = 10, 1.0
# Newton's equations are solved to this accuracy at most, and to the root of the gap.
FORCING = 0.1
TIGHTEST = 1e-3
MAX_PRODUCTS = 200
# After a shorter step, groups may also turn towards XᵀD_iν.
GOOD_STEP = 0.9
# Iterations without progress of either bound after which rounding is to blame.
PATIENCE = 10


class GatedSearch(Bounds):
    """One run: its weights, in the rotated coordinates, and what is known of the groups."""

    def __init__(self, prog: ConvexProgram, options: SolveOptions, max_iter: int) -> None:
        super().__init__(prog, options, max_iter, PATIENCE)
        self.data = DiagonalData.of(prog)
        count, self.width = len(prog.patterns), self.data.X.shape[1]
        self.weights = np.zeros((count, self.width))
        self.answer.weights = self.weights.copy()
        # Without and with the intercept; and where the last step would have led at full length.
        self.fits = np.zeros(prog.n)
        self.whole = self.fits + prog.best_intercept(self.fits)
        self.reach = self.whole
        self.nu = np.zeros(prog.n)
        # ‖XᵀD_iν‖ is at most `bounds[i]`, and is that, with `common[i]`, where `fresh[i]`.
        self.common = np.zeros((count, self.width))
        self.bounds = np.full(count, np.inf)
        self.fresh = np.zeros(count, dtype=np.bool_)
        self.damping = Damping(prog)
        self.step = 1.0
        self.manner = Manner()
        self.newton_steps = self.products = 0
        self.passes = 0.0

    @property
    def norms(self) -> FloatArray:
        """‖w_i‖, (p,)."""
        return np.asarray(np.linalg.norm(self.weights, axis=1))

    def size(self) -> str:
        """This stage's λ, and how many groups are not zero."""
        lam = self.prog.lam / self.target.lam
        return f"{lam:.3g} lam, {np.count_nonzero(self.norms)} groups"

    @property
    def done(self) -> bool:
        """Whether the answer is good enough, at whatever stage."""
        return self.final_gap <= self.tol

    def columns(self, which: IntArray) -> GroupColumns:
        """The columns of some groups, for one product: counted as a share of a pass."""
        self.passes += len(which) / len(self.bounds)
        return GroupColumns(self.data, which)

    def move(self, fits: FloatArray) -> None:
        """Go to the fits of the weights: notes the network, and ν there."""
        self.fits = fits
        self.whole = fits + self.prog.best_intercept(fits)
        self.note_upper(self.whole, float(self.norms.sum()), self.weights.copy)
        nu = self.prog.dual_candidate(fits)
        moved = float(np.linalg.norm(nu - self.nu))
        if moved > 0:
            self.bounds += self.data.largest * moved
            self.fresh[:] = False
        self.nu = nu

    def ask(self) -> None:
        """XᵀD_iν of the groups that are not zero or may violate their constraint."""
        wanted = (self.bounds > self.prog.lam) | self.weights.any(axis=1)
        self.refresh(np.flatnonzero(wanted & ~self.fresh))
        self.note_lower(self.nu, float(self.bounds.max()))

    def refresh(self, which: IntArray) -> None:
        """XᵀD_iν of chosen groups."""
        if not len(which):
            return
        self.clock.check()
        columns = self.columns(which)
        large = len(which) * self.prog.X.size >= LARGE
        if large and not self.manner.exact and self.gap > ROUGH:
            self.common[which] = columns.roughly_correlate(self.nu)
            self.bounds[which] = np.linalg.norm(self.common[which], axis=1)
        else:
            # In the data as they came: what is proved must hold for them.
            common = columns.correlate(self.nu, self.prog.X)
            self.bounds[which] = np.linalg.norm(common, axis=1)
            self.common[which] = common @ self.data.V
        self.fresh[which] = True

    # -- the steps -------------------------------------------------------------

    def directions(self) -> tuple[IntArray, FloatArray, FloatArray]:
        """Groups, directions of length one, and sizes: what the sizes are chosen for."""
        norms = self.norms
        active = np.flatnonzero(norms)
        outside = np.flatnonzero((norms == 0) & self.fresh & (self.bounds > self.prog.lam))
        count = max(FEWEST_NEW, round(NEW_SHARE * len(active)))
        new = outside[np.argsort(-self.bounds[outside])[:count]]
        turning = active if self.step < GOOD_STEP else active[:0]
        toward = np.concatenate([new, turning])
        units = np.concatenate(
            [
                self.weights[active] / norms[active, None],
                self.common[toward] / np.maximum(self.bounds[toward, None], 1e-300),
            ]
        )
        sizes = np.concatenate([norms[active], np.zeros(len(toward))])
        return np.concatenate([active, toward]), units, sizes

    def resize(self, curvature: Curvature) -> FloatArray:
        """Choose the sizes anew; returns the curvature between the groups' units after it."""
        which, units, start = self.directions()
        root = curvature_root(self.columns(which), units, curvature)
        slope = self.prog.lam - (units * self.common[which]).sum(axis=1)
        sizes = best_sizes(root, slope, start)
        change = (sizes - start)[:, None] * units
        before = self.fits
        ahead = self.columns(which).fits(change)
        cost = self.prog.lam * float((sizes - start).sum())
        t = self.search(ahead, curvature, lambda _: cost)
        self.weights[which] = 0.0
        np.add.at(self.weights, which, (start + t * (sizes - start))[:, None] * units)
        self.move(before + t * ahead)
        norms = self.norms
        active = np.flatnonzero(norms)
        place = np.searchsorted(active, which)
        kept = np.flatnonzero(np.isin(which, active))
        shares = np.zeros((len(which), len(active)))
        shares[kept, place[kept]] = (start + t * (sizes - start))[kept] / norms[which[kept]]
        return root @ shares

    def search(
        self, ahead: FloatArray, curvature: Curvature, cost: Callable[[float], float]
    ) -> float:
        """The best t along a change of the fits; `cost(t)` is the slope of λ Σ‖w_i‖."""
        whole, step = self.whole, ahead + curvature.shift(ahead)
        self.reach = whole + step

        def slope(t: float) -> float:
            return float(self.prog.loss_gradient(whole + t * step) @ step) + cost(t)

        return crossing(slope)

    def turn(self, curvature: Curvature, root: FloatArray) -> None:
        """A Newton step on the groups that are not zero."""
        active = np.flatnonzero(self.norms)
        self.refresh(active[~self.fresh[active]])
        norms, lam = self.norms[active], self.prog.lam
        units = self.weights[active] / norms[:, None]
        pulls = self.common[active] / np.maximum(self.bounds[active, None], lam)
        columns = GroupColumns(self.data, active)
        system = NewtonSystem(
            columns,
            curvature,
            lam / norms,
            units,
            pulls,
            root.T @ root,
            self.manner,
        )
        gap = max(self.gap, 1e-300)
        accuracy = min(FORCING, max(TIGHTEST, np.sqrt(gap), 0.3 * self.tol / gap))
        right = self.common[active] - lam * units
        change = system.solve(right, accuracy, MAX_PRODUCTS, self.clock.check)
        share = len(active) / len(self.bounds)
        self.products += system.products
        self.passes += 2 * share * system.products
        self.newton_steps += 1
        self.manner = self.manner.after(system.products, self.prog.n)
        here, ahead = self.weights[active], self.columns(active).fits(change)

        def cost(t: float) -> float:
            there = here + t * change
            sizes = np.maximum(np.linalg.norm(there, axis=1), 1e-300)
            return lam * float(((there * change).sum(axis=1) / sizes).sum())

        self.step = self.search(ahead, curvature, cost)
        self.weights[active] = here + self.step * change
        self.move(self.fits + self.step * ahead)

    # -- the loop --------------------------------------------------------------

    def follow(self) -> StopReason:
        """Follow λ down to its value; from a start that was given, begin there."""
        self.move(self.fits)
        self.begin(self.options.warm_start)
        self.ask()
        if not self.weights.any():
            self.lower_lam(float(self.bounds.max()))
        return self.run()

    def join(self, found: None) -> StopReason | None:
        """Go to the next stage when this one is near its end; a reason to stop if stalled."""
        stop = super().join(found)
        if self.stalled:
            self.manner = replace(self.manner, exact=True)
        if stop is None and self.prog is not self.target and self.gap <= STAGE_GAP:
            self.lower_lam(self.prog.lam)
        return stop

    def begin(self, start: FloatArray | None) -> None:
        """Take given weights over, unless the zero network is better."""
        if start is None:
            return
        zero = self.fits
        self.weights = start[0] @ self.data.V
        active = np.flatnonzero(self.norms)
        self.move(self.columns(active).fits(self.weights[active]))
        if not self.answer.weights.any():
            self.weights[:] = 0.0
            self.move(zero)

    def lower_lam(self, lam: float) -> None:
        """Begin the next stage."""
        self.begin_stage(max(STAGE_FACTOR * lam, self.target.lam))
        self.move(self.fits)
        self.ask()

    def advance(self) -> None:
        """One iteration."""
        curvature = self.damping.curvature(self.whole)
        root = self.resize(curvature)
        if self.norms.any():
            before = self.whole
            if not self.prog.loss.quadratic:
                curvature = self.damping.curvature(before)
            self.turn(curvature, root)
            self.damping.learn(self.step, before, self.reach)


def train_gated(prog: ConvexProgram, options: SolveOptions, max_iter: int) -> RawSolution:
    """Train a gated network; also when stopped early, return the best points found.

    Parameters
    ----------
    prog : ConvexProgram
        With gated activation.
    options : SolveOptions
        `tol`, `time_limit`, `warm_start` and `progress` are honoured here.
    max_iter : int
        Outer iterations.
    """
    search = GatedSearch(prog, options, max_iter)
    stop, said = search.outcome()
    answer = search.answer
    return RawSolution(
        stop,
        (answer.weights @ search.data.V.T)[None],
        answer.nu,
        raw_status=said or f"{stop.value} after {search.rounds} iterations",
        objective=answer.upper,
        stats={
            "iterations": search.rounds,
            "passes": round(search.passes, 1),
            "working_set": int(np.count_nonzero(search.answer.weights.any(axis=1))),
            "newton_steps": search.newton_steps,
            "products": search.products,
        },
    )
