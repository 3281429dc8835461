r"""What a loss answers: all that a training problem, its backends and its proofs ask of it.

The training loss is the weighted mean :math:`F(z) = \frac1n\sum_k s_k\,\ell(z_k, y_k)`.
A loss is the summand :math:`\ell`, convex in z, nonnegative, and of infimum 0 for every target; the
mean and the weights belong to `LossTerm`. All functions act elementwise.

The conjugate is :math:`\ell^*(t, y) = \sup_z\, tz - \ell(z, y)`, `inf` outside its domain,
and enters the dual through :math:`D(\nu) = -\frac1n\sum_k s_k\,\ell^*(-n\nu_k/s_k, y_k)`. With
v = nν/s, the slope that a dual point gives a sample,

    −ℓ*(−v, y) = v·o(y) − c(v, y),

a linear part with the offset o and a convex rest c of c(0) = 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields, is_dataclass
from typing import ClassVar

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.errors import DataError
from relu_opt.program.losses.atoms import Atom
from relu_opt.program.losses.constants import minimiser

# A gradient on the edge of the conjugate's domain may leave it by the last bits.
ROUNDING = 1e-14
# Where a loss turns flat or linear, relative to the place.
EDGE = 1e-9


class Loss(ABC):
    """One sample's loss. Derive from it for a loss of your own (`docs/losses.md`).

    Attributes
    ----------
    name : str
        What files, messages and the command line call it.
    classifies : bool
        Whether targets are the labels −1 and +1.
    smooth : bool
        Whether ∂ℓ/∂z is continuous. Where it is not, minimisers need not have the same fits, and
        −∇F at them need not be a dual point.
    curved : bool
        Whether ∂²ℓ/∂z² > 0 everywhere.
    quadratic : bool
        Whether ℓ is its own quadratic model.
    probabilistic : bool
        Whether the network's output is a probability's logit.
    verifier : type, optional
        For a loss of your own: its twin for `relu_opt.verify`, a `relu_opt.verify.losses.Loss`.
    """

    name: ClassVar[str]
    classifies: ClassVar[bool] = False
    smooth: ClassVar[bool] = True
    curved: ClassVar[bool] = False
    quadratic: ClassVar[bool] = False
    probabilistic: ClassVar[bool] = False
    verifier: ClassVar[type | None] = None

    @property
    def scales(self) -> bool:
        """Whether targets have a unit, so that they may be standardised."""
        return self.rescaled(0) is not None

    @property
    def parameters(self) -> dict[str, float]:
        """Numbers that pin the loss down, beside its name."""
        if not is_dataclass(self):
            return {}
        return {each.name: getattr(self, each.name) for each in fields(self) if each.init}

    # -- the loss --------------------------------------------------------------

    @abstractmethod
    def value(self, z: FloatArray, y: FloatArray) -> FloatArray:
        """ℓ(z, y) ≥ 0."""

    @abstractmethod
    def gradient(self, z: FloatArray, y: FloatArray) -> FloatArray:
        """∂ℓ/∂z, or a subgradient."""

    @abstractmethod
    def hessian(self, z: FloatArray, y: FloatArray) -> FloatArray:
        """∂²ℓ/∂z² (a generalised one at kinks of the gradient)."""

    @abstractmethod
    def majorant(self, z: FloatArray, y: FloatArray) -> FloatArray:
        """The κ for which ℓ(z) + ℓ′(z)(x − z) + ½κ(x − z)² ≥ ℓ(x) up to the minimiser."""

    @abstractmethod
    def conjugate(self, t: FloatArray, y: FloatArray) -> FloatArray:
        """ℓ*(t, y); `inf` outside the domain."""

    @abstractmethod
    def slopes(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The least and the largest v with a finite ℓ*(−v, y), in doubles; 0 is between them."""

    @abstractmethod
    def plateau(self, z: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The interval round z on which ∂ℓ/∂z does not change: (z, z) where ℓ is curved."""

    @abstractmethod
    def cross(self, z: FloatArray, y: FloatArray) -> FloatArray:
        """∂²ℓ/∂z∂y; labels count as numbers."""

    @abstractmethod
    def kink_distance(self, z: FloatArray, y: FloatArray) -> FloatArray:
        """How far z is from where ∂²ℓ/∂z² jumps; `inf` where it never does."""

    def subgradients(self, z: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The derivatives to the left and to the right."""
        slope = self.gradient(z, y)
        return slope, slope

    def rescaled(self, power: int) -> Loss | None:
        """The ℓ′ with ℓ(2ᵏz, 2ᵏy) = 4ᵏ ℓ′(z, y), k = `power`, if ℓ is a function of z − y.

        None for all others: their targets have no unit and no origin.
        """
        return None

    def atoms(self, y: FloatArray) -> tuple[Atom, ...]:
        """The loss as a sum of atoms that conic solvers know; () if it is none."""
        return ()

    # -- targets and outputs ---------------------------------------------------

    def check_targets(self, y: FloatArray, intercept: bool) -> None:
        """Refuse targets that the loss is not for, or, with a free constant, has no optimum for.

        Raises
        ------
        DataError
            It names the first of them.
        """
        if not self.classifies:
            return
        check_labels(y, self.name)
        if intercept and len(np.unique(y)) == 1:
            raise DataError(
                f"y holds the single class {y[0]:g}, which an unpenalised constant fits without "
                "end or at no cost. Pass data with both classes, or train without an intercept."
            )

    def mean(self, z: FloatArray) -> FloatArray:
        """What a target is expected to be where the network says z: the inverse link."""
        return z

    def log_probability(self, z: FloatArray) -> FloatArray:
        """Of the label +1, where the loss is `probabilistic`."""
        raise NotImplementedError

    def best_constant(self, fits: FloatArray, y: FloatArray, weights: FloatArray) -> float:
        """argmin over c of Σ_k s_k ℓ(z_k + c, y_k)."""
        return minimiser(
            lambda c: float(weights @ self.gradient(fits + c, y)),
            lambda c: float(weights @ self.hessian(fits + c, y)),
        )

    def slope_terms(self, y: FloatArray) -> FloatArray:
        """Sizes of the terms of ∂ℓ/∂z at the best constant, which rounding is relative to."""
        return np.ones_like(y) if self.classifies else np.abs(y) + abs(y).max()

    # -- what is proved, with every rounding -------------------------------------

    @property
    def proves(self) -> bool:
        """Whether the bounds below are of this very class: who overrides a value has others."""
        return "rest_above" in vars(type(self))

    def value_above(
        self, fits: FloatArray, constant: float, y: FloatArray, error: FloatArray
    ) -> FloatArray:
        """Numbers that ℓ(z + c, y) does not exceed for any |z − fits| ≤ error."""
        raise NotImplementedError

    def offset(self, y: FloatArray) -> FloatArray:
        """o(y), in doubles that are meant exactly."""
        return np.zeros_like(y)

    def rest_above(self, slope: FloatArray, y: FloatArray) -> FloatArray:
        """Numbers that c(v, y) does not exceed for any v within four roundings of `slope`."""
        raise NotImplementedError


def check_labels(y: FloatArray, name: str) -> None:
    """Refuse targets that are no labels −1 and +1.

    Raises
    ------
    DataError
        It names the first of them.
    """
    wrong = ~np.isin(y, (-1.0, 1.0))
    if wrong.any():
        first = int(np.argmax(wrong))
        raise DataError(
            f"y holds {y[first]} at index {first}, and the {name} loss needs labels −1 and "
            "+1. Encode the two classes so.",
            index=first,
        )
