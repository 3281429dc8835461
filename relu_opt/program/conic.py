"""Linear programs over cones, the form that every conic solver takes.

minimise cᵀx  subject to  A x + s = b,  s ∈ K,
K = zero × nonnegative × second-order × exponential × semidefinite

Dual: maximise −bᵀz subject to Aᵀz + c = 0, z ∈ K* (z is free on the zero cone).

A symmetric matrix S of a semidefinite cone is the vector of its upper triangle, column by column,
(S₁₁, √2 S₁₂, S₂₂, √2 S₁₃, √2 S₂₃, S₃₃, …): the inner product of two such vectors is that of the
matrices, and the cone is its own dual. `triangle` and `symmetric` go from one to the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array, vstack

from relu_opt.arrays import FloatArray, as_count, as_number
from relu_opt.errors import DataError
from relu_opt.program.linear import as_sparse, as_vector


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

    Of the maximum norm over entries for the zero and the nonnegative cone, the most negative
    eigenvalue for semidefinite ones; for the other cones an upper bound, the smallest step along
    a few directions that leads into the cone.
    """
    if np.isnan(s).any():
        return float("nan")
    parts = split_rows(s, cones)
    worst = [0.0] if dual else [0.0, np.abs(parts.zero).max(initial=0.0)]
    worst.append(np.maximum(0.0, -parts.nonnegative).max(initial=0.0))
    worst.extend(np.linalg.norm(part[1:]) - part[0] for part in parts.second_order)
    outside = _exponential_dual if dual else _exponential
    worst.append(outside(*parts.exponential.T).max(initial=0.0))
    worst.extend(-np.linalg.eigvalsh(symmetric(part))[0] for part in parts.semidefinite)
    return float(np.max(worst))


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
