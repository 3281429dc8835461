"""Whether a network is one of the optimal ones."""

from __future__ import annotations

import numpy as np

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.errors import DataError
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.network import ReLUNetwork, locate_neurons
from relu_opt.sets.answers import Membership
from relu_opt.sets.equicorrelation import SAME, Equicorrelation


def membership(
    prog: ConvexProgram,
    found: Equicorrelation,
    fits: FloatArray,
    network: ReLUNetwork,
    tol: float,
) -> Membership:
    """Compare a network's neurons and training predictions with the optimal ones.

    Parameters
    ----------
    prog : ConvexProgram
    found : Equicorrelation
        The neurons of optimal networks.
    fits : (n,) array
        Optimal training predictions.
    network : ReLUNetwork
    tol : float
        How far a unit direction, in each entry, and predictions, relative to the largest, may
        be off.
    """
    merged = network.merge(SAME)
    predictions = merged.predict(prog.X)
    low, high = prog.loss.plateau(fits, prog.y)
    off = float(np.maximum(np.maximum(low - predictions, predictions - high), 0.0).max())
    strange = np.flatnonzero(_neurons_of(prog, found, merged, tol) < 0)
    if len(strange):
        reason = f"Neuron {strange[0]} has none of the directions of optimal neurons."
    elif off > tol * max(1.0, float(np.abs(fits).max())):
        reason = f"Its training predictions are off by {off:.1e}."
    else:
        return Membership(True, "Its neurons and its predictions are optimal.", off)
    return Membership(False, reason, off)


def sizes_in(prog: ConvexProgram, found: Equicorrelation, network: ReLUNetwork) -> FloatArray:
    """‖w_j‖ of a network of the set, by the set's neurons, (k,).

    Raises
    ------
    DataError
        If it has a neuron that no optimal network has.
    """
    balanced = network.balance()
    neuron = _neurons_of(prog, found, balanced, 10 * SAME)
    if (neuron < 0).any():
        raise DataError(
            f"Neuron {int(np.argmax(neuron < 0))} has none of the directions of optimal neurons. "
            "Pass an element of the set."
        )
    sizes = np.zeros(len(found.units))
    np.add.at(sizes, neuron, balanced.output**2)
    return sizes


def _neurons_of(
    prog: ConvexProgram, found: Equicorrelation, network: ReLUNetwork, tol: float
) -> IntArray:
    """Which of the optimal neurons each of a balanced network's is, −1 where none, (m,)."""
    units = network.hidden / np.linalg.norm(network.hidden, axis=1, keepdims=True)
    signs = np.sign(network.output)
    if not prog.activation.gated:
        ours, theirs = (found.units, found.signs), (units, signs)
    else:
        # A gated neuron's gate matters, and its two signs are one.
        place = locate_neurons(prog, network, tol).astype(np.float64)
        ours = (found.units, found.places.astype(np.float64))
        theirs = (units * signs[:, None], place)
    mine = np.column_stack(ours)
    neuron: IntArray = np.full(len(network), -1, dtype=np.intp)
    for k, row in enumerate(np.column_stack(theirs) if len(mine) else ()):
        away = np.abs(mine - row).max(axis=1)
        if away.min() <= tol:
            neuron[k] = away.argmin()
    return neuron
