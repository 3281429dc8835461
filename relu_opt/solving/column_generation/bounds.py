"""What every search keeps: the best points so far, the bounds that they prove, and the clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.clock import Clock
from relu_opt.plugins.stopping import Ending, until_stopped
from relu_opt.plugins.types import ProgressEvent, SolveOptions, StopReason
from relu_opt.program import ConvexProgram
from relu_opt.proof.verdict import relative_gap

# Aim below the tolerance: the certificate charges rounding errors to the gap.
AIM = 0.5


@dataclass
class Answer:
    """The best primal and dual points so far: what is returned whenever the search stops."""

    weights: FloatArray
    upper: float
    nu: FloatArray
    lower: float


class Bounds:
    """Bounds of a search that reaches the λ asked for (`target`) through others (`prog`)."""

    def __init__(self, prog: ConvexProgram, options: SolveOptions) -> None:
        self.target = self.prog = prog
        self.options = options
        self.tol = AIM * options.tol
        self.clock = Clock(options.time_limit)
        self.iteration = 0
        value = prog.mean_loss(np.zeros(prog.n) + prog.best_intercept(np.zeros(prog.n)))
        self.answer = Answer(np.zeros(prog.weights_shape), value, np.zeros(prog.n), -np.inf)
        self.upper, self.lower = value, -np.inf

    @property
    def gap(self) -> float:
        """The relative gap of this stage."""
        return relative_gap(self.upper, self.lower)

    @property
    def distance(self) -> float:
        """How far the bounds of this stage are apart."""
        return self.upper - self.lower

    @property
    def final_gap(self) -> float:
        """The relative gap of the answer, at the λ that was asked for."""
        return relative_gap(self.answer.upper, self.answer.lower)

    def tell(self, size: str) -> None:
        """Tell observers how far it is; `size` says how large the network is."""
        self.options.progress(
            ProgressEvent(
                "solve",
                self.iteration,
                self.clock.elapsed,
                self.answer.upper,
                self.answer.lower,
                self.final_gap,
                f"{self.prog.lam / self.target.lam:.3g} lam, {size}",
            )
        )

    def note_upper(self, fits: FloatArray, norms: float, weights: Callable[[], FloatArray]) -> None:
        """Note a network with these fits and Σ‖w_b‖, for this λ and for the one asked for."""
        loss = self.prog.mean_loss(fits)
        self.upper = min(self.upper, loss + self.prog.lam * norms)
        value = loss + self.target.lam * norms
        if value < self.answer.upper:
            self.answer.weights, self.answer.upper = weights(), value

    def note_lower(self, nu: FloatArray, largest: float) -> float | None:
        """Note ν, scaled to be feasible, for both λ; the scale if it is the best for the target."""
        best = None
        for prog in {id(p): p for p in (self.prog, self.target)}.values():
            scale = prog.best_scale(nu, largest)
            value = prog.dual_objective(scale * nu)
            if prog is self.prog:
                self.lower = max(self.lower, value)
            if prog is self.target and value > self.answer.lower:
                self.answer.nu, self.answer.lower = scale * nu, value
                best = scale
        return best

    def outcome(self, run: Callable[[], StopReason]) -> Ending:
        """Run; why it ended, also when stopped early, and a solver's own word."""

        def careful() -> StopReason:
            try:
                return run()
            except np.linalg.LinAlgError:
                # Numbers so far apart that a factorisation fails; the bounds so far still hold.
                return StopReason.NUMERICAL

        return until_stopped(careful)
