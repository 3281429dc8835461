"""What happens to the neurons between two neighbours of a path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from relu_opt.arrays import BoolArray, FloatArray, IntArray
from relu_opt.errors import NotCertified
from relu_opt.path.point import PathPoint
from relu_opt.sets.optimal_set import OptimalSet


@dataclass(frozen=True)
class PathEvent:
    """A change of the network as λ falls.

    Attributes
    ----------
    kind : str
        `enters`: a neuron that no optimal network has before, and some has after. `leaves`: the
        reverse. `face`: a neuron comes to lie on, or leaves, hyperplanes x_kᵀu = 0 of its cone.
    lam_high, lam_low : float
        It happens between these; their distance is the tolerance to which it is located.
    sign : float
        The neuron's output sign.
    pattern : int
        A pattern of the program that holds it.
    gained, lost : tuple of int
        Samples whose hyperplanes hold the neuron after but not before, and the reverse.
    """

    kind: str
    lam_high: float
    lam_low: float
    sign: float
    pattern: int
    gained: tuple[int, ...] = ()
    lost: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Uniqueness:
    """What is known of the optimal networks at one λ.

    Attributes
    ----------
    unique : bool or None
        Whether there is one optimal network; None if that could not be told.
    network_dim : int or None
        Dimension of the set of optimal networks.
    reason : str
        Why.
    """

    unique: bool | None
    network_dim: int | None
    reason: str


def uniqueness(point: PathPoint) -> Uniqueness:
    """Whether the optimal network at a point of the path is unique."""
    found = point.optimal
    if isinstance(found, NotCertified):
        return Uniqueness(None, None, found.message)
    blocks, rank = len(found.doubtful), found.polytope.doubtful_rank
    if blocks or rank:
        reason = f"In doubt: {blocks} blocks and {rank} singular values lie where rounding decides."
        return Uniqueness(None, found.network_dim, reason)
    return Uniqueness(found.is_unique, found.network_dim, found.reason)


@dataclass(frozen=True, eq=False)
class Matching:
    """The neurons of two optimal sets, in groups of what is one neuron.

    A neuron that two sets have in the same block is one; neurons that share blocks with it belong
    to its group.

    Attributes
    ----------
    high, low : (k,) int arrays
        The group of each neuron of the two sets.
    groups : int
        How many groups there are.
    """

    high: IntArray
    low: IntArray
    groups: int


def match(high: OptimalSet, low: OptimalSet) -> Matching:
    """Match the neurons of two sets by the blocks that hold them."""
    blocks = (high.found.blocks, low.found.blocks)
    _, first, second = np.intersect1d(*blocks, return_indices=True)
    ours, theirs = high.found.neuron[first], low.found.neuron[second]
    count, total = len(high.signs), len(high.signs) + len(low.signs)
    edges = coo_array((np.ones(len(ours)), (ours, count + theirs)), shape=(total, total))
    groups, labels = connected_components(edges, directed=False)
    return Matching(labels[:count], labels[count:], int(groups))


def events_between(
    high: OptimalSet | NotCertified, low: OptimalSet | NotCertified
) -> Iterator[PathEvent]:
    """The changes from the set at the larger λ to the other; none where one is unknown."""
    if isinstance(high, NotCertified) or isinstance(low, NotCertified):
        return
    lams = high.program.lam, low.program.lam
    found = match(high, low)
    before, after = (
        _on(found.high, high.support, found.groups),
        _on(found.low, low.support, found.groups),
    )
    for group in np.flatnonzero(before != after):
        source, labels = (low, found.low) if after[group] else (high, found.high)
        j = int(np.flatnonzero((labels == group) & source.support)[0])
        kind = "enters" if after[group] else "leaves"
        yield PathEvent(kind, *lams, float(source.signs[j]), int(source.found.places[j]))
    for group in np.flatnonzero(before & after):
        held, holds = _face(high, found.high == group), _face(low, found.low == group)
        if held != holds:
            j = int(np.flatnonzero((found.low == group) & low.support)[0])
            yield PathEvent(
                "face",
                *lams,
                float(low.signs[j]),
                int(low.found.places[j]),
                tuple(sorted(holds - held)),
                tuple(sorted(held - holds)),
            )


def _on(labels: IntArray, support: BoolArray, groups: int) -> BoolArray:
    """Which groups have a neuron in the support."""
    on = np.zeros(groups, dtype=np.bool_)
    on[labels[support]] = True
    return on


def _face(found: OptimalSet, members: BoolArray) -> frozenset[int]:
    """The samples whose hyperplanes hold the group's neurons that can be on."""
    chosen = np.flatnonzero(members & found.support)
    return frozenset(int(row) for j in chosen for row in found.found.faces[j])


def distance(high: OptimalSet, alpha: FloatArray, low: OptimalSet, other: FloatArray) -> float:
    """How far the weights of two networks, α v of one set and of another, are from each other.

    Neurons of one group count with their sum, since one may take over from the other.
    """
    found = match(high, low)
    sums = np.zeros((found.groups, high.program.d))
    np.add.at(sums, found.high, alpha[:, None] * high.directions)
    np.add.at(sums, found.low, -other[:, None] * low.directions)
    return float(np.linalg.norm(sums))
