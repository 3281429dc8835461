"""The certificate of a spline: its neurons, a dual point, and the two bounds they prove."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from relu_opt.arrays import FloatArray, as_tolerance, frozen
from relu_opt.errors import DataError
from relu_opt.io import complete, need, read_npz, with_extra, write_npz
from relu_opt.program.loss_bounds import bounds_of
from relu_opt.program.loss_proof import weights_of
from relu_opt.program.losses import LOSSES, Loss, check_saved, make_loss
from relu_opt.program.network import ReLUNetwork
from relu_opt.program.units import scaled
from relu_opt.proof.certificate import fingerprint, require_certified
from relu_opt.proof.verdict import Verdict, judge, relative_gap
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


@dataclass(frozen=True, eq=False)
class SplineCertificate:
    """A proof that a spline is optimal up to a gap, among networks whose hidden biases are free.

    `relu_opt.verify(certificate, x, y)` re-checks it from its file and the data alone.

    Attributes
    ----------
    neurons : Neurons
        Kinks, sides and weights, and the constant.
    nu : (n,) array
        Dual point with Σν = 0 and |νᵀ(±(x − t))_+| ≤ λ for all t.
    lam : float
        λ on the scale of the *mean* loss (a sum of losses has the strength n λ); 1 where the fit
        is demanded.
    loss : Loss
        A loss, or the constraint in its place.
    sample_weight : (n,) array or None
        With mean 1.
    primal, dual : float
        The objective from above, and the lower bound D(ν) from below: rounding is in them. With a
        demanded fit `primal` is a cost at which it is met exactly.
    tol : float
        The relative gap that the verdict is against.
    verdict : Verdict
    reason : str
        Why, in one sentence.
    fingerprint : str
        SHA-256 of the data.
    """

    neurons: Neurons
    nu: FloatArray
    lam: float
    loss: Loss
    sample_weight: FloatArray | None
    primal: float
    dual: float
    tol: float
    verdict: Verdict
    reason: str
    fingerprint: str

    @property
    def rel_gap(self) -> float:
        """The least R with primal ≤ (1 + R)·dual; inf if no bound above 0 is proved."""
        return relative_gap(self.primal, self.dual)

    @property
    def network(self) -> ReLUNetwork:
        """The network on inputs [x, 1]."""
        return self.neurons.network()

    def __repr__(self) -> str:
        return (
            f"SplineCertificate({self.verdict.value}, primal={self.primal:.12g}, "
            f"rel_gap={self.rel_gap:.2e})"
        )

    def require(self) -> SplineCertificate:
        """This certificate if its verdict is `certified`, else a NotCertified error."""
        require_certified(
            self, "The spline", "Accept the gap by a larger tol, or try another backend."
        )
        return self

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The proof's arrays by name, as they stand in a file."""
        arrays: dict[str, np.ndarray | None] = {
            "kinks": self.neurons.kinks,
            "sides": self.neurons.sides,
            "weights": self.neurons.weights,
            "constant": np.array(self.neurons.constant),
            "nu": self.nu,
            "sample_weight": self.sample_weight,
        }
        return {name: array for name, array in arrays.items() if array is not None}

    def meta(self) -> dict[str, Any]:
        """The claims, as they stand in a file."""
        return {
            "problem": "spline",
            "lam": self.lam,
            "loss": self.loss.name,
            "loss_parameters": self.loss.parameters,
            "tol": self.tol,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "fingerprint": self.fingerprint,
            "primal": self.primal,
            "dual": self.dual,
            "rel_gap": self.rel_gap,
        }

    def save(self, path: str | os.PathLike[str], extra: Mapping[str, Any] | None = None) -> None:
        """Write the certificate to an npz file (no pickle); `extra` are more JSON values."""
        if self.loss.name not in CONSTRAINTS:
            check_saved(self.loss)
        write_npz(path, "certificate", self.to_arrays(), with_extra(self.meta(), extra))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SplineCertificate:
        """Read what `save` wrote. The claims are read, not checked: that is `verify`'s work.

        Raises
        ------
        DataError
            If the file is damaged, or holds another certificate.
        """
        arrays, meta = read_npz(path, "certificate")
        if meta.get("problem") != "spline":
            raise DataError(
                f"{path} holds a certificate of another kind. relu_opt.load reads it.",
                path=str(path),
            )
        return cls.from_contents(arrays, meta, path)

    @classmethod
    def from_contents(
        cls,
        arrays: dict[str, np.ndarray],
        meta: Mapping[str, Any],
        path: str | os.PathLike[str],
    ) -> SplineCertificate:
        """The certificate of what `to_arrays` and `meta` returned, as read from a file."""
        with complete(path, "certificate of a spline"):
            weight = need(arrays, "sample_weight", "f", 1) if "sample_weight" in arrays else None
            name = meta["loss"]
            loss = CONSTRAINTS[name]() if name in CONSTRAINTS else None
            return cls(
                Neurons(
                    need(arrays, "kinks", "f", 1),
                    need(arrays, "sides", "f", 1),
                    need(arrays, "weights", "f", 1),
                    float(need(arrays, "constant", "f", 0)),
                ),
                need(arrays, "nu", "f", 1),
                float(meta["lam"]),
                loss or make_loss(name, meta["loss_parameters"]),  # type: ignore[arg-type]
                weight,
                float(meta["primal"]),
                float(meta["dual"]),
                as_tolerance(meta["tol"], "tol"),
                Verdict(meta["verdict"]),
                str(meta["reason"]),
                str(meta["fingerprint"]),
            )


def certify_spline(
    problem: SplineProblem, neurons: Neurons, bound: SplineBound, tol: float
) -> SplineCertificate:
    """The certificate of neurons and a feasible dual point."""
    primal = objective_above(problem, neurons)
    whom = "one-input ReLU network of any width whose hidden biases are free"
    if not problem.constrained and bounds_of(problem.loss) is None:
        verdict, reason = (
            Verdict.INCONCLUSIVE,
            (
                f"The loss {problem.loss.name!r} is not one of {', '.join(LOSSES)}, so that the "
                "rounding of its values is not bounded and nothing is proved."
            ),
        )
    else:
        verdict, reason = judge(primal, bound.value, tol, whom)
    return SplineCertificate(
        neurons,
        np.asarray(frozen(np.array(bound.nu))),
        problem.lam,
        problem.loss,
        problem.sample_weight,
        primal,
        bound.value,
        tol,
        verdict,
        reason,
        fingerprint(problem.x[:, None], problem.y),
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
    bounds = bounds_of(units.in_loss(problem.loss))
    if bounds is None:
        return problem.mean_loss(neurons.at(problem.x)) + problem.lam * neurons.cost
    if problem.loss.classifies:
        values, y = as_doubles(fits, shift), problem.y
    else:
        values, y = as_doubles(fits - targets, shift + units.y), np.zeros(problem.n)
    losses = weights_of(problem) * bounds.above(values, 0.0, y, charge(1) * np.abs(values))
    loss = math.fsum(losses.tolist()) / problem.n
    penalty = units.in_strength(problem.lam) * scaled(cost, units.x - units.y)
    return units.objective((loss + penalty) * (1 + charge(6)))
