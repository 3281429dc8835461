"""From a spline's values at knots to neurons, and to fewer neurons of the same cost.

A neuron is a kink t, a side (+1 for (x − t)_+, −1 for (t − x)_+) and a weight w: its size in the
cost is |w|. Every slope change may face either way at the same cost, as long as the left ones sum
to −s₁ if they can; one more neuron at the first position makes up for the rest of the first slope.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from relu_opt.arrays import FloatArray, frozen
from relu_opt.program.network import ReLUNetwork

# A share of a slope change so small that rounding explains it.
SLIVER = 1e-12


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

    @classmethod
    def of_network(cls, network: ReLUNetwork) -> Neurons:
        """The neurons of a network on inputs [x, 1]; those without a slope join the constant."""
        slope, bias = network.hidden.T
        turns = slope != 0
        flat = float(np.maximum(bias[~turns], 0.0) @ network.output[~turns])
        sizes = np.abs(slope[turns])
        return cls(
            -bias[turns] / slope[turns],
            np.sign(slope[turns]),
            sizes * network.output[turns],
            network.intercept + flat,
        )

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


@dataclass(frozen=True, eq=False)
class Shape:
    """A piecewise linear function between the first and the last of the data.

    Attributes
    ----------
    start, value, slope : float
        The first input, and the value and the slope there.
    kinks, bends : (k,) array
        Where the slope changes, increasing, and by how much.
    """

    start: float
    value: float
    slope: float
    kinks: FloatArray
    bends: FloatArray

    @classmethod
    def through(cls, positions: FloatArray, values: FloatArray) -> Shape:
        """The function of these values at increasing positions, (k,)."""
        slopes = np.diff(values) / np.diff(positions)
        slope = float(slopes[0]) if len(slopes) else 0.0
        return cls(float(positions[0]), float(values[0]), slope, positions[1:-1], np.diff(slopes))

    def merged(self, positions: FloatArray) -> Shape:
        """Neighbouring kinks of one sign made one, where no sample lies between them.

        Two slope changes at consecutive positions are one at their weighted mean: no sample sees
        it, and the sum of their sizes stays.

        Parameters
        ----------
        positions : (m,) array
            The distinct inputs, increasing; the kinks are among them.
        """
        at = np.searchsorted(positions, self.kinks)
        kinks, bends = [], []
        j = 0
        while j < len(at):
            pair = self.bends[j : j + 2]
            together = len(pair) == 2 and at[j + 1] == at[j] + 1 and pair[0] * pair[1] > 0
            size = 2 if together else 1
            kinks.append(_mean(self.kinks[j : j + size], self.bends[j : j + size]))
            bends.append(float(self.bends[j : j + size].sum()))
            j += size
        return replace(self, kinks=np.array(kinks), bends=np.array(bends))

    def neurons(self) -> Neurons:
        """The cheapest neurons for it.

        Slope changes face left from the first one on until they sum to what is needed, so that at
        most one of them is split. Any other choice has the same fits and the same cost, and goes
        on differently beyond the data.
        """
        bends = self.bends
        rise, fall = np.maximum(bends, 0.0).sum(), np.maximum(-bends, 0.0).sum()
        target = float(np.clip(-self.slope, -fall, rise))
        wanted = np.maximum(bends * np.sign(target), 0.0)
        taken = np.append(0.0, np.cumsum(wanted))[:-1]
        left = np.clip(abs(target) - taken, 0.0, wanted)
        # Rounding must not leave a sliver of a neuron.
        left = np.where(left <= SLIVER * wanted, 0.0, left)
        left = np.where(wanted - left <= SLIVER * wanted, wanted, left) * np.sign(target)
        right = bends - left
        rest = self.slope + float(left.sum())
        largest = max(abs(self.slope), rise, fall)
        ends = np.array([rest] if abs(rest) > SLIVER * largest else [])
        weights = np.concatenate([ends, right, left])
        used = weights != 0
        return Neurons(
            np.concatenate([np.full(len(ends), self.start), self.kinks, self.kinks])[used],
            np.concatenate([np.ones(len(ends) + len(right)), -np.ones(len(left))])[used],
            weights[used],
            self.value - float(left @ (self.kinks - self.start)),
        )


def join_first(neurons: Neurons, positions: FloatArray) -> Neurons:
    """The neuron at the first input and one of its kind that begins by the second made one."""
    if not len(neurons) or neurons.kinks[0] != positions[0]:
        return neurons
    kind = (neurons.sides == 1) & (neurons.weights * neurons.weights[0] > 0)
    near = np.flatnonzero(kind & (neurons.kinks <= positions[1]))
    if len(near) < 2:
        return neurons
    pair = near[:2]
    kinks, weights = neurons.kinks.copy(), neurons.weights.copy()
    kinks[0], weights[0] = _mean(kinks[pair], weights[pair]), weights[pair].sum()
    rest = np.delete(np.arange(len(kinks)), pair[1])
    return Neurons(kinks[rest], neurons.sides[rest], weights[rest], neurons.constant)


def _mean(places: FloatArray, sizes: FloatArray) -> float:
    """The weighted mean of one or two places; sizes have one sign."""
    return float(places[0] + sizes[1:].sum() / sizes.sum() * (places[-1] - places[0]))
