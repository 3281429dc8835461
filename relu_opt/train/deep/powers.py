r"""One variable again, where the loss is quadratic in pieces: min_{S ≥ 0} F(S) + (βL/2) S^{2/L}.

F(S) is the least loss of weights of ℓ1-norm S. It is convex and falls, and between the breakpoints
of its path it is quadratic: one `stationary` point a piece, and the breakpoints, are all the
candidates there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.train.deep.kernel import power_penalty, stationary


@dataclass(frozen=True, eq=False)
class LossPath:
    """F at the breakpoints of its path, from S = 0 on.

    Attributes
    ----------
    sizes : (k,) array
        S, rising from 0.
    losses : (k,) array
        F(S).
    pulls : (k,) array
        μ = −F′(S), falling; to 0 at the end, where more weight gains nothing.
    """

    sizes: FloatArray
    losses: FloatArray
    pulls: FloatArray


def best_size(path: LossPath, strength: float, depth: int) -> tuple[float, float, float]:
    """The minimiser S, its pull μ, and the least value of F(S) + (βL/2) S^{2/L}."""
    S, F, mu = path.sizes, path.losses, path.pulls
    found = [
        (float(f) + power_penalty(float(s), strength, depth), float(s), float(m))
        for s, f, m in zip(S, F, mu, strict=True)
    ]
    for k in range(len(S) - 1):
        length = float(S[k + 1] - S[k])
        fall = float(mu[k] - mu[k + 1])
        if length <= 0 or fall <= 0:
            continue
        curvature = fall / length
        slope = float(np.sqrt(curvature))
        # −F′ = curvature (end − s): the piece's parabola has its bottom at `end`.
        end = float(S[k]) + float(mu[k]) / curvature
        s = stationary(slope * end, slope, strength, depth)
        if S[k] < s < S[k + 1]:
            step = s - float(S[k])
            loss = float(F[k]) - float(mu[k]) * step + 0.5 * curvature * step**2
            pull = float(mu[k]) - curvature * step
            found.append((loss + power_penalty(s, strength, depth), s, pull))
    value, size, pull = min(found)
    return size, pull, value
