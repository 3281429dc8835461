"""`certify`: prove how far an answer is from the optimum, whoever computed it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from relu_opt.arrays import FloatArray, IntArray, as_floats
from relu_opt.certificate import LISTED, Certificate, Coverage, KKTReport, fingerprint
from relu_opt.config import settled_tol
from relu_opt.dual_bound import DualBound, lower_bound
from relu_opt.errors import DataError
from relu_opt.plugins.types import ConeMultipliers
from relu_opt.program.arrangement import MAX_PATTERNS, enumerate_patterns
from relu_opt.program.convex import ConvexProgram, relative_gap
from relu_opt.program.network import (
    ReLUNetwork,
    locate_neurons,
    network_blocks,
    network_from_weights,
)
from relu_opt.program.patterns import Patterns, unique_rows
from relu_opt.verdicts import Verdict

if TYPE_CHECKING:
    from relu_opt.solution import Solution

SCOPES = ("own", "program", "all")
# How far, relative to the norms of row and neuron, a neuron may leave its cone.
CONE_TOLERANCE = 1e-9
# How far a lower bound may lie above an upper bound, relative to it, by rounding.
CROSSING_TOLERANCE = 1e-9


def certify(
    prog: ConvexProgram,
    answer: Solution | ReLUNetwork | FloatArray,
    nu: FloatArray | None = None,
    scope: str = "program",
    tol: float | None = None,
    multipliers: ConeMultipliers | None = None,
) -> Certificate:
    """Prove how far an answer is from the optimum.

    Parameters
    ----------
    prog : ConvexProgram
        The training problem.
    answer : Solution, ReLUNetwork or array of `prog.weights_shape`
        Any answer to it, also a network that was trained elsewhere: it is balanced first,
        which never raises its objective.
    nu : (n,) array, optional
        A dual point; without it ν = −∇F at the answer is used, and also when `nu` comes
        without multipliers and proves less. It is scaled until it is feasible. A loss with kinks,
        as the hinge loss, has no gradient at an optimum: there the program is solved for ν.
    scope : {"own", "program", "all"}
        Whose optimality to prove. `all` enumerates the patterns of X, also when the program
        says that its own are complete.
    tol : float, optional
        The relative gap to certify, below 1; 1e−8 unless the settings say otherwise.
    multipliers : ConeMultipliers, optional
        Cone multipliers that go with `nu`; missing ones are found by projection.

    Returns
    -------
    Certificate
        Never raises for a bad answer of the right shape: the verdict says so.

    Raises
    ------
    DataError
        If the answer does not fit the program, or all patterns cannot be enumerated.
    BackendUnavailable
        If the loss has kinks, `nu` is not given, and no backend that takes it is ready.
    """
    if not isinstance(prog, ConvexProgram):
        raise DataError(f"prog is a {type(prog).__name__}, and a ConvexProgram is needed.")
    if scope not in SCOPES:
        raise DataError(f"Unknown scope {scope!r}. Use one of {', '.join(SCOPES)}.", scope=scope)
    tol = settled_tol(tol)
    network, hint = read_answer(prog, answer)
    prog = _in_scope(prog, network, scope)
    if hint is None and nu is None and not prog.loss.smooth:
        hint = _solved_for_nu(prog, tol)
    nu = hint if nu is None else as_floats(nu, "nu", 1)
    if nu is not None and len(nu) != prog.n:
        raise DataError(f"nu has {len(nu)} values, and the data have {prog.n} rows.")

    primal = _objective(prog, network)
    bounds = [] if nu is None else [lower_bound(prog, nu, multipliers)]
    proved = bool(bounds) and relative_gap(primal, bounds[0].value) <= tol
    if not proved and (not bounds or multipliers is None):
        hidden = network.predict(prog.X) - network.intercept
        bounds.append(lower_bound(prog, prog.dual_candidate(hidden), None))
    return certificate_of(prog, network, max(bounds, key=lambda each: each.value), scope, tol)


def _solved_for_nu(prog: ConvexProgram, tol: float) -> FloatArray:
    """The dual point of the program's optimum."""
    from relu_opt.solution import solve

    return solve(prog, tol=tol).nu


def certificate_of(
    prog: ConvexProgram,
    network: ReLUNetwork,
    bound: DualBound,
    scope: str,
    tol: float,
    coverage: Coverage = LISTED,
) -> Certificate:
    """The certificate of a balanced network and a lower bound over the program's patterns.

    With another coverage than `LISTED` the bound speaks of every network, also of one with
    neurons outside these patterns.
    """
    primal = _objective(prog, network)
    place = locate_neurons(prog, network, CONE_TOLERANCE)
    kkt = _report(prog, network, place, bound, primal)
    covered = coverage.kind != "listed"
    verdict, reason = _judge(kkt, np.empty(0) if covered else place, scope, tol)
    if coverage.kind == "oracle":
        reason = f"{reason} The lower bound rests on {coverage.oracle}."
    return Certificate(
        network,
        bound.nu,
        bound.multipliers,
        prog.patterns,
        prog.lam,
        prog.loss,
        prog.activation,
        prog.sample_weight,
        prog.intercept,
        scope,
        tol,
        kkt,
        verdict,
        reason,
        fingerprint(prog.X, prog.y),
        coverage,
    )


def _objective(prog: ConvexProgram, network: ReLUNetwork) -> float:
    return network.objective(prog.X, prog.y, prog.lam, prog.loss, prog.sample_weight)


def read_answer(
    prog: ConvexProgram, answer: Solution | ReLUNetwork | FloatArray
) -> tuple[ReLUNetwork, FloatArray | None]:
    """The balanced network of an answer, and the dual point that came with it."""
    nu: FloatArray | None = None
    if isinstance(answer, ReLUNetwork):
        network = answer
    elif isinstance(answer, np.ndarray | list):
        weights = prog.check_weights(answer)
        network = network_from_weights(prog, weights, prog.best_intercept(prog.fits(weights)))
    elif hasattr(answer, "network") and hasattr(answer, "nu"):
        network, nu = answer.network, answer.nu
    else:
        raise DataError(
            f"The answer is a {type(answer).__name__}. Pass a Solution, a ReLUNetwork, or weights "
            f"of shape {prog.weights_shape}."
        )
    if network.hidden.shape[1] != prog.d:
        raise DataError(
            f"The network takes {network.hidden.shape[1]} features and the data have {prog.d}.",
            network=network.hidden.shape[1],
            data=prog.d,
        )
    if (network.gates is not None) != (prog.activation == "gated") and len(network):
        raise DataError(
            f"The program is for {prog.activation} networks, and this network "
            f"{'has no' if network.gates is None else 'has'} gates."
        )
    if network.intercept and not prog.intercept:
        raise DataError(
            "The network has an output intercept, and the program has none. Pass "
            "intercept=True to ConvexProgram."
        )
    return network.balance(), nu


def _in_scope(prog: ConvexProgram, network: ReLUNetwork, scope: str) -> ConvexProgram:
    """The program over the patterns that the scope speaks of."""
    if scope == "own":
        if not len(network):
            raise DataError(
                "The network has no neurons, so it has no patterns of its own. Use scope='program'."
            )
        return prog.with_patterns(_own_patterns(prog, network))
    if scope == "all":
        # `complete` is what the maker of the patterns says; here it has to be true.
        # The limit is on a bound of the count, which degenerate data stay well below.
        limit = max(MAX_PATTERNS, 10 * len(prog.patterns) if prog.patterns.complete else 0)
        every = enumerate_patterns(prog.X, limit)
        if not np.array_equal(every.packed, prog.patterns.packed):
            return prog.with_patterns(every)
    return prog


def _own_patterns(prog: ConvexProgram, network: ReLUNetwork) -> Patterns:
    """A pattern for each neuron: the program's that holds it, else that of its signs.

    A neuron on the boundary between cones belongs to each of them, and rounding would choose
    one at random.
    """
    directions = network.hidden if network.gates is None else network.gates
    place = locate_neurons(prog, network, CONE_TOLERANCE)
    theirs = np.packbits(prog.X @ directions[place < 0].T >= 0, axis=0).T
    used = np.unique(place[place >= 0])
    packed = np.concatenate([prog.patterns.packed[used], np.ascontiguousarray(theirs)])
    gates = None
    if prog.patterns.gates is not None:
        gates = np.hstack([prog.patterns.gates[:, used], directions[place < 0].T])
    keep = unique_rows(packed)
    return Patterns.from_packed(packed[keep], prog.n, None if gates is None else gates[:, keep])


def _report(
    prog: ConvexProgram, network: ReLUNetwork, place: IntArray, bound: DualBound, primal: float
) -> KKTReport:
    gap = primal - bound.value
    inside = np.flatnonzero(place >= 0)
    violation = stationarity = complementarity = 0.0
    if len(network) and not len(inside):
        violation = stationarity = complementarity = math.inf
    elif len(inside):
        blocks = network_blocks(network)[inside]
        signs = np.sign(network.output[inside])
        units = blocks / np.linalg.norm(blocks, axis=1, keepdims=True)
        common = prog.correlations(bound.nu, place[inside])
        points = signs[:, None] * common
        if prog.activation == "relu":
            masks = prog.patterns.unpack(place[inside])
            violation = float(prog.cone_rows.violation(blocks, masks).max())
            flat = np.where(signs > 0, 0, len(prog.patterns)) + place[inside]
            for k, b in enumerate(flat):
                rows, rho, sides = bound.rho_of(prog, int(b))
                points[k] += (rho * sides) @ prog.X[rows]
                slack = np.abs(prog.X[rows] @ blocks[k])
                complementarity = max(complementarity, float(rho @ slack))
        away = np.linalg.norm(prog.lam * units - points, axis=1)
        stationarity = float(away.max()) / prog.lam
    return KKTReport(
        primal=primal,
        dual=bound.value,
        gap=gap,
        rel_gap=relative_gap(primal, bound.value),
        cone_violation=violation,
        stationarity=stationarity,
        dual_infeasibility=max(0.0, bound.largest / prog.lam - 1),
        complementarity=complementarity,
    )


def _judge(kkt: KKTReport, place: np.ndarray, scope: str, tol: float) -> tuple[Verdict, str]:
    against = {
        "own": "the network's own patterns",
        "program": "the program's patterns",
        "all": "all patterns of the data",
    }[scope]
    if not (math.isfinite(kkt.primal) and math.isfinite(kkt.dual)):
        return Verdict.NOT_CERTIFIED, "A bound is not finite."
    if (place < 0).any():
        outside = np.flatnonzero(place < 0)
        return Verdict.INCONCLUSIVE, (
            f"Neuron {outside[0]} ({len(outside)} in all) lies outside {against}, so the lower "
            "bound does not speak of this network. Add the neurons' patterns, or use "
            "scope 'own' or 'all'."
        )
    if kkt.rel_gap < -CROSSING_TOLERANCE:
        return Verdict.INCONCLUSIVE, (
            f"The lower bound lies above the network's objective by {-kkt.rel_gap:.1e}, which "
            "rounding does not explain."
        )
    if not kkt.rel_gap <= tol:
        return Verdict.NOT_CERTIFIED, (
            f"The relative gap {kkt.rel_gap:.2e} over {against} is above the tolerance {tol:.0e}."
        )
    return Verdict.CERTIFIED, (
        f"No network over {against} has an objective that is lower by more than a share of "
        f"{max(kkt.rel_gap, 0):.1e}."
    )
