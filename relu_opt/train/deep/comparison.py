"""Deep networks trained elsewhere, beside the best one by a formula."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import as_array, as_floats
from relu_opt.errors import DataError
from relu_opt.proof.verdict import relative_gap
from relu_opt.train.deep.collapse import NeuralCollapse, labels_of, neural_collapse
from relu_opt.train.deep.layers import Layers
from relu_opt.train.deep.network import DeepNetwork
from relu_opt.train.deep.training import DeepSolution, train_deep

# How far, relative to their sizes, the means of a batch normalisation may be from those of X.
STATISTICS = 1e-6


@dataclass(frozen=True, eq=False)
class DeepComparison:
    """A network of any origin beside the formula's.

    Attributes
    ----------
    network : DeepNetwork
        The one that was given.
    objective : float
        Its objective, with the *mean* loss.
    best : DeepSolution
        The formula's network.
    layers : Layers
        The given network's layers; `best.layers` has those of the formula.
    collapse, best_collapse : NeuralCollapse or None
        Of both, if Y is one-hot.
    """

    network: DeepNetwork
    objective: float
    best: DeepSolution
    layers: Layers
    collapse: NeuralCollapse | None
    best_collapse: NeuralCollapse | None

    @property
    def excess(self) -> float:
        """(objective − the formula's)/the formula's; below 0 where that is not the optimum."""
        return relative_gap(self.objective, self.best.objective)

    @property
    def rel_gap(self) -> float:
        """(objective − lower_bound)/lower_bound: how far it is above the optimum at most."""
        return relative_gap(self.objective, self.best.lower_bound)

    def report(self) -> str:
        """Both networks, layer by layer, and their collapse, as text."""
        best = self.best
        claim = "the optimum" if best.is_global else f"its bound {best.lower_bound:.9g}"
        lines = [
            f"objective          {self.objective:.9g}",
            f"the formula's      {best.objective:.9g}   ({best.kind}, {claim})",
            f"excess             {self.excess:.3e}",
            "",
            f"The given network, {self.network!r}",
            str(self.layers),
            "",
            f"The formula's, {best.network!r}",
            str(best.layers),
        ]
        for name, found in (("given", self.collapse), ("formula's", self.best_collapse)):
            if found is not None:
                lines += ["", f"Classes of the {name} network", found.report()]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return (
            f"DeepComparison(objective={self.objective:.9g}, best={self.best.objective:.9g}, "
            f"excess={self.excess:.2e})"
        )


def compare_deep(network: DeepNetwork, X: ArrayLike, Y: ArrayLike, lam: float) -> DeepComparison:
    """A deep network of any origin beside the best one by a formula, in one call.

    Parameters
    ----------
    network : DeepNetwork
        Such as `DeepNetwork.from_torch` makes it. Its depth, activation, biases and batch
        normalisation say which formula it is compared with.
    X : (n, d) array
        Its training data.
    Y : (n,) or (n, K) array
        Targets.
    lam : float
        Regularization strength λ > 0 on the scale of the mean loss: the papers' β is nλ.

    Returns
    -------
    DeepComparison

    Raises
    ------
    DataError
        If there is no formula for these data, or data and network do not fit.
    """
    if not isinstance(network, DeepNetwork):
        raise DataError(f"network is a {type(network).__name__}, and a DeepNetwork is needed.")
    if network.bias is None and network.constants.any():
        raise DataError(
            "The network has output constants and no biases in its last hidden layer, and no "
            "formula has that. Train with a last layer without bias.",
            intercept=network.constants.tolist(),
        )
    _check_statistics(network, X)
    objective = network.objective(X, Y, lam)
    best = train_deep(
        X,
        Y,
        lam,
        network.depth,
        network.norm is not None,
        activation=network.activation,
        bias="none" if network.bias is None else "last_hidden",
    )
    targets = as_floats(Y, "Y", as_array(Y, "Y").ndim)
    labels = labels_of(targets) if targets.ndim == 2 else None
    pair: list[NeuralCollapse | None] = [None, None]
    if labels is not None:
        pair = [
            neural_collapse(each.features(X), labels, each.weights[-1])
            for each in (network, best.network)
        ]
    return DeepComparison(network, objective, best, Layers.of(network), pair[0], pair[1])


def _check_statistics(network: DeepNetwork, X: ArrayLike) -> None:
    """A batch normalisation has to hold the statistics of these rows."""
    held, found = network.norm, network.with_statistics(X).norm
    if held is None or found is None:
        return
    # Sizes may be larger: torch adds eps to the variance.
    off = np.abs(held.mean - found.mean) / np.where(held.size > 0, held.size, 1.0)
    if held.rows != found.rows or off.max(initial=0.0) > STATISTICS:
        raise DataError(
            f"The batch normalisation has the statistics of other rows than X (means differ by "
            f"{off.max(initial=0.0):.3g} of their sizes, rows are {held.rows} and {found.rows}). "
            "Pass network.with_statistics(X).",
            rows=held.rows,
        )
