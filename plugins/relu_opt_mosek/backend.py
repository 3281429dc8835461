"""The backend: build the task, solve it, and read what came back."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.clock import Clock
from relu_opt.plugins.types import Program, RawSolution, SolveOptions, StopReason
from relu_opt.program.conic import ConicProgram
from relu_opt_mosek.licence import library, translated
from relu_opt_mosek.settings import TIME_LIMIT, parameters
from relu_opt_mosek.status import CERTIFICATES, OPTIMAL, Outcome, settled
from relu_opt_mosek.task import build_task, conic_order, write_built


class MosekBackend:
    """Linear, mixed-integer, quadratic and conic programs through MOSEK."""

    def solve(self, program: Program, options: SolveOptions) -> RawSolution:
        """Solve a program.

        Raises
        ------
        BackendUnavailable
            If there is no licence, or none for this type of program. The file of the option
            `write_to` is there by then.
        SolveFailed
            If MOSEK raised another error.
        OptionError
            If an option has no meaning for this program.
        DataError
            If the file of `write_to` cannot be written.
        """
        clock = Clock(options.time_limit)
        values = parameters(program, options)
        with translated(), library().Env() as env, build_task(env, program) as task:
            for name, value in values.items():
                put = task.putnadouparam if name.startswith("MSK_DPAR") else task.putnaintparam
                put(name, value)
            if options.verbose:
                task.set_Stream(library().streamtype.log, sys.stdout.write)
            if options.extra.get("write_to"):
                write_built(task, str(options.extra["write_to"]))
            return _Run(task, program, options, clock).answer()


@dataclass(frozen=True, eq=False)
class _Run:
    """A task to solve, and what it is of."""

    task: Any
    program: Program
    options: SolveOptions
    clock: Clock

    def answer(self) -> RawSolution:
        """Solve, and collect."""
        built = self.clock.elapsed
        outcome, which = self.optimize()
        stop, raw_status = outcome.stop, outcome.raw_status
        x = duals = objective = bound = None
        if outcome.has_point(whole=which == library().soltype.itg):
            x, duals = self.point(which)
            objective = float(self.task.getprimalobj(which))
        if outcome.may_be_infeasible:
            stop, more = self.feasibility()
            raw_status += f"; without the objective: {more}"
        else:
            bound = self.bound()
        stats = self.stats(which, built)
        return RawSolution(stop, x, duals, None, raw_status, objective, stats, bound)

    def optimize(self) -> tuple[Outcome, Any]:
        """MOSEK's statuses after a run, and which of its solutions to read (None without one).

        A linear program may have two: that of the simplex method is at a vertex, and the better
        one if it is complete.
        """
        mosek, task = library(), self.task
        if (left := self.clock.remaining) is not None:
            task.putnadouparam(TIME_LIMIT, left)
        termination = _name(task.optimize())
        kinds = (mosek.soltype.itg, mosek.soltype.bas, mosek.soltype.itr)
        found = {
            which: Outcome(termination, _name(task.getprosta(which)), _name(task.getsolsta(which)))
            for which in kinds
            if task.solutiondef(which)
        }
        if not found:
            return Outcome(termination), None
        complete = [w for w in found if found[w].solution in (*OPTIMAL, *CERTIFICATES)]
        which = complete[0] if complete else list(found)[-1]
        return found[which], which

    def feasibility(self) -> tuple[StopReason, str]:
        """Whether a program with a ray is infeasible or unbounded: solve it for any point."""
        columns = self.task.getnumvar()
        self.task.putqobj([], [], [])
        self.task.putcslice(0, columns, np.zeros(columns))
        outcome, _ = self.optimize()
        return settled(outcome.stop), outcome.raw_status

    def point(self, which: Any) -> tuple[FloatArray | None, FloatArray | None]:
        """x, and the multipliers of the rows.

        MOSEK's satisfy Px + c = Aᵀy + Fᵀẏ + slx − sux with y = slc − suc: those of linear rows
        have the other sign than ours, and those of conic rows, where F = −A, the same.
        """
        x = np.array(self.task.getxx(which))
        if which == library().soltype.itg:
            return _finite(x), None
        duals = 0.0 - np.array(self.task.gety(which))
        if isinstance(self.program, ConicProgram):
            z = np.empty(len(self.program.b))
            z[: len(duals)] = duals
            z[conic_order(self.program.cones)] = self.task.getaccdotys(which)
            duals = z
        return _finite(x), _finite(duals)

    def bound(self) -> float | None:
        """What branch and bound says that no point goes below."""
        mosek = library()
        known = self.task.getintinf(mosek.iinfitem.mio_obj_bound_defined)
        bound = float(self.task.getdouinf(mosek.dinfitem.mio_obj_bound))
        return bound if known and math.isfinite(bound) else None

    def stats(self, which: Any, built: float) -> dict[str, object]:
        mosek, task = library(), self.task
        return {
            "mosek": ".".join(str(part) for part in mosek.Env.getversion()),
            "solution": "" if which is None else _name(which),
            "iterations": task.getintinf(mosek.iinfitem.intpnt_iter),
            "nodes": task.getintinf(mosek.iinfitem.mio_num_branch),
            "build_seconds": built,
            "solve_seconds": self.clock.elapsed - built,
        }


def _name(member: Any) -> str:
    """The name of a member of one of MOSEK's enumerations."""
    return str(member).rpartition(".")[2]


def _finite(point: FloatArray) -> FloatArray | None:
    """The point, unless it holds NaN or infinite values."""
    return point if np.isfinite(point).all() else None
