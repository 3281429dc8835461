r"""The point of a polytope with the fewest positive sizes, by an integer program.

    minimise  Σ_j z_j   subject to  Mx = b,  0 ≤ x_j ≤ max_j z_j,  z_j ∈ {0, 1}

where max_j is the largest that x_j can be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array, hstack, vstack

from relu_opt.arrays import FloatArray
from relu_opt.program.linear import LinearProgram
from relu_opt.sets.polytope import ZERO, Polytope
from relu_opt.solving.standard import solve_program

# Integers may be off by this much.
INTEGRALITY = 1e-6
# What is added to the largest sizes, in units of the sum of sizes.
SLACK = 1e-3


@dataclass(frozen=True)
class Fewest:
    """A point with few positive sizes, and what is proved of how few there can be."""

    x: FloatArray
    lower_bound: int


def fewest_positive(polytope: Polytope, upper: FloatArray, time_limit: float | None) -> Fewest:
    """Solve the integer program; `upper` (k,) are the largest sizes.

    Raises
    ------
    NotCertified
        If no point of the polytope has the support that was found.
    """
    k, q = polytope.sizes, len(polytope.bounded)
    plain = polytope.linear
    # Wide enough that a size at its very maximum lies inside, whatever the solver's tolerance.
    upper = np.where(upper > ZERO, upper + SLACK, 0.0)
    links = hstack([csc_array(np.eye(k, q)), csc_array(-np.diag(upper))])
    program = LinearProgram(
        c=np.append(np.zeros(q), np.ones(k)),
        A=csc_array(vstack([hstack([plain.A, csc_array((plain.rows, k))]), links])),
        row_lower=np.append(plain.row_lower, np.full(k, -np.inf)),
        row_upper=np.append(plain.row_upper, np.zeros(k)),
        lower=np.append(plain.lower, np.zeros(k)),
        upper=np.append(plain.upper, np.where(upper > 0, 1.0, 0.0)),
        integrality=np.arange(q + k) >= q,
    )
    answer = solve_program(program, polytope.backend, time_limit=time_limit)
    on = np.append(answer.x[q:] > 0.5, np.ones(q - k, dtype=np.bool_))
    x = polytope.polished(np.where(on, answer.x[:q], 0.0))
    proved = answer.lower_bound if answer.lower_bound > 0 else 0.0  # NaN and −inf prove nothing
    return Fewest(x, math.ceil(proved - INTEGRALITY))
