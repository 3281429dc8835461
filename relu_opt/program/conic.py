"""Linear programs over cones, the form that every conic solver takes.

minimise cᵀx  subject to  A x + s = b,  s ∈ K,
K = zero × nonnegative × second-order × exponential × semidefinite

Dual: maximise −bᵀz subject to Aᵀz + c = 0, z ∈ K* (z is free on the zero cone).

A symmetric matrix S of a semidefinite cone is the vector of its upper triangle, column by column,
(S₁₁, √2 S₁₂, S₂₂, √2 S₁₃, √2 S₂₃, S₃₃, …): the inner product of two such vectors is that of the
matrices, and the cone is its own dual. `triangle` and `symmetric` go from one to the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csc_array, vstack

from relu_opt.arrays import FloatArray, as_count, as_number
from relu_opt.errors import DataError
from relu_opt.program.linear import as_sparse, as_vector

# A ball of radius √3 around this point lies in the dual exponential cone.
EXPONENTIAL_DUAL_CENTRE = (-4.0, 4.0, 4.0)


@dataclass(frozen=True)
class Cones:
    """The cone K, in the order of its rows.

    Attributes
    ----------
    zero, nonnegative : int
        Numbers of rows.
    second_order : tuple of int
        Sizes; a cone of size k is {(t, u) : ‖u‖ ≤ t}, u of length k − 1.
    exponential : int
        Number of three-row cones {(u, v, w) : v e^(u/v) ≤ w, v > 0} and their closure.
    semidefinite : tuple of int
        Orders; a cone of order k has k(k + 1)/2 rows, the scaled triangle of a k × k matrix.
    """

    zero: int = 0
    nonnegative: int = 0
    second_order: tuple[int, ...] = ()
    exponential: int = 0
    semidefinite: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("zero", "nonnegative", "exponential"):
            as_count(getattr(self, name), name, least=0)
        for name in ("second_order", "semidefinite"):
            sizes = tuple(as_count(size, name) for size in getattr(self, name))
            object.__setattr__(self, name, sizes)

    @property
    def rows(self) -> int:
        """Number of rows of all cones."""
        triangles = sum(triangle_size(order) for order in self.semidefinite)
        linear = self.zero + self.nonnegative
        return linear + sum(self.second_order) + 3 * self.exponential + triangles


@dataclass(frozen=True, eq=False)
class ConicProgram:
    """min cᵀx subject to Ax + s = b, s ∈ K.

    Parameters
    ----------
    c : (k,) array
        Cost.
    A : (m, k) sparse array
        Constraint matrix, in CSC form.
    b : (m,) array
        Right-hand side.
    cones : Cones
        The cone K, m rows in all.
    offset : float
        Constant to add to the objective.
    """

    c: FloatArray
    A: csc_array
    b: FloatArray
    cones: Cones
    offset: float = 0.0

    def __post_init__(self) -> None:
        settle = object.__setattr__
        settle(self, "c", as_vector(self.c, "c", None))
        settle(self, "b", as_vector(self.b, "b", None))
        settle(self, "A", as_sparse(self.A, "A", (None, self.c.size)))
        settle(self, "offset", as_number(self.offset, "offset"))
        rows, columns = self.b.size, self.c.size
        if (
            self.b.shape != (rows,)
            or self.c.shape != (columns,)
            or self.A.shape != (rows, columns)
            or self.cones.rows != rows
        ):
            raise DataError(
                f"A is {self.A.shape}, b {self.b.shape} and c {self.c.shape}, and the cones have "
                f"{self.cones.rows} rows. A must be (m, k), b (m,), c (k,), the cones m rows."
            )
        for name, values in (("c", self.c), ("b", self.b)):
            if not np.isfinite(values).all():
                raise DataError(f"{name} holds infinite values.", name=name)

    def objective(self, x: FloatArray) -> float:
        """cᵀx + offset."""
        return float(self.c @ x) + self.offset

    def dual_objective(self, z: FloatArray) -> float:
        """−bᵀz + offset, a lower bound if Aᵀz + c = 0 and z ∈ K*."""
        return float(-self.b @ z) + self.offset

    def residuals(self, x: FloatArray, z: FloatArray) -> tuple[float, float]:
        """How far x and z are from feasible, in absolute terms; NaN if they hold NaN.

        Returns
        -------
        primal : float
            `cone_distance` of b − Ax from K.
        dual : float
            The larger of ‖Aᵀz + c‖∞ and the `cone_distance` of z from K*.
        """
        primal = cone_distance(self.b - self.A @ x, self.cones, dual=False)
        equation = np.abs(self.A.T @ z + self.c).max(initial=0.0)
        return primal, float(np.maximum(equation, cone_distance(z, self.cones, dual=True)))


def cone_distance(s: FloatArray, cones: Cones, dual: bool) -> float:
    """Distance of s from K, or from K* with `dual`: 0 exactly for members, NaN for NaN.

    Of the maximum norm over entries for the zero and the nonnegative cone; of other cones the
    largest of `cone_distances`.
    """
    if np.isnan(s).any():
        return float("nan")
    linear = cones.zero + cones.nonnegative
    zero, nonnegative = s[: cones.zero], s[cones.zero : linear]
    worst = [0.0] if dual else [0.0, np.abs(zero).max(initial=0.0)]
    worst.append(np.maximum(0.0, -nonnegative).max(initial=0.0))
    rest = replace(cones, zero=0, nonnegative=0)
    worst.append(cone_distances(s[linear:], rest, dual).max(initial=0.0))
    return float(np.max(worst))


def cone_distances(s: FloatArray, cones: Cones, dual: bool) -> FloatArray:
    """Distance of s from each cone that is not linear, in the order of the rows.

    The most negative eigenvalue for semidefinite ones; for the others an upper bound, the smallest
    step along a few directions that leads into the cone.
    """
    parts = split_rows(s, cones)
    outside = _exponential_dual if dual else _exponential
    distances: FloatArray = np.concatenate(
        [
            [np.linalg.norm(part[1:]) - part[0] for part in parts.second_order],
            outside(*parts.exponential.T),
            [-np.linalg.eigvalsh(symmetric(part))[0] for part in parts.semidefinite],
        ]
    )
    return np.maximum(distances, 0.0)


def cone_depths(s: FloatArray, cones: Cones) -> FloatArray:
    """How far inside each cone that is not linear s is, along its axis; 0 outside."""
    parts = split_rows(s, cones)
    u, v, w = parts.exponential.T
    with np.errstate(all="ignore"):
        height = np.where(v > 0, v * np.exp(u / v), np.inf)
    depths: FloatArray = np.concatenate(
        [
            [part[0] - np.linalg.norm(part[1:]) for part in parts.second_order],
            w - height,
            [np.linalg.eigvalsh(symmetric(part))[0] for part in parts.semidefinite],
        ]
    )
    return np.maximum(depths, 0.0)


def dual_lift(z: FloatArray, cones: Cones) -> FloatArray:
    """A short vector that leads from z into the duals of the cones that are not linear.

    Along the axis of second-order cones, the identity for semidefinite ones, and the last entry of
    exponential ones, or towards their middle where that would be far.
    """
    parts = split_rows(z, cones)
    lifts = [
        np.eye(1, len(part))[0] * max(0.0, np.linalg.norm(part[1:]) - part[0])
        for part in parts.second_order
    ]
    u, v, w = parts.exponential.T
    with np.errstate(all="ignore"):
        rise = np.maximum(0.0, np.where(u < 0, -u * np.exp(v / u - 1), np.inf) - w)
    inward = np.outer(_exponential_dual(u, v, w), EXPONENTIAL_DUAL_CENTRE)
    near = rise <= np.abs(inward).max(axis=1, initial=0.0)
    up = np.outer(np.where(near, rise, 0.0), [0.0, 0.0, 1.0])
    lifts.append(np.where(near[:, None], up, inward).ravel())
    for part in parts.semidefinite:
        matrix = symmetric(part)
        lifts.append(max(0.0, -np.linalg.eigvalsh(matrix)[0]) * triangle(np.eye(len(matrix))))
    return np.concatenate(lifts)


def cone_cuts(s: FloatArray, cones: Cones) -> tuple[csc_array, FloatArray]:
    """Where s is outside of cones that are not linear: gradients of what is too large, and excess.

    Returns
    -------
    gradients : (cuts, rows) csc_array
    excess : (cuts,) array
        ‖u‖ − t, v e^(u/v) − w, and minus each negative eigenvalue.
    """
    parts, at = split_rows(s, cones), 0
    found: list[tuple[int, FloatArray, float]] = []
    for part in parts.second_order:
        length = float(np.linalg.norm(part[1:]))
        if length > part[0]:
            found.append((at, np.concatenate([[-1.0], part[1:] / length]), length - part[0]))
        at += len(part)
    for u, v, w in parts.exponential:
        height = v * np.exp(u / v) if v > 0 else -np.inf
        if w < height < np.inf:
            slope = np.exp(u / v)
            found.append((at, np.array([slope, slope * (1 - u / v), -1.0]), height - w))
        at += 3
    for part in parts.semidefinite:
        values, vectors = np.linalg.eigh(symmetric(part))
        for k in np.flatnonzero(values < 0):
            gradient = -triangle(np.outer(vectors[:, k], vectors[:, k]))
            found.append((at, gradient, -values[k]))
        at += len(part)
    rows = np.repeat(np.arange(len(found)), [len(gradient) for _, gradient, _ in found])
    columns = np.concatenate([at + np.arange(len(g)) for at, g, _ in found] or [np.empty(0, int)])
    data = np.concatenate([gradient for _, gradient, _ in found] or [np.empty(0)])
    gradients = csc_array((data, (rows, columns)), shape=(len(found), len(s)))
    return gradients, np.array([excess for *_, excess in found])


@dataclass(frozen=True, eq=False)
class ConeParts:
    """A vector of the rows, cut by kinds of cones; exponential rows are (count, 3)."""

    zero: FloatArray
    nonnegative: FloatArray
    second_order: list[FloatArray]
    exponential: FloatArray
    semidefinite: list[FloatArray]


def split_rows(s: FloatArray, cones: Cones) -> ConeParts:
    """The rows of each kind of cone."""
    triangles = [triangle_size(order) for order in cones.semidefinite]
    sizes = [cones.zero, cones.nonnegative, *cones.second_order, 3 * cones.exponential]
    parts = np.split(s, np.cumsum([*sizes, *triangles]))[:-1]  # the last piece is empty
    count = len(cones.second_order)
    zero, nonnegative, *second_order = parts[: 2 + count]
    exponential, *semidefinite = parts[2 + count :]
    return ConeParts(zero, nonnegative, second_order, exponential.reshape(-1, 3), semidefinite)


def triangle_size(order: int) -> int:
    """Rows of a semidefinite cone."""
    return order * (order + 1) // 2


def triangle(matrix: FloatArray) -> FloatArray:
    """The scaled upper triangle of a symmetric matrix, column by column."""
    column, row = np.tril_indices(len(matrix))
    scale = np.where(row == column, 1.0, np.sqrt(2.0))
    return np.asarray(scale * matrix[row, column])


def symmetric(rows: FloatArray) -> FloatArray:
    """The symmetric matrix whose scaled triangle this is."""
    order = int((np.sqrt(8 * len(rows) + 1) - 1) / 2)
    column, row = np.tril_indices(order)
    values = rows / np.where(row == column, 1.0, np.sqrt(2.0))
    matrix = np.zeros((order, order))
    matrix[row, column] = matrix[column, row] = values
    return matrix


def half_square_rows(A: csc_array, b: FloatArray) -> tuple[csc_array, FloatArray]:
    """q ≥ ½‖b − Ax‖² for the last variable q, as the cone ‖(√2 (b − Ax), q − 1)‖ ≤ q + 1.

    Returns
    -------
    A, b
        Rows of one second-order cone, two more than were given.
    """
    last = csc_array(([-1.0, -1.0], ([0, 1], [A.shape[1] - 1] * 2)), shape=(2, A.shape[1]))
    root = np.sqrt(2.0)
    return csc_array(vstack([last, root * A])), np.r_[1.0, -1.0, root * b]


def _exponential(u: FloatArray, v: FloatArray, w: FloatArray) -> FloatArray:
    """Of {v e^(u/v) ≤ w, v > 0}: a step in w, in u, or to the face {u ≤ 0, v = 0, w ≥ 0}."""
    face = np.maximum(np.maximum(u, np.abs(v)), -w)
    with np.errstate(all="ignore"):
        raise_w = np.where(v > 0, v * np.exp(u / v) - w, np.inf)
        lower_u = np.where((v > 0) & (w > 0), u - v * (np.log(w) - np.log(v)), np.inf)
    return np.maximum(0.0, np.minimum(face, np.minimum(raise_w, lower_u)))


def _exponential_dual(u: FloatArray, v: FloatArray, w: FloatArray) -> FloatArray:
    """Of {−u e^(v/u − 1) ≤ w, u < 0}: a step in w, in v, or to the face {u = 0, v, w ≥ 0}."""
    face = np.maximum(np.maximum(np.abs(u), -v), -w)
    with np.errstate(all="ignore"):
        raise_w = np.where(u < 0, -u * np.exp(v / u - 1) - w, np.inf)
        raise_v = np.where((u < 0) & (w > 0), u * (1 + np.log(w) - np.log(-u)) - v, np.inf)
    return np.maximum(0.0, np.minimum(face, np.minimum(raise_w, raise_v)))
