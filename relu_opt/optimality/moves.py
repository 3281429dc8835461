r"""Directions in which multipliers may move without leaving their signs and cones.

Each is so long that a step of one reaches about as far as the sign or the cone allows: a multiplier
of an inequality moves by its own size. On the boundary of a cone the directions are its tangents,
so that a short step leaves it by its square alone.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import block_diag, csc_array, diags_array

from relu_opt.arrays import BoolArray, FloatArray
from relu_opt.optimality.form import Form
from relu_opt.program.conic import split_rows, symmetric, triangle

# How far from the boundary a multiplier in a cone counts as at the least, relative to its size; the
# same of semidefinite cones.
INSIDE, BLUNT = 1e-5, 1e-3
# How far along the boundary it may go at the least.
ALONG = 1e-3
# Orders of semidefinite cones up to which all directions are written down.
LARGEST_ORDER = 40


def moves(form: Form, y: FloatArray, typical: FloatArray, ended: BoolArray) -> csc_array:
    """Directions as columns, (m, v): equations move as they please, others as they are large.

    Parameters
    ----------
    form : Form
    y, typical : (m,) arrays
        Multipliers, and what sizes those of equations may have.
    ended : (m,) array of bool
        Which have come to zero and stay there.
    """
    plain = slice(0, form.plain)
    equal = (form.row_lower == form.row_upper)[plain]
    lengths = np.where(equal, np.maximum(np.abs(y), typical)[plain], np.abs(y[plain]))
    lengths[ended[plain]] = 0.0
    blocks = [diags_array(lengths)] if form.plain else []
    if form.cones.rows:
        parts = split_rows(y[form.plain :], form.cones)
        blocks += [_second_order(part) for part in parts.second_order]
        blocks += [_exponential(*part) for part in parts.exponential]
        blocks += [_semidefinite(part) for part in parts.semidefinite]
    matrix = csc_array(block_diag(blocks, format="csc") if blocks else (0, 0))
    moving = np.asarray(abs(matrix).sum(axis=0)).ravel() > 0
    return csc_array(matrix[:, np.flatnonzero(moving)])


def _second_order(z: FloatArray) -> FloatArray:
    """Of {(t, u) : ‖u‖ ≤ t}: u in all directions with t along, and t alone."""
    length = float(np.linalg.norm(z[1:]))
    size, room = z[0] + length, max(z[0] - length, 0.0)
    if size <= 0 or length == 0:
        return np.asarray(np.abs(z[0]) * np.eye(len(z)))
    along = max(np.sqrt(room * size), ALONG * size)
    matrix: FloatArray = along * np.eye(len(z))
    matrix[0, 1:] = along * z[1:] / length
    matrix[0, 0] = max(room, INSIDE * size)
    return matrix


def _exponential(u: float, v: float, w: float) -> FloatArray:
    """Of {−u e^(v/u − 1) ≤ w, u < 0}: u and v with w along, and w alone."""
    size = max(abs(u), abs(v), abs(w))
    if not u < -INSIDE * size:
        return np.diag([0.0, abs(v), abs(w)])
    bend = np.exp(v / u - 1)
    room = max(w + u * bend, INSIDE * size)
    along = ALONG * min(size, -u)
    return np.array(
        [[along, 0, 0], [0, along, 0], [-along * bend * (1 - v / u), -along * bend, room]]
    )


def _semidefinite(z: FloatArray) -> FloatArray:
    """Of Z ⪰ 0: Z^½ S Z^½ for symmetric S."""
    Z = symmetric(z)
    order = len(Z)
    if order > LARGEST_ORDER:
        return np.asarray(np.abs(z).max(initial=0.0) * np.eye(len(z)))
    values, vectors = np.linalg.eigh(Z)
    values = np.maximum(values, BLUNT * max(values[-1], 0.0))
    root = (vectors * np.sqrt(values)) @ vectors.T
    unit = np.eye(len(z))
    return np.column_stack([triangle(root @ symmetric(e) @ root) for e in unit])
