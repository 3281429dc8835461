"""What is chosen where nobody chooses: by the command line and the estimators alike."""

from __future__ import annotations

import math

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.units import exponent
from relu_opt.rounding import gamma
from relu_opt.train.several_outputs.public import vector_separation

# lam as a part of the largest ‖X_bᵀν‖ at the zero network. That is lam_max of a gated network and
# at least that of others, and needs no projections, which take long on many rows.
LAM_SHARE = 0.01


def default_lam(program: ConvexProgram) -> float:
    """`LAM_SHARE` of lam_max as it were without cones.

    Where that is zero, the zero network is optimal at every lam, and it is `LAM_SHARE` in the
    units of the data. Three digits, so that the lam that is shown can be typed again.
    """
    lam_max = program.lam_max_without_cones
    return _share(lam_max or program.units.strength(1.0))


def vector_lam(X: FloatArray, Y: FloatArray, intercept: bool) -> float:
    """The same for several outputs, of the strongest pull that climbs find at the zero network."""
    n = len(Y)
    centre = Y.mean(axis=0) if intercept else np.zeros(Y.shape[1])
    pull = vector_separation(X, (Y - centre) / n, "ascent").lower
    # What rounding may make of a zero is none.
    sizes = (np.abs(Y) + np.abs(centre)).sum(axis=1) / n
    nothing = gamma(2 * n + 16) * float(np.linalg.norm(sizes @ np.abs(X)))
    return _share(pull if pull > nothing else math.ldexp(1.0, exponent(X) + exponent(Y)))


def _share(strongest: float) -> float:
    return float(f"{LAM_SHARE * strongest:.3g}")
