r"""One feature with biases in the last hidden layer: a spline, by a problem of one variable.

Biases and the output constant cost nothing. With x ≥ 0 all that the first L − 2 layers can do is to
multiply x by a vector of length t, which costs (L − 2) t^{2/(L−2)} at least; the last two layers
are a linear spline with kinks at data points, of slopes w that cost 2‖w‖₁/t (Ergen & Pilanci, JMLR
2021). The best t leaves

    min_S F(S) + (βL/2) S^{2/L},   F(S) = min {½‖Kw + c − y‖² : ‖w‖₁ ≤ S},

K the columns (x − x_j)_+ and (x_j − x)_+. It is exact, for every width. Not convex for L > 2, but F
is: every residual r with Σr = 0 shows F(S) ≥ rᵀy − ½‖r‖² − S‖Kᵀr‖_∞. The largest of a few such
lines and the concave power have their least sum where two lines cross: a bound below all networks,
which is driven up to the best S found. Each F and r comes from the lasso of a pull μ, solved
exactly as the projection of y onto {r : ‖Kᵀr‖_∞ ≤ μ}.

With biases in *all* hidden layers this is wrong: layers that bend share their kinks. With x of both
signs the layers before can make x_+ and (−x)_+, another kink for free.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from relu_opt.arrays import FloatArray
from relu_opt.deep.chains import Chains
from relu_opt.deep.formula import DeepFormula
from relu_opt.deep.kernel import power_penalty
from relu_opt.deep.network import DeepNetwork
from relu_opt.deep.powers import LossPath, best_size
from relu_opt.errors import DataError, NotCertified

REASON = "first layers without biases only scale x, and lines below the convex loss bound the rest"
# The gap between the best S and the bound, relative to the value, at which the search ends.
TOL = 1e-10
MAX_ROUNDS = 80


@dataclass(frozen=True, eq=False)
class Lasso:
    """The lasso at one pull μ: weights, their ℓ1-norm S, the loss, and the line below F."""

    weights: FloatArray
    size: float
    loss: float
    pull: float
    level: float
    slope: float


@dataclass(frozen=True, eq=False)
class Kinks:
    """The columns of a spline at the data, without their means, and the targets without theirs."""

    knots: FloatArray
    sides: FloatArray
    columns: FloatArray
    y: FloatArray

    @classmethod
    def of(cls, x: FloatArray, y: FloatArray) -> Kinks:
        """Kinks at the distinct x: to the right of all but the last, to the left of the others."""
        at = np.unique(x)
        knots = np.concatenate([at[:-1], at[1:]])
        sides = np.concatenate([np.ones(len(at) - 1), -np.ones(len(at) - 1)])
        columns = np.maximum((x[:, None] - knots) * sides, 0.0)
        return cls(knots, sides, columns - columns.mean(axis=0), y - y.mean())

    def lasso(self, pull: float) -> Lasso:
        """min ½‖Kw − y‖² + μ‖w‖₁, by least squares with nonnegative multipliers."""
        # The projection min ‖r − y‖, ±Kᵀr ≤ μ, as Lawson and Hanson write it.
        signed = np.hstack([self.columns, -self.columns])
        slack = pull - signed.T @ self.y
        scale = float(np.abs(slack).max())
        system = np.vstack([-signed, -slack[None, :] / scale])
        goal = np.zeros(len(system))
        goal[-1] = 1.0
        found, _ = nnls(system, goal, maxiter=100 * system.shape[1])
        rest = system @ found - goal
        multipliers = -found * (scale / rest[-1])
        half = len(self.knots)
        return self._measured(multipliers[:half] - multipliers[half:], pull)

    def _measured(self, weights: FloatArray, pull: float) -> Lasso:
        r = self.y - self.columns @ weights
        r -= r.mean()
        return Lasso(
            weights,
            float(np.abs(weights).sum()),
            0.5 * float(r @ r),
            pull,
            float(r @ self.y) - 0.5 * float(r @ r),
            float(np.abs(self.columns.T @ r).max(initial=0.0)),
        )

    def nothing(self) -> Lasso:
        """w = 0, and the pull from which on it is the lasso's answer."""
        zero = np.zeros(len(self.knots))
        return self._measured(zero, float(np.abs(self.columns.T @ self.y).max(initial=0.0)))


def spline(X: FloatArray, Y: FloatArray, lam: float, depth: int) -> DeepFormula:
    """The formula for one feature of one sign, biases in the last hidden layer."""
    n = len(X)
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
    problem = Kinks.of(x, y)
    best, value, bound = search(problem, n * lam, depth)
    network = _network(problem, best, x, y, depth)
    none = np.zeros(0)
    chains = Chains(none, none, none, none)
    return DeepFormula("spline", network, value / n, bound / n, REASON, chains)


def search(problem: Kinks, beta: float, depth: int) -> tuple[Lasso, float, float]:
    """The best lasso of all pulls, its value and the bound, on the scale of the *sum*."""
    found = [problem.nothing()]
    if found[0].slope == 0:
        return found[0], found[0].loss, found[0].loss
    for _ in range(MAX_ROUNDS):
        best = min(found, key=lambda each: _value(each, beta, depth))
        value = _value(best, beta, depth)
        bound, steepest, flattest = _bound(found, beta, depth)
        if value - bound <= TOL * max(value, 1e-12):
            return best, value, min(bound, value)
        middle = 0.5 * (steepest + flattest) if flattest else 0.1 * steepest
        found.append(problem.lasso(middle))
        polished = _polished(found, beta, depth)
        if polished is not None:
            found.append(problem.lasso(polished))
    raise NotCertified(
        f"The best spline has {value:.12g}, and no spline is shown to be below {bound:.12g}: "
        "rounding is in the way. Scale x to about 1, and drop points that nearly coincide.",
        value=value,
        bound=bound,
    )


def _value(lasso: Lasso, beta: float, depth: int) -> float:
    return lasso.loss + power_penalty(lasso.size, beta, depth)


def _bound(found: list[Lasso], beta: float, depth: int) -> tuple[float, float, float]:
    """The least of (largest line + power), and the slopes of the two lines that cross there."""
    levels = np.array([0.0, *(each.level for each in found)])
    slopes = np.array([0.0, *(each.slope for each in found)])
    first, second = np.triu_indices(len(levels), 1)
    apart = slopes[first] - slopes[second]
    use = apart != 0
    first, second = first[use], second[use]
    sizes = (levels[first] - levels[second]) / apart[use]
    ahead = sizes > 0
    first, second = first[ahead], second[ahead]
    sizes = np.concatenate([[0.0], sizes[ahead]])
    heights = (levels[:, None] - slopes[:, None] * sizes).max(axis=0)
    totals = heights + 0.5 * beta * depth * sizes ** (2 / depth)
    k = int(np.argmin(totals))
    if k == 0:
        return float(totals[0]), float(slopes.max()), 0.0
    pair = slopes[[first[k - 1], second[k - 1]]]
    return float(totals[k]), float(pair.max()), float(pair.min())


def _polished(found: list[Lasso], beta: float, depth: int) -> float | None:
    """The best pull if F is quadratic between the sizes that were looked at."""
    rising = sorted(found, key=lambda each: (each.size, -each.pull))
    arrays = np.array([(each.size, each.loss, each.pull) for each in rising])
    size, pull, _ = best_size(LossPath(*arrays.T), beta, depth)
    known = np.abs(arrays[:, 2] - pull).min() <= 1e-13 * found[0].pull
    return None if known or not size else pull


def _network(problem: Kinks, best: Lasso, x: FloatArray, y: FloatArray, depth: int) -> DeepNetwork:
    """One neuron a layer that scales x, then a neuron a kink; all layers of one norm."""
    on = np.abs(best.weights) > 1e-14 * max(best.size, np.finfo(float).tiny)
    weights = best.weights[on]
    share = float(np.abs(weights).sum()) ** (1 / depth)
    scaling = share ** (depth - 2)
    sign = -1.0 if depth > 2 and x.min() < 0 else 1.0
    roots = np.sqrt(np.abs(weights) / scaling) if len(weights) else weights
    slopes = roots * problem.sides[on]
    biases = -slopes * scaling * problem.knots[on]
    middle = [np.array([[share]]) for _ in range(depth - 2)]
    if middle:
        middle[0] = sign * middle[0]
        slopes = sign * slopes
    layers = (*middle, slopes[:, None], (np.sign(weights) * roots)[None, :])
    columns = np.maximum((x[:, None] - problem.knots[on]) * problem.sides[on], 0.0)
    constant = float((y - columns @ weights).mean())
    return DeepNetwork(layers, bias=biases, intercept=np.array([constant]))
