"""What a forger would write into a file: numbers that agree with what it holds."""

from __future__ import annotations

import math

import numpy as np

from .answers import Answer, fingerprint
from .data import LABELLED, Matrix


def restated(answer: Answer) -> Answer:
    """The answer with the fingerprint, bounds and verdict that its contents call for."""
    said = answer.saying(fingerprint=fingerprint(answer.X, answer.y), verdict="certified")
    try:
        with np.errstate(all="ignore"):
            primal, dual = bounds(answer)
    except (ValueError, IndexError):  # arrays that do not fit together have no bounds
        return said
    gap = primal - dual
    return said.saying(
        primal=primal, dual=dual, gap=gap, rel_gap=gap / abs(primal) if primal else gap
    )


def bounds(answer: Answer) -> tuple[float, float]:
    """The objective and the dual objective in plain doubles."""
    if answer.problem == "several_outputs":
        return _several(answer)
    nu = answer.arrays["nu"]
    if answer.problem == "spline":
        fits = _spline_fits(answer)
        cost = float(np.abs(answer.arrays["weights"]).sum())
        if answer.claims["loss"] in ("interpolation", "hard_margin"):
            return cost, float(nu @ answer.y)
        return mean_loss(answer, fits) + float(answer.claims["lam"]) * cost, dual(answer, nu)
    arrays = answer.arrays
    linear = answer.X @ arrays["hidden"].T
    gates = arrays.get("gates")
    active = linear > 0 if gates is None else answer.X @ gates.T >= 0
    fits = np.where(active, linear, 0.0) @ arrays["output"] + float(arrays["intercept"])
    squares = float((arrays["hidden"] ** 2).sum() + (arrays["output"] ** 2).sum())
    primal = mean_loss(answer, fits) + float(answer.claims["lam"]) / 2 * squares
    return primal, dual(answer, nu)


def _spline_fits(answer: Answer) -> Matrix:
    arrays = answer.arrays
    ramps = np.maximum(arrays["sides"] * (answer.X - arrays["kinks"]), 0.0)
    return np.asarray(ramps @ arrays["weights"] + float(arrays["constant"]))


def _several(answer: Answer) -> tuple[float, float]:
    arrays, Y = answer.arrays, answer.y
    patches, output = arrays.get("patches"), arrays["output"]
    seen = [answer.X] if patches is None else [answer.X[:, columns] for columns in patches]
    fits = np.tile(arrays["intercept"], (len(Y), 1))
    for k, rows in enumerate(seen):
        values = np.maximum(rows @ arrays["hidden"].T, 0.0)
        fits = fits + (values @ output[:, k] if output.ndim == 3 else values @ output / len(seen))
    squares = float((arrays["hidden"] ** 2).sum() + (output**2).sum())
    primal = float(((fits - Y) ** 2).sum()) / (2 * len(Y)) + answer.claims["lam"] / 2 * squares
    V = arrays["V"]
    return primal, float((V * Y).sum()) - len(Y) / 2 * float((V**2).sum())


def _shares(answer: Answer) -> Matrix:
    return np.ones(len(answer.y)) if answer.weights is None else answer.weights


def mean_loss(answer: Answer, fits: Matrix) -> float:
    """F at the fits."""
    name, y = answer.claims["loss"], answer.y
    if name in LABELLED:
        miss = np.maximum(1 - y * fits, 0.0)
        losses = {"hinge": miss, "squared_hinge": miss**2 / 2}.get(name)
        losses = np.logaddexp(0.0, -y * fits) if losses is None else losses
    else:
        far = np.abs(fits - y)
        near = np.minimum(far, answer.delta if name == "huber" else math.inf)
        losses = near * (far - near / 2)
    return float(np.mean(_shares(answer) * losses))


def edge(answer: Answer) -> float:
    """What n|ν_k|/s_k may be at most."""
    name = answer.claims["loss"]
    return {"logistic": 1.0, "hinge": 1.0, "huber": answer.delta}.get(name, math.inf)


def dual(answer: Answer, nu: Matrix) -> float:
    """D(ν), by the formula alone: the domain is not looked at."""
    name, y, shares = answer.claims["loss"], answer.y, _shares(answer)
    t = len(y) * nu / shares
    if name == "logistic":
        p = np.clip(t * y, 0.0, 1.0)
        parts = [-np.where(q > 0, q * np.log(np.where(q > 0, q, 1.0)), 0.0) for q in (p, 1 - p)]
        values = parts[0] + parts[1]
    elif name == "hinge":
        values = t * y
    else:
        values = t * y - t**2 / 2
    return float(np.mean(shares * values))
