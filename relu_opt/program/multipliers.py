"""Multipliers of activation cones, of which most are zero."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from relu_opt.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class ConeMultipliers:
    """Multipliers ρ ≥ 0 of the activation cones, sparse.

    Block `blocks[k]` (pattern i with sign +1 is i, with −1 is p + i) has the values
    `values[starts[k]:starts[k+1]]` at the samples `rows[starts[k]:starts[k+1]]`.
    """

    blocks: IntArray
    starts: IntArray
    rows: IntArray
    values: FloatArray

    @classmethod
    def pack(cls, pieces: Mapping[int, tuple[IntArray, FloatArray]]) -> ConeMultipliers:
        """From the rows and values of each block."""
        blocks = sorted(pieces)
        lengths = [len(pieces[b][0]) for b in blocks]
        return cls(
            np.array(blocks, dtype=np.intp),
            np.concatenate([[0], np.cumsum(lengths, dtype=np.intp)]).astype(np.intp),
            np.concatenate([np.empty(0, dtype=np.intp), *(pieces[b][0] for b in blocks)]),
            np.concatenate([np.empty(0), *(pieces[b][1] for b in blocks)]),
        )

    def pieces(self) -> dict[int, tuple[IntArray, FloatArray]]:
        """The rows and values of each block."""
        parts = (slice(*ends) for ends in itertools.pairwise(self.starts))
        return {
            int(b): (self.rows[part], self.values[part])
            for b, part in zip(self.blocks, parts, strict=True)
        }

    def select(self, keep: BoolArray) -> ConeMultipliers:
        """Those of the blocks where `keep` (k,) is true."""
        lengths = np.diff(self.starts)
        chosen = np.repeat(keep, lengths)
        starts = np.concatenate([[0], np.cumsum(lengths[keep])]).astype(np.intp)
        return ConeMultipliers(self.blocks[keep], starts, self.rows[chosen], self.values[chosen])
