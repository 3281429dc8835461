r"""Two-layer ReLU networks with several outputs, dense or over patches of the features.

A dense network predicts Σ_j (xᵀu_j)₊ w_j + c, each w_j a row of c outputs. Over patches x_1 … x_K
(chosen columns of x) it predicts Σ_j Σ_k (x_kᵀu_j)₊ w_jk + c, or with average pooling
Σ_j (1/K) Σ_k (x_kᵀu_j)₊ w_j + c. A balanced neuron has ‖u_j‖ = ‖w_j‖ (Frobenius norm over k).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.above import above
from relu_opt.arrays import FloatArray, IntArray, as_array, as_floats, as_positive, frozen
from relu_opt.errors import DataError
from relu_opt.io import complete, need, read_npz, write_npz
from relu_opt.program.network import as_inputs, as_weights, contributing, group_rows

if TYPE_CHECKING:
    from torch.nn import Module


@dataclass(frozen=True, eq=False)
class VectorNetwork:
    """A two-layer ReLU network with c outputs.

    Parameters
    ----------
    hidden : (m, h) array
        First-layer weights u_j, one row a neuron; m may be 0. Without patches h is d.
    output : (m, c) or (m, K, c) array
        Second-layer weights w_j. Three axes: one row for each of K patches; two axes with
        patches: the neuron's values are averaged over the patches.
    intercept : (c,) array, optional
        The output constants; zeros by default.
    patches : (K, h) array of int, optional
        The columns of X in each patch.

    Raises
    ------
    DataError
        If shapes disagree or a weight is not finite.
    """

    hidden: FloatArray
    output: FloatArray
    intercept: FloatArray | None = None
    patches: IntArray | None = None

    def __post_init__(self) -> None:
        settle = object.__setattr__
        settle(self, "hidden", as_weights(self.hidden, "hidden", 2))
        axes = 3 if as_array(self.output, "output").ndim == 3 else 2
        settle(self, "output", as_weights(self.output, "output", axes))
        if len(self.hidden) != len(self.output):
            raise DataError(
                f"hidden has {len(self.hidden)} neurons and output has {len(self.output)}. "
                "Pass hidden as (m, h) and output as (m, c) or (m, K, c).",
                hidden=self.hidden.shape,
                output=self.output.shape,
            )
        constants = np.zeros(self.output.shape[-1]) if self.intercept is None else self.intercept
        settle(self, "intercept", as_weights(constants, "intercept", 1))
        if len(self.constants) != self.outputs:
            raise DataError(
                f"intercept has {len(self.constants)} values and there are {self.outputs} outputs.",
                intercept=self.constants.shape,
                output=self.output.shape,
            )
        if self.patches is not None:
            settle(self, "patches", as_patches(self.patches, None))
        count = 1 if self.patches is None else len(self.patches)
        width = self.hidden.shape[1] if self.patches is None else self.patches.shape[1]
        fits = self.patches is not None and self.output.shape[1] == count if axes == 3 else True
        if not fits or width != self.hidden.shape[1]:
            raise DataError(
                f"hidden is {self.hidden.shape}, output {self.output.shape} and patches "
                f"{None if self.patches is None else self.patches.shape}. With patches (K, h), "
                "hidden is (m, h) and output (m, K, c), or (m, c) for average pooling.",
                hidden=self.hidden.shape,
                output=self.output.shape,
            )

    def __len__(self) -> int:
        return len(self.hidden)

    def __repr__(self) -> str:
        over = "" if self.patches is None else f", {len(self.patches)} patches"
        pooled = ", average pooling" if self.pooled else ""
        return f"VectorNetwork({len(self)} ReLU neurons, {self.outputs} outputs{over}{pooled})"

    @property
    def outputs(self) -> int:
        """The number c of outputs."""
        return int(self.output.shape[-1])

    @property
    def pooled(self) -> bool:
        """Whether the neurons' values are averaged over patches."""
        return self.patches is not None and self.output.ndim == 2

    @property
    def constants(self) -> FloatArray:
        """The output constants, (c,)."""
        assert self.intercept is not None  # noqa: S101 - settled when it was made
        return self.intercept

    def activations(self, X: FloatArray) -> FloatArray:
        """The hidden layer at the rows of X: (n, m), or (n, m, K) with weights for each patch."""
        if self.patches is None:
            return np.maximum(X @ self.hidden.T, 0.0)
        linear = np.maximum(X[:, self.patches] @ self.hidden.T, 0.0)  # (n, K, m)
        return linear.mean(axis=1) if self.pooled else linear.transpose(0, 2, 1)

    def predict(self, X: ArrayLike) -> FloatArray:
        """Outputs at the rows of X: (n, c).

        Raises
        ------
        DataError
            If X has not the columns that the network takes.
        """
        if self.patches is None:
            data = as_inputs(X, self.hidden.shape[1])
        else:
            data = as_floats(X, "X", 2)
            as_patches(self.patches, data.shape[1])
        result = np.empty((len(data), self.outputs))
        flat = self.output.reshape(-1, self.outputs)
        step = max(1, 2**22 // max(1, len(flat)))
        for start in range(0, len(data), step):
            part = slice(start, start + step)
            values = self.activations(data[part]).reshape(len(data[part]), -1)
            result[part] = values @ flat + self.constants
        return result

    def penalty(self) -> float:
        """½ Σ_j (‖u_j‖² + ‖w_j‖²): what λ multiplies."""
        return 0.5 * float((self.hidden**2).sum() + (self.output**2).sum())

    def objective(self, X: ArrayLike, Y: ArrayLike, lam: float) -> float:
        """(1/2n) ‖predictions − Y‖² + (λ/2) Σ_j (‖u_j‖² + ‖w_j‖²): the *mean* over samples.

        Raises
        ------
        DataError
            If the data do not fit the network or λ ≤ 0.
        """
        strength = as_positive(lam, "lam")
        targets = as_floats(Y, "Y", 2)
        predictions = self.predict(X)
        if targets.shape != predictions.shape:
            raise DataError(
                f"The predictions have shape {predictions.shape} and Y {targets.shape}.",
                predictions=predictions.shape,
                Y=targets.shape,
            )
        loss = 0.5 * float(((predictions - targets) ** 2).sum()) / len(targets)
        return loss + strength * self.penalty()

    def balance(self) -> VectorNetwork:
        """The same function with ‖u_j‖ = ‖w_j‖, which never raises the penalty.

        Neurons that contribute nothing are dropped.
        """
        inner = np.linalg.norm(self.hidden, axis=1)
        outer = np.sqrt((self.output**2).sum(axis=tuple(range(1, self.output.ndim))))
        sizes = np.sqrt(inner) * np.sqrt(outer)
        keep = contributing(sizes)
        inner, outer, size = inner[keep], outer[keep], sizes[keep]
        along = (-1,) + (1,) * (self.output.ndim - 1)
        return VectorNetwork(
            self.hidden[keep] / inner[:, None] * size[:, None],
            self.output[keep] / outer.reshape(along) * size.reshape(along),
            self.intercept,
            self.patches,
        )

    def merge(self, tol: float = 1e-9) -> VectorNetwork:
        """The same function with neurons of one direction made one; balanced.

        Parameters
        ----------
        tol : float
            Directions u/‖u‖ are one when no entry differs by more than this.
        """
        balanced = self.balance()
        sizes = np.linalg.norm(balanced.hidden, axis=1, keepdims=True)
        units = balanced.hidden / sizes
        firsts, group = group_rows(units, tol)
        total = np.zeros((len(firsts), *self.output.shape[1:]))
        along = (-1,) + (1,) * (self.output.ndim - 1)
        np.add.at(total, group, balanced.output * sizes.reshape(along))
        return VectorNetwork(units[firsts], total, self.intercept, self.patches).balance()

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The weights by name; `VectorNetwork(**arrays)` builds the network again."""
        arrays: dict[str, np.ndarray] = {
            "hidden": self.hidden,
            "output": self.output,
            "intercept": self.constants,
        }
        if self.patches is not None:
            arrays["patches"] = self.patches.astype(np.int64)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> VectorNetwork:
        """The network of what `to_arrays` returned; missing entries are a DataError."""
        axes = 3 if getattr(arrays.get("output"), "ndim", 2) == 3 else 2
        return cls(
            need(arrays, "hidden", "f", 2),
            need(arrays, "output", "f", axes),
            need(arrays, "intercept", "f", 1),
            need(arrays, "patches", "i", 2) if "patches" in arrays else None,
        )

    @classmethod
    def from_torch(cls, module: Module) -> VectorNetwork:
        """The network of a torch `Sequential(Linear, ReLU, Linear)`.

        A bias of the first layer becomes the last column of `hidden`: the network takes rows that
        end with a one. The bias of the last layer is the output constants.

        Raises
        ------
        DataError
            If the module is another.
        BackendUnavailable
            If torch is missing.
        """
        deep = above("export.deep_torch_form.deep_from_torch")(module, None)
        if deep.depth != 2 or deep.activation != "relu":
            raise DataError(
                f"The module has {deep.depth} linear layers, activation {deep.activation!r}, and "
                "Sequential(Linear, ReLU, Linear) is needed. Use DeepNetwork.from_torch.",
                depth=deep.depth,
            )
        hidden, outer = deep.weights
        if deep.bias is not None:
            hidden = np.column_stack([hidden, deep.bias])
        return cls(hidden, outer.T, deep.constants)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to an npz file (no pickle)."""
        write_npz(path, "vector_network", self.to_arrays(), {})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> VectorNetwork:
        """Read what `save` wrote; a damaged file is a DataError."""
        arrays = read_npz(path, "vector_network")[0]
        with complete(path, "network"):
            return cls.from_arrays(arrays)


def as_patches(patches: ArrayLike, columns: int | None) -> IntArray:
    """Columns of each patch, (K, h) of int, or a DataError."""
    try:
        array = np.asarray(patches)
    except ValueError as error:
        raise DataError("The patches are of different sizes. Pass a (K, h) array.") from error
    if array.ndim != 2 or array.dtype.kind not in "iu" or not array.size:
        raise DataError(
            f"patches is {array.dtype} of shape {array.shape}, and a (K, h) array of column "
            "numbers is needed.",
            shape=array.shape,
        )
    if array.min() < 0 or (columns is not None and array.max() >= columns):
        raise DataError(
            f"patches holds columns from {array.min()} to {array.max()}, and X has the columns 0 "
            f"to {'…' if columns is None else columns - 1}.",
            least=int(array.min()),
            most=int(array.max()),
        )
    return np.asarray(frozen(array.astype(np.intp)))
