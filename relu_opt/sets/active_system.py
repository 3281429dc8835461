r"""Newton's equations of the training program on the faces that carry its neurons.

A neuron w_j lies in the face {u : x_kᵀu = 0, k ∈ rows_j} of its cone. With an orthonormal basis N_j
of that face, w_j = N_jz_j, M = [s_jD_jXN_j] and Φ = ∇²F(ŷ), the optimality conditions are

    M_jᵀ∇F(ŷ) + λ z_j/‖z_j‖ = 0   for every neuron,

with the derivative MᵀΦM + λ blockdiag((I − ẑ_jẑ_jᵀ)/‖z_j‖). An output intercept is one more column
of ones without a penalty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.program.convex import ConvexProgram

# Rows whose part outside the span of the others is a smaller share of them are in it.
DEPENDENT = 1e-10


@dataclass(frozen=True, eq=False)
class ActiveSystem:
    """The equations for given faces.

    Attributes
    ----------
    prog : ConvexProgram
    signs : (k,) array
        Output signs of the neurons.
    counts : (k, n) array
        How often each row counts in their patterns: 1 where it is on, κ where it is off.
    bases : list of (d, r_j) arrays
        Orthonormal bases N_j of their faces.
    """

    prog: ConvexProgram
    signs: FloatArray
    counts: FloatArray
    bases: list[FloatArray]

    @cached_property
    def starts(self) -> IntArray:
        """Where each neuron's coordinates begin among all, (k + 1,)."""
        return np.concatenate([[0], np.cumsum([basis.shape[1] for basis in self.bases])]).astype(
            np.intp
        )

    @property
    def size(self) -> int:
        """How many coordinates there are, the intercept included."""
        return int(self.starts[-1]) + self.prog.intercept

    @cached_property
    def columns(self) -> FloatArray:
        """M, with a column of ones for the intercept: (n, size)."""
        X = self.prog.X
        parts = [
            sign * counts[:, None] * (X @ basis)
            for sign, counts, basis in zip(self.signs, self.counts, self.bases, strict=True)
        ]
        if self.prog.intercept:
            parts.append(np.ones((len(X), 1)))
        return np.hstack(parts) if parts else np.zeros((len(X), 0))

    def coordinates(self, blocks: FloatArray, intercept: float) -> FloatArray:
        """z of neurons w_j (k, d), the intercept last if there is one."""
        parts = [basis.T @ block for basis, block in zip(self.bases, blocks, strict=True)]
        tail = [np.array([intercept])] if self.prog.intercept else []
        return np.concatenate([np.empty(0), *parts, *tail])

    def blocks(self, z: FloatArray) -> FloatArray:
        """w_j = N_jz_j, (k, d)."""
        rows = [basis @ z[part] for basis, part in zip(self.bases, self.parts(), strict=True)]
        return np.array(rows).reshape(len(rows), self.prog.d)

    def spread(self) -> FloatArray:
        """The matrix from z to all w_j, one after the other, (k·d, size)."""
        d = self.prog.d
        matrix = np.zeros((len(self.bases) * d, self.size))
        for j, (basis, part) in enumerate(zip(self.bases, self.parts(), strict=True)):
            matrix[j * d : (j + 1) * d, part] = basis
        return matrix

    def parts(self) -> list[slice]:
        """The coordinates of each neuron."""
        return [slice(a, b) for a, b in zip(self.starts[:-1], self.starts[1:], strict=True)]

    def units(self, z: FloatArray) -> FloatArray:
        """ẑ_j of every neuron, one after the other; 0 for the intercept, (size,)."""
        result = np.zeros(self.size)
        for part in self.parts():
            result[part] = z[part] / np.linalg.norm(z[part])
        return result

    def residual(self, z: FloatArray) -> FloatArray:
        """What the optimality conditions lack, (size,)."""
        slope = self.prog.loss_gradient(self.columns @ z)
        return self.columns.T @ slope + self.prog.lam * self.units(z)

    def derivative(self, z: FloatArray) -> FloatArray:
        """The matrix of Newton's equations, (size, size)."""
        curvature = self.prog.loss_hessian(self.columns @ z)
        matrix = (self.columns * curvature[:, None]).T @ self.columns
        for part in self.parts():
            norm = np.linalg.norm(z[part])
            unit = z[part] / norm
            matrix[part, part] += self.prog.lam / norm * (np.eye(len(unit)) - np.outer(unit, unit))
        return np.asarray(matrix)


def face_basis(X: FloatArray, rows: IntArray) -> FloatArray:
    """An orthonormal basis (d, r) of {u : x_kᵀu = 0, k in rows}."""
    d = X.shape[1]
    if not len(rows):
        return np.eye(d)
    units = X[rows] / np.linalg.norm(X[rows], axis=1, keepdims=True)
    Q, R, _ = scipy.linalg.qr(units.T, pivoting=True)
    sizes = np.abs(np.diag(R))
    rank = int((sizes > DEPENDENT * sizes[0]).sum())
    return np.asarray(Q[:, rank:])


def active_system(
    prog: ConvexProgram, places: IntArray, signs: FloatArray, faces: Sequence[IntArray]
) -> ActiveSystem:
    """The equations of neurons in given patterns, whose cones' `faces` rows hold them."""
    bases = [face_basis(prog.X, rows) for rows in faces]
    return ActiveSystem(prog, signs, prog.counts(places), bases)


def newton_step(system: ActiveSystem, z: FloatArray) -> FloatArray:
    """A step that solves Newton's equations: the shortest in least squares if they are singular."""
    matrix, right = system.derivative(z), -system.residual(z)
    try:
        factor = scipy.linalg.cholesky(matrix, lower=True)
    except np.linalg.LinAlgError:
        return _shortest(matrix, right)
    pivots = np.diag(factor)
    if pivots.min() ** 2 <= DEPENDENT * pivots.max() ** 2:
        return _shortest(matrix, right)
    return np.asarray(scipy.linalg.cho_solve((factor, True), right))


def _shortest(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """The shortest solution in least squares of a symmetric system."""
    values, vectors = np.linalg.eigh(matrix)
    keep = values > DEPENDENT * float(values[-1])
    return np.asarray(vectors[:, keep] @ ((vectors[:, keep].T @ right) / values[keep]))
