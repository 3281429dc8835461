"""Upper bounds: a network's own objective, with every rounding of its evaluation counted."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.loss_proof import loss_above
from relu_opt.program.network import ReLUNetwork
from relu_opt.program.signs import masks_of
from relu_opt.program.units import scaled
from relu_opt.rounding import UNDERFLOW, charge, in_reach, scaled_up

# Entries of a hidden layer that are held at a time.
CHUNK_ENTRIES = 2**22


def objective_above(
    prog: ConvexProgram, network: ReLUNetwork, theirs: ReLUNetwork | None = None
) -> float:
    """A number that the network's objective does not exceed; inf where doubles give none.

    Parameters
    ----------
    prog : ConvexProgram
    network : ReLUNetwork
        Whose numbers are meant exactly: a gate is on where xᵀg ≥ 0 without rounding.
    theirs : ReLUNetwork, optional
        The network in the program's canonical units, within two roundings; so that odd powers of
        two change no bit of the bound.
    """
    own, units = prog.canonical, prog.units
    hidden, output, odd = in_units(prog, network)
    if theirs is not None:
        hidden, output, odd = theirs.hidden, theirs.output, 0
    # Not centred, so that target and constant meet as they are.
    constant, y = scaled(network.intercept, -units.y), scaled(prog.y, -units.y)
    if not prog.loss.proves or not in_reach(hidden, output, constant):
        return math.inf
    with np.errstate(all="ignore"):
        fits, error = hidden_part(own.X, replace(network, hidden=hidden, output=output))
        loss = loss_above(own, fits, error, constant, y)
        penalty = squares_above(hidden) * 0.5**odd + squares_above(output) * 2.0**odd
        value = (loss + 0.5 * own.lam * penalty) * (1 + charge(8))
    return scaled_up(value + UNDERFLOW, 2 * units.y) if 0 < value < math.inf else value


def in_units(prog: ConvexProgram, network: ReLUNetwork) -> tuple[FloatArray, FloatArray, int]:
    """Both layers for the program's canonical data; the first is 2^odd times too large.

    The product of the layers is that of the network in these units. The factor, 1 or 2, is there so
    that neither layer is rounded.
    """
    half, odd = divmod(prog.units.x - prog.units.y, 2)
    with np.errstate(all="ignore"):
        return scaled(network.hidden, half + odd), scaled(network.output, half), odd


def squares_above(values: FloatArray) -> float:
    """A number that the sum of the squares of (m, d) or (m,) values does not exceed."""
    squares = values**2 if values.ndim == 1 else (values**2).sum(axis=1)
    if not np.isfinite(squares).all():
        return math.inf
    return math.fsum(squares.tolist()) * (1 + charge(math.prod(values.shape[1:]) + 3))


def hidden_part(X: FloatArray, network: ReLUNetwork) -> tuple[FloatArray, FloatArray]:
    """Σ_j φ(x_kᵀu_j) a_j, without the constant, and what rounding may make of it, (n,) each.

    The error is also for all layers within two roundings of these. φ makes of a change at most
    `reach` times it, so that wrong signs of neurons without gates are in it.
    """
    hidden, output, activation = network.hidden, network.output, network.activation
    m, d = hidden.shape
    fits = np.zeros(len(X))
    if not m:
        return fits, fits
    step = max(1, CHUNK_ENTRIES // m)
    for start in range(0, len(X), step):
        rows = X[start : start + step]
        linear = rows @ hidden.T
        on = None if network.gates is None else masks_of(rows, network.gates.T)
        fits[start : start + step] = activation.apply(linear, on) @ output
    sizes = np.abs(X) @ (np.abs(hidden).T @ np.abs(output))
    rounds = charge(d + m + 8 + activation.rounds)
    return fits, rounds * (1 + rounds) * activation.reach * sizes
