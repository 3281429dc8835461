"""What a formula gives: an optimal network, its objective, and the dual point that proves it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.errors import DataError
from relu_opt.program.multipliers import ConeMultipliers
from relu_opt.program.network import ReLUNetwork, contributing
from relu_opt.program.patterns import Patterns

INTERPOLATION = "interpolation"
LOSSES = ("squared", "hinge", INTERPOLATION)


@dataclass(frozen=True, eq=False)
class Formula:
    """An answer by formula.

    Attributes
    ----------
    kind : {"whitened", "rank_one", "spike_free"}
        What the data are.
    blocks : (k, d) array
        w = |a| u of each neuron; blocks of zeros are no neurons.
    signs : (k,) array
        Their output signs.
    value : float
        The optimal objective by the formula: with the *mean* loss, or the cost ½ Σ (‖u‖² + a²) of
        an interpolation.
    nu : (n,) array
        The dual point.
    patterns : Patterns
        Those that speak of all networks.
    coverage : {"spike_free", "searched"}
        Why they do.
    multipliers : ConeMultipliers or None
        ρ of the patterns' cones, where the formula knows them.
    """

    kind: str
    blocks: FloatArray
    signs: FloatArray
    value: float
    nu: FloatArray
    patterns: Patterns
    coverage: str
    multipliers: ConeMultipliers | None = None

    @property
    def network(self) -> ReLUNetwork:
        """The balanced network of the blocks."""
        return network_of_blocks(self.blocks, self.signs)


def network_of_blocks(blocks: FloatArray, signs: FloatArray) -> ReLUNetwork:
    """The balanced network of blocks w = |a| u (k, d) and their output signs; zeros are dropped."""
    norms = np.linalg.norm(blocks, axis=1)
    on = contributing(norms)
    root = np.sqrt(norms[on])
    return ReLUNetwork(blocks[on] / root[:, None], signs[on] * root)


def ones_pattern(n: int) -> Patterns:
    """D = I: the pattern that is active on all n samples."""
    return Patterns(np.ones((n, 1), dtype=np.bool_))


def spike_free_multipliers(positive: FloatArray, negative: FloatArray) -> ConeMultipliers:
    """ρ ≥ 0 (n,) of the two blocks of D = I, sign +1 and sign −1."""
    pieces = {}
    for block, rho in enumerate((positive, negative)):
        rows = np.flatnonzero(rho > 0)
        pieces[block] = (rows, rho[rows])
    return ConeMultipliers.pack(pieces)


def out_of_reach(y: FloatArray, residual: FloatArray) -> DataError:
    """The error of targets that no network has."""
    worst = int(np.argmax(np.abs(residual)))
    return DataError(
        f"No network has these targets: row {worst} stays {abs(residual[worst]):.3g} away from "
        f"y = {y[worst]:.3g}. Parallel rows tie their targets to each other, and rows of zeros "
        "have the target 0. Add a column of ones to X, or train with a loss.",
        row=worst,
        residual=float(np.abs(residual[worst])),
    )
