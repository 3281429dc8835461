r"""LinearProgram ⊂ QuadraticProgram ⊂ ConicProgram, and the way back.

A quadratic program becomes a conic one with a variable q more: minimise cᵀx + q over the rows and
bounds as zero and nonnegative cones, and q ≥ ½‖Lx‖² with P = LᵀL as one second-order cone.
Multipliers mean the same on both sides (see `relu_opt.program.linear`): those of a row are that of
its upper bound less that of its lower bound. Where the objective is curved, a conic solver knows x
only to the root of its tolerance, and so is the gap that the core measures; a solver that takes
quadratic programs as they are knows it better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array, csr_array, diags_array, eye_array, hstack, vstack

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.errors import DataError, UnsupportedProgram
from relu_opt.program.conic import Cones, ConicProgram, half_square_rows
from relu_opt.program.linear import LinearProgram, QuadraticProgram

# An eigenvalue of P below −this, relative to the largest, is no rounding error.
INDEFINITE = 1e-9


def as_quadratic(program: LinearProgram) -> QuadraticProgram:
    """The same program with P = 0; x and y mean the same.

    Raises
    ------
    UnsupportedProgram
        If some variables have to be integers.
    """
    _check_continuous(program)
    return QuadraticProgram(P=csc_array((program.columns, program.columns)), **program.parts())


@dataclass(frozen=True, eq=False)
class Embedding:
    """A conic program and the way back to the linear or quadratic one.

    Attributes
    ----------
    source : LinearProgram or QuadraticProgram
    program : ConicProgram
        Its conic form, with the same optimal value.
    rows : tuple of three index arrays
        Which rows of the source are equations, have an upper, have a lower bound; their
        multipliers begin at row 0, at `starts[0]` and at `starts[1]` of the conic program.
    starts : tuple of int
    """

    source: LinearProgram | QuadraticProgram
    program: ConicProgram
    rows: tuple[IntArray, IntArray, IntArray]
    starts: tuple[int, int]

    def recover(
        self, x: FloatArray, z: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray | None]:
        """The source's x, and its multipliers y (None without z)."""
        point = x[: self.source.columns]
        return point, None if z is None else self.multipliers(z)

    def recover_ray(self, infeasible: bool, ray: FloatArray | None) -> FloatArray | None:
        """A ray of the conic program as one of the source."""
        if ray is None:
            return None
        return self.multipliers(ray) if infeasible else ray[: self.source.columns]

    def multipliers(self, z: FloatArray) -> FloatArray:
        """Multipliers of the source's rows."""
        y = np.zeros(self.source.rows)
        equal, upper, lower = self.rows
        y[equal] = z[: len(equal)]
        y[upper] += z[self.starts[0] : self.starts[0] + len(upper)]
        y[lower] -= z[self.starts[1] : self.starts[1] + len(lower)]
        return y


def as_conic(program: LinearProgram | QuadraticProgram) -> Embedding:
    """The conic form of a linear or quadratic program.

    Raises
    ------
    UnsupportedProgram
        If some variables have to be integers.
    DataError
        If P is not positive semidefinite.
    """
    if isinstance(program, LinearProgram):
        _check_continuous(program)
    A, eye = csr_array(program.A), csr_array(eye_array(program.columns))
    rows = _kinds(program.row_lower, program.row_upper)
    bounds = _kinds(program.lower, program.upper)
    pieces = [
        (A[rows[0]], program.row_lower[rows[0]]),
        (eye[bounds[0]], program.lower[bounds[0]]),
        (A[rows[1]], program.row_upper[rows[1]]),
        (-A[rows[2]], -program.row_lower[rows[2]]),
        (eye[bounds[1]], program.upper[bounds[1]]),
        (-eye[bounds[2]], -program.lower[bounds[2]]),
    ]
    if not any(len(b) for _, b in pieces):
        # Most conic solvers refuse a program without any row: 0 ≤ 1 is one.
        pieces.append((csr_array((1, program.columns)), np.ones(1)))
    sizes = [len(b) for _, b in pieces]
    zero, nonnegative = sum(sizes[:2]), sum(sizes[2:])
    matrix = vstack([part for part, _ in pieces])
    b = np.concatenate([side for _, side in pieces])
    c, second_order = program.c, tuple[int, ...]()
    if isinstance(program, QuadraticProgram) and program.P.nnz:
        L = factor(program.P)
        inner = hstack([L, csc_array((L.shape[0], 1))])
        cone, side = half_square_rows(csc_array(inner), np.zeros(L.shape[0]))
        matrix = vstack([hstack([matrix, csc_array((len(b), 1))]), cone])
        b, c, second_order = np.r_[b, side], np.r_[c, 1.0], (len(side),)
    cones = Cones(zero, nonnegative, second_order)
    conic = ConicProgram(c, csc_array(matrix), b, cones, program.offset)
    return Embedding(program, conic, rows, (zero, zero + sizes[2]))


def factor(P: csc_array) -> csc_array:
    """L with LᵀL = P, of as many rows as P has rank.

    Raises
    ------
    DataError
        If P is not positive semidefinite.
    """
    diagonal = P.diagonal()
    if P.nnz == np.count_nonzero(diagonal):
        values, vectors = diagonal, None
    else:
        values, vectors = np.linalg.eigh(P.toarray())
    largest = np.abs(values).max(initial=0.0)
    if values.min(initial=0.0) < -INDEFINITE * largest:
        raise DataError(
            f"P has the eigenvalue {values.min():.3g} (the largest is {largest:.3g}), so the "
            "program is not convex. Pass a positive semidefinite P.",
            eigenvalue=float(values.min()),
        )
    kept = values > len(values) * np.finfo(np.float64).eps * largest
    roots = np.sqrt(values[kept])
    if vectors is None:
        return csc_array(csr_array(diags_array(np.sqrt(np.maximum(values, 0.0))))[kept])
    return csc_array(roots[:, None] * vectors[:, kept].T)


def _check_continuous(program: LinearProgram) -> None:
    if program.is_mixed_integer:
        raise UnsupportedProgram(
            "A program with integer variables has no quadratic or conic form. Use a backend with "
            "the feature INTEGER, such as 'highs'.",
            program="LinearProgram",
        )


def _kinds(lower: FloatArray, upper: FloatArray) -> tuple[IntArray, IntArray, IntArray]:
    """Which are equations, which have an upper, and which a lower bound beside."""
    equal = lower == upper
    above = np.isfinite(upper) & ~equal
    below = np.isfinite(lower) & ~equal
    return np.flatnonzero(equal), np.flatnonzero(above), np.flatnonzero(below)
