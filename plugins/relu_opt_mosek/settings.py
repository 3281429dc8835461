"""What relu_opt's options are called by MOSEK."""

from __future__ import annotations

from typing import cast

import numpy as np

from relu_opt.errors import OptionError
from relu_opt.plugins.types import Program, SolveOptions
from relu_opt.program.linear import LinearProgram

# The relative gap that the core checks also pays for the solver's residuals: ask for less. What
# reaches the tolerance itself, but not the smaller one, is still optimal: that is NEAR_REL.
SAFETY = 0.1
TIGHTEST = 1e-12
# The interior-point method has its own tolerances for conic, quadratic and linear programs.
TOLERANCES = (
    *(f"MSK_DPAR_INTPNT_CO_TOL_{name}" for name in ("REL_GAP", "PFEAS", "DFEAS", "MU_RED")),
    *(f"MSK_DPAR_INTPNT_QO_TOL_{name}" for name in ("REL_GAP", "PFEAS", "DFEAS", "MU_RED")),
    *(f"MSK_DPAR_INTPNT_TOL_{name}" for name in ("REL_GAP", "PFEAS", "DFEAS")),
)
NEAR = ("MSK_DPAR_INTPNT_CO_TOL_NEAR_REL", "MSK_DPAR_INTPNT_QO_TOL_NEAR_REL")
# Absolute tolerances of the simplex method and of branch and bound, with MOSEK's default, which
# is also the loosest that is asked for. MOSEK takes none below LEAST_ABSOLUTE.
ABSOLUTE = {
    "MSK_DPAR_BASIS_TOL_X": 1e-6,
    "MSK_DPAR_BASIS_TOL_S": 1e-6,
    "MSK_DPAR_MIO_TOL_FEAS": 1e-6,
    "MSK_DPAR_MIO_TOL_ABS_RELAX_INT": 1e-5,
}
LEAST_ABSOLUTE = 1e-9
TIME_LIMIT = "MSK_DPAR_OPTIMIZER_MAX_TIME"
LARGEST_SEED = 2**31 - 1


def parameters(program: Program, options: SolveOptions) -> dict[str, float | int]:
    """MOSEK's parameters by their names, but for the time limit.

    Raises
    ------
    OptionError
        If `max_iter` is set for a program with integers, where it has no meaning.
    """
    extra = options.extra
    asked = SAFETY * options.tol
    values: dict[str, float | int] = dict.fromkeys(TOLERANCES, float(np.clip(asked, TIGHTEST, 1.0)))
    values |= dict.fromkeys(NEAR, 1.0 / SAFETY)
    for name, loosest in ABSOLUTE.items():
        values[name] = float(np.clip(asked, LEAST_ABSOLUTE, loosest))
    gap, max_iter = extra.get("mip_rel_gap"), extra.get("max_iter")
    values["MSK_DPAR_MIO_TOL_REL_GAP"] = options.tol if gap is None else cast(float, gap)
    values["MSK_IPAR_MIO_SEED"] = options.seed % LARGEST_SEED
    if options.threads is not None:
        values["MSK_IPAR_NUM_THREADS"] = options.threads
    if max_iter is not None:
        if isinstance(program, LinearProgram) and program.is_mixed_integer:
            raise OptionError(
                "max_iter limits the interior-point method, and this program has integers. Leave "
                "it out, or set time_limit.",
                backend="mosek",
                option="max_iter",
                value=max_iter,
            )
        values["MSK_IPAR_INTPNT_MAX_ITERATIONS"] = cast(int, max_iter)
    return values
