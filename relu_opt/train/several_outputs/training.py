"""Column generation: networks with several outputs that no other network beats."""

from __future__ import annotations

import math

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.clock import Clock
from relu_opt.errors import DataError, did_you_mean
from relu_opt.plugins.stopping import StopNow
from relu_opt.plugins.types import StopReason
from relu_opt.program.arrangement import MAX_PATTERNS
from relu_opt.proof.verdict import relative_gap
from relu_opt.solving.search import SHARE, CuttingPlanes, best_multiple
from relu_opt.train.several_outputs.ascent import VectorAscent
from relu_opt.train.several_outputs.bounds import MOST_DIRECTIONS, Terms, VectorSeparation, distinct
from relu_opt.train.several_outputs.certificate import vector_certificate
from relu_opt.train.several_outputs.flats import VectorFlats
from relu_opt.train.several_outputs.master import group_lasso
from relu_opt.train.several_outputs.network import VectorNetwork
from relu_opt.train.several_outputs.problem import VectorProblem
from relu_opt.train.several_outputs.proof import ROOM, VectorBound, lower_bound
from relu_opt.train.several_outputs.relaxation import Relaxation
from relu_opt.train.several_outputs.sliding import slide
from relu_opt.train.several_outputs.solution import VectorRound, VectorSolution
from relu_opt.train.several_outputs.sphere import VectorSphere

ORACLES = ("auto", "sphere", "flats", "ascent")
VectorOracle = VectorSphere | VectorFlats | VectorAscent
# Up to this rank `auto` searches all directions.
SPHERE_RANK = 6
# Directions that join in a round, steps of a descent, and rounds.
JOIN, STEPS, MAX_ROUNDS = 32, 300, 300
# Share of the tolerance that training goes for.
GOAL = 0.99
# Share of the tolerance that the oracle and the master may each leave.
AIM = 0.25
# Random neurons of an exploration, their size as a share of the median, its steps, and the share of
# the objective that makes another one worth while.
EXPLORE, SMALL, EXPLORE_STEPS, WORTH = 64, 0.01, 500, 1e-4
# Neurons whose directions differ by less than this are tried as one.
MERGE = 1e-3
# Rounds from the directions of a relaxation.
FEW = 6
# One less the cosine of directions that are as good as one.
NEARLY_ONE = 1e-8


def make_vector_oracle(
    problem: VectorProblem, name: str, max_patterns: int = MAX_PATTERNS
) -> VectorOracle:
    """The oracle of a name, or a DataError."""
    if name not in ORACLES:
        raise DataError(f"Unknown oracle {name!r}. {did_you_mean(str(name), ORACLES)}", oracle=name)
    if name == "flats":
        return VectorFlats(problem.space, max_patterns)
    if name == "ascent" or (name == "auto" and problem.space.rank > SPHERE_RANK):
        return VectorAscent(problem.space)
    return VectorSphere(problem.space)


class ColumnGeneration(CuttingPlanes[VectorSeparation]):
    """One run: the known neurons, and the best bounds so far."""

    def __init__(
        self, given: VectorProblem, oracle: VectorOracle, tol: float, clock: Clock
    ) -> None:
        # What is solved, and how far: rounding and its proof take a little of the tolerance.
        super().__init__(GOAL * tol, clock, MAX_ROUNDS)
        self.given, self.problem = given, given.canonical
        self.given_tol, problem = tol, self.problem
        self.oracle, self.ascent = oracle, VectorAscent(problem.space)
        self.climbs_only = oracle.name == "ascent"
        self.directions = np.zeros((0, problem.rows.shape[1]))
        self.sizes = np.zeros(0)
        self.network = problem.network(self.directions, np.zeros((0, problem.Y.shape[1])))
        self.upper = problem.objective(self.network)
        self.nu = problem.dual_point(self.network)
        # V = 0 is feasible whatever X is.
        self.V, self.lower = np.zeros_like(self.nu), 0.0
        self.history: list[VectorRound] = []
        # The gap before the last search, whether that is done with climbing, and who joins.
        self.before, self.settled = math.inf, False
        self.fresh = self.directions
        self.found = VectorSeparation(
            0.0, math.inf, np.zeros((0, self.directions.shape[1])), np.zeros(0),
            self.ascent.name, "nothing: no search has ended", StopReason.UNKNOWN, 0,
        )  # fmt: skip

    def ask(self) -> VectorSeparation:
        """Climb; a search of all directions is for networks that climbs hardly improve."""
        self.before = self.gap
        rel = max(AIM * self.tol, SHARE * min(1.0, self.before))
        found = self._search(self.ascent, rel)
        enough = WORTH if self.climbs_only else SHARE * self.before
        self.settled = self._likely_gap(found) <= max(0.5 * self.tol, enough)
        if self.settled and not self.climbs_only and found.stop.converged:
            found = self._search(self.oracle, rel)
        return found

    def join(self, found: VectorSeparation) -> StopReason | None:
        """Let the best directions join, or none where climbs alone have settled."""
        if found.stop is not StopReason.CONVERGED:
            return found.stop
        self.fresh = found.directions[found.values > self.problem.lam * (1 + 1e-12)][:JOIN]
        exploring = self.settled and self.climbs_only
        if exploring or len(self.fresh) or self.gap <= 0.9 * self.before:
            return None
        return StopReason.CONVERGED_LOOSE

    def solve(self) -> None:
        """Solve over known and new neurons, or explore where climbs have settled."""
        if not (self.settled and self.climbs_only):
            self._join(self.fresh)
        elif not self._explore():
            raise StopNow(StopReason.CONVERGED_LOOSE)

    def size(self) -> str:
        """How many neurons there are, and who searches."""
        return f"{len(self.directions)} neurons, oracle {self.oracle.name}"

    def told(self) -> tuple[float, float, float]:
        """The bounds in the units of the given problem."""
        upper, lower = (self.given.units.objective(each) for each in (self.upper, self.lower))
        return upper, lower, self.gap

    def tell(self) -> None:
        """Tell observers, and keep it."""
        upper, lower, _ = self.told()
        count = len(self.directions)
        self.history.append(VectorRound(upper, lower, count, self.clock.elapsed))
        super().tell()

    def answer(self, stop: StopReason) -> VectorSolution:
        """What was found, with neurons of nearly one direction made one where that is no worse."""
        self._tidy()
        found = self.found
        return self._solution("column_generation", found.proof, found.statement, found, stop)

    def beside(self, relaxed: Relaxation) -> VectorSolution:
        """The bound of a relaxation, and a network of the directions that it makes likely."""
        self.V, self.lower = relaxed.V, relaxed.bound
        for _ in range(FEW):
            self._join(self._likely(relaxed.directions))
            self.tell()
        self._tidy()
        statement = (
            f"the {relaxed.kind} relaxation over {relaxed.patterns} patterns, solved by "
            f"{relaxed.backend}; its multipliers were checked"
        )
        return self._solution("sdp", "relaxed", statement, None, relaxed.stop)

    def _solution(
        self,
        method: str,
        kind: str,
        statement: str,
        found: VectorSeparation | None,
        stop: StopReason,
    ) -> VectorSolution:
        """The answer in the units of the given problem."""
        units = self.given.units
        network = self.given.as_given(self.network)
        bound = VectorBound(self.V, self.lower).in_units(units)
        proof = vector_certificate(self.given, network, bound, kind, statement, self.given_tol)
        if found is not None:
            found = found.in_units(units.x + units.y)
        stop = stop.beside(proof.verdict, proof.rel_gap)
        return VectorSolution(proof, self.given, method, found, tuple(self.history), stop)

    # -- underneath ------------------------------------------------------------

    def _likely(self, directions: FloatArray) -> FloatArray:
        """Directions uphill of the given and of the known ones at the dual point, polished."""
        space = self.problem.space
        terms = Terms.of(space, self.problem.row_weights(self.nu))
        points = np.vstack([directions, self.directions]) @ space.axes.T
        points = terms.climb(points, self.clock)
        points = np.array([terms.polish(point) for point in points])
        points, _ = distinct(points, terms.values(points), MOST_DIRECTIONS)
        return space.outward(points)

    def _likely_gap(self, found: VectorSeparation) -> float:
        """The gap if no direction had a larger value than those found."""
        likely = best_multiple(self.problem, self.nu, found.lower)
        return relative_gap(self.upper, likely.value)

    def _search(self, oracle: VectorOracle, rel: float) -> VectorSeparation:
        """Search at the dual point, scaled until it is feasible; the best bound is kept."""
        found = oracle.search(
            self.problem.row_weights(self.nu),
            (1 + rel) * self.problem.lam,
            rel,
            self.clock,
            self.directions,
        )
        bound = lower_bound(self.problem, self.nu, found.upper * (1 + ROOM * self.tol))
        if bound.value > self.lower or not self.history:
            self.V, self.lower, self.found = bound.V, bound.value, found
        return found

    def _join(self, fresh: FloatArray) -> None:
        """Solve over known and new neurons, let them slide, and solve once more."""
        zeros = np.zeros(len(fresh))
        self._solve(np.vstack([self.directions, fresh]), np.concatenate([self.sizes, zeros]))
        moved = slide(self.problem, self.network, STEPS, self.clock)
        if moved is not self.network:
            self._solve_at(moved)

    def _explore(self) -> bool:
        """Descend with small neurons of random directions; whether that is worth another round.

        Such descents leave networks that no climb improves, where climbs miss the largest pulls.
        """
        before, known = self.upper, self.network
        rng = np.random.default_rng(len(self.history))
        drawn = rng.standard_normal((EXPLORE, self.directions.shape[1]))
        drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
        pulls = self.problem.features(drawn).T @ self.nu
        sizes = np.linalg.norm(pulls.reshape(EXPLORE, -1), axis=1)
        on = np.repeat(sizes > 0, self.problem.blocks)
        units = pulls[on] / np.repeat(sizes[sizes > 0], self.problem.blocks)[:, None]
        small = SMALL * float(np.median(self.sizes)) if len(self.sizes) else SMALL
        seeds = self.problem.network(drawn[sizes > 0], small * units)
        hidden = np.concatenate([known.hidden, seeds.hidden])
        output = np.concatenate([known.output, seeds.output])
        wide = VectorNetwork(hidden, output, known.intercept, known.patches)
        self._solve_at(slide(self.problem, wide, EXPLORE_STEPS, self.clock))
        return before - self.upper > WORTH * abs(before)

    def _solve_at(self, network: VectorNetwork) -> None:
        """The group lasso over a network's directions, and over those that are not among them."""
        sizes = np.linalg.norm(network.hidden, axis=1)
        units = network.hidden / sizes[:, None]
        apart = (self.directions @ units.T).max(axis=1, initial=-1.0) < 1 - NEARLY_ONE
        self._solve(
            np.vstack([units, self.directions[apart]]),
            np.concatenate([sizes**2, np.zeros(int(apart.sum()))]),
        )

    def _solve(self, directions: FloatArray, sizes: FloatArray) -> None:
        """The group lasso over these directions; those without weight are dropped."""
        problem = self.problem
        F, Y = problem.features(directions), problem.Y
        if problem.intercept:
            F, Y = F - F.mean(axis=0), Y - Y.mean(axis=0)
        found = group_lasso(F, Y, problem.lam, problem.blocks, sizes, AIM * self.tol)
        norms = np.linalg.norm(found.weights.reshape(-1, problem.blocks * Y.shape[1]), axis=1)
        on = norms > 1e-10 * norms.max(initial=0.0)
        kept = np.repeat(on, problem.blocks)
        network = problem.network(directions[on], found.weights[kept])
        self.nu = problem.dual_point(network)
        self.directions, self.sizes = directions[on], norms[on]
        value = problem.objective(network)
        if value <= self.upper:
            self.network, self.upper = network, value

    def _tidy(self) -> None:
        """Merge neurons of nearly one direction, if the objective stays within the tolerance."""
        merged = self.network.merge(MERGE)
        merged = self.problem.network(merged.hidden, merged.output)
        if len(merged) < len(self.network) and not self.clock.expired:
            moved = slide(self.problem, merged, STEPS, self.clock)
            value = self.problem.objective(moved)
            if value <= self.upper or relative_gap(value, self.lower) <= 0.5 * self.tol:
                self.network, self.upper = moved, value
