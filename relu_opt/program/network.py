r"""Two-layer networks, and the map between networks and blocks of the convex program.

A ReLU network predicts Σ_j (xᵀu_j)_+ a_j + c; a leaky one has φ_κ(xᵀu_j) (see `activations`), a
gated one 1[xᵀg_j ≥ 0] xᵀu_j in place of (xᵀu_j)_+.
A block w of sign s is the balanced neuron u = w/√‖w‖, a = s√‖w‖, which has
½(‖u‖² + a²) = ‖w‖: both programs then have the same objective (Pilanci & Ergen, ICML 2020).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import (
    BoolArray,
    FloatArray,
    IntArray,
    as_array,
    as_floats,
    as_number,
    as_positive,
    as_targets,
    frozen,
)
from relu_opt.errors import DataError
from relu_opt.io import complete, need, read_npz, write_npz
from relu_opt.program.activations import GATED, Activation, Leaky
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.loss_term import of_mean_one
from relu_opt.program.losses import Loss, get_loss
from relu_opt.program.signs import masks_of
from relu_opt.program.units import Units

# Neurons that are this small beside the largest are none.
TINY = 1e-100


@dataclass(frozen=True, eq=False)
class ReLUNetwork:
    """A two-layer ReLU, leaky-ReLU or gated-ReLU network with one output.

    Parameters
    ----------
    hidden : (m, d) array
        First-layer weights u_j, one row a neuron; m may be 0.
    output : (m,) array
        Second-layer weights a_j.
    intercept : float
        The output constant c.
    gates : (m, d) array, optional
        Gate vectors, one row a neuron; with them the network is a gated-ReLU network.
    slope : float
        κ < 1 of a leaky ReLU; 0 for ReLU and gated networks.

    Raises
    ------
    DataError
        If shapes disagree or a weight is not finite.
    """

    hidden: FloatArray
    output: FloatArray
    intercept: float = 0.0
    gates: FloatArray | None = None
    slope: float = 0.0

    def __post_init__(self) -> None:
        settle = object.__setattr__
        settle(self, "hidden", as_weights(self.hidden, "hidden", 2))
        settle(self, "output", as_weights(self.output, "output", 1))
        settle(self, "intercept", as_number(self.intercept, "intercept"))
        if len(self.hidden) != len(self.output):
            raise DataError(
                f"hidden has {len(self.hidden)} neurons and output has {len(self.output)}. "
                "Pass hidden as (m, d) and output as (m,).",
                hidden=self.hidden.shape,
                output=self.output.shape,
            )
        settle(self, "slope", Leaky(self.slope).slope)
        if self.gates is not None:
            if self.slope:
                raise DataError("A gated network has no slope. Leave slope or gates out.")
            settle(self, "gates", as_weights(self.gates, "gates", 2))
            if self.gates.shape != self.hidden.shape:
                raise DataError(
                    f"gates has shape {self.gates.shape} and hidden {self.hidden.shape}. "
                    "Each neuron needs one gate of its size.",
                    gates=self.gates.shape,
                    hidden=self.hidden.shape,
                )

    def __len__(self) -> int:
        return len(self.output)

    def __repr__(self) -> str:
        size = f"{len(self)} {self.activation.kind} neurons, {self.hidden.shape[1]} features"
        return f"ReLUNetwork({size})"

    @property
    def activation(self) -> Activation:
        """What its neurons are."""
        return Leaky(self.slope) if self.gates is None else GATED

    def activations(self, X: FloatArray) -> FloatArray:
        """The hidden layer at the rows of X: (n, m)."""
        on = None if self.gates is None else masks_of(X, self.gates.T)
        return self.activation.apply(X @ self.hidden.T, on)

    def predict(self, X: ArrayLike) -> FloatArray:
        """Outputs at the rows of X: (n,).

        Raises
        ------
        DataError
            If X is not (n, d) for the network's d.
        """
        data = as_inputs(X, self.hidden.shape[1])
        result = np.empty(len(data))
        step = max(1, 2**22 // max(1, len(self)))
        for start in range(0, len(data), step):
            part = slice(start, start + step)
            result[part] = self.activations(data[part]) @ self.output + self.intercept
        return result

    def penalty(self) -> float:
        """½ Σ_j (‖u_j‖² + a_j²): what λ multiplies."""
        return 0.5 * float((self.hidden**2).sum() + (self.output**2).sum())

    def objective(
        self,
        X: ArrayLike,
        y: ArrayLike,
        lam: float,
        loss: str | Loss = "squared",
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """F(predictions) + (λ/2) Σ_j (‖u_j‖² + a_j²), F the weighted *mean* loss.

        It is inf where no double is as large.

        Raises
        ------
        DataError
            If the data do not fit the network or λ ≤ 0.
        """
        strength = as_positive(lam, "lam")
        with np.errstate(over="ignore"):
            predictions = self.predict(X)
            targets = as_targets(y, "y", len(predictions), "X")
            values = get_loss(loss).value(predictions, targets)
            if sample_weight is not None:
                weights = as_targets(sample_weight, "sample_weight", len(values), "X")
                values = values * of_mean_one(weights)
            return float(values.mean()) + strength * self.penalty()

    def balance(self) -> ReLUNetwork:
        """The same function with ‖u_j‖ = |a_j|, which never raises the penalty.

        Neurons that contribute nothing are dropped.
        """
        norms = row_norms(self.hidden)
        sizes = np.sqrt(norms) * np.sqrt(np.abs(self.output))
        keep = contributing(sizes)
        size = sizes[keep]
        return replace(
            self,
            hidden=self.hidden[keep] / norms[keep, None] * size[:, None],
            output=np.sign(self.output[keep]) * size,
            gates=None if self.gates is None else self.gates[keep],
        )

    def merge(self, tol: float = 1e-9) -> ReLUNetwork:
        """The same function with neurons of one direction and output sign made one.

        Parameters
        ----------
        tol : float
            Directions u/‖u‖ (and gates) are one when no entry differs by more than this.
        """
        balanced = self.balance()
        blocks = balanced.hidden * np.abs(balanced.output)[:, None]
        units = blocks / np.linalg.norm(blocks, axis=1, keepdims=True)
        keys = [units, np.sign(balanced.output)[:, None]]
        if balanced.gates is not None:
            keys.append(balanced.gates)
        firsts, group = group_rows(np.hstack(keys), tol)
        if len(firsts) == len(balanced):
            return balanced
        total = np.zeros((len(firsts), self.hidden.shape[1]))
        np.add.at(total, group, blocks)
        root = np.sqrt(np.linalg.norm(total, axis=1))
        return replace(
            self,
            hidden=total / root[:, None],
            output=np.sign(balanced.output[firsts]) * root,
            gates=None if balanced.gates is None else balanced.gates[firsts],
        )

    def to_arrays(self) -> dict[str, FloatArray]:
        """The weights by name; `ReLUNetwork(**arrays)` builds the network again."""
        arrays = {
            "hidden": self.hidden,
            "output": self.output,
            "intercept": np.array(self.intercept),
        }
        if self.slope:
            arrays["slope"] = np.array(self.slope)
        return arrays if self.gates is None else {**arrays, "gates": self.gates}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> ReLUNetwork:
        """The network of what `to_arrays` returned; missing entries are a DataError."""
        return cls(
            need(arrays, "hidden", "f", 2),
            need(arrays, "output", "f", 1),
            float(need(arrays, "intercept", "f", 0)),
            need(arrays, "gates", "f", 2) if "gates" in arrays else None,
            float(need(arrays, "slope", "f", 0)) if "slope" in arrays else 0.0,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to an npz file (no pickle)."""
        write_npz(path, "network", self.to_arrays(), {})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ReLUNetwork:
        """Read what `save` wrote; a damaged file is a DataError."""
        arrays = read_npz(path, "network")[0]
        with complete(path, "network"):
            return cls.from_arrays(arrays)


def as_weights(values: ArrayLike, name: str, ndim: int) -> FloatArray:
    """Finite weights as `as_floats` makes them, of which there may be none, or a DataError."""
    array = as_array(values, name)
    if array.ndim == ndim and not array.size:
        return np.asarray(frozen(np.zeros(array.shape)))
    return as_floats(array, name, ndim)


def as_inputs(X: ArrayLike, d: int) -> FloatArray:
    """Rows for a network of d features, (rows, d), or a DataError."""
    data = as_floats(X, "X", 2)
    if data.shape[1] != d:
        raise DataError(
            f"X has {data.shape[1]} columns and the network takes {d}. "
            "A network trained with a hidden bias takes a column of ones.",
            columns=data.shape[1],
            needed=d,
        )
    return data


def row_norms(rows: FloatArray) -> FloatArray:
    """‖·‖ of each row, (m,), also where its square is no double."""
    power = np.frexp(np.abs(rows).max(axis=-1, initial=0.0))[1]
    norms = np.linalg.norm(np.ldexp(rows, -power[..., None]), axis=-1)
    return np.asarray(np.ldexp(norms, power))


def contributing(sizes: FloatArray) -> BoolArray:
    """Which neurons of these sizes are not zero beside the largest."""
    return np.asarray(sizes > TINY * sizes.max(initial=0.0))


def group_rows(rows: FloatArray, tol: float) -> tuple[IntArray, IntArray]:
    """The first row of each group of equal rows, and the group of every row.

    A row joins the nearest group whose first row differs by at most `tol` in every entry.
    """
    firsts: list[int] = []
    group: IntArray = np.zeros(len(rows), dtype=np.intp)
    for j, row in enumerate(rows):
        near = np.abs(rows[firsts] - row).max(axis=1, initial=0.0) if firsts else np.empty(0)
        if len(near) and near.min() <= tol:
            group[j] = near.argmin()
        else:
            group[j] = len(firsts)
            firsts.append(j)
    return np.array(firsts, dtype=np.intp), group


def network_from_weights(
    prog: ConvexProgram, weights: FloatArray, intercept: float = 0.0
) -> ReLUNetwork:
    """The balanced network of a program's blocks: one neuron a non-zero block."""
    norms = row_norms(weights)
    sign, which = np.nonzero(contributing(norms))
    blocks, root = weights[sign, which], np.sqrt(norms[sign, which])
    gates = prog.patterns.gates
    return ReLUNetwork(
        blocks / root[:, None],
        np.asarray(prog.signs)[sign] * root,
        intercept,
        gates.T[which] if prog.activation.gated and gates is not None else None,
        prog.activation.slope,
    )


def canonical_network(network: ReLUNetwork, units: Units) -> ReLUNetwork:
    """A network in the units of `ConvexProgram.canonical`."""
    layer = Units(-units.x, -units.y).layer
    return replace(
        network,
        hidden=layer(network.hidden),
        output=layer(network.output),
        intercept=units.in_constant(network.intercept),
    )


def users_network(network: ReLUNetwork, units: Units) -> ReLUNetwork:
    """A network of `ConvexProgram.canonical` in the user's units."""
    return replace(
        network,
        hidden=units.layer(network.hidden),
        output=units.layer(network.output),
        intercept=units.constant(network.intercept),
    )


def network_blocks(network: ReLUNetwork) -> FloatArray:
    """w_j = u_j|a_j| of the balanced network, (m, d)."""
    balanced = network.balance()
    return balanced.hidden * np.abs(balanced.output)[:, None]


def locate_neurons(prog: ConvexProgram, network: ReLUNetwork, tol: float) -> IntArray:
    """The pattern of the program that each neuron belongs to, −1 where none fits: (m,).

    A ReLU neuron belongs to a pattern whose closed cone holds it, up to `tol` relative to the
    norms of the row and of the neuron; a gated one to the pattern that its gate makes.
    """
    place: IntArray = np.full(len(network), -1, dtype=np.intp)
    source = network.hidden if network.gates is None else network.gates
    own = np.packbits(masks_of(prog.X, source.T).T, axis=1)
    lookup = {row.tobytes(): i for i, row in enumerate(prog.patterns.packed)}
    for j in range(len(network)):
        place[j] = lookup.get(own[j].tobytes(), -1)
    if network.gates is not None:
        return place
    for k in np.flatnonzero(place < 0):
        slack = prog.cone_rows.unit @ (network.hidden[k] / np.linalg.norm(network.hidden[k]))
        matters = np.abs(slack) > tol
        wanted = slack > 0
        for part in prog.patterns.chunks(bytes_each=1):
            differs = (prog.patterns.unpack(part) != wanted)[:, matters].any(axis=1)
            if not differs.all():
                place[k] = part.start + int(np.argmin(differs))
                break
    return place


def weights_from_network(
    prog: ConvexProgram, network: ReLUNetwork, tol: float = 1e-9
) -> FloatArray:
    """The blocks of a network, in the program's shape; the way back of the solution map.

    Raises
    ------
    DataError
        If a neuron lies in none of the program's cones.
    """
    if network.activation != prog.activation:
        raise DataError(
            f"The program is of {prog.activation.kind} networks, and the network has "
            f"{network.activation.kind} neurons."
        )
    if network.hidden.shape[1] != prog.d:
        raise DataError(
            f"The network takes {network.hidden.shape[1]} features, and the program's data have "
            f"{prog.d} columns.",
            network=network.hidden.shape[1],
            data=prog.d,
        )
    balanced = network.balance()
    place = locate_neurons(prog, balanced, tol)
    if (place < 0).any():
        first = int(np.argmax(place < 0))
        raise DataError(
            f"Neuron {first} lies outside every cone of the program. Add its pattern: "
            "patterns_of_gates(X, network.hidden.T).",
            neuron=first,
        )
    weights = np.zeros(prog.weights_shape)
    blocks = balanced.hidden * np.abs(balanced.output)[:, None]
    signs = np.sign(balanced.output)
    if prog.activation.gated:
        np.add.at(weights[0], place, blocks * signs[:, None])
    else:
        np.add.at(weights, ((signs < 0).astype(np.intp), place), blocks)
    return weights
