r"""Neural collapse: what the last hidden layer makes of classes.

In a trained classifier the features of a class draw together, and the class means become alike
among each other: about their centre they have one length and the angles of a *simplex*,
cos = −1/(K − 1) for K classes. That is an equiangular tight frame (ETF); the rows of the output
layer then point the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from relu_opt.arrays import FloatArray, IntArray, as_array, as_floats
from relu_opt.errors import DataError
from relu_opt.program.network import as_weights

# Deviations up to which features count as collapsed, and means as a simplex.
TOL = 1e-6


@dataclass(frozen=True, eq=False)
class NeuralCollapse:
    """How far the features of K classes have collapsed.

    Attributes
    ----------
    classes : (K,) array
        The labels, sorted.
    counts : (K,) array
        Samples of each.
    means : (K, m) array
        Mean features of each class.
    gram : (K, K) array
        Inner products of the class means, about 0.
    cosines : (K, K) array
        Between the class means about their centre, the mean of the K means; NaN where a class sits
        in the centre.
    lengths : (K,) array
        Of the class means about their centre.
    within : float
        Mean squared distance of a feature from its class mean.
    between : float
        Mean squared length of the class means about their centre.
    weight_cosines : (K,) array or None
        Between each row of the output layer and its class mean, both about their centres; None
        without output weights.
    """

    classes: NDArray[np.generic]
    counts: IntArray
    means: FloatArray
    gram: FloatArray
    cosines: FloatArray
    lengths: FloatArray
    within: float
    between: float
    weight_cosines: FloatArray | None

    @property
    def variability(self) -> float:
        """within/between: 0 when every class has become one point; NaN if all means are one."""
        return self.within / self.between if self.between else float("nan")

    @property
    def etf_distance(self) -> float:
        """The largest |cos + 1/(K − 1)| over pairs of classes; NaN if a class is in the centre."""
        K = len(self.classes)
        return float(np.abs(self.cosines[~np.eye(K, dtype=bool)] + 1 / (K - 1)).max())

    @property
    def length_spread(self) -> float:
        """(longest − shortest)/longest of the class means about their centre."""
        longest = float(self.lengths.max())
        return float(np.ptp(self.lengths)) / longest if longest else float("nan")

    @property
    def orthogonality(self) -> float:
        """The largest |cos| between class means about 0: 0 where classes share no neuron."""
        sizes = np.sqrt(np.diag(self.gram))
        on = sizes > 0
        units = self.gram[np.ix_(on, on)] / np.outer(sizes[on], sizes[on])
        return float(np.abs(units - np.diag(np.diag(units))).max(initial=0.0))

    def is_collapsed(self, tol: float = TOL) -> bool:
        """Whether each class is one point: variability ≤ tol."""
        return self.variability <= tol

    def is_etf(self, tol: float = TOL) -> bool:
        """Whether the class means are a simplex: lengths and cosines agree to tol."""
        return self.etf_distance <= tol and self.length_spread <= tol

    def report(self) -> str:
        """All measures, as text."""
        K = len(self.classes)
        lines = [
            f"{K} classes, samples {', '.join(map(str, self.counts))}",
            f"within/between     {self.variability:.3e}   {_yes(self.is_collapsed(), 'collapsed')}",
            f"cosines, from {-1 / (K - 1):.4f} {self.etf_distance:.3e}",
            f"lengths, spread    {self.length_spread:.3e}   {_yes(self.is_etf(), 'a simplex')}",
            f"means about 0      {self.orthogonality:.3e}   the largest |cosine|",
        ]
        if self.weight_cosines is not None:
            lines.append(
                f"output rows        {self.weight_cosines.min():.6f}    the smallest cosine"
            )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return (
            f"NeuralCollapse({len(self.classes)} classes, variability={self.variability:.2e}, "
            f"etf_distance={self.etf_distance:.2e})"
        )


def neural_collapse(
    features: ArrayLike, labels: ArrayLike, output: ArrayLike | None = None
) -> NeuralCollapse:
    """Measure how far the features of classes have collapsed.

    Parameters
    ----------
    features : (n, m) array
        Such as `DeepNetwork.features(X)`.
    labels : (n,) or (n, K) array
        A label a sample, of any type, or one-hot rows.
    output : (K, m) array, optional
        Weights of the output layer, one row a class in the order of the sorted labels.

    Returns
    -------
    NeuralCollapse

    Raises
    ------
    DataError
        If shapes disagree, or there are fewer than two classes.
    """
    data = as_weights(features, "features", 2)
    classes, which = _classes(labels, len(data))
    K = len(classes)
    counts = np.bincount(which, minlength=K)
    means = np.zeros((K, data.shape[1]))
    np.add.at(means, which, data)
    means /= counts[:, None]
    centred = means - means.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=1)
    within = float(((data - means[which]) ** 2).sum()) / len(data)
    weights = None
    if output is not None:
        rows = as_weights(output, "output", 2)
        if rows.shape != means.shape:
            raise DataError(
                f"output has shape {rows.shape}, and {means.shape} is needed: a row a class, a "
                "column a feature.",
                shape=rows.shape,
            )
        weights = np.diag(_cosines(rows - rows.mean(axis=0), centred))
    return NeuralCollapse(
        classes,
        counts,
        means,
        means @ means.T,
        _cosines(centred, centred),
        lengths,
        within,
        float((lengths**2).mean()),
        weights,
    )


def labels_of(Y: FloatArray) -> IntArray | None:
    """The class of each row of one-hot targets of any scale, or None if Y is no such thing."""
    positive = Y > 0
    if Y.ndim != 2 or Y.shape[1] < 2 or (Y < 0).any() or (positive.sum(axis=1) != 1).any():
        return None
    labels: IntArray = positive.argmax(axis=1)
    return labels if len(np.unique(labels)) == Y.shape[1] else None


def _classes(labels: ArrayLike, n: int) -> tuple[NDArray[np.generic], IntArray]:
    """The labels that there are, and the number of each sample's."""
    given = as_array(labels, "labels")
    if given.ndim == 2:
        found = labels_of(as_floats(given, "labels", 2))
        if found is None:
            raise DataError(
                "labels has two axes and is not one-hot with a sample a class. Pass (n,)."
            )
        given = found
    if given.ndim != 1 or len(given) != n:
        raise DataError(f"features has {n} rows and labels has shape {given.shape}. Pass (n,).")
    if given.dtype.kind == "f" and not np.isfinite(given).all():
        raise DataError("labels holds values that are missing or infinite. Drop these samples.")
    classes, which = np.unique(given, return_inverse=True)
    if len(classes) < 2:
        raise DataError("There is one class, and two are the least.", classes=len(classes))
    return classes, which.astype(np.intp)


def _cosines(rows: FloatArray, others: FloatArray) -> FloatArray:
    """Cosines between the rows of both, NaN for rows of zeros."""
    sizes = np.outer(np.linalg.norm(rows, axis=1), np.linalg.norm(others, axis=1))
    return np.where(sizes > 0, (rows @ others.T) / np.where(sizes > 0, sizes, 1.0), np.nan)


def _yes(holds: bool, what: str) -> str:
    return what if holds else f"not {what}"
