"""What questions about a set of networks return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from relu_opt.arrays import BoolArray, FloatArray
from relu_opt.proof.certified_network import CertifiedNetwork
from relu_opt.verify.renamed import renamed


@dataclass(frozen=True, eq=False)
class PredictionRange:
    """The predictions that the networks of a set make at some rows.

    Attributes
    ----------
    lower, upper : (q,) array
        Predictions of networks in the set, the lowest and highest found.
    lower_bound, upper_bound : (q,) array
        What is proved: no network in the set predicts less, or more.
    """

    lower: FloatArray
    upper: FloatArray
    lower_bound: FloatArray
    upper_bound: FloatArray

    @property
    def width(self) -> FloatArray:
        """upper − lower, (q,)."""
        return self.upper - self.lower

    @property
    def can_flip(self) -> BoolArray:
        """Whether networks of the set disagree about the sign of the prediction, (q,)."""
        return (self.lower < 0) & (self.upper >= 0)

    @property
    def cannot_flip(self) -> BoolArray:
        """Whether it is proved that all networks agree about the sign of the prediction, (q,)."""
        return (self.lower_bound >= 0) | (self.upper_bound < 0)

    @property
    def is_complete(self) -> bool:
        """Whether every row has proved bounds; an interrupt leaves rows without."""
        return bool((np.isfinite(self.lower_bound) & np.isfinite(self.upper_bound)).all())

    def __len__(self) -> int:
        return len(self.lower)

    def __repr__(self) -> str:
        widest = float(self.width.max(initial=0.0))
        return f"PredictionRange({len(self)} rows, {self.can_flip.sum()} can flip, {widest=:.3g})"


@dataclass(frozen=True, eq=False)
class NeuronRanges:
    """The sizes α_j that each neuron may have: `lower` and `upper`, (k,) both."""

    lower: FloatArray
    upper: FloatArray

    @property
    def always_on(self) -> BoolArray:
        """Neurons that every optimal network has, (k,)."""
        return self.lower > 0

    @property
    def always_off(self) -> BoolArray:
        """Neurons that no optimal network has, (k,)."""
        return np.asarray(self.upper == 0)


@dataclass(frozen=True, eq=False)
class Membership:
    """Whether a network is in the set, and why not; true or false as a condition.

    Attributes
    ----------
    contained : bool
    reason : str
    fit_difference : float
        How far its training predictions are from the optimal ones.
    """

    contained: bool
    reason: str
    fit_difference: float

    def __bool__(self) -> bool:
        return self.contained


@dataclass(frozen=True, eq=False)
class Narrowest:
    """An optimal network with few neurons, and how few are possible.

    Attributes
    ----------
    network : CertifiedNetwork
    lower_bound : int
        No optimal network has fewer neurons: what is proved of the integer program.
    """

    network: CertifiedNetwork
    lower_bound: int

    bound: ClassVar[renamed] = renamed("lower_bound")

    @property
    def neurons(self) -> int:
        """How many neurons the network has."""
        return len(self.network)

    @property
    def proved(self) -> bool:
        """Whether no optimal network has fewer neurons."""
        return self.lower_bound >= self.neurons
