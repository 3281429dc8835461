"""The backend as the core sees it."""

from __future__ import annotations

from typing import cast

from relu_opt.plugins.near_first import near_first
from relu_opt.plugins.types import Program, RawSolution, SolveOptions
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt_highs.linear import solve_integer, solve_linear
from relu_opt_highs.quadratic import solve_quadratic


class HighsBackend:
    """Linear, mixed-integer and quadratic programs through HiGHS.

    Linear programs start from `SolveOptions.state` (see `HotStart`) or from a point, mixed-integer
    ones from a point; quadratic ones always start afresh.
    """

    def solve(self, program: Program, options: SolveOptions) -> RawSolution:
        """Solve a program.

        Raises
        ------
        SolveFailed
            If HiGHS does not take the program or raises.
        """
        if isinstance(program, QuadraticProgram) and program.P.nnz:
            return solve_quadratic(program, options)
        linear = _without_curvature(program)
        if linear.is_mixed_integer:
            return solve_integer(linear, options)
        # A vertex at a far bound is known to few digits.
        return near_first(linear, options, solve_linear)


def _without_curvature(program: Program) -> LinearProgram:
    """The program, or the linear one that a quadratic one with P = 0 is."""
    if not isinstance(program, QuadraticProgram):
        return cast(LinearProgram, program)
    return LinearProgram(**program.parts())
