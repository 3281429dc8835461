"""The judge: what a verdict says, against networks whose objectives are known exactly.

A statement is false if a network that it speaks of is better than it allows. The judge needs no
optimum for that, only better networks; their origin does not matter, since their objectives and
their patterns are computed in rationals here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from relu_opt import Verification

from .answers import Answer
from .exact import Network, fractions, mean_loss, predictions, products, shown, squares

SPOKEN = ("certified", "not_certified")
DEMANDS = ("interpolation", "hard_margin")
# The entries that are the network.
WEIGHTS = {
    "network": ("hidden", "output", "intercept"),
    "several_outputs": ("hidden", "output", "intercept"),
    "spline": ("kinks", "sides", "weights", "constant"),
}
# Objectives that a judge keeps.
MOST = 1000


class Outcome(Protocol):
    """What a verdict consists of; `relu_opt.Verification` is one, certificates are others."""

    @property
    def verdict(self) -> str: ...

    @property
    def objective(self) -> float: ...

    @property
    def lower_bound(self) -> float: ...

    @property
    def rel_gap(self) -> float: ...


@dataclass(frozen=True)
class Spline:
    """Neurons w (side · (x − kink))₊ of one input and a constant, in rationals."""

    kinks: Sequence[Fraction]
    sides: Sequence[int]
    weights: Sequence[Fraction]
    constant: Fraction

    @classmethod
    def of(cls, answer: Answer) -> Spline:
        """The spline of a certificate's arrays."""
        arrays = answer.arrays
        return cls(
            fractions(arrays["kinks"]),
            [int(side) for side in arrays["sides"]],
            fractions(arrays["weights"]),
            Fraction(float(arrays["constant"])),
        )

    def at(self, x: Fraction) -> Fraction:
        """f(x)."""
        neurons = zip(self.kinks, self.sides, self.weights, strict=True)
        return self.constant + sum(
            (w * max(Fraction(0), side * (x - t)) for t, side, w in neurons), Fraction(0)
        )


Known = Network | Spline


def own(answer: Answer) -> Known:
    """The network that the answer itself is."""
    return Spline.of(answer) if answer.problem == "spline" else Network.of(answer.arrays)


def objective(answer: Answer, network: Known) -> Fraction | None:
    """The objective of any network in the answer's training problem; None if it has none there."""
    if isinstance(network, Spline):
        return _of_spline(answer, network)
    if answer.problem == "several_outputs":
        return _of_several(answer, network)
    fits = predictions(answer.X, network.hidden, network.output, network.gates)
    constant = Fraction(float(network.constant))
    mean = mean_loss(
        str(answer.claims["loss"]),
        answer.delta,
        answer.weights,
        [z + constant for z in fits],
        answer.y,
    )
    return mean + _half(answer) * squares(network.hidden, network.output)


def _half(answer: Answer) -> Fraction:
    return Fraction(float(answer.claims["lam"])) / 2


def _of_spline(answer: Answer, spline: Spline) -> Fraction | None:
    x, y = fractions(answer.X[:, 0]), fractions(answer.y)
    fits = [spline.at(each) for each in x]
    cost = sum((abs(w) for w in spline.weights), Fraction(0))
    name = str(answer.claims["loss"])
    if name not in DEMANDS:
        mean = mean_loss(name, answer.delta, answer.weights, fits, answer.y)
        return mean + 2 * _half(answer) * cost
    pairs = zip(fits, y, strict=True)
    met = all(z == t if name == "interpolation" else z * t >= 1 for z, t in pairs)
    return cost if met else None


def _of_several(answer: Answer, network: Network) -> Fraction:
    patches, pooled = answer.arrays.get("patches"), bool(answer.claims["pooled"])
    seen = [answer.X] if patches is None else [answer.X[:, columns] for columns in patches]
    shares = network.output if network.output.ndim == 3 else network.output[:, None]
    total = Fraction(0)
    for c in range(answer.y.shape[1]):
        fits = [Fraction(float(network.constant[c]))] * len(answer.y)
        for k, rows in enumerate(seen):
            part = predictions(rows, network.hidden, shares[:, 0 if pooled else k, c])
            each = Fraction(1, len(seen)) if pooled else Fraction(1)
            fits = [z + each * more for z, more in zip(fits, part, strict=True)]
        total += mean_loss("squared", 1.0, None, fits, answer.y[:, c])
    return total + _half(answer) * squares(network.hidden, network.output)


# -- the scope -----------------------------------------------------------------


def in_scope(answer: Answer, network: Known) -> bool:
    """Whether the answer's statement speaks of this network, by exact signs."""
    if isinstance(network, Spline):
        return True
    if answer.problem == "several_outputs":
        shapes = (network.output.shape[1:], answer.arrays["output"].shape[1:])
        free = bool(answer.claims["with_intercept"]) or not network.constant.any()
        return free and shapes[0] == shapes[1]
    if network.constant != 0 and not answer.claims["intercept"]:
        return False
    gated = answer.claims["activation"] == "gated"
    if len(network.hidden) and gated != (network.gates is not None):
        return False
    if answer.claims["scope"] == "all":
        return not gated or _off_the_hyperplanes(answer.X, network)
    return _within(answer, network)


def _off_the_hyperplanes(X: NDArray[np.float64], network: Network) -> bool:
    if network.gates is None or not len(network.gates):
        return True
    return bool((products(X[X.any(axis=1)], network.gates.T)[0] != 0).all())


def _within(answer: Answer, network: Network) -> bool:
    """Whether every neuron lies in a listed pattern's cone, or has its gate's pattern."""
    if not len(network.hidden):
        return True
    sides = 2 * answer.masks().astype(int) - 1
    if network.gates is None:
        signs = np.sign(products(answer.X, network.hidden.T)[0]).astype(int)
        return bool(all((sides * column >= 0).all(axis=1).any() for column in signs.T))
    bits = 2 * (products(answer.X, network.gates.T)[0] >= 0).astype(int) - 1
    some = answer.X.any(axis=1)
    return bool(all((sides == column)[:, some].all(axis=1).any() for column in bits.T))


# -- the judgement -------------------------------------------------------------


def _key(answer: Answer) -> tuple[object, ...]:
    """What the objectives and the scope of networks depend on."""
    names = ("patterns", "sample_weight", "patches", "gates")
    entries = [answer.arrays.get(name) for name in names]
    told = ("lam", "loss", "loss_parameters", "activation", "intercept", "scope")
    more = ("pooled", "with_intercept", "problem")
    return (
        answer.X.tobytes(),
        answer.y.tobytes(),
        *(None if entry is None else (entry.shape, entry.tobytes()) for entry in entries),
        *(repr(answer.claims.get(name)) for name in (*told, *more)),
    )


class Judge:
    """Judges what is said of answers to one problem, and of those that it was spoiled into.

    Parameters
    ----------
    known : iterable of networks
        Some of them near the optimum.
    """

    def __init__(self, known: Iterable[Known]) -> None:
        self.known = tuple(known)
        self._key: tuple[object, ...] = ()
        self._values: list[Fraction] = []
        self._own: dict[tuple[object, ...], Fraction | None] = {}

    def best(self, answer: Answer) -> list[Fraction]:
        """The objectives of the known networks that the answer's statement speaks of."""
        key = _key(answer)
        if key != self._key:
            self._key, self._values = key, self.values(answer, self.known)
        return self._values

    @staticmethod
    def values(answer: Answer, networks: Iterable[Known]) -> list[Fraction]:
        """The objectives of those networks that the answer's statement speaks of."""
        found = (objective(answer, each) for each in networks if in_scope(answer, each))
        return [value for value in found if value is not None]

    def __call__(self, answer: Answer, found: Outcome, more: Iterable[Known] = ()) -> str:
        """What is false in a verdict; empty if nothing is known to be."""
        if str(found.verdict) not in SPOKEN:
            return ""
        certified = str(found.verdict) == "certified"
        # An objective beyond the range of doubles is bounded by inf; it certifies nothing.
        numbers = (found.lower_bound, *((found.objective, found.rel_gap) if certified else ()))
        if not all(map(math.isfinite, numbers)) or math.isnan(found.objective):
            return "a verdict was spoken about numbers that are not finite"
        values = [*self.best(answer), *self.values(answer, more)]
        if not values:
            return ""
        return falsehood(answer, found, min(values), self.primal)

    def primal(self, answer: Answer) -> Fraction | None:
        """The objective of the answer's own network."""
        key = (_key(answer), *(answer.arrays[name].tobytes() for name in WEIGHTS[answer.problem]))
        if key not in self._own:
            if len(self._own) > MOST:
                self._own.clear()
            self._own[key] = objective(answer, own(answer))
        return self._own[key]


def falsehood(
    answer: Answer,
    found: Outcome,
    better: Fraction,
    primal_of: Callable[[Answer], Fraction | None],
) -> str:
    """What is false in a verdict, if there is a network of this objective."""
    if Fraction(found.lower_bound) > better:
        return f"the bound {found.lower_bound!r} is above {shown(better)}, of another network"
    if str(found.verdict) != "certified":
        return ""
    primal = primal_of(answer)
    if primal is None:
        return ""
    # The verifier's objective is a bound from above; certificates say the nearest double.
    if isinstance(found, Verification) and Fraction(found.objective) < primal:
        return f"the objective is said to be {found.objective!r}, and it is {shown(primal)}"
    if primal > (1 + Fraction(float(answer.claims["tol"]))) * better:
        return f"certified at {shown(primal)}, and another network has {shown(better)}"
    if primal - better > Fraction(found.rel_gap) * primal:
        return f"the gap is said to be {found.rel_gap!r} at most, and is larger"
    return ""
