"""From sizes of neurons to a certified network."""

from __future__ import annotations

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.errors import NotCertified
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.network import ReLUNetwork
from relu_opt.proof.assembly import certificate_of
from relu_opt.proof.certificate import NetworkCertificate
from relu_opt.proof.certified_network import CertifiedNetwork
from relu_opt.proof.dual_bound import DualBound
from relu_opt.sets.equicorrelation import Equicorrelation


def certified_element(
    prog: ConvexProgram,
    found: Equicorrelation,
    bound: DualBound,
    total: float,
    x: FloatArray,
    tol: float,
) -> CertifiedNetwork:
    """The network of a point of the polytope of sizes.

    Parameters
    ----------
    prog : ConvexProgram
    found : Equicorrelation
        Its neurons.
    bound : DualBound
        The lower bound of the certificate.
    total : float
        The sum of sizes, the unit of x.
    x : (q,) array
        Sizes, then the intercept if the program has one.
    tol : float
        The relative gap to certify.

    Raises
    ------
    NotCertified
        If that is not possible.
    """
    k = len(found.units)
    on = np.flatnonzero(x[:k] > 0)
    root = np.sqrt(x[:k][on] * total)
    gates = prog.patterns.gates if prog.activation.gated else None
    network = ReLUNetwork(
        root[:, None] * found.units[on],
        root * found.signs[on],
        float(x[k]) if prog.intercept else 0.0,
        None if gates is None else gates.T[found.places[on]],
        prog.activation.slope,
    )
    proof = certificate_of(prog, network, bound, "program", tol)
    return with_certificate(network, proof)


def with_certificate(network: ReLUNetwork, proof: NetworkCertificate) -> CertifiedNetwork:
    """The network with its certificate.

    Raises
    ------
    NotCertified
        If the verdict is another.
    """
    if proof.verdict != "certified":
        raise NotCertified(
            f"An element of the set could not be certified: {proof.reason}",
            verdict=proof.verdict.value,
            rel_gap=proof.rel_gap,
        )
    return CertifiedNetwork(**vars(network), certificate=proof)
