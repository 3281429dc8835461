r"""Cones of directions that cover all of space, up to a known gap that rounding leaves.

A cone is the set of nonnegative combinations of r vectors, its corners. The first cones are those
of all signs. A cone is cut at a point of an edge near its middle, in eighths, which is *not* scaled
to norm 1: all corners have Σ_k |v_k| = 1, up to `GAP`, and for u = Σ_j θ_j v_j in a cone
Σ_j θ_j = Σ_k |u_k| ≤ √r ‖u‖. While bits are enough a cut is exact. Then each entry of a corner is
rounded by a share of 2u. Entries of one orthant have one sign, so that after L cuts each entry of
any direction is within a share of 2uL of one in some cone: `GAP` is for `MOST_CUTS` of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relu_opt.verify.rounding import gamma

FloatArray = NDArray[np.float64]

# Edges shorter than this end a search: there is more rounding in its bounds than is left to win.
SHORTEST = 1e-6
# A cut is at a multiple of 1/SHARES of an edge, and there are at most so many, one after another.
SHARES, MOST_CUTS = 8, 120
# How far a unit vector may be from all cones.
GAP = gamma(2 * MOST_CUTS)


def orthants(rank: int) -> FloatArray:
    """The cones of all signs, (2^rank, rank, rank), one row a corner."""
    signs = np.where(np.arange(2**rank)[:, None] >> np.arange(rank) & 1, -1.0, 1.0)
    return np.asarray(signs[:, :, None] * np.eye(rank))


def cut(cones: FloatArray) -> FloatArray | None:
    """Every cone in two across its longest edge; None if one is too short, or a ray."""
    one, two = np.triu_indices(cones.shape[1], 1)
    if not len(one):
        return None
    lengths = np.sqrt((cones * cones).sum(axis=2))
    units = cones / lengths[:, :, None]
    widest = ((units[:, one] - units[:, two]) ** 2).sum(axis=2).argmax(axis=1)
    every, one, two = np.arange(len(cones)), one[widest], two[widest]
    apart = np.abs(cones[every, one] - cones[every, two]).max(axis=1)
    share = lengths[every, two] / (lengths[every, one] + lengths[every, two])
    share = np.round(share * SHARES)[:, None] / SHARES
    middle = share * cones[every, one] + (1 - share) * cones[every, two]
    if apart.min() < SHORTEST:
        return None
    halves = np.stack([cones, cones])
    halves[0, every, one] = middle
    halves[1, every, two] = middle
    return np.asarray(halves.reshape(-1, *cones.shape[1:]))
