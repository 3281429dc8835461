"""The certificate of a spline: its neurons, a dual point, and the two bounds they prove."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from relu_opt.arrays import FloatArray, as_tolerance, frozen
from relu_opt.certificate import fingerprint, require_certified
from relu_opt.errors import DataError
from relu_opt.io import complete, need, read_npz, with_extra, write_npz
from relu_opt.program.losses import Loss, check_saved, make_loss
from relu_opt.program.network import ReLUNetwork
from relu_opt.splines.bounds import SplineBound
from relu_opt.splines.constraints import CONSTRAINTS
from relu_opt.splines.neurons import Neurons
from relu_opt.splines.problem import SplineProblem
from relu_opt.verdicts import Verdict, relative_gap

# How far a lower bound may lie above an upper bound, relative to it, by rounding.
CROSSING_TOLERANCE = 1e-9


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
        The spline's objective, and the lower bound D(ν).
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
    primal = problem.mean_loss(neurons.at(problem.x)) + problem.lam * neurons.cost
    gap = relative_gap(primal, bound.value)
    if not (math.isfinite(primal) and math.isfinite(bound.value)):
        verdict, reason = Verdict.NOT_CERTIFIED, "A bound is not finite."
    elif gap < -CROSSING_TOLERANCE:
        verdict = Verdict.INCONCLUSIVE
        reason = f"The lower bound lies above the objective by {-gap:.1e}, more than by rounding."
    elif gap > tol:
        verdict = Verdict.NOT_CERTIFIED
        reason = f"The relative gap {gap:.2e} is above the tolerance {tol:.0e}."
    else:
        verdict = Verdict.CERTIFIED
        reason = (
            "No network with free hidden biases has an objective that is lower by more than a "
            f"share of {max(gap, 0):.1e}."
        )
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
