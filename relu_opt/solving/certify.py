"""`certify`: prove how far an answer is from the optimum, whoever computed it."""

from __future__ import annotations

import math

import numpy as np

from relu_opt.arrays import FloatArray, as_floats
from relu_opt.config import settled_tol
from relu_opt.errors import DataError
from relu_opt.plugins.types import Solved
from relu_opt.program.arrangement import MAX_PATTERNS, enumerate_patterns
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.multipliers import ConeMultipliers
from relu_opt.program.network import (
    ReLUNetwork,
    locate_neurons,
    network_from_weights,
    users_network,
)
from relu_opt.program.patterns import Patterns, unique_rows
from relu_opt.program.signs import masks_of
from relu_opt.proof.assembly import CONE_TOLERANCE, assembled, network_in_units
from relu_opt.proof.certificate import LISTED, NetworkCertificate
from relu_opt.proof.dual_bound import lower_bound
from relu_opt.proof.primal_bound import hidden_part, objective_above
from relu_opt.proof.verdict import relative_gap

SCOPES = ("own", "program", "all")


def certify(
    prog: ConvexProgram,
    answer: Solved | ReLUNetwork | FloatArray,
    nu: FloatArray | None = None,
    scope: str = "program",
    tol: float | None = None,
    multipliers: ConeMultipliers | None = None,
) -> NetworkCertificate:
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
    NetworkCertificate
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
        theirs = network_in_units(prog, network) if exact is None else exact
        primal = objective_above(prog, network, exact)
        bounds = [] if nu is None else [lower_bound(prog, nu, multipliers)]
        proved = bool(bounds) and relative_gap(primal, bounds[0].value) <= tol
        if not proved and (not bounds or multipliers is None):
            bounds.append(lower_bound(prog, _candidate(prog, theirs), None))
        best = max(bounds, key=lambda each: each.value)
        return assembled(prog, (network, theirs, primal), best, scope, tol, LISTED)


def _solved_for_nu(prog: ConvexProgram, tol: float) -> FloatArray:
    """The dual point of the program's optimum."""
    from relu_opt.solving.training import solve

    return solve(prog, tol=tol).nu


def _candidate(prog: ConvexProgram, theirs: ReLUNetwork) -> FloatArray:
    """ν = −∇F at the fits of a network in canonical units; nan where these are no doubles."""
    own = prog.canonical
    fits, _ = hidden_part(own.X, theirs)
    return prog.units.duals(own.dual_candidate(fits))


def _from_weights(prog: ConvexProgram, weights: FloatArray) -> ReLUNetwork:
    """The balanced network of blocks, in the program's canonical units."""
    own = prog.canonical
    with np.errstate(all="ignore"):
        blocks = prog.units.in_weights(prog.check_weights(weights))
        blocks = blocks if np.isfinite(blocks).all() else np.asarray(weights)
        constant = own.best_intercept(own.fits(blocks))
    return network_from_weights(own, blocks, constant if math.isfinite(constant) else 0.0)


def read_answer(
    prog: ConvexProgram, answer: Solved | ReLUNetwork | FloatArray
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
    if network.activation != prog.activation and len(network):
        raise DataError(
            f"The program is for {prog.activation.kind} networks, and this network has "
            f"{network.activation.kind} neurons."
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
