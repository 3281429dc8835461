r"""Deep networks: weights by layer, one activation, and what the formulas know besides.

    A_0 = X,   A_l = act(A_{l−1} W_lᵀ),   f = A_{L−1} W_Lᵀ + c,

with act = (·)_+ or the identity. The last hidden layer may have biases b, which cost nothing, or a
batch normalisation with its own scales γ and shifts α:

    BN(h) = γ (h − mean)/‖h − mean‖ + α 1/√n.

γ and α then multiply vectors of length 1, so that (γ² + α²) is the squared length of what comes
out. torch's layer has γ/√n and α/√n in their place.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.above import above
from relu_opt.arrays import FloatArray, as_array, as_floats, as_positive
from relu_opt.errors import DataError
from relu_opt.io import complete, maybe, need, read_npz, write_npz
from relu_opt.program.network import as_inputs, as_weights

if TYPE_CHECKING:
    from torch.nn import Module

ACTIVATIONS = ("relu", "linear")
NORM_PARTS = ("gamma", "alpha", "mean", "size")
# A pre-activation whose spread is this small beside it is constant: it normalises to zero.
CONSTANT = 1e-12


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """Batch normalisation of m neurons, with the statistics of the n training rows.

    Attributes
    ----------
    gamma, alpha : (m,) arrays
        Scales and shifts of vectors of length 1.
    mean, size : (m,) arrays
        Mean and ‖h − mean‖ of each pre-activation over the training rows; a size of 0 is a
        constant one, which normalises to 0.
    rows : int
        n.
    """

    gamma: FloatArray
    alpha: FloatArray
    mean: FloatArray
    size: FloatArray
    rows: int

    def __post_init__(self) -> None:
        for name in NORM_PARTS:
            object.__setattr__(self, name, as_weights(getattr(self, name), name, 1))
            if len(getattr(self, name)) != len(self.gamma):
                raise DataError(
                    f"{name} has {len(getattr(self, name))} values and gamma {len(self.gamma)}. "
                    "Pass one a neuron.",
                    name=name,
                )
        if self.rows < 1 or (self.size < 0).any():
            raise DataError("A batch normalisation has rows ≥ 1 and sizes ≥ 0.", rows=self.rows)

    def __call__(self, h: FloatArray) -> FloatArray:
        """The normalised, scaled and shifted pre-activations of any rows, (rows, m)."""
        scale = np.where(self.size > 0, self.gamma / np.where(self.size > 0, self.size, 1.0), 0.0)
        return np.asarray((h - self.mean) * scale + self.alpha / np.sqrt(self.rows))

    def of(self, h: FloatArray) -> BatchNorm:
        """The same scales and shifts with the statistics of these pre-activations, (n, m)."""
        mean = h.mean(axis=0)
        size = np.linalg.norm(h - mean, axis=0)
        size[size <= CONSTANT * np.linalg.norm(h, axis=0)] = 0.0
        return replace(self, mean=mean, size=size, rows=len(h))


@dataclass(frozen=True, eq=False)
class DeepNetwork:
    """A fully connected network of L layers of weights.

    Parameters
    ----------
    weights : sequence of (width_l, width_{l−1}) arrays
        W_1 to W_L, one row a neuron; L ≥ 2. Hidden layers may have no neurons at all.
    activation : {"relu", "linear"}
        Of all hidden layers.
    bias : (m,) array, optional
        Biases of the last hidden layer, which no penalty counts.
    intercept : (K,) array, optional
        Output constants, which no penalty counts; 0 by default.
    norm : BatchNorm, optional
        Batch normalisation of the last hidden layer, before its activation.

    Raises
    ------
    DataError
        If shapes disagree or a weight is not finite.
    """

    weights: tuple[FloatArray, ...]
    activation: str = "relu"
    bias: FloatArray | None = None
    intercept: FloatArray | None = None
    norm: BatchNorm | None = None

    def __post_init__(self) -> None:
        settle = object.__setattr__
        layers = tuple(as_weights(w, f"weights[{k}]", 2) for k, w in enumerate(self.weights))
        settle(self, "weights", layers)
        if len(layers) < 2:
            raise DataError(f"There are {len(layers)} layers of weights, and 2 are the least.")
        for k in range(1, len(layers)):
            if layers[k].shape[1] != len(layers[k - 1]):
                raise DataError(
                    f"weights[{k}] takes {layers[k].shape[1]} inputs, and weights[{k - 1}] has "
                    f"{len(layers[k - 1])} neurons. Pass each as (out, in).",
                    layer=k,
                )
        if self.activation not in ACTIVATIONS:
            raise DataError(f"Unknown activation {self.activation!r}. Use relu or linear.")
        width = len(layers[-2])
        if self.bias is not None:
            settle(self, "bias", as_weights(self.bias, "bias", 1))
            if self.norm is not None:
                raise DataError("A batch normalisation has shifts of its own. Leave bias out.")
        given = np.zeros(len(layers[-1])) if self.intercept is None else self.intercept
        settle(self, "intercept", as_weights(given, "intercept", 1))
        counts = {
            "bias": (width if self.bias is None else len(self.bias), width),
            "intercept": (len(self.constants), len(layers[-1])),
            "norm": (width if self.norm is None else len(self.norm.gamma), width),
        }
        for name, (has, wanted) in counts.items():
            if has != wanted:
                raise DataError(f"{name} has {has} values, and {wanted} are needed.", name=name)

    @property
    def depth(self) -> int:
        """L, the number of layers of weights."""
        return len(self.weights)

    @property
    def widths(self) -> tuple[int, ...]:
        """Inputs, neurons of each hidden layer, outputs."""
        return (self.weights[0].shape[1], *(len(layer) for layer in self.weights))

    @property
    def constants(self) -> FloatArray:
        """The output constants, (K,)."""
        assert self.intercept is not None  # noqa: S101 - made by __post_init__
        return self.intercept

    def __repr__(self) -> str:
        extras = [self.activation]
        extras += ["bias"] * (self.bias is not None) + ["batch norm"] * (self.norm is not None)
        return f"DeepNetwork({'-'.join(map(str, self.widths))}, {', '.join(extras)})"

    def hidden(self, X: ArrayLike) -> list[FloatArray]:
        """The hidden layers A_1 to A_{L−1} at the rows of X: (rows, width_l) each."""
        layer: FloatArray = as_inputs(X, self.widths[0])
        layers = []
        for k in range(self.depth - 1):
            layer = layer @ self.weights[k].T
            if k == self.depth - 2:
                layer = self._last(layer)
            if self.activation == "relu":
                layer = np.maximum(layer, 0.0)
            layers.append(layer)
        return layers

    def features(self, X: ArrayLike) -> FloatArray:
        """The last hidden layer, (rows, m)."""
        return self.hidden(X)[-1]

    def predict(self, X: ArrayLike) -> FloatArray:
        """Outputs at the rows of X: (rows,) for one output, (rows, K) for several.

        Raises
        ------
        DataError
            If X is not (rows, d) for the network's d.
        """
        outputs = self.features(X) @ self.weights[-1].T + self.constants
        return outputs[:, 0] if len(self.weights[-1]) == 1 else outputs

    def penalty(self) -> float:
        """What λ multiplies: ½ Σ_l ‖W_l‖², or ½(‖γ‖² + ‖α‖² + ‖W_L‖²) with batch normalisation.

        A batch normalisation forgets the size of all weights before it, so that their decay has
        no minimum.
        """
        arrays = self.weights
        if self.norm is not None:
            arrays = (self.norm.gamma, self.norm.alpha, self.weights[-1])
        return 0.5 * sum(float((array**2).sum()) for array in arrays)

    def objective(self, X: ArrayLike, Y: ArrayLike, lam: float) -> float:
        """½‖f − Y‖²/n + λ · penalty: half the *mean* squared error; the papers' β is nλ.

        Batch normalisation uses the statistics that it holds, so X has to be its training rows;
        `with_statistics(X)` takes those of others.

        Raises
        ------
        DataError
            If the data do not fit the network or λ ≤ 0.
        """
        strength = as_positive(lam, "lam")
        outputs = self.predict(X)
        targets = as_floats(Y, "Y", 1 if as_array(Y, "Y").ndim == 1 else 2)
        if targets.ndim == 2 and targets.shape[1] == 1:
            targets = targets[:, 0]
        if targets.shape != outputs.shape:
            raise DataError(
                f"The network's outputs have shape {outputs.shape} and Y has {targets.shape}.",
                outputs=outputs.shape,
                targets=targets.shape,
            )
        misfit = 0.5 * float(((outputs - targets) ** 2).sum()) / len(targets)
        return misfit + strength * self.penalty()

    def with_statistics(self, X: ArrayLike) -> DeepNetwork:
        """The network whose batch normalisation has the mean and size of these rows."""
        if self.norm is None:
            return self
        layer: FloatArray = as_inputs(X, self.widths[0])
        for weights in self.weights[:-2]:
            layer = layer @ weights.T
            if self.activation == "relu":
                layer = np.maximum(layer, 0.0)
        return replace(self, norm=self.norm.of(layer @ self.weights[-2].T))

    def contents(self) -> tuple[dict[str, np.ndarray | None], dict[str, Any]]:
        """The arrays and the description of a file that holds the network."""
        arrays: dict[str, np.ndarray | None] = {
            f"weights_{k}": layer for k, layer in enumerate(self.weights)
        }
        arrays |= {"bias": self.bias, "intercept": self.constants}
        meta: dict[str, Any] = {"activation": self.activation, "depth": self.depth}
        if self.norm is not None:
            arrays |= {f"norm_{name}": getattr(self.norm, name) for name in NORM_PARTS}
            meta["rows"] = self.norm.rows
        return arrays, meta

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to an npz file (no pickle)."""
        write_npz(path, "deep_network", *self.contents())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> DeepNetwork:
        """Read what `save` wrote; a damaged file is a DataError."""
        arrays, meta = read_npz(path, "deep_network")
        return cls.from_contents(arrays, meta, path)

    @classmethod
    def from_contents(
        cls,
        arrays: Mapping[str, np.ndarray],
        meta: Mapping[str, Any],
        path: str | os.PathLike[str],
    ) -> DeepNetwork:
        """The network of what `contents` returned, as read from a file."""
        depth, rows = meta.get("depth"), meta.get("rows", 1)
        with complete(path, "network"):
            if not isinstance(depth, int) or not isinstance(rows, int):
                raise DataError(f"it says depth {depth!r:.60} and rows {rows!r:.60}.")
            if not 2 <= depth <= len(arrays):
                raise DataError(f"it says depth {depth!r:.60} and rows {rows!r:.60}.")
            norm = None
            if "norm_gamma" in arrays:
                parts = {name: need(arrays, f"norm_{name}", "f", 1) for name in NORM_PARTS}
                norm = BatchNorm(**parts, rows=rows)
            return cls(
                tuple(need(arrays, f"weights_{k}", "f", 2) for k in range(depth)),
                str(meta.get("activation")),
                maybe(arrays, "bias", "f", 1),
                need(arrays, "intercept", "f", 1),
                norm,
            )

    @classmethod
    def from_torch(cls, module: Module, X: ArrayLike | None = None) -> DeepNetwork:
        """The network of a torch `Sequential`.

        Parameters
        ----------
        module : torch.nn.Module
            `Linear`s with `ReLU` between all of them or none of them; before the last `ReLU` there
            may be a `BatchNorm1d`. Biases: of the last hidden layer and of the output.
        X : (n, d) array, optional
            Training rows, needed for a batch normalisation, whose statistics are theirs.

        Raises
        ------
        DataError
            If the module is another, or has biases in other layers.
        BackendUnavailable
            If torch is missing.
        """
        network: DeepNetwork = above("export.deep_torch_form.deep_from_torch")(module, X)
        return network

    def _last(self, h: FloatArray) -> FloatArray:
        """Pre-activations of the last hidden layer, shifted or normalised."""
        if self.norm is not None:
            return self.norm(h)
        return h if self.bias is None else h + self.bias
