r"""The independent re-check of a spline's certificate; see `relu_opt.verify`.

The file has neurons of one input (kinks, sides, weights) and a constant, and a dual point ν. The
objective is F(f) + λ Σ|w|, or Σ|w| where the fit is demanded. ν proves D(ν) if Σν = 0 and
|νᵀ(x − t)_+|, |νᵀ(t − x)_+| ≤ λ for every t: piecewise linear in t, so that the data are enough.

Rounding. Sums over the sorted data are made in extended precision where the machine has it, of
unit roundoff eps'. Their error is modelled as 4 eps' √n · range · Σ|ν|, and the bound that is
reported is that of ν shrunk by it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.verify.claim import (
    MEAN_TOL,
    VERDICTS,
    Flaw,
    FloatArray,
    check_fingerprint,
    read_choice,
    read_entry,
    read_number,
)
from relu_opt.verify.losses import LABELLED, dual_point, mean_loss_above
from relu_opt.verify.outcome import Terms, Verification, concluded, invalid

LOSSES = ("squared", "logistic", "squared_hinge", "hinge", "huber", "interpolation", "hard_margin")
# How far a demanded fit may be missed, relative to the largest target.
FIT_TOL = 1e-9
LONG = np.longdouble


@dataclass(frozen=True)
class SplineClaim:
    """The contents of a spline's certificate, in checked shapes and types."""

    kinks: FloatArray
    sides: FloatArray
    weights: FloatArray
    constant: float
    nu: FloatArray
    weight: FloatArray
    lam: float
    loss: str
    delta: float
    tol: float
    verdict: str
    numbers: dict[str, float]

    @property
    def terms(self) -> Terms:
        """What the certificate speaks of."""
        weights = bool((self.weight != 1).any())
        return Terms("all", self.lam, self.loss, weights, "listed", self.tol)

    @property
    def demanded(self) -> bool:
        """Whether the fit is demanded, and only the cost counts."""
        return self.loss in ("interpolation", "hard_margin")


def as_column(x: ArrayLike) -> ArrayLike:
    """One-dimensional data as a column; anything else as it is."""
    try:
        array = np.asarray(x)
    except ValueError:  # ragged: the check that follows says so
        return x
    return array[:, None] if array.ndim == 1 else array


def verify_spline(
    arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], X: FloatArray, y: FloatArray
) -> Verification:
    """Re-check a spline's certificate; X is (n, 1)."""
    with np.errstate(all="ignore"):
        try:
            claim = _read(arrays, meta, X, y)
        except Flaw as flaw:
            return invalid(str(flaw))
        return _judge(claim, X[:, 0], y)


def _read(
    arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], X: FloatArray, y: FloatArray
) -> SplineClaim:
    n = len(X)
    if X.shape[1] != 1:
        raise Flaw(f"The certificate is of a spline, and x has {X.shape[1]} columns.")
    check_fingerprint(meta, X, y)
    loss = read_choice(meta, "loss", LOSSES)
    if loss in (*LABELLED, "hard_margin") and not np.isin(y, (-1.0, 1.0)).all():
        raise Flaw(f"The loss is {loss}, and y holds values other than the labels −1 and +1.")
    parameters = meta.get("loss_parameters")
    known = {"delta"} if loss == "huber" else set()
    if not isinstance(parameters, dict) or set(parameters) != known:
        raise Flaw(f"loss_parameters is {parameters!r}, which the {loss} loss does not take.")
    delta = math.nan
    if loss == "huber":
        delta = read_number(parameters, "delta", lambda value: 0 < value < math.inf)
    kinks = read_entry(arrays, "kinks", np.float64, (None,))
    sides = read_entry(arrays, "sides", np.float64, (len(kinks),))
    if not np.isin(sides, (-1.0, 1.0)).all():
        raise Flaw("The entry 'sides' should hold −1 and +1.")
    weight = np.ones(n)
    if "sample_weight" in arrays:
        weight = read_entry(arrays, "sample_weight", np.float64, (n,))
        if (weight <= 0).any() or not abs(weight.mean() - 1) <= MEAN_TOL:
            raise Flaw("The entry 'sample_weight' should be positive and have mean 1.")
    lam = read_number(meta, "lam", lambda value: 0 < value < math.inf)
    claim = SplineClaim(
        kinks=kinks,
        sides=sides,
        weights=read_entry(arrays, "weights", np.float64, (len(kinks),)),
        constant=float(read_entry(arrays, "constant", np.float64, ())),
        nu=read_entry(arrays, "nu", np.float64, (n,)),
        weight=weight,
        lam=lam,
        loss=loss,
        delta=delta,
        tol=read_number(meta, "tol", lambda value: 0 < value < 1),
        verdict=read_choice(meta, "verdict", VERDICTS),
        numbers={name: read_number(meta, name) for name in ("primal", "dual", "rel_gap")},
    )
    if claim.demanded and (lam != 1 or "sample_weight" in arrays):
        raise Flaw(f"With {loss}, lam is 1 and samples have no weights.")
    return claim


def _judge(claim: SplineClaim, x: FloatArray, y: FloatArray) -> Verification:
    false: list[str] = []
    primal, missed = _primal(claim, x, y)
    if missed:
        false.append(missed)
    if abs(claim.nu.sum()) > 1e-12 * np.abs(claim.nu).sum():
        false.append("ν does not sum to zero, and the output constant is free.")
    largest, error = _largest(claim.nu, x)
    if not largest <= claim.lam * (1 + 1e-12) + error:
        false.append(f"ν is infeasible: a kink has {largest:.17g}, above lam = {claim.lam:g}.")
    plain = _dual(claim, claim.nu, y)
    shrink = min(1.0, claim.lam / (largest + error)) if largest + error > 0 else 1.0
    dual = min(plain, _dual(claim, shrink * claim.nu, y))

    def statement(rel_gap: float) -> str:
        return _statement(claim, primal, dual, rel_gap)

    return concluded(claim, primal, dual, false, [], "spline", statement)


def _statement(claim: SplineClaim, primal: float, dual: float, rel_gap: float) -> str:
    whom = "one-input ReLU network of any width whose hidden biases are free"
    if claim.demanded:
        what = {"interpolation": "meets the targets", "hard_margin": "has every margin"}[claim.loss]
        head = f"The spline {what}, and its cost"
        whom += f" and which {what}"
    else:
        loss = f"{claim.loss} loss"
        if claim.loss == "huber":
            loss += f" (delta = {claim.delta:g})"
        weights = "" if (claim.weight == 1).all() else "weighted "
        head = f"With the {weights}mean {loss} and lam = {claim.lam:g}, the spline's objective"
    return (
        f"{head} {primal:.12g} is at most {max(rel_gap, 0.0):.3g} (relative) above that of every "
        f"{whom}: none is below {dual:.12g}."
    )


def _primal(claim: SplineClaim, x: FloatArray, y: FloatArray) -> tuple[float, str]:
    """The objective, and how a demanded fit is missed, if it is."""
    fits = np.full(len(x), claim.constant)
    for side in (1.0, -1.0):
        mine = claim.sides == side
        fits += _ramps(side * x, side * claim.kinks[mine], claim.weights[mine])
    cost = float(np.abs(claim.weights).sum())
    if not claim.demanded:
        return mean_loss_above(claim, fits, np.zeros(len(y)), 0.0, y) + claim.lam * cost, ""
    away = np.abs(fits - y) / np.abs(y).max() if claim.loss == "interpolation" else 1 - y * fits
    away = np.where(fits == y, 0.0, away)  # targets that are all zero
    worst = int(np.argmax(np.where(np.isnan(away), math.inf, away)))
    missed = "" if away[worst] <= FIT_TOL else f"The fit is missed at sample {worst}."
    return cost, missed


def _ramps(x: FloatArray, kinks: FloatArray, weights: FloatArray) -> FloatArray:
    """Σ_j w_j (x − t_j)_+ by running sums of w and of w t."""
    order = np.argsort(kinks)
    before = np.searchsorted(kinks[order], x, side="left")
    origin = kinks.mean() if len(kinks) else 0.0
    sizes = np.append(LONG(0), np.cumsum(weights[order].astype(LONG)))
    moments = weights[order].astype(LONG) * (kinks[order].astype(LONG) - origin)
    moments = np.append(LONG(0), np.cumsum(moments))
    values = sizes[before] * (x.astype(LONG) - origin) - moments[before]
    return np.asarray(values, dtype=np.float64)


def _largest(nu: FloatArray, x: FloatArray) -> tuple[float, float]:
    """The largest |νᵀ(x − t)_+| and |νᵀ(t − x)_+| over t at the data, and its modelled error."""
    order = np.argsort(x)
    places, values = x[order].astype(LONG) - LONG(x.min()), nu[order].astype(LONG)
    sums, moments = np.cumsum(values), np.cumsum(values * places)
    left = sums * places - moments
    right = (moments[-1] - moments) - (sums[-1] - sums) * places
    largest = float(max(np.abs(left).max(), np.abs(right).max()))
    error = 4 * float(np.finfo(LONG).eps) * math.sqrt(len(x)) * float(places[-1])
    return largest, error * float(np.abs(nu).sum())


def _dual(claim: SplineClaim, nu: FloatArray, y: FloatArray) -> float:
    """D(ν); −inf where a conjugate is infinite."""
    if not claim.demanded:
        point = dual_point(claim, nu, y, True)
        return -math.inf if point is None else point.below(1.0)
    if claim.loss == "hard_margin" and not (nu * y >= 0).all():
        return -math.inf
    return float(nu @ y)
