"""True answers of several outputs, and splines."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

import relu_opt as ro

from .answers import Answer
from .data import Matrix, Rng, features, targets, weights
from .exact import Network
from .judge import Spline
from .truths import LOSSES, TRUTHS, Truth, truth

DEMANDS = ("interpolation", "hard_margin")


@truth("several-outputs")
def several_outputs(rng: Rng) -> Truth:
    """Two outputs, dense."""
    d = int(rng.integers(1, 3))
    X = features(rng, int(rng.integers(3, 6)), d)
    return _several(rng, X, None)


@truth("patches")
def patches(rng: Rng) -> Truth:
    """Several outputs over patches of the features."""
    return _several(rng, features(rng, 3, 3), np.array([[0, 1], [1, 2]]))


def _several(rng: Rng, X: Matrix, columns: Any) -> Truth:
    Y = rng.standard_normal((len(X), 2)) + 0.3
    pooling = None if columns is None or rng.random() < 0.5 else "average"
    free, tol = bool(rng.random() < 0.4), float(rng.choice([1e-2, 1e-4]))
    lam = float(10 ** rng.uniform(-2, -0.7)) * float(np.linalg.norm(X, 2) / len(X))
    found = ro.several_outputs.train_vector(
        X, Y, lam, patches=columns, pooling=pooling, intercept=free, tol=tol
    )
    answer = Answer.of(found.certificate, X, Y)
    network = Network.of(answer.arrays)
    none = replace(network, hidden=network.hidden[:0], output=network.output[:0])
    near = ro.several_outputs.train_vector(
        X, Y, lam, patches=columns, pooling=pooling, intercept=free, tol=tol / 30
    ).certificate
    return Truth(found.certificate, answer, (network, none, Network.of(near.to_arrays())))


def _spline(rng: Rng, loss: str) -> Truth:
    n = int(rng.integers(3, 12))
    x = features(rng, n, 1)[:, 0]
    demanded = loss in ("interpolation", "hard_margin")
    if demanded:
        x = rng.permutation(np.arange(n) * rng.choice([1.0, 0.1])) + rng.normal()
    y = targets(rng, n, "hinge" if loss == "hard_margin" else loss)
    chosen: Any = ro.losses.Huber(0.5) if loss == "huber" else loss
    lam = None if demanded else float(10 ** rng.uniform(-3, 0))
    weight = None if demanded else weights(rng, n)
    found = ro.one_input.fit_spline(x, y, lam, loss=chosen, sample_weight=weight, tol=1e-8)
    answer = Answer.of(found.certificate, x[:, None], y)
    return Truth(found.certificate, answer, (Spline.of(answer), *_exact_splines(answer)))


def _exact_splines(answer: Answer) -> tuple[Spline, ...]:
    """The polygon through the data where the fit is demanded, else the best constant of a few."""
    if answer.claims["loss"] in ("interpolation", "hard_margin"):
        return (polygon([Fraction(float(v)) for v in answer.X[:, 0]], answer.y),)
    spots = {0.0, float(answer.y.mean()), float(np.median(answer.y))}
    return tuple(Spline([], [], [], Fraction(spot)) for spot in sorted(spots))


def polygon(x: list[Fraction], y: Matrix) -> Spline:
    """The linear spline through all points, of least cost: it turns at the points between only.

    A neuron of weight w turns the slope by w on either side; those that look to the left give the
    first slope, as far as their weights reach, and a ramp from the first point on the rest.
    """
    points = sorted(zip(x, map(Fraction, map(float, y)), strict=True))
    slopes = [(y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in pairwise(points)]
    turns = [after - before for before, after in pairwise(slopes)]
    start, constant = points[0]
    missing, kinks, sides, sizes = -slopes[0], [], [], []
    for (place, _), turn in zip(points[1:-1], turns, strict=True):
        left = Fraction(0)
        if turn * missing > 0:
            left = min(turn, missing) if turn > 0 else max(turn, missing)
        missing -= left
        constant -= left * (place - start)
        kinks += [place, place]
        sides += [-1, 1]
        sizes += [left, turn - left]
    return Spline([*kinks, start], [*sides, 1], [*sizes, -missing], constant)


def _register_splines() -> None:
    for loss in (*LOSSES, "interpolation", "hard_margin"):
        TRUTHS[f"spline-{loss}"] = lambda rng, loss=loss: _spline(rng, loss)


_register_splines()
