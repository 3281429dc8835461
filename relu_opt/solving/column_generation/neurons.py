"""The neurons found so far: unit directions of blocks, with their sizes."""

from __future__ import annotations

import numpy as np

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.program import ConvexProgram
from relu_opt.solving.column_generation.design import Design


def outward(blocks: IntArray, count: int) -> FloatArray:
    """The output signs of flat block numbers, (m, 1); `count` is the number of patterns."""
    return np.where(blocks < count, 1.0, -1.0)[:, None]


class Neurons:
    """Directions u in K_b with ‖u‖ = 1, their blocks b, and sizes ≥ 0.

    After `merge` all sizes are positive, and a block has one neuron at most.
    """

    def __init__(self, d: int) -> None:
        self._d = d
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self.directions = np.empty((0, self._d))
        self.owners: IntArray = np.empty(0, dtype=np.intp)
        self.sizes = np.empty(0)

    def add(self, blocks: IntArray, points: FloatArray, least: float) -> None:
        """Add, with size zero, the directions of points with a norm above `least`."""
        norms = np.linalg.norm(points, axis=1)
        keep = norms > max(least, 0.0)
        self.directions = np.concatenate([self.directions, points[keep] / norms[keep, None]])
        self.owners = np.concatenate([self.owners, blocks[keep]])
        self.sizes = np.concatenate([self.sizes, np.zeros(int(keep.sum()))])

    def merge(self) -> None:
        """Make one neuron of those of a block, and drop those of size zero."""
        keep = self.sizes > 0
        owners, inverse = np.unique(self.owners[keep], return_inverse=True)
        blocks = np.zeros((len(owners), self.directions.shape[1]))
        np.add.at(blocks, inverse, self.sizes[keep, None] * self.directions[keep])
        norms = np.linalg.norm(blocks, axis=1)
        alive = norms > 0
        self.owners, self.sizes = owners[alive], norms[alive]
        self.directions = blocks[alive] / norms[alive, None]

    def design(self, prog: ConvexProgram) -> Design:
        """Their columns X_b u."""
        count = len(prog.patterns)
        return Design(prog, outward(self.owners, count) * self.directions, self.owners % count)

    def weights(self, prog: ConvexProgram) -> FloatArray:
        """The blocks w_b, in the program's shape."""
        weights = np.zeros(prog.weights_shape)
        sign, which = np.divmod(self.owners, len(prog.patterns))
        np.add.at(weights, (sign, which), self.sizes[:, None] * self.directions)
        return weights

    def block_sizes(self, prog: ConvexProgram) -> FloatArray:
        """‖w_b‖ of every block."""
        return np.asarray(np.linalg.norm(self.weights(prog), axis=2).ravel())
