r"""`prune`: narrower networks from a trained one, first without any change of its predictions.

A balanced network of neurons w_j = u_j|a_j| adds q_j = (X u_j)_+ a_j to its fits and λ‖w_j‖ to
its penalty. A step of pruning scales neuron j by f_j ≥ 0: the network of factors f has hidden
weights √f_j u_j, output weights √f_j a_j, fits Σ_j f_j q_j and penalty λ Σ_j f_j ‖w_j‖. So a
path is one network and one row of factors a step.

Source: Mishkin & Pilanci, *Optimal Sets and Solution Paths of ReLU Networks* (ICML 2023),
Algorithm 1 and §5.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import FloatArray, as_count
from relu_opt.errors import DataError, did_you_mean
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.losses import Loss
from relu_opt.program.network import ReLUNetwork
from relu_opt.proof.certificate import NetworkCertificate
from relu_opt.pruning.baselines import SCORES, mean_losses, removal_order
from relu_opt.pruning.pruning_path import PruningPath
from relu_opt.pruning.steps import exact_steps, least_squares_steps
from relu_opt.solving.foreign_networks import certify_own, own_program
from relu_opt.solving.training import Solution

METHODS = ("optimal", "random", *SCORES)
# Largest change of the fits in the exact phase, relative to the largest fit.
EXACT = 1e-9
EPS = float(np.finfo(np.float64).eps)


def prune(
    network: ReLUNetwork | Solution,
    X: ArrayLike | None = None,
    y: ArrayLike | None = None,
    lam: float | None = None,
    method: str = "optimal",
    to: int | None = None,
    *,
    loss: str | Loss | None = None,
    sample_weight: ArrayLike | None = None,
    intercept: bool | None = None,
    seed: int = 0,
    tol: float | None = None,
) -> PruningPath:
    """Switch the neurons of a network off, one after another.

    Parameters
    ----------
    network : ReLUNetwork or Solution
        What to prune. A network may come from anywhere; it is balanced first, and neurons that
        are zero or dead on X are dropped: neither changes a fit or raises the objective.
        A solution brings its own data, λ, loss and weights, so that no other argument than
        `method`, `to` and `seed` goes with it.
    X : (n, d) array
        Training data, as the network takes them.
    y : (n,) array
        Targets.
    lam : float
        Regularization strength λ > 0, on the scale of the mean loss.
    method : str
        `optimal`: first without any change of the fits on X and without raising the objective,
        until the neurons that are left are linearly independent on X (for an optimal network, an
        optimal one of which no neuron can be spared); then, if `to` asks for it, by the step
        after which the other neurons make up for one as well as they can in least squares.
        The others set one neuron to zero at a time and change nothing else, the one of the
        smallest: `magnitude` ‖w_j‖, `activation` ‖q_j‖, `gradient` |∇F(ŷ)ᵀq_j|, or `residual`
        F(ŷ − q_j); `random` takes any.
    to : int, optional
        Stop at the first network with at most so many neurons; 0 goes down to none. Without it,
        `optimal` stops where the exact phase ends, and the others at 0.
    loss, sample_weight
        As in `ConvexProgram`; the squared loss by default.
    intercept : bool, optional
        Whether the output constant is free and not penalised; by default, if the network has
        one. `optimal` then moves it where that is of use.
    seed : int
        Of the order of `random`.
    tol : float, optional
        Relative gap to certify; 1e−8 unless the settings say otherwise.

    Returns
    -------
    PruningPath
        The networks with their objectives and certified gaps: over the program's patterns for a
        solution, over the network's own patterns otherwise.

    Raises
    ------
    DataError
        If the method is unknown, or data and network do not fit.
    """
    check_method(method, to, seed)
    if isinstance(network, Solution):
        given = (X, y, lam, loss, sample_weight, intercept, tol)
        if any(value is not None for value in given):
            raise DataError(
                "A Solution brings its own data, lam, loss, weights, intercept and tol. Pass it "
                "alone, or pass solution.network with all of them."
            )
        return prune_certified(network.program, network.certificate, method, to, seed)
    if not isinstance(network, ReLUNetwork):
        raise DataError(
            f"network is a {type(network).__name__}, and a ReLUNetwork or a Solution is needed."
        )
    missing = [name for name, value in (("X", X), ("y", y), ("lam", lam)) if value is None]
    if X is None or y is None or lam is None:
        raise DataError(
            f"A network is pruned on data: {' and '.join(missing)} missing. Call "
            "prune(network, X, y, lam=...).",
            missing=missing,
        )
    given_loss = "squared" if loss is None else loss
    prog = own_program(network, X, y, lam, given_loss, sample_weight, intercept)
    start = certify_own(prog, network, tol=tol)
    return prune_certified(prog.with_patterns(start.patterns), start, method, to, seed)


def check_method(method: str, to: int | None, seed: int) -> None:
    """Raise a DataError for a method, `to` or seed that `prune` does not take."""
    if method not in METHODS:
        raise DataError(
            f"Unknown method {method!r}. {did_you_mean(str(method), METHODS)}", method=method
        )
    if to is not None:
        as_count(to, "to", least=0)
    as_count(seed, "seed", least=0)


def prune_certified(
    prog: ConvexProgram, start: NetworkCertificate, method: str, to: int | None, seed: int = 0
) -> PruningPath:
    """Prune the balanced network of a certificate, whose bound then speaks of every step.

    Parameters
    ----------
    prog : ConvexProgram
        The training problem, over the patterns of the certificate.
    start : NetworkCertificate
        A certificate of the network to prune.
    method, to, seed
        As in `prune`.
    """
    check_method(method, to, seed)
    network = start.network
    contributions = network.activations(prog.X) * network.output
    norms = np.linalg.norm(network.hidden, axis=1) * np.abs(network.output)
    sizes = np.linalg.norm(contributions, axis=0)
    # What is left of a dead neuron are rounding errors of its products.
    live = sizes > EPS * np.linalg.norm(prog.X) * norms
    factors = np.zeros((1, len(network)))
    factors[0, live] = 1.0
    steps: dict[str, Any] = {"exact_steps": 0, "minimal": False}
    if method == "optimal":
        found, shifts, steps = _optimal(
            prog, contributions[:, live], norms[live], network.intercept, to
        )
    else:
        fits = contributions[:, live].sum(axis=1) + network.intercept
        order = removal_order(
            prog, contributions[:, live], norms[live], fits, method, to or 0, seed
        )
        found = np.ones((len(order), int(live.sum())))
        for step, j in enumerate(order):
            found[step:, j] = 0.0
        shifts = np.zeros(len(order))
    rest = np.zeros((len(found), len(network)))
    rest[:, live] = found
    factors = np.vstack([factors, rest])
    intercepts = network.intercept + np.append(0.0, shifts)
    losses = mean_losses(
        prog,
        lambda part: factors[part] @ contributions.T + intercepts[part, None],
        len(factors),
    )
    return PruningPath(
        start=start,
        method=method,
        factors=factors,
        intercepts=intercepts,
        losses=losses,
        objectives=losses + prog.lam * (factors @ norms),
        program=prog,
        **steps,
    )


def _optimal(
    prog: ConvexProgram,
    contributions: FloatArray,
    norms: FloatArray,
    intercept: float,
    to: int | None,
) -> tuple[FloatArray, FloatArray, dict[str, Any]]:
    """Factors and changes of the intercept after each step of `optimal`."""
    count = len(norms)
    scale = np.linalg.norm(contributions, axis=0)
    columns = contributions / scale
    fits = contributions.sum(axis=1) + intercept
    slope = prog.loss_gradient(fits)
    rates, sizes = prog.lam * norms / scale + slope @ columns, scale
    if prog.intercept:
        constant = np.full(prog.n, prog.n**-0.5)
        columns = np.column_stack([columns, constant])
        rates, sizes = np.append(rates, slope @ constant), np.append(sizes, 0.0)
    limit = EXACT * float(np.abs(fits).max()) + 4 * EPS * float(scale.sum())
    exact, minimal = exact_steps(columns, count, sizes, rates, to or 0, limit)
    steps = exact
    if to is not None:
        last = exact[-1] if exact else sizes
        steps = exact + least_squares_steps(columns, count, last, to)
    table = np.array(steps).reshape(len(steps), len(sizes))
    shifts = table[:, count:].sum(axis=1) * prog.n**-0.5
    return table[:, :count] / scale, shifts, {"exact_steps": len(exact), "minimal": minimal}
