r"""Products with the columns D_i X of chosen groups, in coordinates where X is diagonal.

With X = U diag(s) Vᵀ the groups are written in the basis V, which changes no norm: X becomes XV,
whose columns are orthogonal, and directions that X does not see are dropped. There
XᵀD_iD_jX is close to a multiple of diag(s²), which is what `group_newton` preconditions with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relu_opt.arrays import BoolArray, FloatArray, IntArray
from relu_opt.program import ConvexProgram, Patterns

# Bytes of unpacked masks that are kept, and of numbers that a product works on at a time.
KEPT_BYTES = 2**28
CHUNK_BYTES = 2**25
# Directions whose singular value is a smaller share of the largest are rounding.
NOTHING = 1e-14


@dataclass(frozen=True)
class DiagonalData:
    """XV, V (d, r) and the squares of the singular values, (r,); `patterns` are the program's."""

    X: FloatArray
    V: FloatArray
    squares: FloatArray
    patterns: Patterns

    @classmethod
    def of(cls, prog: ConvexProgram) -> DiagonalData:
        """Rotate a program's data."""
        X = prog.X / max(float(np.abs(prog.X).max()), 1e-300)
        if prog.n < prog.d:
            V = np.linalg.svd(X, full_matrices=False)[2].T
        else:
            V = np.linalg.eigh(X.T @ X)[1][:, ::-1]
        rotated = prog.X @ V
        sizes = np.sqrt(np.einsum("nr,nr->r", rotated, rotated))
        keep = sizes > NOTHING * sizes.max()
        keep[0] = True
        return cls(
            np.ascontiguousarray(rotated[:, keep]), V[:, keep], sizes[keep] ** 2, prog.patterns
        )

    @property
    def largest(self) -> float:
        """The largest singular value of X: no ‖D_iX‖ is larger."""
        return float(np.sqrt(self.squares.max()))

    @cached_property
    def single(self) -> NDArray[np.float32]:
        """XV over its largest singular value, in single precision."""
        return (self.X / max(self.largest, 1e-300)).astype(np.float32)

    @cached_property
    def kernel(self) -> FloatArray:
        """XXᵀ, (n, n): for few samples only."""
        return np.asarray(self.X @ self.X.T)


class GroupColumns:
    """The columns of some groups: `which` are their patterns."""

    def __init__(self, data: DiagonalData, which: IntArray) -> None:
        self.data = data
        self.which = which
        n = len(data.X)
        self.step = max(1, CHUNK_BYTES // (8 * n))
        self.kept = data.patterns.unpack(which) if len(which) * n <= KEPT_BYTES else None

    def __len__(self) -> int:
        return len(self.which)

    def groups(self) -> Iterator[tuple[slice, BoolArray]]:
        """Masks of a few groups at a time, one row a group."""
        for start in range(0, len(self), self.step):
            part = slice(start, start + self.step)
            if self.kept is not None:
                yield part, self.kept[part]
            else:
                yield part, self.data.patterns.unpack(self.which[part])

    def correlate(self, nu: NDArray[Any], X: NDArray[Any] | None = None) -> NDArray[Any]:
        """XᵀD_iν of every group, (k, r), in the precision of ν and X."""
        X = self.data.X if X is None else X
        result = np.empty((len(self), X.shape[1]), dtype=X.dtype)
        for part, masks in self.groups():
            np.matmul(masks * nu, X, out=result[part])
        return result

    def fits(self, weights: NDArray[Any], X: NDArray[Any] | None = None) -> NDArray[Any]:
        """Σ_i D_i X w_i, (n,), of weights (k, r), in the precision of both."""
        X = self.data.X if X is None else X
        total = np.zeros(len(X), dtype=X.dtype)
        for part, masks in self.groups():
            total += np.einsum("kn,kn->n", masks, weights[part] @ X.T)
        return total

    def roughly_correlate(self, nu: FloatArray) -> FloatArray:
        """`correlate`, in single precision inside."""
        scale = float(np.abs(nu).max()) or 1.0
        common = self.correlate((nu / scale).astype(np.float32), self.data.single)
        return (scale * self.data.largest) * common.astype(np.float64)

    def rough_fits(self, weights: FloatArray) -> FloatArray:
        """`fits`, in single precision inside."""
        scale = float(np.linalg.norm(weights)) or 1.0
        fits = self.fits((weights / scale).astype(np.float32), self.data.single)
        return (scale * self.data.largest) * fits.astype(np.float64)

    def samples(self) -> Iterator[tuple[slice, BoolArray]]:
        """Masks of all groups on some samples at a time, one row a group."""
        n = len(self.data.X)
        step = 8 * max(1, CHUNK_BYTES // (64 * max(1, len(self))))
        for start in range(0, n, step):
            part = slice(start, min(start + step, n))
            if self.kept is not None:
                yield part, self.kept[:, part]
            else:
                packed = self.data.patterns.packed[self.which, start // 8 : (part.stop + 7) // 8]
                count = part.stop - start
                yield part, np.unpackbits(packed, axis=1, count=count).view(np.bool_)

    def overlaps(self, weights: FloatArray) -> FloatArray:
        """Σ_k weights[k] D_i[k] D_j[k] over the groups, (k, k), for weights ≥ 0."""
        root = np.sqrt(weights)
        total = np.zeros((len(self), len(self)))
        for part, masks in self.samples():
            scaled = masks * root[part]
            total += scaled @ scaled.T
        return total
