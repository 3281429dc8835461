"""From a spline's values at knots to neurons, and to fewer neurons of the same cost.

A neuron is a kink t, a side (+1 for (x − t)_+, −1 for (t − x)_+) and a weight w: its size in the
cost is |w|. Every slope change may face either way at the same cost, as long as the left ones sum
to −s₁ if they can; one more neuron at the first position makes up for the rest of the first slope.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relu_opt.arrays import FloatArray, frozen
from relu_opt.program.network import ReLUNetwork


@dataclass(frozen=True, eq=False)
class Neurons:
    """Neurons of one input: the function Σ w (side (x − kink))_+ + constant.

    Attributes
    ----------
    kinks, sides, weights : (k,) array
    constant : float
    """

    kinks: FloatArray
    sides: FloatArray
    weights: FloatArray
    constant: float

    def __post_init__(self) -> None:
        for name in ("kinks", "sides", "weights"):
            object.__setattr__(self, name, frozen(np.array(getattr(self, name), dtype=float)))

    def __len__(self) -> int:
        return len(self.kinks)

    @property
    def cost(self) -> float:
        """Σ |w|."""
        return float(np.abs(self.weights).sum())

    def at(self, x: FloatArray) -> FloatArray:
        """The function at inputs, (rows,), in O((rows + k) log k)."""
        result = np.full(len(x), self.constant)
        for side in (1.0, -1.0):
            mine = self.sides == side
            result += _ramps(side * x, side * self.kinks[mine], self.weights[mine])
        return result

    def network(self) -> ReLUNetwork:
        """The balanced network on inputs [x, 1]: ½(u² + a²) = |w|, the hidden bias left out."""
        root = np.sqrt(np.abs(self.weights))
        hidden = np.column_stack([self.sides * root, -self.sides * root * self.kinks])
        return ReLUNetwork(hidden, np.sign(self.weights) * root, self.constant)


def _ramps(x: FloatArray, kinks: FloatArray, weights: FloatArray) -> FloatArray:
    """Σ_j w_j (x − t_j)_+ at each x, from one kink to the next."""
    if not len(kinks):
        return np.zeros(len(x))
    order = np.argsort(kinks)
    kinks, slopes = kinks[order], np.cumsum(weights[order])
    values = np.append(0.0, np.cumsum(slopes[:-1] * np.diff(kinks)))
    last = np.searchsorted(kinks, x, side="right") - 1
    inside = last >= 0
    result = np.zeros(len(x))
    last = last[inside]
    result[inside] = values[last] + slopes[last] * (x[inside] - kinks[last])
    return result


def neurons_of(positions: FloatArray, values: FloatArray) -> Neurons:
    """The cheapest neurons for values at increasing positions, both (k,).

    Slope changes face left from the first one on until they sum to what is needed, so that at most
    one of them is split. Any other choice has the same fits and the same cost, and goes on
    differently beyond the data.
    """
    if len(positions) == 1:
        return Neurons(np.empty(0), np.empty(0), np.empty(0), float(values[0]))
    slopes = np.diff(values) / np.diff(positions)
    bends = np.diff(slopes)
    rise, fall = np.maximum(bends, 0.0).sum(), np.maximum(-bends, 0.0).sum()
    target = float(np.clip(-slopes[0], -fall, rise))
    # Of the slope changes of the target's sign, the first ones; the rest face right.
    wanted = np.maximum(bends * np.sign(target), 0.0)
    left = np.clip(abs(target) - np.append(0.0, np.cumsum(wanted)[:-1]), 0.0, wanted)
    left *= np.sign(target)
    # Rounding must not leave a sliver of a neuron.
    left = np.where(np.abs(left - bends) <= SLIVER * np.abs(bends), bends, left)
    right = bends - left
    inner = positions[1:-1]
    rest = float(slopes[0] + left.sum())
    largest = max(np.abs(slopes).max(), 1e-300)
    ends = [rest] if abs(rest) > SLIVER * largest else []
    weights = np.concatenate([ends, right, left])
    kinks = np.concatenate([positions[: len(ends)], inner, inner])
    sides = np.concatenate([np.ones(len(ends) + len(inner)), -np.ones(len(inner))])
    constant = float(values[0] - left @ (inner - positions[0]))
    used = weights != 0
    return Neurons(kinks[used], sides[used], weights[used], constant)


SLIVER = 1e-12


def merged_bends(
    positions: FloatArray, knots: FloatArray, bends: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Kinks and slope changes with neighbours of one sign made one, where no sample lies between.

    Two slope changes at consecutive positions are one at their weighted mean: no sample sees it.

    Parameters
    ----------
    positions : (m,) array
        The distinct inputs, increasing.
    knots, bends : (k,) array
        Kinks at positions, increasing, and their slope changes.
    """
    at = np.searchsorted(positions, knots)
    kinks: list[float] = []
    changes: list[float] = []
    j = 0
    while j < len(knots):
        pair = j + 1 < len(knots) and at[j + 1] == at[j] + 1 and bends[j] * bends[j + 1] > 0
        if pair:
            total = bends[j] + bends[j + 1]
            kinks.append(float(knots[j] + bends[j + 1] / total * (knots[j + 1] - knots[j])))
            changes.append(float(total))
        else:
            kinks.append(float(knots[j]))
            changes.append(float(bends[j]))
        j += 2 if pair else 1
    return np.array(kinks), np.array(changes)
