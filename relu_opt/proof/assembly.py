"""A certificate from its parts: a network, a dual point, and what the two bounds say."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from relu_opt.arrays import IntArray
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.network import ReLUNetwork, locate_neurons, network_blocks
from relu_opt.proof.certificate import LISTED, Coverage, NetworkCertificate
from relu_opt.proof.dual_bound import DualBound
from relu_opt.proof.primal_bound import in_units, objective_above
from relu_opt.proof.record import fingerprint
from relu_opt.proof.verdict import Verdict, judge

# How far, relative to the norms of row and neuron, a neuron may leave its cone.
CONE_TOLERANCE = 1e-9
# Which patterns a lower bound speaks of, by scope.
PATTERNS = {
    "own": "the network's own patterns",
    "program": "the program's patterns",
    "all": "all patterns of the data",
}


def certificate_of(
    prog: ConvexProgram,
    network: ReLUNetwork,
    bound: DualBound,
    scope: str,
    tol: float,
    coverage: Coverage = LISTED,
) -> NetworkCertificate:
    """The certificate of a balanced network and a lower bound over the program's patterns.

    With another coverage than `LISTED` the bound speaks of every network, also of one with
    neurons outside these patterns.
    """
    answer = network, network_in_units(prog, network), objective_above(prog, network)
    return assembled(prog, answer, bound, scope, tol, coverage)


def assembled(
    prog: ConvexProgram,
    answer: tuple[ReLUNetwork, ReLUNetwork, float],
    bound: DualBound,
    scope: str,
    tol: float,
    coverage: Coverage,
) -> NetworkCertificate:
    """`certificate_of` a network, in the user's units and the canonical ones, and its objective."""
    network, theirs, primal = answer
    with np.errstate(all="ignore"):
        place = locate_neurons(prog.canonical, theirs, CONE_TOLERANCE)
        residuals = _residuals(prog, theirs, place, bound)
    outside = np.flatnonzero(place < 0) if coverage.kind == "listed" else np.empty(0)
    verdict, reason = _verdict(prog, primal, bound.value, outside, scope, tol)
    if coverage.kind == "oracle":
        reason = f"{reason} The lower bound rests on {coverage.oracle}."
    elif verdict is Verdict.CERTIFIED:
        reason = " ".join([reason, *_worth(prog, network, coverage)])
    return NetworkCertificate(
        lam=prog.lam,
        tol=tol,
        objective=primal,
        lower_bound=bound.value,
        verdict=verdict,
        reason=reason,
        fingerprint=fingerprint(prog.X, prog.y),
        network=network,
        nu=bound.nu,
        multipliers=bound.multipliers,
        patterns=prog.patterns,
        loss=prog.loss,
        activation=prog.activation,
        sample_weight=prog.sample_weight,
        intercept=prog.intercept,
        scope=scope,
        coverage=coverage,
        **residuals,
    )


def network_in_units(prog: ConvexProgram, network: ReLUNetwork) -> ReLUNetwork:
    """The network for the program's canonical data; as it is where it is beyond doubles there."""
    hidden, output, _ = in_units(prog, network)
    constant = float(prog.units.in_targets(np.array(network.intercept)))
    if not (np.isfinite(hidden).all() and np.isfinite(output).all() and math.isfinite(constant)):
        return network
    return replace(network, hidden=hidden, output=output, intercept=constant)


def _residuals(
    prog: ConvexProgram, network: ReLUNetwork, place: IntArray, bound: DualBound
) -> dict[str, float]:
    """The residuals of a network in the program's canonical units, by their names in a report."""
    own, units = prog.canonical, prog.units
    known = replace(bound.multipliers, values=units.in_duals(bound.multipliers.values))
    mine = replace(bound, nu=units.in_duals(bound.nu), multipliers=known)
    inside = np.flatnonzero(place >= 0)
    violation = stationarity = complementarity = 0.0
    if len(network) and not len(inside):
        violation = stationarity = complementarity = math.inf
    elif len(inside):
        blocks = network_blocks(network)[inside]
        signs = np.sign(network.output[inside])
        directions = blocks / np.linalg.norm(blocks, axis=1, keepdims=True)
        common = own.correlations(mine.nu, place[inside])
        points = signs[:, None] * common
        if not own.activation.gated:
            masks = own.patterns.unpack(place[inside])
            violation = float(own.cone_rows.violation(blocks, masks).max())
            flat = np.where(signs > 0, 0, len(own.patterns)) + place[inside]
            for k, b in enumerate(flat):
                rows, rho, sides = mine.rho_of(own, int(b))
                points[k] += (rho * sides) @ own.X[rows]
                slack = np.abs(own.X[rows] @ blocks[k])
                complementarity = max(complementarity, float(rho @ slack))
        away = np.linalg.norm(own.lam * directions - points, axis=1)
        stationarity = float(away.max()) / own.lam
    return {
        "cone_violation": violation,
        "stationarity": stationarity,
        "dual_infeasibility": max(0.0, bound.largest / prog.lam - 1),
        "complementarity": units.objective(complementarity),
    }


def _verdict(
    prog: ConvexProgram, primal: float, dual: float, outside: np.ndarray, scope: str, tol: float
) -> tuple[Verdict, str]:
    """What the numbers say, unless they do not speak of this network."""
    whom = "of any width" if scope == "all" else f"with neurons in {PATTERNS[scope]}"
    if len(outside):
        return Verdict.INCONCLUSIVE, (
            f"Neuron {outside[0]} ({len(outside)} in all) lies outside {PATTERNS[scope]}, so the "
            "lower bound does not speak of this network. Add the neurons' patterns, or use scope "
            "'own' or 'all'."
        )
    return judge(primal, dual, tol, f"{prog.activation.kind} network {whom}", prog.loss)


def _worth(prog: ConvexProgram, network: ReLUNetwork, coverage: Coverage) -> list[str]:
    """What makes a true certificate worth little."""
    said = []
    if not len(network):
        said.append("It has no neurons: lam is so large that the zero network is this good.")
    if coverage.kind == "listed" and not prog.patterns.packed.any():
        said.append(
            "No pattern that the bound speaks of is active on any row, so that it compares the "
            "network with constants alone."
        )
    return said
