"""Deep networks by formulas: what is claimed of them, against other networks' exact objectives.

There is no certificate to spoil. The weights are: each trial is another network of the same
architecture, near the formula's or far from it, and none may be better than is claimed.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

import relu_opt as ro
from relu_opt.errors import ReluOptError

from .data import Matrix, Rng
from .exact import fractions, integers, scaled, shown, squares
from .registry import tiny
from .trials import Trial, fault, strict

# The gap to which a formula is said to hold.
GAP = Fraction(1, 10**9)


@dataclass(frozen=True, eq=False)
class Formula:
    """A problem and the answer of `train_deep`."""

    X: Matrix
    Y: Matrix
    lam: float
    found: Any


@lru_cache(maxsize=8)
def formula(seed: int) -> Formula:
    """Whitened or rank-one data, and the formula's network."""
    rng = np.random.default_rng([seed, 4711])
    depth, k = int(rng.integers(2, 5)), int(rng.integers(1, 4))
    if rng.random() < 0.5:
        X = np.eye(k + 1)[rng.permutation(k + 1)] * float(rng.choice([0.5, 1.0, 4.0]))
        Y = np.eye(k + 1) * rng.uniform(0.2, 2, k + 1)
    else:
        X = np.outer(rng.integers(1, 5, k + 2), rng.integers(-3, 4, 2)).astype(float)
        X[:, 0] += 0 if X.any() else np.arange(1, k + 3)
        Y = rng.standard_normal((k + 2, 1))
    lam = float(10 ** rng.uniform(-4, -1))
    return Formula(X, Y, lam, ro.deep.train_deep(X, Y, lam, depth))


def objective(weights: list[Matrix], constants: Matrix, problem: Formula) -> Fraction:
    """½‖f − Y‖²/n + (λ/2) Σ ‖W‖², exactly, for ReLU layers."""
    values, exponent = integers(problem.X)
    for layer, matrix in enumerate(weights):
        whole, low = integers(matrix)
        values, exponent = values @ whole.T, exponent + low
        if layer < len(weights) - 1:
            values = np.where(values > 0, values, 0)
    total = Fraction(0)
    for row, targets in zip(values, problem.Y, strict=True):
        for value, constant, y in zip(row, fractions(constants), fractions(targets), strict=True):
            total += (scaled(int(value), exponent) + constant - y) ** 2
    return total / (2 * len(problem.Y)) + Fraction(problem.lam) / 2 * squares(*weights)


def spoiled(rng: Rng, weights: list[Matrix]) -> tuple[str, list[Matrix]]:
    """Other weights of the same layers, and how they were made."""
    way = str(rng.choice(["scaled", "noise", "layer scaled", "zero", "neuron dropped", "drawn"]))
    if way == "scaled":
        share = 1 + rng.choice([-1, 1]) * tiny(rng)
        return way, [share * matrix for matrix in weights]
    if way == "noise":
        size = tiny(rng)
        return way, [matrix + size * rng.standard_normal(matrix.shape) for matrix in weights]
    if way == "zero":
        return way, [0 * matrix for matrix in weights]
    if way == "drawn":
        return way, [rng.standard_normal(matrix.shape) for matrix in weights]
    chosen, made = int(rng.integers(len(weights))), [matrix.copy() for matrix in weights]
    if way == "layer scaled":
        made[chosen] *= 1 + rng.choice([-1, 1]) * tiny(rng)
    elif len(made[chosen]):
        made[chosen][rng.integers(len(made[chosen]))] = 0
    return way, made


def trial(seed: int, rng: Rng) -> Trial:
    """One other network beside the formula's."""
    try:
        with strict():
            problem = formula(seed)
    except ReluOptError:
        return Trial((), "refused", "")
    except Exception as error:  # noqa: BLE001 - any other error is what is looked for
        return Trial((), "error", fault(error))
    found = problem.found
    way, weights = spoiled(rng, list(found.network.weights))
    other = objective(weights, found.network.constants, problem)
    own = objective(list(found.network.weights), found.network.constants, problem)
    verdict = "global" if found.is_global else "attained"
    if Fraction(found.lower_bound) * (1 - GAP) > other:
        failure = f"the bound is {found.lower_bound!r}, and another network has {shown(other)}"
    elif found.is_global and own > (1 + 2 * GAP) * other:
        failure = f"global at {shown(own)}, and another network has {shown(other)}"
    else:
        failure = ""
    return Trial((way,), verdict, failure)
