"""The native backend as the core sees it."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial
from typing import cast

from threadpoolctl import ThreadpoolController

from relu_opt.plugins.near_first import near_first
from relu_opt.plugins.types import Program, RawSolution, SolveOptions
from relu_opt.program import ConvexProgram
from relu_opt.program.linear import QuadraticProgram
from relu_opt.solving.column_generation import QuadraticSolver, train
from relu_opt_native.small_qp import solve_qp

log = logging.getLogger("relu_opt.native")


# Up to so many entries of X the matrices are small, and threads of BLAS cost more than they
# bring: on a machine that is busy otherwise, many times more.
SMALL_DATA = 1_000_000


class NativeBackend:
    """Trains any `ConvexProgram`, and solves small dense quadratic programs.

    `threads` limits those of BLAS (one by default on small data) and of projections.
    """

    def solve(self, program: Program, options: SolveOptions) -> RawSolution:
        """Train: `relu_opt.solving.column_generation` or `gated`; other programs: `small_qp`."""
        small = not isinstance(program, ConvexProgram) or program.X.size <= SMALL_DATA
        blas = _blas()
        threads = options.threads or max(pool["num_threads"] for pool in blas.info())
        with blas.limit(limits=options.threads or (1 if small else None)):
            if isinstance(program, ConvexProgram):
                raw = _train(program, options, threads)
            else:
                raw = near_first(cast(QuadraticProgram, program), options, solve_qp)
        if options.verbose:
            log.info("%s: %s", raw.raw_status, dict(raw.stats))
        return raw


@cache
def _blas() -> ThreadpoolController:
    """The threads of linear algebra; looking for its libraries takes milliseconds."""
    return ThreadpoolController().select(user_api="blas")


def _train(program: ConvexProgram, options: SolveOptions, threads: int) -> RawSolution:
    started = time.perf_counter()
    # Importing them compiles, or reads what was compiled before.
    from relu_opt_native.gated import train_gated
    from relu_opt_native.projection import project
    from relu_opt_native.quadratic import nonnegative_qp

    loaded = time.perf_counter() - started
    steps = cast(int, options.extra["max_iter"])
    if program.activation.gated:
        raw = train_gated(program, options, steps)
    else:
        with ThreadPoolExecutor(threads) as executor:
            projector = partial(project, executor=executor, threads=threads)
            raw = train(program, options, QuadraticSolver(nonnegative_qp), steps, projector)
    return replace(raw, stats={**raw.stats, "load_seconds": loaded})
