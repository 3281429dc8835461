"""What is chosen where nobody chooses: by the command line and the estimators alike."""

from __future__ import annotations

from dataclasses import replace

from relu_opt.arrays import FloatArray
from relu_opt.program.convex import ConvexProgram
from relu_opt.vector.train import vector_separation

# lam as a part of the gated network's lam_max. That is at least the ReLU network's, and needs no
# projections, which take long on many rows.
LAM_SHARE = 0.01


def default_lam(program: ConvexProgram) -> float:
    """`LAM_SHARE` of lam_max of the gated network, or `LAM_SHARE` if that is zero.

    Three digits, so that the lam that is shown can be typed again.
    """
    return _share(replace(program, activation="gated").lam_max)


def vector_lam(X: FloatArray, Y: FloatArray, intercept: bool) -> float:
    """The same for several outputs, of the strongest pull that climbs find at the zero network."""
    V = (Y - Y.mean(axis=0) if intercept else Y) / len(Y)
    return _share(vector_separation(X, V, "ascent").lower)


def _share(strongest: float) -> float:
    return float(f"{LAM_SHARE * strongest:.3g}") or LAM_SHARE
