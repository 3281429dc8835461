"""Questions to a backend beside the one that it was asked: for rays, points and bounds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from relu_opt.clock import Clock
from relu_opt.errors import ReluOptError
from relu_opt.optimality.form import StandardProgram
from relu_opt.plugins.dispatch import Request
from relu_opt.plugins.routes import find_route
from relu_opt.plugins.types import Feature, RawSolution
from relu_opt.solving.run import run

# Proofs are as exact as the answers that they are taken from; the most exact that is asked for.
TOL, LEAST_TOL = 1e-9, 1e-12


@dataclass(frozen=True)
class Asking:
    """A backend that may be asked again, within the time of the whole request."""

    request: Request
    clock: Clock

    def answer(self, program: StandardProgram, tol: float = TOL) -> RawSolution | None:
        """Its answer to another program, or to another tolerance; None where there is none."""
        if self.clock.expired:
            return None
        info = self.request.info
        limit = self.clock.remaining if Feature.TIME_LIMIT in info.features else None
        plain = replace(
            self.request.options, tol=tol, time_limit=limit, warm_start=None, state=None
        )
        try:
            route = find_route(info, program)
            return run(replace(self.request, route=route, options=plain), program)
        except ReluOptError:
            return None
