"""Baselines of pruning: orders in which to set neurons to zero, by a score of each.

The scores are those that Mishkin & Pilanci (ICML 2023, §5) compare with, and one more,
`residual`. Nothing but the chosen neuron changes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.program.convex import ConvexProgram
from relu_opt.progress.bar import Announcer

# Entries of fits without a neuron that are held at a time.
CHUNK_ENTRIES = 2**22

# Scores of the neurons that are left, given their positions and the fits: the least goes first.
Score = Callable[[IntArray, FloatArray], FloatArray]


def by_magnitude(prog: ConvexProgram, contributions: FloatArray, norms: FloatArray) -> Score:
    """‖w_j‖ = ‖u_j‖|a_j|."""
    return lambda left, fits: norms[left]


def by_activation(prog: ConvexProgram, contributions: FloatArray, norms: FloatArray) -> Score:
    """‖q_j‖."""
    sizes = np.linalg.norm(contributions, axis=0)
    return lambda left, fits: sizes[left]


def by_gradient(prog: ConvexProgram, contributions: FloatArray, norms: FloatArray) -> Score:
    """|∇F(ŷ)ᵀq_j|, how much the loss changes to first order."""
    return lambda left, fits: np.abs(prog.loss_gradient(fits) @ contributions[:, left])


def by_residual(prog: ConvexProgram, contributions: FloatArray, norms: FloatArray) -> Score:
    """F(ŷ − q_j), the loss without the neuron."""
    return lambda left, fits: mean_losses(
        prog, lambda part: fits - contributions[:, left[part]].T, len(left)
    )


SCORES = {
    "magnitude": by_magnitude,
    "activation": by_activation,
    "gradient": by_gradient,
    "residual": by_residual,
}


def removal_order(
    prog: ConvexProgram,
    contributions: FloatArray,
    norms: FloatArray,
    fits: FloatArray,
    method: str,
    to: int,
    seed: int,
) -> list[int]:
    """The neurons in the order in which a baseline sets them to zero.

    Parameters
    ----------
    prog : ConvexProgram
        The training problem.
    contributions : (n, k) array
        q_j, one column a neuron.
    norms : (k,) array
        ‖w_j‖.
    fits : (n,) array
        ŷ of the whole network, its constant included.
    method : str
        One of `SCORES`, or `random`.
    to : int
        How many neurons to leave.
    seed : int
        Of the order of `random`.
    """
    count = len(norms)
    if method == "random":
        return list(map(int, np.random.default_rng(seed).permutation(count)[: max(0, count - to)]))
    score = SCORES[method](prog, contributions, norms)
    left: IntArray = np.arange(count)
    order: list[int] = []
    tell = Announcer("prune", max(1, count - to))
    while len(left) > to:
        tell(len(order), f"pruning, {len(left)} neurons")
        least = int(np.argmin(score(left, fits)))
        order.append(int(left[least]))
        fits = fits - contributions[:, left[least]]
        left = np.delete(left, least)
    return order


def mean_losses(prog: ConvexProgram, fits: Callable[[slice], FloatArray], count: int) -> FloatArray:
    """F of many fits, which a function gives as the rows of a slice of 0, …, count − 1.

    It is inf where no double is as large.
    """
    losses = np.empty(count)
    step = max(1, CHUNK_ENTRIES // prog.n)
    for start in range(0, count, step):
        part = slice(start, min(start + step, count))
        with np.errstate(over="ignore"):
            losses[part] = prog.loss.value(fits(part), prog.y) @ prog.sample_scale
    return losses
