"""The certificate of a spline: its neurons, a dual point, and the two bounds they prove."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from relu_opt.arrays import FloatArray, frozen
from relu_opt.io import maybe, need
from relu_opt.program.loss_proof import weights_of
from relu_opt.program.losses import Loss, check_saved, make_loss
from relu_opt.program.network import ReLUNetwork
from relu_opt.program.units import scaled
from relu_opt.proof.record import Certificate, fingerprint
from relu_opt.proof.verdict import judge
from relu_opt.rounding import charge
from relu_opt.train.one_input.bounds import SplineBound
from relu_opt.train.one_input.constraints import CONSTRAINTS, FIT_TOL, HardMargin, Interpolation
from relu_opt.train.one_input.exact import (
    as_doubles,
    cost_above,
    fits_and_targets,
    mending_cost,
    quotient,
)
from relu_opt.train.one_input.neurons import Neurons
from relu_opt.train.one_input.problem import SplineProblem


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class SplineCertificate(Certificate):
    """A proof that a spline is optimal up to a gap, among networks whose hidden biases are free.

    Where the fit is demanded, `lam` is 1 and `objective` a cost at which it is met exactly.

    Attributes
    ----------
    neurons : Neurons
        Kinks, sides and weights, and the constant.
    nu : (n,) array
        Dual point with Σν = 0 and |νᵀ(±(x − t))_+| ≤ λ for all t.
    loss : Loss
        A loss, or the constraint in its place.
    sample_weight : (n,) array or None
        With mean 1.

    The other attributes are those of every `Certificate`.
    """

    neurons: Neurons
    nu: FloatArray
    loss: Loss
    sample_weight: FloatArray | None

    kind = "spline"
    thing = "The spline"
    advice = "Accept the gap by a larger tol, or try another backend."

    @property
    def network(self) -> ReLUNetwork:
        """The network on inputs [x, 1]."""
        return self.neurons.network()

    def _check_saved(self) -> None:
        if self.loss.name not in CONSTRAINTS:
            check_saved(self.loss)

    def _arrays(self) -> dict[str, np.ndarray | None]:
        return {
            "kinks": self.neurons.kinks,
            "sides": self.neurons.sides,
            "weights": self.neurons.weights,
            "constant": np.array(self.neurons.constant),
            "nu": self.nu,
            "sample_weight": self.sample_weight,
        }

    def _claim(self) -> dict[str, Any]:
        return {"loss": self.loss.name, "loss_parameters": self.loss.parameters}

    @classmethod
    def _read(
        cls, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], common: Mapping[str, Any]
    ) -> SplineCertificate:
        name = meta["loss"]
        loss = CONSTRAINTS[name]() if name in CONSTRAINTS else None
        return cls(
            **common,
            neurons=Neurons(
                need(arrays, "kinks", "f", 1),
                need(arrays, "sides", "f", 1),
                need(arrays, "weights", "f", 1),
                float(need(arrays, "constant", "f", 0)),
            ),
            nu=need(arrays, "nu", "f", 1),
            loss=loss or make_loss(name, meta["loss_parameters"]),  # type: ignore[arg-type]
            sample_weight=maybe(arrays, "sample_weight", "f", 1),
        )


def certify_spline(
    problem: SplineProblem, neurons: Neurons, bound: SplineBound, tol: float
) -> SplineCertificate:
    """The certificate of neurons and a feasible dual point."""
    primal = objective_above(problem, neurons)
    whom = "one-input ReLU network of any width whose hidden biases are free"
    paid = None if problem.constrained else problem.loss
    verdict, reason = judge(primal, bound.value, tol, whom, paid)
    return SplineCertificate(
        lam=problem.lam,
        tol=tol,
        objective=primal,
        lower_bound=bound.value,
        verdict=verdict,
        reason=reason,
        fingerprint=fingerprint(problem.x[:, None], problem.y),
        neurons=neurons,
        nu=np.asarray(frozen(np.array(bound.nu))),
        loss=problem.loss,
        sample_weight=problem.sample_weight,
    )


def objective_above(problem: SplineProblem, neurons: Neurons) -> float:
    """A number that the objective of neurons does not exceed.

    Where the fit is demanded, it is what the cheapest spline that meets it costs at most: the cost
    of these neurons, and what it takes to mend their rounding. It is inf where they miss the fit
    by more than that.
    """
    fits, targets, shift = fits_and_targets(neurons, problem.x, problem.y)
    cost = cost_above(neurons)
    if isinstance(problem.loss, Interpolation):
        off = fits - targets
        missed = quotient(max(np.abs(off)), 1 << shift) > FIT_TOL * np.abs(problem.y).max()
        if missed:
            return math.inf
        mending = mending_cost(problem.x, off, shift)
        return (cost + mending) * (1 + charge(1)) if mending else cost
    if isinstance(problem.loss, HardMargin):
        # The spline over its least margin has every margin.
        margins = fits * problem.y.astype(np.int64).astype(object)
        short = quotient(max(0, *((1 << shift) - margins)), 1 << shift)
        if short > FIT_TOL:
            return math.inf
        return cost / (1 - short) * (1 + charge(4)) if short else cost
    units = problem.units
    loss = units.in_loss(problem.loss)
    if not problem.loss.proves:
        return problem.mean_loss(neurons.at(problem.x)) + problem.lam * neurons.cost
    if not loss.scales:
        values, y = as_doubles(fits, shift), problem.y
    else:
        values, y = as_doubles(fits - targets, shift + units.y), np.zeros(problem.n)
    losses = weights_of(problem) * loss.value_above(values, 0.0, y, charge(1) * np.abs(values))
    mean = math.fsum(losses.tolist()) / problem.n
    penalty = units.in_strength(problem.lam) * scaled(cost, units.x - units.y)
    return units.objective((mean + penalty) * (1 + charge(6)))
