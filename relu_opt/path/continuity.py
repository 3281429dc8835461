"""How far the weights move from one point of a path to the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relu_opt.arrays import BoolArray, FloatArray, IntArray

# A step is a jump if it is so many times that of the min-norm path, and more than this share of
# the weights.
TIMES, SHARE = 5.0, 1e-6


@dataclass(frozen=True, eq=False)
class Continuity:
    """Steps of a path of networks beside those of the min-norm path.

    Attributes
    ----------
    lams : (m,) array
        Falling.
    steps : (m − 1,) array
        √Σ_j ‖w_j(λ_k) − w_j(λ_{k+1})‖² of the path's networks.
    min_norm_steps : (m − 1,) array
        The same of the min-norm networks.
    off_min_norm : (m,) array
        The distance of the path's network from the min-norm one at the same λ.
    network_dims : (m,) int array
        Dimension of the set of optimal networks at each λ; 0 where it is unique.
    """

    lams: FloatArray
    steps: FloatArray
    min_norm_steps: FloatArray
    off_min_norm: FloatArray
    network_dims: IntArray

    @property
    def jumps(self) -> BoolArray:
        """Steps that the min-norm path does not make: five times as long as its own, (m − 1,)."""
        longest = max(float(self.steps.max(initial=0.0)), float(self.min_norm_steps.max(initial=0)))
        return np.asarray(self.steps > TIMES * self.min_norm_steps + SHARE * longest)

    def __repr__(self) -> str:
        return (
            f"Continuity({len(self.lams)} points, {int(self.jumps.sum())} jumps, "
            f"{int((self.network_dims > 0).sum())} points with more than one optimal network)"
        )
