"""What every trained answer with a certificate says of its bounds."""

from __future__ import annotations

from typing import Protocol


class Bounds(Protocol):
    """A certificate's two bounds."""

    @property
    def primal(self) -> float: ...

    @property
    def dual(self) -> float: ...

    @property
    def rel_gap(self) -> float: ...


class TwoBounds:
    """The bounds of `certificate`, under the names that answers have for them."""

    certificate: Bounds

    @property
    def objective(self) -> float:
        """The network's objective on the raw data: an upper bound on the optimum."""
        return self.certificate.primal

    @property
    def dual_objective(self) -> float:
        """The lower bound on the optimum, over the networks that the certificate speaks of."""
        return self.certificate.dual

    @property
    def rel_gap(self) -> float:
        """(objective − dual_objective)/dual_objective; inf if no bound above 0 is proved."""
        return self.certificate.rel_gap
