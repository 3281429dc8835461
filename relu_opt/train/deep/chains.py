r"""Chains: what an optimal deep network is made of, and targets that come apart into such chains.

A chain is one neuron a layer, with a gain, from a direction of the rows to a direction of the
outputs. Chains that do not disturb each other have problems of one variable each, `kernel`.

For ReLU, targets come apart if any two rows of Y point the same way, in opposite ways, or at a
right angle: Y = Σ_g t_g u_g v_gᵀ, with u_g ≥ 0 of disjoint supports (unit vectors), v_g the
directions. A column with both signs has two, ±1; labels in one-hot form have one a class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.errors import DataError
from relu_opt.train.deep.kernel import gain, kernel, threshold

# How far two rows of Y may be from parallel or from a right angle (sine or cosine).
TOLERANCE = 1e-10


@dataclass(frozen=True, eq=False)
class Chains:
    """The chains of an optimal network, those that are zero among them.

    Attributes
    ----------
    targets : (k,) array
        t, what each has to give; largest first unless the formula has an order of its own.
    slopes : (k,) array
        N, the length of each chain's input.
    gains : (k,) array
        a ≥ 0, the product of its weights.
    thresholds : (k,) array
        The targets up to which a chain is zero.
    """

    targets: FloatArray
    slopes: FloatArray
    gains: FloatArray
    thresholds: FloatArray

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def alive(self) -> IntArray:
        """The chains with a gain."""
        return np.flatnonzero(self.gains > 0)

    @classmethod
    def solve(cls, targets: FloatArray, slopes: FloatArray, strength: float, depth: int) -> Chains:
        """Each chain's own optimum."""
        pairs = list(zip(targets.tolist(), slopes.tolist(), strict=True))
        return cls(
            targets,
            slopes,
            np.array([gain(t, s, strength, depth) if t else 0.0 for t, s in pairs]),
            np.array([threshold(s, strength, depth) for _, s in pairs]),
        )

    def values(self, strength: float, depth: int) -> FloatArray:
        """φ of each chain, (k,), on the scale of the *sum* of losses."""
        pairs = zip(self.targets.tolist(), self.slopes.tolist(), strict=True)
        return np.array([kernel(t, s, strength, depth) for t, s in pairs])


@dataclass(frozen=True, eq=False)
class Parts:
    """Targets that come apart, Y = Σ_g t_g u_g v_gᵀ; rows of zeros belong to no part.

    Attributes
    ----------
    sizes : (k,) array
        t_g > 0.
    rows : (k, n) array
        u_g.
    directions : (k, K) array
        v_g.
    """

    sizes: FloatArray
    rows: FloatArray
    directions: FloatArray

    def __len__(self) -> int:
        return len(self.sizes)

    @classmethod
    def of(cls, Y: FloatArray) -> Parts:
        """The parts of Y (n, K), or a DataError that says which rows do not come apart."""
        groups, directions, worst, pair = group_directions(Y)
        if worst > TOLERANCE:
            raise DataError(
                f"The targets do not come apart: rows {pair[0]} and {pair[1]} of Y are neither "
                f"parallel nor at a right angle (off by {worst:.3g}). The formulas of ReLU "
                'networks need one-hot labels or one column. Use activation="linear" for the '
                "best linear network.",
                rows=pair,
                distance=worst,
            )
        lengths = np.linalg.norm(Y, axis=1)
        rows = np.array([np.where(groups == g, lengths, 0.0) for g in range(len(directions))])
        rows = rows.reshape(len(directions), len(Y))
        sizes = np.linalg.norm(rows, axis=1)
        return cls(sizes, rows / sizes[:, None], directions)


def group_directions(Y: FloatArray) -> tuple[IntArray, FloatArray, float, tuple[int, int]]:
    """Groups of rows of one direction (−1 for zeros), the directions, and what speaks against it.

    The last two are the largest distance of a row from a multiple of, or a right angle to, each
    group's direction, and the two rows that have it.
    """
    lengths = np.linalg.norm(Y, axis=1)
    units = Y / np.where(lengths > 0, lengths, 1.0)[:, None]
    group: IntArray = np.full(len(Y), -1, dtype=np.intp)
    left = np.flatnonzero(lengths > 0)
    count, worst, pair = 0, 0.0, (0, 0)
    while len(left):
        first = units[left[0]]
        cosines = units[left] @ first
        sines = np.linalg.norm(units[left] - cosines[:, None] * first, axis=1)
        off = np.minimum(sines, np.abs(cosines))
        if off.max() > worst:
            worst, pair = float(off.max()), (int(left[0]), int(left[np.argmax(off)]))
            if worst > TOLERANCE:
                break
        same = (sines <= np.abs(cosines)) & (cosines > 0)
        group[left[same]] = count
        count += 1
        left = left[~same]
    directions = np.array([units[group == g].mean(axis=0) for g in range(count)])
    directions = directions.reshape(count, Y.shape[1])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return group, directions, worst, pair


def chain_weights(
    first: FloatArray, last: FloatArray, gains: FloatArray, depth: int
) -> tuple[FloatArray, ...]:
    """The layers of k chains, one neuron of each a layer and equal shares of the gain.

    Parameters
    ----------
    first : (k, d) array
        Unit vectors that the chains take.
    last : (k, K) array
        Unit vectors that they give.
    gains : (k,) array
        Products of their weights; chains of gain 0 are left out.
    depth : int
    """
    on = gains > 0
    share = gains[on] ** (1 / depth)
    middle = np.diag(share)
    return (
        share[:, None] * first[on],
        *(middle for _ in range(depth - 2)),
        last[on].T * share,
    )
