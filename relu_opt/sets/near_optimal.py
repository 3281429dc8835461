r"""All networks that are nearly optimal: {F + λ Σ_b ‖w_b‖ ≤ p* + ε} over the program's blocks.

On generic data there is one optimal network, and what networks may differ in shows at ε > 0 only.
The set is convex in the weights, so each end of a range of predictions lies where more prediction
costs all of ε: a training program with the query as one more row finds it, and its lower bound
proves that no network of the set goes beyond (Lagrangian duality).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import FloatArray, as_floats, as_positive, as_targets
from relu_opt.errors import DataError
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.line_search import crossing
from relu_opt.program.network import ReLUNetwork, locate_neurons
from relu_opt.program.patterns import Patterns, unique_rows
from relu_opt.program.signs import masks_of
from relu_opt.progress.bar import Announcer
from relu_opt.proof.answer import Answer
from relu_opt.proof.assembly import CONE_TOLERANCE, certificate_of
from relu_opt.proof.certificate import NetworkCertificate
from relu_opt.proof.certified_network import CertifiedNetwork
from relu_opt.proof.dual_bound import DualBound
from relu_opt.proof.verdict import relative_gap
from relu_opt.sets.answers import PredictionRange
from relu_opt.sets.element import with_certificate
from relu_opt.sets.stacking import Stack, Trade, one_more_row, with_columns
from relu_opt.solving.shards.executors import opened, run_all

# How close the two bounds on the end of a range shall come, relative to its distance from the
# optimum, and how many programs are solved for that at the most.
CLOSE = 1e-3
MAX_SOLVES = 25
# Ends this close, relative to the prediction and to how far ε moves it, are one.
FLOOR = 1e-7
# How far a step goes in the logarithm of what is traded.
LEAP = 4.0


@dataclass(frozen=True, eq=False)
class TunedNetwork(CertifiedNetwork):
    """A network of the set with a small error on other data.

    Attributes
    ----------
    error : float
        Its mean squared error there.
    error_bound : float
        No network of the set has a smaller one, if its neurons have the patterns of the program's
        gates on the two data together.
    """

    error: float = field(kw_only=True)
    error_bound: float = field(kw_only=True)


@dataclass(frozen=True, eq=False)
class NearOptimalSet(Answer):
    """The networks with F + λ Σ_b ‖w_b‖ ≤ `budget`; made by `OptimalSet.near_optimal`.

    Attributes
    ----------
    program : ConvexProgram
    bound : DualBound
        The lower bound on the optimum.
    network : CertifiedNetwork
        An optimal one.
    eps : float
        How far above the optimum, in units of the objective.
    backend : str
        Who solves the programs.
    options : mapping
        The backend's options.
    """

    program: ConvexProgram
    bound: DualBound
    network: CertifiedNetwork
    eps: float
    backend: str
    options: Mapping[str, object]

    @property
    def certificate(self) -> NetworkCertificate:
        """Of the optimal network."""
        return self.network.certificate

    @property
    def budget(self) -> float:
        """The largest objective: that of the optimal network plus ε."""
        return self._least + self.eps

    def prediction_range(
        self, Xq: ArrayLike, close: float = CLOSE, executor: object = None
    ) -> PredictionRange:
        """The interval of predictions at each row of Xq over the networks of the set.

        Parameters
        ----------
        Xq : (q, d) array
            Queries, in the columns of the program's X.
        close : float
            How near attained and proved ends shall come, relative to their distance from the
            optimum's prediction.
        executor : optional
            As in `solve`: where to spread the rows over.

        Returns
        -------
        PredictionRange
            `lower` and `upper` are attained by networks of the set; none goes beyond
            `lower_bound` and `upper_bound`. After Ctrl-C these are infinite for the rows that
            are missing.
        """
        close = as_positive(close, "close")
        rows = as_floats(Xq, "Xq", 2)
        if executor is not None:
            with opened(executor) as workers:
                found = run_all(workers, _row_range, self, [(row, close) for row in rows])
            return PredictionRange(*np.array([ends for ends, _ in found]).T)
        ends = np.empty((4, len(rows)))
        ends[:2], ends[2], ends[3] = self.network.predict(rows), -math.inf, math.inf
        tell = Announcer("prediction_range", len(rows))
        for q, row in enumerate(rows):
            tell(q, f"row {q + 1} of {len(rows)}")
            ends[:, q], interrupted = _row_range(self, (row, close))
            if interrupted:
                break
        return PredictionRange(*ends)

    def tune(self, X_valid: ArrayLike, y_valid: ArrayLike, close: float = CLOSE) -> TunedNetwork:
        """A network of the set with a small mean squared error on other data.

        Parameters
        ----------
        X_valid : (m, d) array
        y_valid : (m,) array
            Targets; −1 and +1 for classification, whatever the training loss.
        close : float
            How near the error and its bound shall come, relative to the optimal network's error.

        Raises
        ------
        DataError
            If the patterns have no gates, which say what they are on other data.
        """
        rows = as_floats(X_valid, "X_valid", 2)
        targets = as_targets(y_valid, "y_valid", len(rows), "X_valid")
        stack = self._stack(rows, self._patterns_with(rows))
        found: list[tuple[float, int, ReLUNetwork]] = []
        bounds = [0.0]

        def cost(log_strength: float) -> float:
            strength = math.exp(log_strength)
            highest = self.budget + 0.5 * strength * error(self.network)
            trade = stack.trade(targets, strength, self._accuracy(close, highest))
            bounds.append(2.0 * (trade.lower - self.budget) / strength)
            network = _mixture(self.network, trade.solution.network, self._share(trade))
            found.append((error(network), len(found), network))
            return self._excess(trade)

        def error(network: ReLUNetwork) -> float:
            return float(np.mean((network.predict(rows) - targets) ** 2))

        def done() -> bool:
            return stack.interrupted or min(found)[0] - max(bounds) <= close * untuned

        untuned = error(self.network)
        usual = max(untuned, FLOOR * float(np.mean(targets**2))) or 1.0
        approach(cost, math.log(self.eps / usual), done)
        value, _, network = min(found)
        proved = self._certified(network)
        return TunedNetwork(
            proved.hidden,
            proved.output,
            proved.intercept,
            proved.gates,
            certificate=proved.certificate,
            error=value,
            error_bound=max(bounds),
        )

    # -- underneath ------------------------------------------------------------

    def _stack(self, rows: FloatArray, patterns: Patterns) -> Stack:
        return Stack(self.program, rows, patterns, self.backend, self.options)

    def _end(self, stack: Stack, centre: float, sign: float, close: float) -> tuple[float, float]:
        """The prediction furthest in a direction that is attained, and that is possible."""
        strength = 1.0 / self.program.n
        attained, possible = centre, sign * math.inf
        reach = math.sqrt(8.0 * self.eps / strength)
        floor = FLOOR * (reach + abs(centre))

        def cost(log_distance: float) -> float:
            nonlocal attained, possible
            target = centre + sign * math.exp(log_distance)
            highest = self.budget + 0.5 * strength * (target - centre) ** 2
            trade = stack.trade(np.array([target]), strength, self._accuracy(close, highest))
            reached = centre + self._share(trade) * (trade.outputs[0] - centre)
            attained = max(attained, reached, key=lambda z: sign * z)
            beyond = 2.0 * (trade.lower - self.budget) / strength
            if beyond > 0:
                limit = target - sign * math.sqrt(beyond)
                possible = min(possible, limit, key=lambda z: sign * z)
            return self._excess(trade)

        def done() -> bool:
            apart = abs(possible - attained)
            return stack.interrupted or apart <= max(close * abs(attained - centre), floor)

        approach(cost, math.log(reach), done)
        return attained, possible

    @property
    def _least(self) -> float:
        return self.network.certificate.objective

    def _excess(self, trade: Trade) -> float:
        """log(P − p*) − log ε; −inf when nothing was paid."""
        paid = trade.objective - self._least
        return math.log(paid / self.eps) if paid > 0 else -math.inf

    def _accuracy(self, close: float, highest: float) -> float:
        return min(1e-4, max(1e-12, 0.2 * close * self.eps / highest))

    @cached_property
    def _fits(self) -> FloatArray:
        return self.network.predict(self.program.X)

    def _share(self, trade: Trade) -> float:
        """How far the budget reaches from the optimal network towards the trade's."""
        prog, away = self.program, trade.solution.network
        other, norms = away.predict(prog.X), (self.network.penalty(), away.penalty())

        def over(share: float) -> float:
            mixed = prog.mean_loss((1 - share) * self._fits + share * other)
            penalty = (1 - share) * norms[0] + share * norms[1]
            return mixed + prog.lam * penalty - self.budget

        share = crossing(over)
        if over(share) > 0:
            share *= 1 - 1e-9
        return share

    def _patterns_with(self, rows: FloatArray) -> Patterns:
        """The gates' patterns on the data and the rows, and those of the optimal neurons."""
        prog = self.program
        if prog.patterns.gates is None:
            raise DataError(
                "The patterns have no gates, which say which neurons are active on other data. "
                "Use sample_patterns, or pass gates to Patterns."
            )
        masks, more = prog.patterns.unpack(slice(None)), masks_of(rows, prog.patterns.gates).T
        if prog.activation.gated:
            return with_columns(masks, more, prog.patterns.gates)
        place = locate_neurons(prog, self.network, CONE_TOLERANCE)
        own = masks_of(rows, self.network.hidden.T).T
        masks, more = np.vstack([masks, masks[place]]), np.vstack([more, own])
        keep = unique_rows(np.packbits(np.hstack([masks, more]), axis=1))
        return with_columns(masks[keep], more[keep], None)

    def _certified(self, network: ReLUNetwork) -> CertifiedNetwork:
        """A network of the set with its certificate: its gap is at most ε, relative to it.

        Raises
        ------
        NotCertified
            If it is not.
        """
        tol = relative_gap(self.budget, self.bound.value) * (1 + 1e-6) + 1e-12
        proof = certificate_of(self.program, network, self.bound, "program", tol)
        return with_certificate(network, proof)


def _row_range(near: NearOptimalSet, asked: tuple[FloatArray, float]) -> tuple[FloatArray, bool]:
    """Both ends at a row, attained and then proved, (4,); whether that was interrupted."""
    row, close = asked
    centre = float(near.network.predict(row[None, :])[0])
    ends = np.array([centre, centre, -math.inf, math.inf])
    stack = near._stack(row[None, :], one_more_row(near.program, row))
    for end, sign in ((0, -1.0), (1, 1.0)):
        stack.last = None
        ends[[end, end + 2]] = near._end(stack, centre, sign, close)
        if stack.interrupted:
            return ends, True
    return ends, False


def _mixture(home: ReLUNetwork, away: ReLUNetwork, share: float) -> ReLUNetwork:
    """The network that predicts (1 − share) · home + share · away, of the same mixture of norms."""
    left, right = math.sqrt(1 - share), math.sqrt(share)
    gates = None
    if home.gates is not None and away.gates is not None:
        gates = np.vstack([home.gates, away.gates])
    mixed = ReLUNetwork(
        np.vstack([left * home.hidden, right * away.hidden]),
        np.append(left * home.output, right * away.output),
        (1 - share) * home.intercept + share * away.intercept,
        gates,
        home.slope,
    )
    return mixed.merge()


def approach(cost: Callable[[float], float], start: float, done: Callable[[], bool]) -> None:
    """Look for the u at which an increasing cost, of slope about 2, is zero, until it is `done`.

    Secant steps within the bracket; a cost of −inf counts as far below.
    """
    u, low, high, slope = start, -math.inf, math.inf, 2.0
    before: tuple[float, float] | None = None
    for _ in range(MAX_SOLVES):
        value = cost(u)
        if done():
            return
        low, high = (u, high) if value < 0 else (low, u)
        if before is not None and math.isfinite(value) and u != before[0]:
            slope = min(20.0, max(0.2, (value - before[1]) / (u - before[0])))
        before = (u, value) if math.isfinite(value) else before
        step = -value / slope if math.isfinite(value) else LEAP
        u = u + min(LEAP, max(-LEAP, step))
        if not low < u < high:
            u = 0.5 * (low + high)
