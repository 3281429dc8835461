"""Implicit columns D_i X u: the part of the n × (p·d) matrix that a subproblem needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.program import ConvexProgram

# Entries of the matrix that are held at a time.
CHUNK_ENTRIES = 8_000_000


@dataclass(frozen=True)
class Design:
    """Columns D_{which[k]} X bases[k], never stored.

    Attributes
    ----------
    prog : ConvexProgram
        Whose data and patterns they are.
    bases : (k, d) array
        The vectors u, output signs included.
    which : (k,) array of int
        The pattern of each column.
    """

    prog: ConvexProgram
    bases: FloatArray
    which: IntArray

    def __len__(self) -> int:
        return len(self.which)

    def fits(self, coefficients: FloatArray) -> FloatArray:
        """Σ_k coefficients[k] · column k, (n,)."""
        weights = np.zeros((len(self.prog.patterns), self.prog.d))
        np.add.at(weights, self.which, coefficients[:, None] * self.bases)
        return self.prog.fits_of_patterns(weights)

    def correlate(self, nu: FloatArray) -> FloatArray:
        """Inner products of the columns with ν, (k,)."""
        used, inverse = np.unique(self.which, return_inverse=True)
        if not len(used):
            return np.empty(0)
        return np.asarray((self.prog.correlations(nu, used)[inverse] * self.bases).sum(axis=1))

    def matrix(self) -> FloatArray:
        """The columns themselves, (n, k)."""
        return self._rows(slice(0, self.prog.n))

    def _rows(self, rows: slice) -> FloatArray:
        used, inverse = np.unique(self.which, return_inverse=True)
        matrix = self.prog.X[rows] @ self.bases.T
        if len(used):
            matrix *= self.prog.counts(used)[:, rows].T[:, inverse]
        return np.asarray(matrix)

    def gram(self, turns: Design, scale: FloatArray, constant: bool) -> FloatArray:
        """MᵀSM for M = [columns, those of `turns`, 1 if constant], S = diag(scale)."""
        width = len(self) + len(turns) + constant
        total = np.zeros((width, width))
        step = max(256, CHUNK_ENTRIES // max(1, width))
        for start in range(0, self.prog.n, step):
            rows = slice(start, min(start + step, self.prog.n))
            ones = np.ones((rows.stop - start, int(constant)))
            matrix = np.hstack([self._rows(rows), turns._rows(rows), ones])
            matrix *= np.sqrt(scale[rows, None])
            total += matrix.T @ matrix
        return total
