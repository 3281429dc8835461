"""The backend: one solve at a time, in silence."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import cast

from relu_opt.clock import Clock
from relu_opt.plugins.types import Program, RawSolution, SolveOptions, StopReason
from relu_opt_pyomo.attempt import Request, attempt
from relu_opt_pyomo.model import StandardProgram
from relu_opt_pyomo.output import terminal
from relu_opt_pyomo.quadratic import needs_trials, solve_by_trials
from relu_opt_pyomo.settings import check_solver

# Pyomo redirects the output of the whole process and has global state.
ONE_AT_A_TIME = threading.Lock()


class PyomoBackend:
    """Linear, quadratic and conic programs through Pyomo."""

    def solve(self, program: Program, options: SolveOptions) -> RawSolution:
        """Solve a program with the solver that the options name.

        Raises
        ------
        OptionError
            If Pyomo knows no such solver, or the solver no such setting.
        BackendUnavailable
            If the solver is not installed, or has no licence.
        UnsupportedProgram
            If the solver does not take the program.
        SolveFailed
            If the solver, or Pyomo, raised.
        """
        request = Request(cast(StandardProgram, program), options, Clock(options.time_limit))
        with ONE_AT_A_TIME, terminal(request.solver, options.verbose):
            check_solver(request.solver, request.program)
            if needs_trials(request):
                return solve_by_trials(request)
            found = attempt(request)
            if found.condition == "infeasibleOrUnbounded":
                return replace(found.raw, stop=_which(request))
            return found.raw


def _which(request: Request) -> StopReason:
    """Infeasible or unbounded? The latter, if there is a point at all."""
    stop = attempt(request, cost=False).raw.stop
    if stop is StopReason.INFEASIBLE:
        return stop
    return StopReason.UNBOUNDED if stop is StopReason.CONVERGED else StopReason.UNKNOWN
