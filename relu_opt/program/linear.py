r"""Linear and convex quadratic programs.

    minimise  ½xᵀPx + cᵀx + offset   subject to  row_lower ≤ Ax ≤ row_upper,  lower ≤ x ≤ upper

with P = 0 for a `LinearProgram`, some of whose variables may have to be integers.

Multipliers: y (m,) of the rows and z (k,) of the variables' bounds satisfy

    Px + c + Aᵀy + z = 0,

as everywhere in relu_opt: the gradient plus the constraints' gradients times their multipliers is
zero. A multiplier is ≥ 0 where an upper bound holds its row or variable back, ≤ 0 where a lower
bound does, and 0 where neither does. z follows from x and y, so a backend returns y alone.

A side or bound of size `INFINITE` or more is none, as with HiGHS and in files of the MPS format.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csc_array

from relu_opt.arrays import (
    BoolArray,
    FloatArray,
    as_array,
    as_doubles,
    as_number,
    frozen,
    without_mask,
)
from relu_opt.errors import DataError

# What sides and bounds are infinite from.
INFINITE = 1e20


@dataclass(frozen=True, eq=False, kw_only=True)
class _Constrained:
    """A linear cost over a polyhedron: what the two program types share."""

    c: FloatArray
    A: csc_array = None
    row_lower: FloatArray = -np.inf  # type: ignore[assignment]
    row_upper: FloatArray = np.inf  # type: ignore[assignment]
    lower: FloatArray = -np.inf  # type: ignore[assignment]
    upper: FloatArray = np.inf  # type: ignore[assignment]
    offset: float = 0.0

    def __post_init__(self) -> None:
        settle = object.__setattr__
        settle(self, "c", as_vector(self.c, "c", None))
        if not np.isfinite(self.c).all():
            raise DataError("c holds NaN or infinite values. Pass finite costs.", name="c")
        A = csc_array((0, self.columns)) if self.A is None else self.A
        settle(self, "A", as_sparse(A, "A", (None, self.columns)))
        settle(self, "offset", as_number(self.offset, "offset"))
        for name, size in (("row_lower", self.rows), ("row_upper", self.rows)):
            settle(self, name, _as_bounds(getattr(self, name), name, size))
        for name, size in (("lower", self.columns), ("upper", self.columns)):
            settle(self, name, _as_bounds(getattr(self, name), name, size))
        _check_bounds("row", self.row_lower, self.row_upper)
        _check_bounds("variable", self.lower, self.upper)

    @property
    def rows(self) -> int:
        """Number of constraints, m."""
        return int(self.A.shape[0])

    @property
    def columns(self) -> int:
        """Number of variables, k."""
        return len(self.c)

    def parts(self) -> dict[str, Any]:
        """Cost, rows, bounds and offset by name: all but P and integrality, not copied."""
        return {field.name: getattr(self, field.name) for field in fields(_Constrained)}

    def with_cost(self, c: ArrayLike) -> Self:
        """The same constraints with another linear cost; the arrays are shared, not copied."""
        return replace(self, c=as_vector(c, "c", self.columns))

    def objective(self, x: FloatArray) -> float:
        """½xᵀPx + cᵀx + offset."""
        return float(self.c @ x) + self.curvature(x) + self.offset

    def curvature(self, x: FloatArray) -> float:
        """½xᵀPx."""
        return 0.0

    def gradient(self, x: FloatArray) -> FloatArray:
        """Px + c, (k,)."""
        return self.c

    def bound_multipliers(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """z = −(Px + c + Aᵀy), (k,)."""
        return np.asarray(-(self.gradient(x) + self.A.T @ y))

    def dual_objective(self, x: FloatArray, y: FloatArray) -> float:
        """A lower bound on the optimum if the dual residual is zero.

        −½xᵀPx − h(y) − h(z) + offset with h(v) = Σ v⁺·upper − v⁻·lower; multipliers of bounds
        that are not there are left out of the sum and counted by `residuals`.
        """
        z = self.bound_multipliers(x, y)
        rows = _support(y, self.row_lower, self.row_upper)
        return self.offset - self.curvature(x) - rows - _support(z, self.lower, self.upper)

    def violation(self, x: FloatArray) -> float:
        """Largest violation of a row or bound, in absolute terms; NaN for NaN."""
        rows = self.A @ x
        worst = [
            (self.row_lower - rows).max(initial=0.0),
            (rows - self.row_upper).max(initial=0.0),
            (self.lower - x).max(initial=0.0),
            (x - self.upper).max(initial=0.0),
        ]
        return float(np.max(worst))

    def dual_violation(self, x: FloatArray, y: FloatArray) -> float:
        """Largest multiplier of a bound that is not there; NaN for NaN."""
        z = self.bound_multipliers(x, y)
        return float(
            np.maximum(_stray(y, self.row_lower, self.row_upper), _stray(z, self.lower, self.upper))
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearProgram(_Constrained):
    """min cᵀx + offset subject to row_lower ≤ Ax ≤ row_upper, lower ≤ x ≤ upper.

    Parameters
    ----------
    c : (k,) array
        Cost.
    A : (m, k) array or sparse array, optional
        Rows; none if left out.
    row_lower, row_upper : (m,) array or float
        Bounds of the rows, ±inf (or 1e20 and more) where there is none; equal where the row is an
        equation.
    lower, upper : (k,) array or float
        Bounds of the variables; free unless they are given.
    integrality : (k,) array of bool, optional
        Which variables have to be integers.
    offset : float
        Constant of the objective.

    Raises
    ------
    DataError
        If shapes disagree, a number is NaN, or a lower bound exceeds its upper bound.
    """

    integrality: BoolArray | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.integrality is None:
            return
        marked = as_array(self.integrality, "integrality")
        if marked.shape != (self.columns,) or marked.dtype.kind != "b":
            raise DataError(
                f"integrality has shape {marked.shape} and dtype {marked.dtype}, and a boolean "
                f"array of shape ({self.columns},) is needed.",
                name="integrality",
            )
        object.__setattr__(self, "integrality", frozen(marked.copy()))

    @property
    def is_mixed_integer(self) -> bool:
        """Whether some variable has to be an integer."""
        return self.integrality is not None and bool(self.integrality.any())

    def violation(self, x: FloatArray) -> float:
        """Largest violation of a row, a bound or integrality; NaN for NaN."""
        worst = super().violation(x)
        if self.integrality is None:
            return worst
        whole = x[self.integrality]
        return float(np.maximum(worst, np.abs(whole - np.rint(whole)).max(initial=0.0)))


@dataclass(frozen=True, eq=False, kw_only=True)
class QuadraticProgram(_Constrained):
    """min ½xᵀPx + cᵀx + offset subject to row_lower ≤ Ax ≤ row_upper, lower ≤ x ≤ upper.

    Parameters
    ----------
    P : (k, k) array or sparse array
        Symmetric and positive semidefinite, all of it (not a triangle). That it is semidefinite
        is not checked here: `factor` does.
    c, A, row_lower, row_upper, lower, upper, offset
        As for a `LinearProgram`.

    Raises
    ------
    DataError
        As for a `LinearProgram`, and if P is not symmetric.
    """

    P: csc_array

    def __post_init__(self) -> None:
        super().__post_init__()
        P = as_sparse(self.P, "P", (self.columns, self.columns))
        if P.nnz and abs(P - P.T).max() > 1e-12 * abs(P).max():
            raise DataError(
                "P is not symmetric. Pass the whole matrix, or ½(P + Pᵀ), which has the same "
                "quadratic form.",
                name="P",
            )
        object.__setattr__(self, "P", P)

    def curvature(self, x: FloatArray) -> float:
        """½xᵀPx."""
        return 0.5 * float(x @ (self.P @ x))

    def gradient(self, x: FloatArray) -> FloatArray:
        """Px + c, (k,)."""
        return np.asarray(self.P @ x + self.c)


def as_sparse(matrix: object, name: str, shape: tuple[int | None, int]) -> csc_array:
    """The matrix in CSC form, read-only, finite and of this shape (None: any number of rows).

    A matrix that went through here before is returned as it is, so that programs can share it.

    Raises
    ------
    DataError
        If it is something else.
    """
    if (
        isinstance(matrix, csc_array)
        and matrix.dtype == np.float64
        and not matrix.data.flags.writeable
    ):
        sparse = matrix
    else:
        matrix = without_mask(matrix, name)
        try:
            sparse = csc_array(matrix, copy=True)
        except (TypeError, ValueError) as error:
            raise DataError(f"{name} is no matrix of real numbers: {error}.", name=name) from error
        sparse = csc_array(
            (as_doubles(sparse.data, name), sparse.indices, sparse.indptr), sparse.shape
        )
        sparse.sum_duplicates()
        for part in (sparse.data, sparse.indices, sparse.indptr):
            frozen(part)
    if sparse.shape[1] != shape[1] or shape[0] not in (None, sparse.shape[0]):
        rows = "any number of" if shape[0] is None else str(shape[0])
        raise DataError(
            f"{name} has shape {sparse.shape}, and {rows} rows and {shape[1]} columns are needed.",
            name=name,
            shape=sparse.shape,
        )
    if not np.isfinite(sparse.data).all():
        raise DataError(f"{name} holds NaN or infinite values.", name=name)
    return sparse


def as_vector(values: ArrayLike, name: str, size: int | None) -> FloatArray:
    """A read-only vector without NaN, of any length or of `size`; a number stands for `size` of it.

    Raises
    ------
    DataError
        If it is something else.
    """
    if isinstance(values, np.ndarray) and values.dtype == np.float64:
        array = as_array(values, name)
    else:
        array = as_doubles(values, name)
    if size is not None and array.ndim == 0:
        array = np.full(size, float(array))
    if array.ndim != 1 or (size is not None and len(array) != size):
        needed = "one axis" if size is None else f"({size},)"
        raise DataError(
            f"{name} has shape {array.shape}, and {needed} is needed.", name=name, shape=array.shape
        )
    if np.isnan(array).any():
        raise DataError(f"{name} holds NaN at index {int(np.argmax(np.isnan(array)))}.", name=name)
    if array.flags.writeable:
        array = frozen(array.copy())
    return array


def without_infinite(bounds: FloatArray) -> FloatArray:
    """The bounds, ±inf where they are of size `INFINITE` or more; the same array if none are."""
    pseudo = (np.abs(bounds) >= INFINITE) & np.isfinite(bounds)
    if not pseudo.any():
        return bounds
    return frozen(np.where(pseudo, np.copysign(np.inf, bounds), bounds))


def _as_bounds(values: ArrayLike, name: str, size: int) -> FloatArray:
    return without_infinite(as_vector(values, name, size))


def _check_bounds(kind: str, lower: FloatArray, upper: FloatArray) -> None:
    wrong = (lower > upper) | (lower == np.inf) | (upper == -np.inf)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise DataError(
            f"The bounds of {kind} {first} are {lower[first]:g} and {upper[first]:g}, and nothing "
            "lies between them. A lower bound is at most its upper bound, and not +inf.",
            index=first,
        )


def _support(v: FloatArray, lower: FloatArray, upper: FloatArray) -> float:
    """Σ v⁺·upper − v⁻·lower over the bounds that are there."""
    above = (v > 0) & np.isfinite(upper)
    below = (v < 0) & np.isfinite(lower)
    return float(v[above] @ upper[above] + v[below] @ lower[below])


def _stray(v: FloatArray, lower: FloatArray, upper: FloatArray) -> float:
    """Largest |v| on the side of a bound that is not there; NaN for NaN."""
    if np.isnan(v).any():
        return float("nan")
    above = v[(v > 0) & np.isinf(upper)].max(initial=0.0)
    below = -v[(v < 0) & np.isinf(lower)].min(initial=0.0)
    return float(np.maximum(above, below))
