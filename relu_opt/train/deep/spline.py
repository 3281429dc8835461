r"""One feature with biases in the last hidden layer: a spline, by a problem of one variable.

Biases and the output constant cost nothing. With x ≥ 0 all that the first L − 2 layers can do is to
multiply x by a vector of length t, which costs (L − 2) t^{2/(L−2)} at least; the last two layers
are a linear spline with kinks at data points, of slope changes w that cost 2‖w‖₁/t (Ergen &
Pilanci, JMLR 2021). The best t leaves, with F half the *mean* squared error,

    min_S F(S) + (λL/2) S^{2/L},   F(S) = min {½‖Kw + c − y‖²/n : ‖w‖₁ ≤ S},

K the columns (x − x_j)_+ and (x_j − x)_+. It is exact, for every width. It is not convex for L > 2,
but F is. `fit_spline` trains two layers at any strength μ and returns a dual point ν, Σν = 0 and
‖Kᵀν‖_∞ ≤ μ: it shows F(S) ≥ D(ν) − μS, D(ν) = νᵀy − (n/2)‖ν‖². Such (ν, μ) are a convex cone, so
that all points between two of them give lines below F too, and between one and μ = 0. Along a
segment D is quadratic: the envelope of its lines is a `LossPath`, whose least sum with the power is
a bound below all networks. The next μ is the one at which that bound is attained.

With biases in *all* hidden layers this is wrong: layers that bend share their kinks. With x of both
signs the layers before can make x_+ and (−x)_+, another kink for free.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.errors import DataError
from relu_opt.train.deep.chains import Chains
from relu_opt.train.deep.formula import DeepFormula
from relu_opt.train.deep.kernel import power_penalty
from relu_opt.train.deep.network import DeepNetwork
from relu_opt.train.deep.powers import LossPath, best_size
from relu_opt.train.one_input.fit import fit_spline
from relu_opt.train.one_input.neurons import Neurons
from relu_opt.train.one_input.problem import SplineProblem

REASON = "first layers without biases only scale x, and lines below the convex loss bound the rest"
# The gap between the best S and the bound, relative to the value, at which the search ends.
TOL = 1e-10
# What the splines of two layers are trained to.
FIT_TOL = 1e-10
# Rounds of training, and those that may go by before the gap has halved.
MAX_ROUNDS, PATIENCE = 20, 4
# Where training ends with a larger gap, points closer than these shares of the range become one.
ENOUGH, NEAR = 1e-8, (1e-11, 1e-8, 1e-5)
# Strengths closer than this, relative to their size, are one.
SAME = 1e-9


@dataclass(frozen=True, eq=False)
class Trial:
    """The best spline of two layers at a strength μ, with its dual point.

    Attributes
    ----------
    neurons : Neurons
    loss : float
        F, half the mean squared error.
    pull : float
        μ.
    nu : (n,) array
        Σν = 0 and ‖Kᵀν‖_∞ ≤ μ.
    """

    neurons: Neurons
    loss: float
    pull: float
    nu: FloatArray

    def value(self, lam: float, depth: int) -> float:
        """The objective of the deep network of these neurons."""
        return self.loss + power_penalty(self.neurons.cost, lam, depth)


@dataclass(frozen=True, eq=False)
class Splines:
    """Training of splines of two layers on targets of mean 0 and of size 1."""

    x: FloatArray
    y: FloatArray

    def constant(self) -> Trial:
        """No neuron at all, and the strength from which on that is the best."""
        nu = self.y / len(self.y)
        pull = SplineProblem(self.x, self.y, 1.0).largest(nu)
        none = np.zeros(0)
        nothing = Neurons(none, none, none, 0.0)
        return Trial(nothing, 0.5 * float(nu @ self.y), pull, nu)

    def at(self, pull: float) -> Trial:
        """The best of a strength below that, up to what points that nearly coincide allow."""
        fit, joined = fit_spline(self.x, self.y, pull, tol=FIT_TOL), self.x
        for near in NEAR:
            if fit.rel_gap <= ENOUGH:
                break
            if (_joined(self.x, near) != joined).any():
                joined = _joined(self.x, near)
                fit = fit_spline(joined, self.y, pull, tol=FIT_TOL)
        # Measured on the points as they are: the dual point as well.
        residual = self.y - fit.neurons.at(self.x)
        if joined is not self.x:
            pull = max(pull, SplineProblem(self.x, self.y, 1.0).largest(fit.nu))
        return Trial(fit.neurons, 0.5 * float(np.mean(residual**2)), pull, fit.nu)

    def within(self) -> FloatArray:
        """The dual point of μ = 0: what samples at one x leave, whatever the spline; 0 if none."""
        _, where, counts = np.unique(self.x, return_inverse=True, return_counts=True)
        return (self.y - (np.bincount(where, self.y) / counts)[where]) / len(self.y)

    def below(self, trials: list[Trial]) -> LossPath:
        """The envelope of the lines of all trials, of falling pulls, and of those between them."""
        points = [*((each.nu, each.pull) for each in trials), (self.within(), 0.0)]
        rows = []
        for first, second in itertools.pairwise(points):
            step, fall = second[0] - first[0], first[1] - second[1]
            if fall <= 0:
                continue
            for nu, pull in (first, second):
                # The size at which no other line of this segment is above this one.
                size = max(float(step @ (len(self.y) * nu - self.y)) / fall, 0.0)
                level = float(nu @ self.y) - 0.5 * len(self.y) * float(nu @ nu)
                rows.append((size, level - pull * size, pull))
        sizes, losses, pulls = np.array(rows).T
        # Exactly: a concave power makes much of rounding there.
        sizes[0] = 0.0
        return LossPath(sizes, losses, pulls)


def spline(X: FloatArray, Y: FloatArray, lam: float, depth: int) -> DeepFormula:
    """The formula for one feature of one sign, biases in the last hidden layer."""
    if X.shape[1] != 1 or Y.shape[1] != 1:
        raise DataError(
            f'bias="last_hidden" has a formula for one feature and one column of targets, and X '
            f"has {X.shape[1]} and Y {Y.shape[1]}.",
            features=X.shape[1],
            outputs=Y.shape[1],
        )
    x, y = X[:, 0], Y[:, 0]
    if depth > 2 and x.min() < 0 < x.max():
        raise DataError(
            f"x has both signs (from {x.min():.3g} to {x.max():.3g}), and layers before the last "
            "hidden one can then make a kink at 0 of their own. Shift x, such as x − x.min().",
            smallest=float(x.min()),
            largest=float(x.max()),
        )
    centre = float(y.mean())
    unit = float(np.abs(y - centre).max()) or 1.0
    # Losses are multiples of unit², sizes of unit.
    scaled = lam * unit ** (2 / depth - 2)
    found, value, bound = search(Splines(x, (y - centre) / unit), scaled, depth)
    neurons = Neurons(
        found.kinks, found.sides, unit * found.weights, centre + unit * found.constant
    )
    network = _network(neurons, -1.0 if depth > 2 and x.min() < 0 else 1.0, depth)
    none = np.zeros(0)
    chains = Chains(none, none, none, none)
    return DeepFormula("spline", network, unit**2 * value, unit**2 * bound, REASON, chains)


def search(problem: Splines, lam: float, depth: int) -> tuple[Neurons, float, float]:
    """The best neurons of all strengths, their value and the bound."""
    trials = [problem.constant()]
    if not trials[0].pull:
        return trials[0].neurons, trials[0].loss, trials[0].loss
    bound, gap, still = 0.0, np.inf, 0
    while True:
        best = min(trials, key=lambda each: each.value(lam, depth))
        value = best.value(lam, depth)
        _, pull, below = best_size(problem.below(trials), lam, depth)
        # A training that ended early may lower the envelope, but no bound is lost.
        bound = max(bound, below)
        pull = _unknown(np.array([*(each.pull for each in trials), 0.0]), pull)
        still = still + 1 if value - bound > 0.5 * gap else 0
        gap = gap if still else value - bound
        ended = gap <= TOL * value or still > PATIENCE or len(trials) > MAX_ROUNDS
        if ended or not pull:
            return best.neurons, value, bound
        trials.append(problem.at(pull))
        trials.sort(key=lambda each: -each.pull)


def _joined(x: FloatArray, near: float) -> FloatArray:
    """Points with neighbours closer than this share of the range, moved to their mean."""
    positions, where = np.unique(x, return_inverse=True)
    group = np.append(0, np.cumsum(np.diff(positions) > near * np.ptp(positions)))
    means = np.bincount(group, positions) / np.bincount(group)
    # A point by itself is not moved, not even by rounding.
    alone = np.bincount(group) == 1
    return np.where(alone[group[where]], x, means[group[where]])


def _unknown(pulls: FloatArray, wanted: float) -> float:
    """The pull that is wanted, or one beside it if it is among these, falling to 0; 0 for none."""
    k = int(np.argmin(np.abs(pulls - wanted)))
    if abs(pulls[k] - wanted) > SAME * wanted:
        return wanted
    beside = pulls[max(k - 1, 0) : k + 2]
    j = int(np.argmax(beside[:-1] - beside[1:]))
    apart = float(beside[j] - beside[j + 1])
    return float(beside[j + 1]) + 0.5 * apart if apart > SAME * wanted else 0.0


def _network(neurons: Neurons, sign: float, depth: int) -> DeepNetwork:
    """One neuron a layer that scales x ≥ 0 or −x ≥ 0, then a neuron a kink; layers of one norm."""
    share = neurons.cost ** (1 / depth)
    scaling = share ** (depth - 2)
    roots = np.sqrt(np.abs(neurons.weights) / (scaling or 1.0))
    slopes = roots * neurons.sides
    middle = [np.array([[share]]) for _ in range(depth - 2)]
    if middle:
        middle[0] = sign * middle[0]
    layers = (*middle, sign * slopes[:, None], (np.sign(neurons.weights) * roots)[None, :])
    biases = -slopes * scaling * neurons.kinks
    return DeepNetwork(layers, bias=biases, intercept=np.array([neurons.constant]))
