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
        if self.A.shape != (len(self.b), len(self.c)) or self.cones.rows != len(self.b):
            raise DataError(
                f"A is {self.A.shape}, b has {len(self.b)} rows, c has {len(self.c)} entries and "
                f"the cones have {self.cones.rows} rows. They must agree."
            )

    def objective(self, x: FloatArray) -> float:
        """cᵀx + offset."""
        return float(self.c @ x) + self.offset

    def dual_objective(self, z: FloatArray) -> float:
        """−bᵀz + offset, a lower bound if Aᵀz + c = 0 and z ∈ K*."""
        return float(-self.b @ z) + self.offset

    def residuals(self, x: FloatArray, z: FloatArray) -> tuple[float, float]:
        """Distances ‖s − P_K(s)‖∞-style of x and ‖Aᵀz + c‖∞ of z (z's cone included)."""
        primal = cone_distance(self.b - self.A @ x, self.cones, dual=False)
        equation = float(np.abs(self.A.T @ z + self.c).max(initial=0.0))
        return primal, max(equation, cone_distance(z, self.cones, dual=True))


def cone_distance(s: FloatArray, cones: Cones, dual: bool) -> float:
    """Largest violation of membership of s in K, or in K* with `dual`."""
    worst = 0.0
    if not dual:
        worst = float(np.abs(s[: cones.zero]).max(initial=0.0))
    at = cones.zero
    worst = max(worst, float(np.maximum(0.0, -s[at : at + cones.nonnegative]).max(initial=0.0)))
    at += cones.nonnegative
    for size in cones.second_order:
        worst = max(worst, float(np.linalg.norm(s[at + 1 : at + size]) - s[at]))
        at += size
    for _ in range(cones.exponential):
        u, v, w = s[at : at + 3]
        worst = max(worst, _exponential_dual(u, v, w) if dual else _exponential(u, v, w))
        at += 3
    return worst


def _exponential(u: float, v: float, w: float) -> float:
    if v > 0:
        return float(max(0.0, v * np.exp(min(u / v, 700.0)) - w))
    return float(max(0.0, u, -v, -w))


def _exponential_dual(u: float, v: float, w: float) -> float:
    """The dual cone: −u e^(v/u − 1) ≤ w with u < 0, or u = 0, v ≥ 0, w ≥ 0."""
    if u < 0:
        return float(max(0.0, -u * np.exp(min(v / u - 1, 700.0)) - w))
    return float(max(0.0, u, -v, -w))
