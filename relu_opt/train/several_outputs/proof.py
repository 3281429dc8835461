"""The two bounds of several outputs with every rounding: an objective, and a dual point's."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.program.units import Units, exponent, scaled
from relu_opt.rounding import UNDERFLOW, charge, exact_dot
from relu_opt.train.several_outputs.network import VectorNetwork
from relu_opt.train.several_outputs.problem import VectorProblem

# Bits of a double.
BITS = 53
# What a dual point stays below λ by, as a share of the tolerance: another search, of other cones,
# has to settle that it is feasible.
ROOM = 0.005


@dataclass(frozen=True, eq=False)
class VectorBound:
    """A dual point V, (n, c), and what no network's objective is below."""

    V: FloatArray
    value: float

    def in_units(self, units: Units) -> VectorBound:
        """The bound of the problem that has these units, from that of the canonical one."""
        return VectorBound(units.duals(self.V), units.objective(self.value))


def lower_bound(problem: VectorProblem, V: FloatArray, largest: float) -> VectorBound:
    """The best bound that a multiple of V proves, if M(V) is at most `largest`."""
    t = problem.best_scale(V, largest) if math.isfinite(largest) else 0.0
    kept = settled(t * V) if problem.intercept else t * V
    # What scaling and settling moved: ‖h‖ changes by no more than this.
    sizes = np.linalg.norm(problem.rows, axis=1).reshape(-1, problem.n).sum(axis=0)
    steps = np.linalg.norm(kept - t * V, axis=1) + charge(1) * np.linalg.norm(kept, axis=1)
    moved = float(sizes @ steps) * (1 + charge(sum(problem.rows.shape) + 8))
    reached = (t * largest + moved) * (1 + charge(2)) if t else 0.0
    # D is concave, and D(0) = 0.
    share = 1.0 if reached <= problem.lam else problem.lam / reached * (1 - charge(2))
    return VectorBound(kept, max(0.0, share * dual_below(problem, kept) * (1 - charge(1))))


def settled(V: FloatArray) -> FloatArray:
    """The V nearby whose columns sum to zero exactly.

    Entries of a column become multiples of the last bit of its largest, which takes what the sum
    lacks.
    """
    result: FloatArray = V - V.mean(axis=0)
    for column in result.T:
        giver = int(np.argmax(np.abs(column)))
        if column[giver] == 0:
            continue
        unit = math.ldexp(1.0, math.frexp(abs(column[giver]))[1] - BITS)
        column[:] = np.rint(column / unit) * unit
        rest = math.fsum(column.tolist())
        column[giver] -= rest
        if math.fsum(column.tolist()) != 0.0:
            column[:] = 0.0
    return result


def dual_below(problem: VectorProblem, V: FloatArray) -> float:
    """A number that ⟨V, Y⟩ − (n/2)‖V‖² is not below; columns of V sum to zero, if they have to."""
    if problem.intercept and any(math.fsum(column) != 0.0 for column in V.T.tolist()):
        return -math.inf
    power = exponent(problem.Y)
    V, Y = scaled(V, -power), scaled(problem.Y, -power)
    linear = exact_dot((V, Y))
    square = problem.n / 2 * math.fsum(np.square(V).ravel().tolist()) * (1 + charge(4))
    value = linear - square - charge(4) * (abs(linear) + square)
    return float(scaled(value - UNDERFLOW if V.any() else 0.0, 2 * power))


def objective_above(problem: VectorProblem, network: VectorNetwork) -> float:
    """A number that the network's objective does not exceed."""
    power = exponent(problem.Y)
    m, h = network.hidden.shape
    flat = network.output.reshape(-1, network.outputs)
    fits = problem.features(network.hidden) @ flat
    sizes = np.abs(problem.rows) @ np.abs(network.hidden).T
    if problem.patches is not None:
        sizes = sizes.reshape(len(problem.patches), problem.n, m)
        sizes = sizes.mean(axis=0) if problem.pooled else sizes.transpose(1, 2, 0)
    sizes = sizes.reshape(problem.n, -1) @ np.abs(flat)
    # The constants meet the targets first: an offset of both costs one rounding.
    shift = network.constants - problem.Y
    error = charge(h + len(flat) + 8 + len(problem.rows) // problem.n) * sizes
    off = (np.abs(fits + shift) + error + charge(1) * np.abs(shift)) * (1 + charge(2))
    squares = np.square(scaled(off, -power)).ravel().tolist()
    loss = float(scaled(math.fsum(squares) / (2 * problem.n), 2 * power))
    layers = [np.square(each).ravel().tolist() for each in (network.hidden, network.output)]
    penalty = problem.lam / 2 * math.fsum(layers[0] + layers[1])
    return (loss + penalty) * (1 + charge(6))
