"""The certificate of a spline: its neurons, a dual point, and the two bounds they prove."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from relu_opt.arrays import FloatArray, frozen
from relu_opt.io import need
from relu_opt.program.loss_proof import weights_of
from relu_opt.program.losses import Loss
from relu_opt.program.network import ReLUNetwork
from relu_opt.program.units import scaled
from relu_opt.proof.entries import LOSS, Arrays, Meta, Part, array
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

# The arrays of neurons: dtype kinds and axes.
ENTRIES = (("kinks", "f", 1), ("sides", "f", 1), ("weights", "f", 1), ("constant", "f", 0))


def _read_loss(arrays: Arrays, meta: Meta) -> Any:
    name = meta["loss"]
    return CONSTRAINTS[name]() if name in CONSTRAINTS else LOSS.read(arrays, meta)


def _check_loss(loss: Any) -> None:
    if loss.name not in CONSTRAINTS:
        LOSS.check(loss)


def _read_neurons(arrays: Arrays, meta: Meta) -> Neurons:
    kinks, sides, weights, constant = (need(arrays, *each) for each in ENTRIES)
    return Neurons(kinks, sides, weights, float(constant))


LOSS_OR_CONSTRAINT = Part(_read_loss, entries=LOSS.entries, check=_check_loss)
NEURONS = Part(
    _read_neurons,
    lambda neurons: {name: np.asarray(getattr(neurons, name)) for name, *_ in ENTRIES},
)


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

    neurons: Annotated[Neurons, NEURONS]
    nu: Annotated[FloatArray, array("nu", 1)]
    loss: Annotated[Loss, LOSS_OR_CONSTRAINT]
    sample_weight: Annotated[FloatArray | None, array("sample_weight", 1, optional=True)]

    kind = "spline"
    thing = "The spline"
    advice = "Accept the gap by a larger tol, or try another backend."

    @property
    def network(self) -> ReLUNetwork:
        """The network on inputs [x, 1]."""
        return self.neurons.network()


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
