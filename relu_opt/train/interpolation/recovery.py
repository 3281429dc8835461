r"""A cheap sufficient check: when the network of least cost is the only one, or the sparsest.

Over the dictionary A of one neuron for each block, the direction v_b = P_K(X_bᵀν) that pays best at
an optimal ν, scaled to norm 1 (standard facts of compressed sensing):

* if ‖v_b‖ < 1 off the support S (a strict dual certificate) and the columns A_S are linearly
  independent, no other network has the least cost. This speaks of *all* networks, because optimal
  neurons can have no other directions;
* if also |S| < spark(A)/2, no other combination of columns *of A* fits with as few of them. This
  does not speak of neurons of other directions, and so is no bound on ℓ0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.network import ReLUNetwork, group_rows
from relu_opt.train.interpolation.least_cost_face import SAME, Face

# Sets of columns that are looked at for the spark.
MAX_SETS = 100_000
# Singular values, relative to the largest, of unit columns that count as dependent.
RANK_TOL = 1e-9


@dataclass(frozen=True)
class Recovery:
    """What the cheap sufficient check says.

    Attributes
    ----------
    margin : float
        1 − max ‖v_b‖ over the neurons off the support: > 0 is a strict dual certificate.
    independent : bool
        Whether the support's columns are linearly independent.
    is_unique : bool
        Shown: no other network has the least cost. False says nothing.
    columns : int
        Size of the dictionary.
    spark : int or None
        The fewest dependent columns of it (columns + 1 if there are none); None if not computed.
    sparsest_in_dictionary : bool
        Shown: no other combination of columns of the dictionary fits with as few. False says
        nothing, and neither speaks of neurons outside the dictionary.
    statement : str
        The same in a sentence.
    """

    margin: float
    independent: bool
    is_unique: bool
    columns: int
    spark: int | None
    sparsest_in_dictionary: bool
    statement: str


def recovery(
    prog: ConvexProgram, face: Face | None, nu: FloatArray, network: ReLUNetwork
) -> Recovery:
    """Check a network of least cost.

    Parameters
    ----------
    prog : ConvexProgram
        Over all patterns of the data.
    face : Face or None
        What ν shows; None for targets of zero.
    nu : (n,) array
        An optimal dual point.
    network : ReLUNetwork
        Of least cost.
    """
    if face is None:
        return Recovery(1.0, True, True, 0, 1, True, "The targets are zero; no neuron is needed.")
    points = prog.project(prog.correlations(nu), np.arange(2 * len(prog.patterns))).points
    norms = np.linalg.norm(points, axis=1)
    paying = np.flatnonzero(norms > 1e-9 * norms.max())
    units = points[paying] / norms[paying, None]
    signs = np.where(paying < len(prog.patterns), 1.0, -1.0)
    firsts, _ = group_rows(np.column_stack([units, signs]), SAME)
    units, signs, prices = units[firsts], signs[firsts], norms[paying][firsts] / norms.max()
    columns = signs * np.maximum(prog.X @ units.T, 0.0)

    balanced = network.balance()
    used = balanced.hidden / np.linalg.norm(balanced.hidden, axis=1, keepdims=True)
    away = np.abs(used[:, None] - units).max(axis=2)
    away[np.sign(balanced.output)[:, None] != signs] = np.inf
    support = np.unique(away.argmin(axis=1))
    off = np.setdiff1d(np.arange(len(signs)), support)
    margin = 1 - float(prices[off].max(initial=0.0))
    # A neuron of slack below the face's tolerance counts as tight.
    strict = len(face.signs) == len(support)
    independent = _dependent(columns, tuple(support)) is False
    unique = strict and independent
    spark = _spark(columns)
    sparsest = unique and spark is not None and 2 * len(support) < spark
    return Recovery(
        margin,
        independent,
        unique,
        len(signs),
        spark,
        sparsest,
        _statement(unique, sparsest, len(support), spark),
    )


def _statement(unique: bool, sparsest: bool, size: int, spark: int | None) -> str:
    first = (
        "No other network has the least cost."
        if unique
        else "The check does not show that the network of least cost is the only one."
    )
    if sparsest:
        return (
            f"{first} With {size} neurons, fewer than half the spark {spark}, no other combination "
            "of the dictionary's neurons fits with as few; neurons of other directions may."
        )
    return f"{first} It says nothing about how few neurons fit."


def _spark(columns: FloatArray) -> int | None:
    """The fewest linearly dependent columns; None if there are too many sets to look at."""
    n, k = map(int, columns.shape)
    looked = 0
    for size in range(1, min(n, k) + 1):
        looked += math.comb(k, size)
        if looked > MAX_SETS:
            return None
        if any(_dependent(columns, chosen) for chosen in combinations(range(k), size)):
            return size
    return min(n, k) + 1


def _dependent(columns: FloatArray, chosen: tuple[int, ...]) -> bool:
    part = columns[:, list(chosen)]
    norms = np.linalg.norm(part, axis=0)
    if not norms.all():
        return True
    sizes = np.linalg.svd(part / norms, compute_uv=False)
    return len(chosen) > len(part) or bool(sizes[-1] <= RANK_TOL * sizes[0])
