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

    def gram(self, scale: FloatArray, constant: bool) -> FloatArray:
        """MᵀSM for M = [columns, 1 if constant] and S = diag(scale), rows in chunks."""
        used, inverse = np.unique(self.which, return_inverse=True)
        masks = self.prog.patterns.unpack(used)
        width = len(self) + constant
        total = np.zeros((width, width))
        step = max(256, CHUNK_ENTRIES // max(1, width))
        root = np.sqrt(scale)
        for start in range(0, self.prog.n, step):
            rows = slice(start, start + step)
            matrix = np.ones((len(root[rows]), width))
            np.matmul(self.prog.X[rows], self.bases.T, out=matrix[:, : len(self)])
            matrix[:, : len(self)] *= masks[:, rows].T[:, inverse]
            matrix *= root[rows, None]
            total += matrix.T @ matrix
        return total

