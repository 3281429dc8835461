"""What global training returns: a network, and a bound that holds for every network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from relu_opt.arrays import FloatArray, as_tolerance
from relu_opt.errors import DataError
from relu_opt.plugins.types import StopReason
from relu_opt.program.network import ReLUNetwork
from relu_opt.proof.answer import Answer
from relu_opt.proof.assembly import certificate_of
from relu_opt.proof.certificate import NetworkCertificate
from relu_opt.proof.dual_bound import DualBound
from relu_opt.solving.certify import read_answer
from relu_opt.solving.training import Solution
from relu_opt.train.all_patterns.separation_bounds import Separation


@dataclass(frozen=True)
class Round:
    """One round: the bounds after it, patterns of the master program, and seconds so far."""

    upper: float
    lower: float
    patterns: int
    seconds: float


@dataclass(frozen=True, eq=False)
class GlobalSolution(Answer):
    """A trained network, with a bound that holds for every network.

    Attributes
    ----------
    solution : Solution
        Of the last master program: its own certificate is of scope `program`.
    certificate : NetworkCertificate
        Scope `all`. Its coverage says why: `listed` (oracle `cells`) and `searched` (`sphere`)
        are re-checked by `verify`; with `oracle` (`mip`) the bound is a MILP solver's word.
    separation : Separation
        What the oracle found at the certificate's ν, before it was scaled.
    rounds : tuple of Round
        The bounds over time.
    stop : StopReason
        Why it ended; with a limit the bounds so far still hold.
    """

    solution: Solution
    certificate: NetworkCertificate
    separation: Separation
    rounds: tuple[Round, ...]
    stop: StopReason

    @property
    def network(self) -> ReLUNetwork:
        """The best network found."""
        return self.certificate.network

    @property
    def stats(self) -> dict[str, Any]:
        """How many rounds and seconds it took, and who searched."""
        seconds = self.rounds[-1].seconds if self.rounds else 0.0
        return {"rounds": len(self.rounds), "seconds": seconds, "oracle": self.separation.oracle}

    @property
    def nu(self) -> FloatArray:
        """The dual point of the bound, (n,)."""
        return self.certificate.nu

    def __repr__(self) -> str:
        return (
            f"GlobalSolution({self.certificate.verdict.value}, objective={self.objective:.12g}, "
            f"rel_gap={self.rel_gap:.2e}, neurons={len(self.network)}, "
            f"oracle={self.separation.oracle!r}, stop={self.stop.value!r})"
        )

    def certify(self, network: ReLUNetwork, tol: float | None = None) -> NetworkCertificate:
        """How far another network, such as one that SGD trained, is from the global optimum.

        Parameters
        ----------
        network : ReLUNetwork
            Of the same features; it is balanced first, which never raises its objective.
        tol : float, optional
            The relative gap that the verdict is against; that of this solution by default.

        Returns
        -------
        NetworkCertificate
            Of scope `all`, with the bound of this solution.
        """
        if not isinstance(network, ReLUNetwork) or network.gates is not None:
            raise DataError("A ReLUNetwork without gates is needed. See relu_opt.export.")
        mine = self.certificate
        prog = self.solution.program.with_patterns(mine.patterns)
        balanced, _ = read_answer(prog, network)
        bound = DualBound(mine.nu, mine.multipliers, mine.lower_bound, prog.lam)
        tol = mine.tol if tol is None else as_tolerance(tol, "tol")
        return certificate_of(prog, balanced, bound, "all", tol, mine.coverage)
