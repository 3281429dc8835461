"""Decision regions over two features, exactly: the polygons on which networks are linear.

The window is the unit square. In it every network's inputs are affine, each neuron switches at a
line, and the lines cut the square into polygons; within one, every class has an affine output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np

from relu_opt.arrays import BoolArray, FloatArray

if TYPE_CHECKING:
    from relu_opt.program.network import ReLUNetwork

# Share of the window's side below which a piece is none.
THIN = 1e-12
# Sine below which two lines are one.
SAME = 1e-12
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])


@dataclass(frozen=True, eq=False)
class Regions:
    """Where each class wins, in coordinates of the window.

    Attributes
    ----------
    areas : list of (polygon, class)
        Convex polygons, (k, 2), that fill the window.
    border : (s, 2, 2) array
        Segments between the areas of two classes.
    lines : (m, 3) array
        Where neurons switch: p · (t₁, t₂, 1) = 0.
    """

    areas: list[tuple[FloatArray, int]]
    border: FloatArray
    lines: FloatArray


def decision_regions(
    networks: Sequence[ReLUNetwork], rows: Callable[[FloatArray], FloatArray]
) -> Regions:
    """The regions of one network, by the sign of its output, or of several, by the largest.

    Parameters
    ----------
    networks : sequence of ReLUNetwork
        One of two classes, the second where its output is positive; or one a class.
    rows : function
        From points of the unit square, (k, 2), to inputs of the networks; affine.
    """
    found = _Pieces.of(networks, rows)
    areas: list[tuple[FloatArray, int]] = []
    border: list[FloatArray] = []
    for polygon in found.polygons():
        forms = found.forms(found.on(polygon.mean(axis=0)))
        values = _at(polygon, forms.T)
        winners = np.unique(values.argmax(axis=1))
        if len(winners) == 1:
            areas.append((polygon, int(winners[0])))
            continue
        parts = {k: _won(polygon, forms, k) for k in range(len(forms))}
        parts = {k: part for k, part in parts.items() if len(part) > 2}
        if len(parts) == 1:  # the others win by rounding, where they touch
            parts = dict.fromkeys(parts, polygon)
        areas += [(part, k) for k, part in parts.items()]
        for one, other in combinations(parts, 2):
            segment = _zeros(polygon, forms[one] - forms[other])
            for third in set(range(len(forms))) - {one, other}:
                segment = _half(segment, forms[one] - forms[third])
            if len(segment) == 2:
                border.append(segment)
    if any(network.gates is not None for network in networks):
        border += found.jumps()
    return Regions(areas, np.array(border).reshape(-1, 2, 2), found.lines)


@dataclass(frozen=True, eq=False)
class _Pieces:
    """All neurons: their lines, and what each adds to the outputs where it is on."""

    lines: FloatArray
    adds: FloatArray
    constants: FloatArray

    @classmethod
    def of(
        cls, networks: Sequence[ReLUNetwork], rows: Callable[[FloatArray], FloatArray]
    ) -> _Pieces:
        origin, right, up = rows(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
        plane = np.array([right - origin, up - origin, origin])
        # The first of two classes has the output 0.
        classes = max(2, len(networks))
        lines, adds, constants = [], [], np.zeros((classes, 3))
        for k, network in enumerate(networks, start=classes - len(networks)):
            switches = network.hidden if network.gates is None else network.gates
            lines.append(switches @ plane.T)
            each = np.zeros((len(network), classes, 3))
            each[:, k] = network.output[:, None] * (network.hidden @ plane.T)
            # What a neuron adds where it is on, beside what it adds everywhere.
            adds.append((1 - network.slope) * each)
            constants[k] = network.slope * each[:, k].sum(axis=0)
            constants[k, 2] += network.intercept
        return cls(np.concatenate(lines), np.concatenate(adds), constants)

    def on(self, point: FloatArray) -> BoolArray:
        """Which neurons are on at a point."""
        return np.asarray(_at(point, self.lines.T) > 0)

    def forms(self, on: BoolArray) -> FloatArray:
        """The outputs of the classes with these neurons on, (classes, 3)."""
        return np.asarray(self.adds[on].sum(axis=0) + self.constants)

    def polygons(self) -> list[FloatArray]:
        """The unit square, cut by all lines."""
        polygons = [CORNERS]
        for line in self.lines:
            values = _at(np.concatenate(polygons), line)
            starts = np.cumsum([0, *map(len, polygons[:-1])])
            low = np.minimum.reduceat(values, starts)
            high = np.maximum.reduceat(values, starts)
            size = THIN * np.linalg.norm(line)
            kept: list[FloatArray] = []
            for polygon, cut in zip(polygons, (low < -size) & (high > size), strict=True):
                kept += [_half(polygon, line), _half(polygon, -line)] if cut else [polygon]
            polygons = [polygon for polygon in kept if len(polygon) > 2]
        return polygons

    def jumps(self) -> list[FloatArray]:
        """Segments of the lines of gates, across which another class wins."""
        found = []
        sizes = np.linalg.norm(self.lines, axis=1, keepdims=True)
        normals = self.lines / np.where(sizes > 0, sizes, 1.0)
        for j, line in enumerate(self.lines):
            # Networks of several classes have gates in common: they switch together.
            cosines = normals @ normals[j]
            same = np.linalg.norm(normals - cosines[:, None] * normals[j], axis=1) < SAME
            same &= sizes[:, 0] > 0
            chord = _zeros(CORNERS, line)
            if len(chord) < 2 or same[:j].any():
                continue
            for piece in _split(chord, self.lines[~same]):
                on = self.on(piece.mean(axis=0))
                sides = [self.forms(np.where(same, cosines * side > 0, on)) for side in (-1.0, 1.0)]
                differences = [
                    side[one] - side[other]
                    for side in sides
                    for one, other in combinations(range(len(side)), 2)
                ]
                for part in _split(piece, np.array(differences)):
                    middle = part.mean(axis=0)
                    one, other = (_at(middle, side.T).argmax() for side in sides)
                    if one != other:
                        found.append(part)
        return found


def _at(points: FloatArray, form: FloatArray) -> FloatArray:
    """Values of an affine form (3,), or of several (3, k), at points of the plane."""
    return np.asarray(points @ form[:2] + form[2])


def _won(polygon: FloatArray, forms: FloatArray, k: int) -> FloatArray:
    """The part of a convex polygon where class k is the first of the largest outputs."""
    for other in range(len(forms)):
        form = forms[k] - forms[other]
        if other < k and not form.any():
            return polygon[:0]
        polygon = _half(polygon, form)
    return polygon


def _half(polygon: FloatArray, form: FloatArray) -> FloatArray:
    """The part of a convex polygon or segment where the form is ≥ 0; empty if it is thin."""
    values = _at(polygon, form)
    tiny = THIN * float(np.linalg.norm(form))
    if not form.any():
        return polygon
    if not len(polygon) or (values <= tiny).all():
        return np.zeros((0, 2))
    if (values >= -tiny).all():
        return polygon
    kept = []
    last = len(polygon) if len(polygon) > 2 else 1
    for k in range(len(polygon)):
        after = (k + 1) % len(polygon)
        if values[k] >= 0:
            kept.append(polygon[k])
        if k < last and values[k] * values[after] < 0:
            share = values[k] / (values[k] - values[after])
            kept.append(polygon[k] + share * (polygon[after] - polygon[k]))
    return np.array(kept)


def _zeros(polygon: FloatArray, form: FloatArray) -> FloatArray:
    """The segment of a convex polygon where the form is zero, (2, 2), or nothing."""
    values = _at(polygon, form)
    ends = []
    for k, value in enumerate(values):
        after = (k + 1) % len(polygon)
        if value == 0:
            ends.append(polygon[k])
        elif value * values[after] < 0:
            share = value / (value - values[after])
            ends.append(polygon[k] + share * (polygon[after] - polygon[k]))
    return np.array(ends) if len(ends) == 2 else np.zeros((0, 2))


def _split(segment: FloatArray, forms: FloatArray) -> list[FloatArray]:
    """A segment, (2, 2), cut where forms (k, 3) are zero."""
    start, end = (_at(point, forms.T) for point in segment)
    crossed = start * end < 0
    shares = np.unique([0.0, *(start[crossed] / (start[crossed] - end[crossed])), 1.0])
    ends = segment[0] + shares[:, None] * (segment[1] - segment[0])
    return [np.array(pair) for pair in pairwise(ends)]
