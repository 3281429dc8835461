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

from dataclasses import dataclass
from typing import Annotated, ClassVar

from relu_opt.arrays import FloatArray
from relu_opt.proof.entries import Part, array, entry
from relu_opt.proof.record import Certificate, fingerprint
from relu_opt.proof.verdict import judge
from relu_opt.train.several_outputs.network import VectorNetwork
from relu_opt.train.several_outputs.problem import VectorProblem
from relu_opt.train.several_outputs.proof import VectorBound, objective_above

NETWORK = Part(lambda arrays, _: VectorNetwork.from_arrays(arrays), VectorNetwork.to_arrays)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class VectorCertificate(Certificate):
    """How far a network with several outputs is from the best of all networks.

    Attributes
    ----------
    network : VectorNetwork
        Balanced.
    V : (n, c) array
        The dual point, with M(V) = max ‖Vᵀ(Xu)₊‖ ≤ λ over ‖u‖ ≤ 1.
    intercept, pooled : bool
        The training problem; the loss is (1/2n)‖f − Y‖², a mean over samples.
    proof : {"searched", "relaxed", "lifted"}
        Why M(V) ≤ λ.
    statement : str
        Who says so.

    The other attributes are those of every `Certificate`.
    """

    network: Annotated[VectorNetwork, NETWORK]
    V: Annotated[FloatArray, array("V", 2)]
    intercept: Annotated[bool, entry("with_intercept", bool)]
    pooled: Annotated[bool, entry("pooled", bool)]
    proof: Annotated[str, entry("proof", str)]
    statement: Annotated[str, entry("statement", str)]

    kind = "several_outputs"
    thing = "The answer"
    shown: ClassVar[tuple[str, ...]] = ("proof",)


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
        lam=problem.lam,
        tol=tol,
        objective=primal,
        lower_bound=dual,
        verdict=verdict,
        reason=reason,
        fingerprint=fingerprint(problem.X, problem.Y),
        network=network,
        V=bound.V,
        intercept=problem.intercept,
        pooled=problem.pooled,
        proof=proof,
        statement=statement,
    )
