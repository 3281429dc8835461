"""The answer of `train_vector`: a network, a bound for all networks, and how they came about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from relu_opt.arrays import FloatArray, as_tolerance
from relu_opt.plugins.types import StopReason
from relu_opt.proof.answer import Answer
from relu_opt.train.several_outputs.bounds import VectorSeparation
from relu_opt.train.several_outputs.certificate import VectorCertificate, vector_certificate
from relu_opt.train.several_outputs.network import VectorNetwork
from relu_opt.train.several_outputs.problem import VectorProblem
from relu_opt.train.several_outputs.proof import VectorBound


@dataclass(frozen=True)
class VectorRound:
    """One round: the bounds after it, neurons in use, and seconds so far."""

    upper: float
    lower: float
    neurons: int
    seconds: float


@dataclass(frozen=True, eq=False)
class VectorSolution(Answer):
    """A trained network with several outputs, with a bound that holds for every network.

    Attributes
    ----------
    certificate : VectorCertificate
    problem : VectorProblem
    method : {"column_generation", "sdp"}
    separation : VectorSeparation or None
        What the oracle found at the certificate's V, before it was scaled.
    rounds : tuple of VectorRound
        The bounds over time.
    stop : StopReason
        Why it ended; with a limit the bounds so far still hold.
    """

    certificate: VectorCertificate
    problem: VectorProblem
    method: str
    separation: VectorSeparation | None
    rounds: tuple[VectorRound, ...]
    stop: StopReason

    @property
    def network(self) -> VectorNetwork:
        """The best network found."""
        return self.certificate.network

    @property
    def stats(self) -> dict[str, Any]:
        """How many rounds and seconds it took, and which method."""
        seconds = self.rounds[-1].seconds if self.rounds else 0.0
        return {"rounds": len(self.rounds), "seconds": seconds, "method": self.method}

    @property
    def nu(self) -> FloatArray:
        """V, the dual point of the bound, (n, c)."""
        return self.certificate.V

    def __repr__(self) -> str:
        return (
            f"VectorSolution({self.certificate.verdict.value}, objective={self.objective:.12g}, "
            f"rel_gap={self.rel_gap:.2e}, neurons={len(self.network)}, method={self.method!r}, "
            f"stop={self.stop.value!r})"
        )

    def certify(self, network: VectorNetwork, tol: float | None = None) -> VectorCertificate:
        """How far another network, such as one that SGD trained, is from the global optimum.

        Parameters
        ----------
        network : VectorNetwork
            Of the same inputs and outputs; it is balanced first, which never raises its objective.
        tol : float, optional
            The relative gap that the verdict is against; that of this solution by default.
        """
        mine = self.certificate
        tol = mine.tol if tol is None else as_tolerance(tol, "tol")
        balanced = self.problem.fitting(network)
        bound = VectorBound(mine.V, mine.lower_bound)
        return vector_certificate(self.problem, balanced, bound, mine.proof, mine.statement, tol)
