"""A network of the path: the answer at one λ, with its proof."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.errors import DoubtWarning, NotCertified
from relu_opt.plugins.types import StopReason
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.multipliers import ConeMultipliers
from relu_opt.program.network import ReLUNetwork, network_from_weights
from relu_opt.proof.answer import Answer
from relu_opt.proof.certificate import NetworkCertificate
from relu_opt.sets.optimal_set import OptimalSet, optimal_set
from relu_opt.solving.training import Solution


@dataclass(frozen=True, eq=False)
class PathPoint(Answer):
    """The answer at one λ, its blocks kept without the zeros.

    Attributes
    ----------
    prog : ConvexProgram
        The program at this λ.
    blocks : (m,) int array
        Blocks that are not zero, rising: the pattern's position, plus p for the sign −1.
    vectors : (m, d) array
        Their w_b.
    certificate : NetworkCertificate
        The proof, with the network.
    stop : StopReason
        Why the backend stopped.
    backend : str
        Who solved.
    stats : mapping
        As in `Solution`.
    """

    prog: ConvexProgram
    blocks: IntArray
    vectors: FloatArray
    certificate: NetworkCertificate
    stop: StopReason
    backend: str
    stats: Mapping[str, Any]

    @classmethod
    def of(cls, sol: Solution) -> PathPoint:
        """The point of a solution."""
        flat = sol.weights.reshape(-1, sol.program.d)
        blocks = np.flatnonzero(flat.any(axis=1))
        proof = sol.certificate
        return cls(sol.program, blocks, flat[blocks], proof, sol.stop, sol.backend, sol.stats)

    @property
    def solution(self) -> Solution:
        """The same as a solution."""
        weights = full_weights(self.prog, self.blocks, self.vectors)
        proof = self.certificate
        return Solution(
            self.prog,
            weights,
            network_from_weights(self.prog, weights, self.intercept),
            proof.nu,
            proof,
            self.stop,
            self.backend,
            self.stats,
        )

    @property
    def network(self) -> ReLUNetwork:
        """The network."""
        return self.certificate.network

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the point as a solution; `Solution.load` reads it."""
        self.solution.save(path)

    @property
    def lam(self) -> float:
        """The regularization strength."""
        return self.prog.lam

    @property
    def nu(self) -> FloatArray:
        """The feasible dual point."""
        return self.certificate.nu

    @property
    def multipliers(self) -> ConeMultipliers:
        """The cone multipliers that show that ν is feasible."""
        return self.certificate.multipliers

    @property
    def intercept(self) -> float:
        """The network's output constant."""
        return self.certificate.network.intercept

    @cached_property
    def norm(self) -> float:
        """Σ_b ‖w_b‖, the slope of the optimal value in λ."""
        return float(np.linalg.norm(self.vectors, axis=1).sum())

    @cached_property
    def fits(self) -> FloatArray:
        """The training predictions, (n,)."""
        weights = full_weights(self.prog, self.blocks, self.vectors)
        return self.prog.fits(weights) + self.intercept

    @cached_property
    def loss(self) -> float:
        """The mean loss on the training data."""
        return self.prog.mean_loss(self.fits)

    @cached_property
    def optimal(self) -> OptimalSet | NotCertified:
        """All optimal networks here, or why they could not be told; `uniqueness` tells doubts."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DoubtWarning)
                return optimal_set(self.solution)
        except NotCertified as error:
            return error


def full_weights(prog: ConvexProgram, blocks: IntArray, vectors: FloatArray) -> FloatArray:
    """The weights in the program's shape."""
    weights = np.zeros(prog.weights_shape)
    weights.reshape(-1, prog.d)[blocks] = vectors
    return weights
