r"""Certificates: a proof of how far an answer is from the optimum, whoever computed it.

The proof is a network (its objective is an upper bound), a dual point ν and cone multipliers
ρ ≥ 0. For every block, ‖X_bᵀν + (S_iX)ᵀρ_b‖ ≥ ‖P_K(X_bᵀν)‖, so where the left side is at most
λ the point ν is feasible and D(ν) is a lower bound. No projection and no solver is trusted.
`relu_opt.verify` re-checks a certificate from the file and the data alone.

Source: theory of Mishkin & Pilanci (ICML 2023), §3; the bound through ρ is Moreau's.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol

import numpy as np

from relu_opt.above import above
from relu_opt.arrays import FloatArray, as_tolerance
from relu_opt.errors import NotCertified
from relu_opt.io import complete, need, with_extra, write_npz
from relu_opt.program.losses import Loss, check_saved, make_loss
from relu_opt.program.multipliers import ConeMultipliers
from relu_opt.program.network import (
    ReLUNetwork,
)
from relu_opt.program.patterns import Patterns
from relu_opt.proof.verdict import Verdict


@dataclass(frozen=True)
class KKTReport:
    """The optimality conditions, as numbers.

    Attributes
    ----------
    primal : float
        What the objective of the network itself does not exceed, all rounding counted: an upper
        bound on the optimum.
    dual : float
        What D is not below at a feasible multiple of ν, all rounding counted: a lower bound.
    gap, rel_gap : float
        primal − dual, and that over dual: inf if dual is 0 and primal is not.
    cone_violation : float
        Largest amount by which a neuron leaves its cone, relative to the row's and the
        neuron's norm.
    stationarity : float
        max over neurons of ‖λ w/‖w‖ − v‖/λ with v = X_bᵀν + (S_iX)ᵀρ_b, which is
        P_K(X_bᵀν) at the optimum.
    dual_infeasibility : float
        max(0, max_b ‖X_bᵀν + (S_iX)ᵀρ_b‖/λ − 1).
    complementarity : float
        max over neurons of |ρᵀS_iXw|.
    """

    primal: float
    dual: float
    gap: float
    rel_gap: float
    cone_violation: float
    stationarity: float
    dual_infeasibility: float
    complementarity: float


# What the residuals of a proof may be; at a gap of tol, weights are off by about its root.
EXACT = 1e-9


@dataclass(frozen=True)
class Condition:
    """One number of a KKT report, and what it may be.

    Attributes
    ----------
    name : str
        Such as "relative gap".
    value : float
    limit : float
        The condition counts as fulfilled up to this.
    meaning : str
        What it measures, in a few words.
    """

    name: str
    value: float
    limit: float
    meaning: str

    @property
    def fulfilled(self) -> bool:
        """Whether the value is within its limit; NaN is not."""
        return self.value <= self.limit


@dataclass(frozen=True)
class Coverage:
    """Why the patterns of a certificate of scope `all` speak of every network.

    Attributes
    ----------
    kind : {"listed", "spike_free", "searched", "oracle"}
        `listed`: they are all patterns of the data, which `verify` counts. `spike_free`: the data
        need the pattern that is active everywhere only, which `verify` tests. Otherwise a search
        over all patterns bounds max |νᵀ(Xu)₊|, ‖u‖ ≤ 1: `searched` is a branch and bound, which
        `verify` repeats by its own; `oracle` a MILP, which `separation` can repeat, `verify` not.
    oracle : str
        Who searched, and how exactly.
    bound : float
        What it says that |νᵀ(Xu)₊| does not exceed; at most λ.
    """

    kind: str = "listed"
    oracle: str = ""
    bound: float = math.nan


LISTED = Coverage()
SPIKE_FREE = Coverage("spike_free")


class Judged(Protocol):
    """What a refusal says of a certificate of any kind."""

    @property
    def verdict(self) -> Verdict: ...

    @property
    def reason(self) -> str: ...

    @property
    def rel_gap(self) -> float: ...

    @property
    def tol(self) -> float: ...


def require_certified(proof: Judged, thing: str, advice: str = "") -> None:
    """A NotCertified error about a thing, with advice, unless the verdict is `certified`."""
    if proof.verdict is not Verdict.CERTIFIED:
        raise NotCertified(
            f"{thing} is {proof.verdict.value.replace('_', ' ')}. {proof.reason} {advice}".rstrip(),
            verdict=proof.verdict.value,
            rel_gap=proof.rel_gap,
            tol=proof.tol,
        )


@dataclass(frozen=True, eq=False)
class Certificate:
    """A proof that a network is optimal up to a gap, with all that is needed to check it.

    Attributes
    ----------
    network : ReLUNetwork
        The network, balanced.
    nu : (n,) array
        Dual point.
    multipliers : ConeMultipliers
        ρ ≥ 0 of the blocks with ‖X_bᵀν‖ > λ.
    patterns : Patterns
        The patterns that the lower bound speaks of.
    lam, loss, activation, sample_weight, intercept
        The training problem; see `ConvexProgram`.
    scope : str
        Among whom: networks whose neurons, of either sign, lie in the closed cones of the
        network's own patterns (`own`), of the program's (`program`), or all networks (`all`).
    tol : float
        The relative gap that the verdict is against.
    kkt : KKTReport
        The optimality conditions as numbers.
    verdict : Verdict
        `certified`, `not_certified` or `inconclusive`.
    reason : str
        Why, in one sentence.
    fingerprint : str
        SHA-256 of the data.
    coverage : Coverage
        With scope `all`: why the patterns speak of every network.
    """

    network: ReLUNetwork
    nu: FloatArray
    multipliers: ConeMultipliers
    patterns: Patterns
    lam: float
    loss: Loss
    activation: str
    sample_weight: FloatArray | None
    intercept: bool
    scope: str
    tol: float
    kkt: KKTReport
    verdict: Verdict
    reason: str
    fingerprint: str
    coverage: Coverage = LISTED

    @property
    def primal(self) -> float:
        """Upper bound on the optimum: the network's objective, rounded up."""
        return self.kkt.primal

    @property
    def dual(self) -> float:
        """Lower bound on the optimum."""
        return self.kkt.dual

    @property
    def rel_gap(self) -> float:
        """(primal − dual)/dual: primal is at most (1 + rel_gap) dual."""
        return self.kkt.rel_gap

    def __repr__(self) -> str:
        return (
            f"Certificate({self.verdict.value}, scope={self.scope!r}, "
            f"primal={self.primal:.12g}, rel_gap={self.rel_gap:.2e})"
        )

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The gap and the residuals of the optimality conditions, with their limits.

        The gap alone decides the verdict; the others say where it comes from.
        """
        kkt, loose = self.kkt, math.sqrt(self.tol)
        return (
            Condition("relative gap", kkt.rel_gap, self.tol, "between the two bounds"),
            Condition(
                "cone violation", kkt.cone_violation, EXACT, "neurons outside their cones"
            ),
            Condition(
                "stationarity", kkt.stationarity, loose, "neurons that the dual point pulls away"
            ),
            Condition(
                "dual infeasibility", kkt.dual_infeasibility, EXACT,
                "blocks that would pay to switch on",
            ),
            Condition(
                "complementarity", kkt.complementarity, loose,
                "multipliers where no hyperplane holds",
            ),
        )  # fmt: skip

    def require(self) -> Certificate:
        """This certificate if its verdict is `certified`, else a NotCertified error.

        For pipelines that must not go on with an answer that is not proved.
        """
        require_certified(
            self,
            "The answer",
            "Solve to a smaller tolerance, or accept the gap by a larger tol.",
        )
        return self

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The proof's arrays by name, as they stand in a file."""
        arrays: dict[str, np.ndarray | None] = {
            **self.network.to_arrays(),
            "nu": self.nu,
            "patterns": self.patterns.packed,
            "pattern_gates": self.patterns.gates,
            "pattern_remainders": self.patterns.remainders,
            "rho_blocks": self.multipliers.blocks.astype(np.int64),
            "rho_starts": self.multipliers.starts.astype(np.int64),
            "rho_rows": self.multipliers.rows.astype(np.int64),
            "rho_values": self.multipliers.values,
            "sample_weight": self.sample_weight,
        }
        return {name: array for name, array in arrays.items() if array is not None}

    def meta(self) -> dict[str, Any]:
        """The claims, as they stand in a file."""
        return {
            "lam": self.lam,
            "loss": self.loss.name,
            "loss_parameters": self.loss.parameters,
            "activation": self.activation,
            "intercept": self.intercept,
            "scope": self.scope,
            "tol": self.tol,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "complete": self.patterns.complete,
            "fingerprint": self.fingerprint,
            "coverage": self.coverage.kind,
            **self._oracle(),
            **asdict(self.kkt),
        }

    def _oracle(self) -> dict[str, Any]:
        said = self.coverage
        return {"oracle": said.oracle, "oracle_bound": said.bound} if said.oracle else {}

    def save(self, path: str | os.PathLike[str], extra: Mapping[str, Any] | None = None) -> None:
        """Write the certificate to an npz file (no pickle).

        Parameters
        ----------
        path : path
            Where to; an earlier file survives a failure.
        extra : mapping, optional
            More JSON values for the file's description, such as how the data were prepared.

        Raises
        ------
        DataError
            If the loss is the user's own, which no file can hold, if `extra` has a name that the
            file needs, or if the place cannot be written.
        """
        check_saved(self.loss)
        write_npz(path, "certificate", self.to_arrays(), with_extra(self.meta(), extra))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Any:
        """The certificate in a file, also a SplineCertificate or a VectorCertificate.

        The claims are read, not checked: that is `verify`'s work.

        Raises
        ------
        DataError
            If the file is damaged, or holds something else.
        """
        return above("files.load_certificate")(path)  # which knows the other kinds, and this one

    @classmethod
    def from_contents(
        cls,
        arrays: dict[str, np.ndarray],
        meta: Mapping[str, Any],
        path: str | os.PathLike[str],
    ) -> Certificate:
        """The certificate of what `to_arrays` and `meta` returned, as read from a file.

        Raises
        ------
        DataError
            If something is missing or of another type; it names the file.
        """
        with complete(path, "certificate of a network"):
            nu = need(arrays, "nu", "f", 1)
            multipliers = ConeMultipliers(
                need(arrays, "rho_blocks", "i", 1),
                need(arrays, "rho_starts", "i", 1),
                need(arrays, "rho_rows", "i", 1),
                need(arrays, "rho_values", "f", 1),
            )
            weight = need(arrays, "sample_weight", "f", 1) if "sample_weight" in arrays else None
            return cls(
                ReLUNetwork.from_arrays(arrays),
                nu,
                multipliers,
                Patterns.from_packed(
                    need(arrays, "patterns", "u", 2),
                    len(nu),
                    arrays.get("pattern_gates"),
                    complete=meta["complete"],
                    remainders=arrays.get("pattern_remainders"),
                ),
                float(meta["lam"]),
                make_loss(meta["loss"], meta["loss_parameters"]),
                str(meta["activation"]),
                weight,
                bool(meta["intercept"]),
                str(meta["scope"]),
                as_tolerance(meta["tol"], "tol"),
                KKTReport(**{f.name: float(meta[f.name]) for f in fields(KKTReport)}),
                Verdict(meta["verdict"]),
                str(meta["reason"]),
                str(meta["fingerprint"]),
                Coverage(
                    str(meta.get("coverage", "listed")),
                    str(meta.get("oracle", "")),
                    float(meta.get("oracle_bound", math.nan)),
                ),
            )


def fingerprint(X: FloatArray, y: FloatArray) -> str:
    """SHA-256 of shape, X and y, as float64 in C order."""
    digest = hashlib.sha256(f"{X.shape[0]},{X.shape[1]};".encode())
    digest.update(np.ascontiguousarray(X, dtype=np.float64).data)
    digest.update(np.ascontiguousarray(y, dtype=np.float64).data)
    return digest.hexdigest()
