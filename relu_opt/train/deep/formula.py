"""What a formula for a deep network gives, and what is proved of it."""

from __future__ import annotations

from dataclasses import dataclass

from relu_opt.train.deep.chains import Chains
from relu_opt.train.deep.network import DeepNetwork


@dataclass(frozen=True, eq=False)
class DeepFormula:
    """An answer by formula.

    Attributes
    ----------
    kind : {"whitened", "rank_one", "spline", "batch_norm"}
    network : DeepNetwork
        Built as the formula says.
    value : float
        Its objective by the formula, with the *mean* loss.
    bound : float
        What no network of this architecture is below, of any widths.
    reason : str
        Why that is so, in a sentence.
    chains : Chains
    """

    kind: str
    network: DeepNetwork
    value: float
    bound: float
    reason: str
    chains: Chains
