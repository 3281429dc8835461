"""`certify`: prove how far an answer is from the optimum, whoever computed it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from relu_opt.arrays import FloatArray, IntArray, as_floats
from relu_opt.config import settled_tol
from relu_opt.errors import DataError
from relu_opt.program.arrangement import MAX_PATTERNS, enumerate_patterns
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.loss_bounds import bounds_of
from relu_opt.program.losses import LOSSES
from relu_opt.program.multipliers import ConeMultipliers
from relu_opt.program.network import (
    ReLUNetwork,
    locate_neurons,
    network_blocks,
    network_from_weights,
    users_network,
)
from relu_opt.program.patterns import Patterns, unique_rows
from relu_opt.program.signs import masks_of
from relu_opt.proof.certificate import LISTED, Certificate, Coverage, KKTReport, fingerprint
from relu_opt.proof.dual_bound import DualBound, lower_bound
from relu_opt.proof.primal_bound import hidden_part, in_units, objective_above
from relu_opt.proof.verdict import Verdict, judge, relative_gap

if TYPE_CHECKING:
    from relu_opt.solve.training import Solution

SCOPES = ("own", "program", "all")
# How far, relative to the norms of row and neuron, a neuron may leave its cone.
CONE_TOLERANCE = 1e-9
# Which patterns a lower bound speaks of, by scope.
PATTERNS = {
    "own": "the network's own patterns",
    "program": "the program's patterns",
    "all": "all patterns of the data",
}


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
    exact = _from_weights(prog, answer) if isinstance(answer, np.ndarray | list) else None
    prog = _in_scope(prog, network, scope)
    if hint is None and nu is None and not prog.loss.smooth:
        hint = _solved_for_nu(prog, tol)
    nu = hint if nu is None else as_floats(nu, "nu", 1)
    if nu is not None and len(nu) != prog.n:
        raise DataError(f"nu has {len(nu)} values, and the data have {prog.n} rows.")

    with np.errstate(all="ignore"):
        theirs = _in_units(prog, network) if exact is None else exact
        primal = objective_above(prog, network, exact)
        bounds = [] if nu is None else [lower_bound(prog, nu, multipliers)]
        proved = bool(bounds) and relative_gap(primal, bounds[0].value) <= tol
        if not proved and (not bounds or multipliers is None):
            bounds.append(lower_bound(prog, _candidate(prog, theirs), None))
        best = max(bounds, key=lambda each: each.value)
        return _certificate(prog, (network, theirs, primal), best, scope, tol, LISTED)


def _solved_for_nu(prog: ConvexProgram, tol: float) -> FloatArray:
    """The dual point of the program's optimum."""
    from relu_opt.solve.training import solve

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
    answer = network, _in_units(prog, network), objective_above(prog, network)
    return _certificate(prog, answer, bound, scope, tol, coverage)


def _certificate(
    prog: ConvexProgram,
    answer: tuple[ReLUNetwork, ReLUNetwork, float],
    bound: DualBound,
    scope: str,
    tol: float,
    coverage: Coverage,
) -> Certificate:
    """`certificate_of` a network, in the user's units and the canonical ones, and its objective."""
    network, theirs, primal = answer
    with np.errstate(all="ignore"):
        place = locate_neurons(prog.canonical, theirs, CONE_TOLERANCE)
        kkt = _report(prog, theirs, place, bound, primal)
    outside = np.flatnonzero(place < 0) if coverage.kind == "listed" else np.empty(0)
    verdict, reason = _verdict(prog, kkt, outside, scope, tol)
    if coverage.kind == "oracle":
        reason = f"{reason} The lower bound rests on {coverage.oracle}."
    elif verdict is Verdict.CERTIFIED:
        reason = " ".join([reason, *_worth(prog, network, coverage)])
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


def _candidate(prog: ConvexProgram, theirs: ReLUNetwork) -> FloatArray:
    """ν = −∇F at the fits of a network in canonical units; nan where these are no doubles."""
    own = prog.canonical
    fits, _ = hidden_part(own.X, theirs.hidden, theirs.output, theirs.gates)
    return prog.units.duals(own.dual_candidate(fits))


def _from_weights(prog: ConvexProgram, weights: FloatArray) -> ReLUNetwork:
    """The balanced network of blocks, in the program's canonical units."""
    own = prog.canonical
    with np.errstate(all="ignore"):
        blocks = prog.units.in_weights(prog.check_weights(weights))
        blocks = blocks if np.isfinite(blocks).all() else np.asarray(weights)
        constant = own.best_intercept(own.fits(blocks))
    return network_from_weights(own, blocks, constant if math.isfinite(constant) else 0.0)


def _in_units(prog: ConvexProgram, network: ReLUNetwork) -> ReLUNetwork:
    """The network for the program's canonical data; as it is where it is beyond doubles there."""
    hidden, output, _ = in_units(prog, network)
    constant = float(prog.units.in_targets(np.array(network.intercept)))
    if not (np.isfinite(hidden).all() and np.isfinite(output).all() and math.isfinite(constant)):
        return network
    return ReLUNetwork(hidden, output, constant, network.gates)


def read_answer(
    prog: ConvexProgram, answer: Solution | ReLUNetwork | FloatArray
) -> tuple[ReLUNetwork, FloatArray | None]:
    """The balanced network of an answer, and the dual point that came with it."""
    nu: FloatArray | None = None
    if isinstance(answer, ReLUNetwork):
        network = answer
    elif isinstance(answer, np.ndarray | list):
        return users_network(_from_weights(prog, answer), prog.units), None
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
        return prog.with_patterns(enumerate_patterns(prog.X, limit))
    return prog


def _own_patterns(prog: ConvexProgram, network: ReLUNetwork) -> Patterns:
    """A pattern for each neuron: the program's that holds it, else that of its signs.

    A neuron on the boundary between cones belongs to each of them, and rounding would choose
    one at random.
    """
    directions = network.hidden if network.gates is None else network.gates
    place = locate_neurons(prog, network, CONE_TOLERANCE)
    theirs = np.packbits(masks_of(prog.X, directions[place < 0].T), axis=0).T
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
    """The numbers of a network in the program's canonical units."""
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
        if own.activation == "relu":
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
    return KKTReport(
        primal=primal,
        dual=bound.value,
        gap=primal - bound.value,
        rel_gap=relative_gap(primal, bound.value),
        cone_violation=violation,
        stationarity=stationarity,
        dual_infeasibility=max(0.0, bound.largest / prog.lam - 1),
        complementarity=units.objective(complementarity),
    )


def _verdict(
    prog: ConvexProgram, kkt: KKTReport, outside: np.ndarray, scope: str, tol: float
) -> tuple[Verdict, str]:
    """What the numbers say, unless they do not speak of this network or this loss."""
    kind = "ReLU" if prog.activation == "relu" else "gated ReLU"
    whom = "of any width" if scope == "all" else f"with neurons in {PATTERNS[scope]}"
    if bounds_of(prog.loss) is None:
        return Verdict.INCONCLUSIVE, (
            f"The loss {prog.loss.name!r} is not one of {', '.join(LOSSES)}, so that the rounding "
            "of its values is not bounded and nothing is proved."
        )
    if len(outside):
        return Verdict.INCONCLUSIVE, (
            f"Neuron {outside[0]} ({len(outside)} in all) lies outside {PATTERNS[scope]}, so the "
            "lower bound does not speak of this network. Add the neurons' patterns, or use scope "
            "'own' or 'all'."
        )
    return judge(kkt.primal, kkt.dual, tol, f"{kind} network {whom}")


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
