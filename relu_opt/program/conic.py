"""Linear programs over cones, the form that every conic solver takes.

minimise cᵀx  subject to  A x + s = b,  s ∈ K,  K = zero × nonnegative × second-order × exponential

Dual: maximise −bᵀz subject to Aᵀz + c = 0, z ∈ K* (z is free on the zero cone).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array

from relu_opt.arrays import FloatArray
from relu_opt.errors import DataError


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
    """

    zero: int = 0
    nonnegative: int = 0
    second_order: tuple[int, ...] = ()
    exponential: int = 0

    @property
    def rows(self) -> int:
        """Number of rows of all cones."""
        return self.zero + self.nonnegative + sum(self.second_order) + 3 * self.exponential


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
        for name, values in (("c", self.c), ("A", self.A.data), ("b", self.b)):
            if not np.isfinite(values).all():
                raise DataError(f"{name} holds NaN or infinite values.", name=name)

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

    Of the maximum norm over entries for the zero and the nonnegative cone; for the other cones
    an upper bound, the smallest step along a few directions that leads into the cone.
    """
    zero, nonnegative, second_order, exponential = split_rows(s, cones)
    worst = [0.0] if dual else [0.0, np.abs(zero).max(initial=0.0)]
    worst.append(np.maximum(0.0, -nonnegative).max(initial=0.0))
    worst.extend(np.linalg.norm(part[1:]) - part[0] for part in second_order)
    outside = _exponential_dual if dual else _exponential
    worst.append(outside(*exponential.T).max(initial=0.0))
    return float(np.max(worst))


def split_rows(
    s: FloatArray, cones: Cones
) -> tuple[FloatArray, FloatArray, list[FloatArray], FloatArray]:
    """The rows of each kind of cone; those of exponential cones as (count, 3)."""
    ends = np.cumsum([cones.zero, cones.nonnegative, *cones.second_order])
    zero, nonnegative, *second_order, rest = np.split(s, ends)
    return zero, nonnegative, second_order, rest.reshape(-1, 3)


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
