"""What goes to Python's `logging`: finished solves, and progress for those who debug.

The loggers are `relu_opt.solve` (INFO) and `relu_opt.progress` (DEBUG); every record carries its
numbers as a mapping in `record.relu_opt`, for handlers that write JSON. Neither is printed unless
the application configures logging.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING

from relu_opt.plugins.hookspec import hookimpl
from relu_opt.plugins.types import ProgressEvent, Solved

if TYPE_CHECKING:
    from relu_opt.program.convex import ConvexProgram

solves: logging.Logger = logging.getLogger("relu_opt.solve")
steps: logging.Logger = logging.getLogger("relu_opt.progress")


class Logbook:
    """An observer like any other."""

    @hookimpl
    def relu_opt_solved(self, program: ConvexProgram, solution: Solved) -> None:
        """Log a finished solve."""
        if not solves.isEnabledFor(logging.INFO):
            return
        facts = {
            "verdict": solution.certificate.verdict.value,
            "stop": solution.stop.value,
            "backend": solution.backend,
            "objective": solution.objective,
            "rel_gap": solution.rel_gap,
            "lam": program.lam,
            "n": program.n,
            "d": program.d,
            "patterns": len(program.patterns),
            "neurons": len(solution.network),
            "seconds": dict(solution.stats["seconds"]),
        }
        solves.info(
            "%s by %s: objective %.12g, relative gap %.1e, %d neurons, lam %.6g",
            facts["verdict"],
            solution.backend,
            solution.objective,
            solution.rel_gap,
            len(solution.network),
            program.lam,
            extra={"relu_opt": facts},
        )

    @hookimpl
    def relu_opt_progress(self, event: ProgressEvent) -> None:
        """Log a step."""
        if steps.isEnabledFor(logging.DEBUG):
            steps.debug(
                "%s %d: %s",
                event.task,
                event.iteration,
                event.message,
                extra={"relu_opt": asdict(event)},
            )
