"""The points of a path, and what they say one by one: arrays with an entry a point."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.path.point import PathPoint
from relu_opt.program.network import ReLUNetwork
from relu_opt.proof.certificate import NetworkCertificate
from relu_opt.verify.renamed import renamed


class Points:
    """What `points` say, in their order."""

    if TYPE_CHECKING:  # a field of the path

        @property
        def points(self) -> tuple[PathPoint, ...]: ...

    @cached_property
    def lams(self) -> FloatArray:
        """λ of the points, falling, (m,)."""
        return np.array([point.lam for point in self.points])

    @property
    def networks(self) -> tuple[ReLUNetwork, ...]:
        """The networks of the points."""
        return tuple(point.network for point in self.points)

    @property
    def certificates(self) -> tuple[NetworkCertificate, ...]:
        """Their certificates."""
        return tuple(point.certificate for point in self.points)

    @property
    def objectives(self) -> FloatArray:
        """Upper bounds on p*(λ): the networks' objectives, (m,)."""
        return np.array([point.objective for point in self.points])

    @property
    def lower_bounds(self) -> FloatArray:
        """Lower bounds on p*(λ), (m,)."""
        return np.array([point.lower_bound for point in self.points])

    bounds: ClassVar[renamed] = renamed("lower_bounds")

    @property
    def slopes(self) -> FloatArray:
        """dp*/dλ = Σ_b ‖w_b‖, (m,)."""
        return np.array([point.norm for point in self.points])

    @property
    def losses(self) -> FloatArray:
        """Mean training losses, (m,)."""
        return np.array([point.loss for point in self.points])

    @property
    def rel_gaps(self) -> FloatArray:
        """Relative gaps at the points, (m,)."""
        return np.array([point.rel_gap for point in self.points])

    @property
    def neurons(self) -> IntArray:
        """Neurons of the networks, identical ones counted once, (m,)."""
        return np.array([len(point.network.merge()) for point in self.points])

    def predict(self, X: ArrayLike) -> FloatArray:
        """Predictions of the networks at the rows of X, (m, rows)."""
        return np.array([point.network.predict(X) for point in self.points])
