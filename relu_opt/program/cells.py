r"""The cells of a central hyperplane arrangement, one after another, without a memory of them.

Lines here are unit normals of hyperplanes through the origin, no two parallel, of full rank r.
Cells come in pairs ±C. Turn a hyperplane about a subspace B of codimension 2, in no special
position: while it goes round once, it enters each pair that does not meet B at just one corner,
a ray in which r − 1 or more of the hyperplanes meet. The pairs that do meet B are those of the
arrangement within B: recursion. So 2 (C(m, r−1) + C(m, r−3) + …) cells belong to m lines in
general position, which is Cover's 2 Σ_{k<r} C(m−1, k).

At a corner of r − 1 hyperplanes the entered cell has the corner's signs, and on those r − 1 the
signs that the turning hyperplane's normal has in the basis of their normals. At a corner of more
hyperplanes the entered cells are those of the arrangement about the corner that lie wholly ahead.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from relu_opt.arrays import BoolArray, FloatArray, IntArray, frozen
from relu_opt.program.lines import PARALLEL_TOL, ROUNDING, merge, too_close, units

# Numbers in an array of corners by lines.
BATCH = 2**20
# Heights of unit vectors above the span of others, and distances, that rounding explains.
DEPENDENT = 1e-13
# Heights that are neither for certain.
HEIGHT = 4 * PARALLEL_TOL
# Distances of lines from a corner below which it is looked at closely.
NEAR = 10 * PARALLEL_TOL
# Errors of products of unit vectors.
NOISE = 4 * float(np.finfo(np.float64).eps)

Cells = tuple[BoolArray, FloatArray]


@dataclass(frozen=True, eq=False)
class Corners:
    """Rays in which t = s − 1 independent hyperplanes of an s-dimensional space meet.

    Attributes
    ----------
    chosen : (k, t) array of int
        The hyperplanes.
    rays : (k, s) array
        Unit vectors.
    frames : (k, s, t) array
        Orthonormal bases of the normals' span.
    duals : (k, t, t) array
        Row j, in the basis of the frame, leaves hyperplane j at unit speed along the others.
    heights : (k,) array
        The least sine of a normal over the span of those before it.
    """

    chosen: IntArray
    rays: FloatArray
    frames: FloatArray
    duals: FloatArray
    heights: FloatArray

    def __len__(self) -> int:
        return len(self.chosen)

    @classmethod
    def of(cls, lines: FloatArray, chosen: IntArray) -> Corners:
        """The corners of chosen lines, (k, t); dependent choices have none."""
        t = chosen.shape[1]
        bases, triangles = np.linalg.qr(lines[chosen].transpose(0, 2, 1), mode="complete")
        triangles = triangles[:, :t]
        heights = np.abs(np.diagonal(triangles, axis1=1, axis2=2)).min(axis=1, initial=1.0)
        kept = heights > DEPENDENT
        bases, duals = bases[kept], np.linalg.inv(triangles[kept])
        return cls(chosen[kept], bases[:, :, -1], bases[:, :, :t], duals, heights[kept])

    def select(self, which: BoolArray) -> Corners:
        """Some of them."""
        return Corners(
            self.chosen[which],
            self.rays[which],
            self.frames[which],
            self.duals[which],
            self.heights[which],
        )

    def products(self, lines: FloatArray) -> FloatArray:
        """Products of the rays with all lines, (k, m); zero where a hyperplane was chosen."""
        at = self.rays @ lines.T
        np.put_along_axis(at, self.chosen, 0.0, axis=1)
        return at

    def moves(self, signs: FloatArray) -> FloatArray:
        """Unit vectors off the corners, to these sides of the chosen hyperplanes, (k, t)."""
        within = np.einsum("kij,ki->kj", self.duals, signs)
        moves: FloatArray = np.einsum("ksj,kj->ks", self.frames, within)
        return units(moves) if signs.shape[1] else moves


def stream_cells(lines: FloatArray) -> Iterator[Cells]:
    """The open cells of lines (m, r) of rank r, with m ≥ 1, in batches.

    Yields
    ------
    signs : (p, m) array of bool
        Whether each line's product with the cell's points is positive.
    points : (p, r) array
        A unit vector inside each cell.
    """
    rank = lines.shape[1]
    if rank == 2:
        yield _sectors(lines)
        return
    turned = lines @ _rotation(rank)
    for size in range(rank, 0, -2):
        within = units(turned[:, :size])
        for signs, feet in _entered(within):
            points = np.zeros((len(feet), rank))
            points[:, :size] = feet
            points = points @ _rotation(rank).T
            yield np.concatenate([signs, ~signs]), np.concatenate([points, -points])


def all_cells(lines: FloatArray) -> Cells:
    """The batches of `stream_cells` as one."""
    signs, points = zip(*stream_cells(lines), strict=True)
    return np.concatenate(signs), np.concatenate(points)


def _sectors(lines: FloatArray) -> Cells:
    """All cells of lines in the plane: between neighbours of the rays that the lines make."""
    rays = np.column_stack([-lines[:, 1], lines[:, 0]])
    rays = np.concatenate([rays, -rays])
    rays = rays[np.argsort(np.arctan2(rays[:, 1], rays[:, 0]))]
    # In the middle of one line's two sectors the sum of the rays is zero.
    points = rays + np.roll(rays, -1, axis=0) if len(lines) > 1 else rays[:, ::-1] * (1.0, -1.0)
    return points @ lines.T > 0, points


@functools.cache
def _rotation(size: int) -> FloatArray:
    """An orthogonal matrix in no special position."""
    draw = np.random.default_rng(size).standard_normal((size, size))
    return frozen(np.linalg.qr(draw)[0])


def _entered(lines: FloatArray) -> Iterator[Cells]:
    """The cells that a hyperplane enters while it turns about the last two axes' complement."""
    m, size = lines.shape
    choices = itertools.combinations(range(m), size - 1)
    step = max(1, BATCH // m)
    for start in range(0, math.comb(m, size - 1), step):
        count = min(step, math.comb(m, size - 1) - start)
        flat = itertools.chain.from_iterable(itertools.islice(choices, count))
        chosen = np.fromiter(flat, np.intp, count * (size - 1)).reshape(count, size - 1)
        corners = Corners.of(lines, chosen)
        if (corners.heights <= HEIGHT).any():
            raise too_close()
        at = corners.products(lines)
        on = _meeting(lines, corners, np.abs(at))
        at[on] = 0.0
        simple = on.sum(axis=1) == size - 1
        ahead = _ahead(corners)
        which, moves = _at_others(lines, corners.select(~simple), on[~simple], ahead[~simple])
        moves = np.concatenate([_at_simple(corners.select(simple), ahead[simple]), moves])
        which = np.concatenate([np.flatnonzero(simple), np.flatnonzero(~simple)[which]])
        products, points = _step(lines, corners.rays[which], moves, at[which])
        if np.abs(products).min(initial=1.0) <= ROUNDING:
            raise too_close()
        yield products > 0, points


def _meeting(lines: FloatArray, corners: Corners, distances: FloatArray) -> BoolArray:
    """Which lines go through each corner, (k, m); refused where rounding hides it."""
    on = distances <= PARALLEL_TOL
    worst = np.linalg.norm(corners.duals, axis=2).max(axis=1, initial=1.0, keepdims=True)
    near = distances <= np.maximum(NEAR, PARALLEL_TOL + NOISE * worst * lines.shape[1])
    np.put_along_axis(near, corners.chosen, False, axis=1)
    k, line = np.nonzero(near)
    if not len(k):
        return on
    # A ray is known up to an error of rounding in its product with each chosen line.
    coordinates = np.einsum("qs,qsj,qij->qi", lines[line], corners.frames[k], corners.duals[k])
    errors = NOISE * (1 + np.abs(coordinates).sum(axis=1))
    apart = distances[near]
    if (np.abs(apart - PARALLEL_TOL) < errors).any():
        raise too_close()
    for corner in np.unique(k[(apart <= NEAR) & (apart > DEPENDENT + errors)]):
        here = distances[corner] <= NEAR
        on[corner] = here if _meet(lines[here]) else distances[corner] <= DEPENDENT
    return on


def _meet(lines: FloatArray) -> bool:
    """Whether lines (k, s) that nearly meet in a ray do, whichever of them are asked."""
    k, size = lines.shape
    choices = np.array(list(itertools.combinations(range(k), size - 1)))
    distances = np.abs(Corners.of(lines, choices).products(lines))
    distances = distances[distances > DEPENDENT]
    meet = bool((distances <= PARALLEL_TOL).all())
    if not meet and k > size and (distances <= PARALLEL_TOL).any():
        raise too_close()
    return meet


def _ahead(corners: Corners) -> FloatArray:
    """The normals of the turning hyperplane at its corners, in the bases of the frames, (k, t)."""
    rays = corners.rays
    if rays.shape[1] == 1:
        return np.zeros((len(rays), 0))
    normals = np.zeros_like(rays)
    normals[:, -2], normals[:, -1] = -rays[:, -1], rays[:, -2]
    return np.asarray(np.einsum("ksj,ks->kj", corners.frames, units(normals)))


def _at_simple(corners: Corners, ahead: FloatArray) -> FloatArray:
    """Into the one cell that is entered at each corner of no more hyperplanes than it needs."""
    speeds = np.einsum("kij,kj->ki", corners.duals, ahead)
    lengths = np.linalg.norm(corners.duals, axis=2)
    worst = lengths.max(axis=1, initial=1.0, keepdims=True)
    if (np.abs(speeds) <= NOISE * lengths * worst).any():
        raise too_close()
    return corners.moves(np.sign(speeds))


def _at_others(
    lines: FloatArray, corners: Corners, on: BoolArray, ahead: FloatArray
) -> tuple[IntArray, FloatArray]:
    """Into the cells that are entered at corners of more hyperplanes, and from which corner.

    Many choices of hyperplanes make one such corner. It counts for the first, in the order of the
    lines, in whose basis each line needs only the members before it.
    """
    coordinates = lines @ (corners.frames @ corners.duals.transpose(0, 2, 1))
    later = np.arange(len(lines))[None, :, None] < corners.chosen[:, None, :]
    again = (np.abs(coordinates) > PARALLEL_TOL) & later & on[:, :, None]
    which, moves = [np.zeros(0, dtype=np.intp)], [np.zeros((0, lines.shape[1]))]
    for k in np.flatnonzero(~again.any(axis=(1, 2))):
        frame = corners.frames[k]
        found = _wholly_ahead(units(lines[on[k]] @ frame), ahead[k])
        which.append(np.full(len(found), k))
        moves.append(found @ frame.T)
    return np.concatenate(which), np.concatenate(moves)


def _wholly_ahead(lines: FloatArray, ahead: FloatArray) -> FloatArray:
    """Points of the cells of lines (m, t) on which ahead · u > 0, limits included."""
    if lines.shape[1] == 2:
        return _fan(lines, ahead)
    if len(merge(lines)[0]) < len(lines):
        raise too_close()
    size = lines.shape[1]
    # Turned about a part of the hyperplane ahead · u = 0; so all that do not meet it are entered.
    axes = np.linalg.qr(np.column_stack([ahead, _rotation(size)[:, 1:]]))[0][:, ::-1]
    signs, points = (np.concatenate(part) for part in zip(*_entered(lines @ axes), strict=True))
    points = points @ axes.T
    behind = points @ ahead < 0
    signs[behind] ^= True
    points[behind] *= -1
    below, which, flipped = merge(units(lines @ axes[:, :-1]))
    cut = {row.tobytes() for row in all_cells(below)[0][:, which] ^ flipped}
    kept = np.array([row.tobytes() not in cut for row in signs], dtype=np.bool_)
    return np.asarray(points[kept])


def _fan(lines: FloatArray, ahead: FloatArray) -> FloatArray:
    """The same in the plane: between two neighbours of the rays that the lines make ahead."""
    rays = np.column_stack([-lines[:, 1], lines[:, 0]])
    rays *= np.sign(rays @ ahead)[:, None]
    turns = np.arctan2(rays @ np.array([-ahead[1], ahead[0]]), rays @ ahead)
    rays = rays[np.argsort(turns)]
    return units(rays[:-1] + rays[1:])


def _step(
    lines: FloatArray, rays: FloatArray, moves: FloatArray, at: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Half of the way along the moves to the next hyperplane; `at` is zero where a ray is on one.

    Returns the products with the lines, and unit vectors.
    """
    along = moves @ lines.T
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.abs(at) / np.abs(along)
    ratios[(at == 0) | (along == 0)] = np.inf
    steps = 0.5 * ratios.min(axis=1, initial=1.0, keepdims=True)
    return at + steps * along, units(rays + steps * moves)


def sample_cells(lines: FloatArray, count: int, rng: np.random.Generator) -> FloatArray:
    """Points of cells about random corners of lines (m, r), at most `count`, one about each.

    A corner is drawn by r − 1 of the lines. Those in which rounding hides the cell are left out.
    """
    m, rank = lines.shape
    found = [np.zeros((0, rank))]
    step = max(1, BATCH // m)
    for start in range(0, count, step):
        draws = rng.random((min(step, count - start), m)).argsort(axis=1)
        corners = Corners.of(lines, np.sort(draws[:, : rank - 1], axis=1))
        corners = corners.select(corners.heights > HEIGHT)
        # Speeds that differ, so that no further line through the corner is followed.
        speeds = rng.choice([-1.0, 1.0], corners.chosen.shape)
        moves = corners.moves(speeds * rng.uniform(0.5, 1.0, speeds.shape))
        at = corners.products(lines)
        at[np.abs(at) <= PARALLEL_TOL] = 0.0
        products, points = _step(lines, corners.rays, moves, at)
        points *= rng.choice([-1.0, 1.0], (len(points), 1))
        found.append(points[np.abs(products).min(axis=1) > ROUNDING])
    return np.concatenate(found)
