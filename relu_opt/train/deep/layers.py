"""What layers look like: sizes, ranks, and how well each is aligned with the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.train.deep.network import DeepNetwork

# Singular values below this share of the largest count as zero.
RANK_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Layers:
    """Each layer of a network's weights, measured.

    Attributes
    ----------
    shapes : tuple of (out, in)
    sizes : (L,) array
        ‖W_l‖², squared Frobenius norms; equal in all layers of an optimal network that has weight
        decay alone.
    ranks : (L,) array
        Singular values above a share of 1e-6 of the layer's largest.
    alignment : (L − 1,) array
        ‖W_{l+1}W_l‖_* over Σ_i σ_i(W_{l+1}) σ_i(W_l), from 0 to 1: it is 1 if and only if what a
        layer gives is, direction by direction, what the next one takes. 1 for layers of zeros.
    """

    shapes: tuple[tuple[int, int], ...]
    sizes: FloatArray
    ranks: FloatArray
    alignment: FloatArray

    @classmethod
    def of(cls, network: DeepNetwork) -> Layers:
        """Measure a network."""
        spectra = [singular_values(weights) for weights in network.weights]
        pairs = list(zip(network.weights[:-1], network.weights[1:], strict=True))
        return cls(
            tuple((w.shape[0], w.shape[1]) for w in network.weights),
            np.array([float((w**2).sum()) for w in network.weights]),
            np.array([rank(values) for values in spectra]),
            np.array(
                [
                    _aligned(first, second, spectra[k], spectra[k + 1])
                    for k, (first, second) in enumerate(pairs)
                ]
            ),
        )

    @property
    def imbalance(self) -> float:
        """(largest − smallest)/largest of the sizes: 0 for layers of equal norms."""
        largest = float(self.sizes.max())
        return float(np.ptp(self.sizes)) / largest if largest else 0.0

    def __str__(self) -> str:
        lines = ["layer   shape        rank   ‖W‖²         aligned with the next"]
        for k, (shape, rank_, size) in enumerate(
            zip(self.shapes, self.ranks, self.sizes, strict=True)
        ):
            text = (
                f"{k + 1:<7d} {shape[0]} × {shape[1]}".ljust(21) + f"{int(rank_):<6d} {size:<12.6g}"
            )
            lines.append(
                f"{text} {self.alignment[k]:.6f}" if k < len(self.alignment) else text.rstrip()
            )
        return "\n".join(lines)


def singular_values(weights: FloatArray) -> FloatArray:
    """Singular values, falling; none for a layer without neurons."""
    return np.asarray(np.linalg.svd(weights, compute_uv=False)) if weights.size else np.zeros(0)


def rank(values: FloatArray) -> int:
    """How many of these singular values are not zero."""
    return int((values > RANK_TOLERANCE * values[0]).sum()) if len(values) and values[0] else 0


def _aligned(first: FloatArray, second: FloatArray, low: FloatArray, high: FloatArray) -> float:
    count = min(len(low), len(high))
    most = float(low[:count] @ high[:count])
    return float(singular_values(second @ first).sum()) / most if most else 1.0
