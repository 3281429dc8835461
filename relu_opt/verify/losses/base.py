r"""What the re-check asks of a loss: a twin of the library's, with mathematics of its own.

A loss ℓ(z, y) is convex in z, nonnegative, and of infimum 0. With v = nν/s, the slope that a dual
point gives a sample,

    −ℓ*(−v, y) = v·o(y) − c(v, y),

with an offset o, here y or 0, and a convex c with c(0) = 0. Since no loss is negative D(0) = 0, so
that D(tν) ≥ t D(ν) for t in [0, 1], and a point that leaves the domain of a conjugate on its far
side is shrunk into it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from relu_opt.verify.exact_integers import DIGITS
from relu_opt.verify.rounding import FloatArray

if TYPE_CHECKING:
    from relu_opt.verify.exact_integers import Integers
    from relu_opt.verify.losses.exact_mean import Term


class Loss(ABC):
    """One sample's loss, elementwise in doubles and one by one in integers.

    Derive from it for the twin of a loss of your own (`docs/losses.md`).

    Attributes
    ----------
    name : str
        What files call it.
    limits : mapping
        For each parameter, which is a field of the same name, the open interval that it lies in.
    labelled : bool
        Whether targets are the labels −1 and +1.
    residual : bool
        Whether it is a function of z − y, so that targets have a unit.
    linear : bool
        Whether o(y) = y; 0 otherwise.
    degree : int
        2 if c(tv) = t² c(v); 1 if no more than c(tv) ≤ t c(v) is used.
    enclosed : bool
        Whether exact arithmetic only encloses it, as it does logarithms.
    """

    name: ClassVar[str]
    limits: ClassVar[dict[str, tuple[float, float]]] = {}
    labelled: ClassVar[bool] = False
    residual: ClassVar[bool] = False
    linear: ClassVar[bool] = True
    degree: ClassVar[int] = 1
    enclosed: ClassVar[bool] = False

    def __str__(self) -> str:
        said = ", ".join(f"{each} = {getattr(self, each):g}" for each in self.limits)
        return f"{self.name} loss" + (f" ({said})" if said else "")

    def refused(self, y: FloatArray) -> str:
        """Why these are no targets of the loss; empty if they are."""
        if self.labelled and not np.isin(y, (-1.0, 1.0)).all():
            return f"The loss is {self.name}, and y holds values other than the labels −1 and +1."
        return ""

    def scaled(self, power: int) -> Loss:
        """The ℓ′ with ℓ(2ᵏz, 2ᵏy) = 4ᵏ ℓ′(z, y), k = `power`, if it is a function of z − y."""
        return self

    # -- in doubles --------------------------------------------------------------

    @abstractmethod
    def above(
        self, hidden: FloatArray, error: FloatArray, constant: float, y: FloatArray
    ) -> FloatArray:
        """What ℓ(z + constant, y) does not exceed, |z − hidden| ≤ error, but for four roundings."""

    @abstractmethod
    def slopes(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The least and the largest v with a finite conjugate, to within a rounding."""

    def offset(self, y: FloatArray) -> FloatArray:
        """o(y), or doubles near it: what they are off by is for `rest_above` to charge."""
        return y if self.linear else np.zeros_like(y)

    @abstractmethod
    def rest_above(self, v: FloatArray, y: FloatArray) -> FloatArray:
        """What c does not exceed within four roundings of v, but for four roundings."""

    # -- in integers -------------------------------------------------------------

    @property
    def grid(self) -> Fraction:
        """A parameter that has to be an integer on the grid of `twice`; 0 if there is none."""
        return Fraction(0)

    @abstractmethod
    def twice(self, fit: int, target: int, one: int, grid: int) -> int | Fraction:
        """2ℓ·one², from above, at the fit and the target over `one`; `grid` is over it too."""

    @abstractmethod
    def exact_slopes(self, target: Fraction) -> tuple[Fraction | None, Fraction | None]:
        """The least and the largest v with a finite conjugate; None where there is none."""

    def exact_dual(self, term: Term, nu: Integers, t: Fraction) -> Fraction:
        """D(tν) from below, at a point of the domain; exact but for the division by weights."""
        products = sum(v * y for v, y in zip(nu.values, term.targets.values, strict=True))
        linear = t * Fraction(products, 1 << nu.shift + term.targets.shift)
        if self.degree == 1:
            return linear
        # Quotients by weights are rounded up, at a digit far behind those of ν².
        squares = sum(
            -(-(v * v << term.weights.shift + DIGITS) // s)
            for s, v in zip(term.weights.values, nu.values, strict=True)
        )
        return linear - t**2 * Fraction(len(nu.values) * squares, 2 << 2 * nu.shift + DIGITS)
