r"""Certificates of networks with several outputs: a network, a dual point, and why it is feasible.

The network's objective is an upper bound on the optimum. With M(V) ≤ λ for *all* directions, so for
all activation patterns, ⟨V, Y⟩ − (n/2)‖V‖² is a lower bound for every network, of any width. Three
proofs of M(V) ≤ λ are known:

searched    branch and bound over the directions;
relaxed     for each activation pattern D of the data, with S = 2D − I, an N ≥ 0 entrywise with
            XᵀDVVᵀDX + XᵀSNSX ≼ λ²I: on the pattern's cone, SXu ≥ 0, the second term is ≥ 0;
lifted      one semidefinite matrix (`relu_opt.train.several_outputs.lifted`), as in M(V) ≤ ‖X‖‖V‖.

`relu_opt.verify` re-checks them from the data alone: the first two by a search of its own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from relu_opt.arrays import FloatArray, as_tolerance
from relu_opt.errors import DataError
from relu_opt.io import complete, need, read_npz, with_extra, write_npz
from relu_opt.proof.certificate import fingerprint, require_certified
from relu_opt.proof.verdict import Verdict, judge, relative_gap
from relu_opt.train.several_outputs.network import VectorNetwork
from relu_opt.train.several_outputs.problem import VectorProblem
from relu_opt.train.several_outputs.proof import VectorBound, objective_above


@dataclass(frozen=True, eq=False)
class VectorCertificate:
    """How far a network with several outputs is from the best of all networks.

    Attributes
    ----------
    network : VectorNetwork
        Balanced.
    V : (n, c) array
        The dual point, with M(V) = max ‖Vᵀ(Xu)₊‖ ≤ λ over ‖u‖ ≤ 1.
    lam, intercept, pooled
        The training problem; the loss is (1/2n)‖f − Y‖², a mean over samples.
    proof : {"searched", "relaxed", "lifted"}
        Why M(V) ≤ λ.
    statement : str
        Who says so.
    tol : float
        The relative gap that the verdict is against.
    primal, dual : float
        The network's objective from above, and what no network's objective is below: rounding is
        in them.
    verdict : Verdict
    reason : str
        Why, in one sentence.
    fingerprint : str
        SHA-256 of the data.
    """

    network: VectorNetwork
    V: FloatArray
    lam: float
    intercept: bool
    pooled: bool
    proof: str
    statement: str
    tol: float
    primal: float
    dual: float
    verdict: Verdict
    reason: str
    fingerprint: str

    @property
    def gap(self) -> float:
        """primal − dual."""
        return self.primal - self.dual

    @property
    def rel_gap(self) -> float:
        """The least R with primal ≤ (1 + R)·dual; inf if no bound above 0 is proved."""
        return relative_gap(self.primal, self.dual)

    def __repr__(self) -> str:
        return (
            f"VectorCertificate({self.verdict.value}, primal={self.primal:.12g}, "
            f"rel_gap={self.rel_gap:.2e}, proof={self.proof!r})"
        )

    def require(self) -> VectorCertificate:
        """This certificate if its verdict is `certified`, else a NotCertified error."""
        require_certified(self, "The answer")
        return self

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The proof's arrays by name, as they stand in a file."""
        return {**self.network.to_arrays(), "V": self.V}

    def meta(self) -> dict[str, Any]:
        """The claims, as they stand in a file."""
        return {
            "problem": "several_outputs",
            "lam": self.lam,
            "with_intercept": self.intercept,
            "pooled": self.pooled,
            "proof": self.proof,
            "statement": self.statement,
            "tol": self.tol,
            "primal": self.primal,
            "dual": self.dual,
            "rel_gap": self.rel_gap,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "fingerprint": self.fingerprint,
        }

    def save(self, path: str | os.PathLike[str], extra: Mapping[str, Any] | None = None) -> None:
        """Write the certificate to an npz file (no pickle); an earlier file survives a failure."""
        write_npz(path, "certificate", self.to_arrays(), with_extra(self.meta(), extra))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> VectorCertificate:
        """Read what `save` wrote. The claims are read, not checked: that is `verify`'s work.

        Raises
        ------
        DataError
            If the file is no certificate of a network with several outputs.
        """
        arrays, meta = read_npz(path, "certificate")
        if meta.get("problem") != "several_outputs":
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
    ) -> VectorCertificate:
        """The certificate of what `to_arrays` and `meta` returned, as read from a file."""
        with complete(path, "certificate of several outputs"):
            return cls(
                VectorNetwork.from_arrays(arrays),
                need(arrays, "V", "f", 2),
                float(meta["lam"]),
                bool(meta["with_intercept"]),
                bool(meta["pooled"]),
                str(meta["proof"]),
                str(meta["statement"]),
                as_tolerance(meta["tol"], "tol"),
                float(meta["primal"]),
                float(meta["dual"]),
                Verdict(meta["verdict"]),
                str(meta["reason"]),
                str(meta["fingerprint"]),
            )


def vector_certificate(
    problem: VectorProblem,
    network: VectorNetwork,
    bound: VectorBound,
    proof: str,
    statement: str,
    tol: float,
) -> VectorCertificate:
    """The certificate of a balanced network and a dual point that is known to be feasible."""
    primal, dual = objective_above(problem, network), bound.value
    verdict, reason = judge(primal, dual, tol, "ReLU network of any width")
    return VectorCertificate(
        network, bound.V, problem.lam, problem.intercept, problem.pooled, proof, statement, tol,
        primal, dual, verdict, reason, fingerprint(problem.X, problem.Y),
    )  # fmt: skip
