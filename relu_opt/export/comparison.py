"""What came of an export, and how far its predictions are from those of the network."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import FloatArray
from relu_opt.errors import DataError
from relu_opt.program.network import ReLUNetwork, as_inputs
from relu_opt.tabular.preprocessing import Preprocessing
from relu_opt.tabular.tables import Table

# Rows that are drawn to compare on when none are given.
ROWS = 64


@dataclass(frozen=True, eq=False)
class ExportReport:
    """An exported network, and what a comparison with the network itself found.

    Attributes
    ----------
    content : bytes
        The file.
    form : str
        `onnx`, `torch` or `json`.
    dtype : str
        The type of its weights.
    inputs, neurons : int
        The features that it takes, and its neurons.
    path : str or None
        Where it was written.
    rows : int
        The rows that were compared; 0 if none were.
    drawn : bool
        Whether these were drawn at random, because none were given.
    max_difference : float or None
        The largest difference between a prediction of the file and the network's in double
        precision, in units of the target; None if there was no comparison.
    relative_difference : float or None
        It, divided by the largest prediction.
    labels_changed : int or None
        For two classes, the rows that get the other one.
    unchecked : str or None
        Why there was no comparison.
    """

    content: bytes = field(repr=False)
    form: str
    dtype: str
    inputs: int
    neurons: int
    path: str | None = None
    rows: int = 0
    drawn: bool = False
    max_difference: float | None = None
    relative_difference: float | None = None
    labels_changed: int | None = None
    unchecked: str | None = None

    @property
    def checked(self) -> bool:
        """Whether the file was run and compared."""
        return self.unchecked is None

    def __str__(self) -> str:
        features = f"{self.inputs} feature{'s' * (self.inputs != 1)}"
        neurons = f"{self.neurons} neuron{'s' * (self.neurons != 1)}"
        size = f"{self.form}, {self.dtype}: {features}, {neurons}, {len(self.content)} bytes"
        return f"{size}; {self.finding()}"

    def finding(self) -> str:
        """What the comparison found, in words."""
        if self.unchecked is not None:
            return f"unchecked: {self.unchecked}"
        rows = f"{self.rows} {'drawn rows' if self.drawn else 'rows'}"
        text = (
            f"largest difference of a prediction {self.max_difference:.1e} "
            f"({self.relative_difference:.1e} of the largest) on {rows}"
        )
        if self.labels_changed is None:
            return text
        return f"{text}, of which {self.labels_changed} get another label"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Rows to run an exported network on, and what it should say.

    Attributes
    ----------
    rows : (n, d₀) array
        As the file takes them.
    outputs : (n,) array
        The network's predictions, in the target's units, or its outputs for two classes.
    labels : (n,) array or None
        The class values.
    drawn : bool
        Whether the rows were drawn.
    """

    rows: FloatArray
    outputs: FloatArray
    labels: FloatArray | None
    drawn: bool

    def measure(self, outputs: FloatArray, labels: FloatArray | None = None) -> dict[str, Any]:
        """The fields of a report for the outputs (n,) of a file.

        Raises
        ------
        DataError
            If the file gives something that is not a number.
        """
        bad = ~np.isfinite(outputs)
        if bad.any():
            row = int(np.argmax(bad))
            raise DataError(
                f"The exported network predicts {outputs[row]} for row {row}, and the network "
                f"{self.outputs[row]:.6g}: the numbers overflow in this precision. Export with "
                "dtype='float64'.",
                row=row,
            )
        difference = float(np.abs(outputs - self.outputs).max())
        size = float(np.abs(self.outputs).max())
        found: dict[str, Any] = {
            "rows": len(self.rows),
            "drawn": self.drawn,
            "max_difference": difference,
            "relative_difference": difference / size if size else difference,
        }
        if labels is not None and self.labels is not None:
            found["labels_changed"] = int((labels != self.labels).sum())
        return found


def comparison(
    network: ReLUNetwork,
    preprocessing: Preprocessing | None,
    bias: bool,
    X: ArrayLike | None,
) -> Comparison:
    """Rows, and the predictions of the network itself on them, the long way round.

    Parameters
    ----------
    network, preprocessing, bias
        As in `fold`.
    X : (n, d₀) array, optional
        Rows as the file takes them; drawn around the features' means if there are none.
    """
    drawn = X is None
    if preprocessing is None:
        rows = _rows(X, network.hidden.shape[1] - bias)
        full = np.column_stack([rows, np.ones(len(rows))]) if bias else rows
        return Comparison(rows, network.predict(full), None, drawn)
    features = preprocessing.features
    rows = _rows(X, len(features))
    if drawn:
        rows = rows * preprocessing.scale + preprocessing.centre
    table = Table(features, dict(zip(features, rows.T, strict=True)), "X", "row {}".format)
    raw = network.predict(preprocessing.transform(table))
    restored = preprocessing.restore(raw)
    if preprocessing.classes is None:
        return Comparison(rows, restored, None, drawn)
    return Comparison(rows, raw, restored, drawn)


def _rows(X: ArrayLike | None, width: int) -> FloatArray:
    if X is None:
        return np.random.default_rng(0).standard_normal((ROWS, width))
    return as_inputs(X, width)


def path_text(path: str | os.PathLike[str] | None) -> str | None:
    """A path as reports hold it."""
    return None if path is None else os.fspath(path)
