"""Networks from plain arrays, as other libraries keep them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import FloatArray, as_array
from relu_opt.errors import DataError
from relu_opt.program.network import ReLUNetwork, as_weights


def from_arrays(
    hidden: ArrayLike,
    output: ArrayLike,
    bias: ArrayLike | None = None,
    output_bias: float = 0.0,
    gates: ArrayLike | None = None,
    gate_bias: ArrayLike | None = None,
    slope: float = 0.0,
) -> ReLUNetwork:
    """The network of some layers' weights, such as those of torch or pyscnn.

    Parameters
    ----------
    hidden : (m, d) array
        First-layer weights, one row a neuron.
    output : (m,) or (1, m) array
        Second-layer weights.
    bias : (m,) array, optional
        Biases of the neurons. The network then takes rows that end with a one,
        `np.column_stack([X, np.ones(len(X))])`.
    output_bias : float
        The constant of the output.
    gates : (m, d) array, optional
        Gate vectors of a gated network, one row a neuron; pyscnn's G is its transpose.
    gate_bias : (m,) array, optional
        Biases of the gates; zero if only the neurons have some.
    slope : float
        κ of a leaky ReLU.

    Returns
    -------
    ReLUNetwork
        Of d features, or d + 1 with a bias.

    Raises
    ------
    DataError
        If shapes disagree, there are several outputs, or a weight is not finite.
    """
    first = as_weights(hidden, "hidden", 2)
    neurons = len(first)
    last = as_array(output, "output")
    if last.ndim == 2 and len(last) != 1:
        raise DataError(
            f"output has shape {last.shape}, which is {len(last)} outputs, and networks here have "
            "one. Pass its rows one at a time, each with the same hidden weights, as (m,).",
            output=last.shape,
        )
    last = as_weights(last.reshape(-1) if last.ndim == 2 else last, "output", 1)
    if gate_bias is not None and gates is None:
        raise DataError("gate_bias comes without gates. Pass gates too.")
    second = None if gates is None else as_weights(gates, "gates", 2)
    if second is not None and second.shape != first.shape:
        raise DataError(
            f"gates has shape {second.shape} and hidden {first.shape}. Each neuron needs one "
            "gate of its size, one row a neuron; pyscnn's G is the transpose, G.T.",
            gates=second.shape,
            hidden=first.shape,
        )
    if bias is not None or gate_bias is not None:
        first = np.column_stack([first, _biases(bias, "bias", neurons)])
        if second is not None:
            second = np.column_stack([second, _biases(gate_bias, "gate_bias", neurons)])
    return ReLUNetwork(first, last, output_bias, second, slope)


def _biases(values: ArrayLike | None, name: str, neurons: int) -> FloatArray:
    """One bias a neuron, (m,); zeros if there are none."""
    if values is None:
        return np.zeros(neurons)
    biases = as_weights(values, name, 1)
    if len(biases) != neurons:
        raise DataError(f"{name} has {len(biases)} values, and there are {neurons} neurons.")
    return biases
