"""The native backend as the core sees it."""

from __future__ import annotations

import logging
from typing import cast

from threadpoolctl import threadpool_limits

from relu_opt.column_generation import train
from relu_opt.plugins.types import Program, RawSolution, SolveOptions
from relu_opt.program import ConvexProgram
from relu_opt_native.quadratic import nonnegative_qp

log = logging.getLogger("relu_opt.native")


# Up to so many entries of X the matrices are small, and threads of BLAS cost more than they
# bring: on a machine that is busy otherwise, many times more.
SMALL_DATA = 1_000_000


class NativeBackend:
    """Trains any `ConvexProgram`; `threads` limits those of BLAS (one by default on small data)."""

    def solve(self, program: Program, options: SolveOptions) -> RawSolution:
        """Train; see `relu_opt.column_generation`."""
        prog = cast(ConvexProgram, program)
        threads = options.threads or (1 if prog.X.size <= SMALL_DATA else None)
        with threadpool_limits(threads, user_api="blas"):
            raw = train(prog, options, nonnegative_qp, cast(int, options.extra["max_iter"]))
        if options.verbose:
            log.info("%s: %s", raw.raw_status, dict(raw.stats))
        return raw
