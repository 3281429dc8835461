"""Networks that were trained elsewhere: their own program, and a certificate in one call."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import FloatArray
from relu_opt.config import settled_tol
from relu_opt.errors import DataError
from relu_opt.program.activations import RELU
from relu_opt.program.arrangement import enumerate_patterns
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.losses import Loss
from relu_opt.program.network import ReLUNetwork, as_inputs
from relu_opt.program.patterns import Patterns, patterns_of_gates
from relu_opt.proof.assembly import certificate_of
from relu_opt.proof.certificate import NetworkCertificate
from relu_opt.proof.dual_bound import lower_bound
from relu_opt.solving.certify import certify
from relu_opt.solving.training import solve

SCOPES = ("own", "all")


def certify_network(
    network: ReLUNetwork,
    X: ArrayLike,
    y: ArrayLike,
    lam: float,
    *,
    loss: str | Loss = "squared",
    sample_weight: ArrayLike | None = None,
    intercept: bool | None = None,
    scope: str = "own",
    backend: str | None = None,
    tol: float | None = None,
) -> NetworkCertificate:
    """Prove how far a network of any origin is from the optimum, from the data alone.

    Parameters
    ----------
    network : ReLUNetwork
        Such as `export.from_torch` or `export.from_arrays` makes it.
    X : (n, d) array
        Training data, as the network takes them: with a column of ones if it has a hidden bias.
    y : (n,) array
        Targets.
    lam : float
        Regularization strength λ > 0, on the scale of the mean loss.
    loss, sample_weight
        As in `ConvexProgram`.
    intercept : bool, optional
        Whether the output constant is free and not penalised; by default, if the network has
        one.
    scope : {"own", "all"}
        Among whom: networks whose neurons have the patterns of this one's, or all networks,
        whose patterns are enumerated. On a row where a neuron is zero up to rounding, the sign
        of the rounding decides its pattern; where you know the patterns that were trained over,
        `certify` with their program asks the better question.
    backend : str, optional
        Who solves the program of these patterns for its dual point, `auto` for any. The bound
        is then sharp. Without it no solver runs, unless the loss has kinks (see `certify`), and the
        bound is weak far from an optimum.
    tol : float, optional
        The relative gap to certify, below 1; 1e−8 unless the settings say otherwise.

    Returns
    -------
    NetworkCertificate

    Raises
    ------
    DataError
        If data and network do not fit, or all patterns cannot be enumerated.
    """
    if not isinstance(network, ReLUNetwork):
        raise DataError(f"network is a {type(network).__name__}, and a ReLUNetwork is needed.")
    if scope not in SCOPES:
        raise DataError(
            f"Unknown scope {scope!r}. Use one of {', '.join(SCOPES)}; for patterns of your own, "
            "pass a ConvexProgram to certify.",
            scope=scope,
        )
    tol = settled_tol(tol)
    prog = own_program(network, X, y, lam, loss, sample_weight, intercept)
    if scope == "all":
        prog = prog.with_patterns(enumerate_patterns(prog.X))
    nu = None if backend is None else solve(prog, backend).nu
    if scope == "all":
        return certify(prog, network, nu=nu, scope="all", tol=tol)
    return certify_own(prog, network, nu, tol)


def own_program(
    network: ReLUNetwork,
    X: ArrayLike,
    y: ArrayLike,
    lam: float,
    loss: str | Loss = "squared",
    sample_weight: ArrayLike | None = None,
    intercept: bool | None = None,
) -> ConvexProgram:
    """The training program over the patterns of a network's own neurons.

    Parameters
    ----------
    network, X, y, lam, loss, sample_weight, intercept
        As in `certify_network`.

    Raises
    ------
    DataError
        If data and network do not fit.
    """
    data = as_inputs(X, network.hidden.shape[1])
    balanced = network.balance()
    return ConvexProgram(
        data,
        y,  # type: ignore[arg-type]
        lam,
        _patterns_of(balanced, data),
        loss=loss,  # type: ignore[arg-type]
        activation=balanced.activation if len(balanced) else RELU,
        sample_weight=sample_weight,  # type: ignore[arg-type]
        intercept=network.intercept != 0 if intercept is None else intercept,
    )


def certify_own(
    prog: ConvexProgram,
    network: ReLUNetwork,
    nu: FloatArray | None = None,
    tol: float | None = None,
) -> NetworkCertificate:
    """The certificate of a network over its own program's patterns, also without neurons.

    Parameters
    ----------
    prog : ConvexProgram
        What `own_program` made.
    network : ReLUNetwork
    nu : (n,) array, optional
        A dual point.
    tol : float, optional
        The relative gap to certify, below 1; 1e−8 unless the settings say otherwise.
    """
    balanced = network.balance()
    if len(balanced):
        return certify(prog, balanced, nu=nu, scope="own", tol=tol)
    balanced = ReLUNetwork(balanced.hidden, balanced.output, balanced.intercept)
    bound = lower_bound(prog, prog.dual_start(), None)
    return certificate_of(prog, balanced, bound, "own", settled_tol(tol))


def _patterns_of(network: ReLUNetwork, X: FloatArray) -> Patterns:
    """The patterns of a balanced network's neurons on X; without neurons, that of a dead one."""
    if not len(network):
        return Patterns(np.zeros((len(X), 1), dtype=bool))
    return patterns_of_gates(X, (network.hidden if network.gates is None else network.gates).T)
