"""A network together with what is done to its input and output, as one set of weights.

A standardised feature is (x − centre)/(scale·√d₀), so the neuron (u, b) on it is the neuron
u/(scale·√d₀) on x − centre, and b times the value of the column of ones is its bias. The
target's mean and deviation go into the output weights. What is left is

    prediction = Σ_j ((x − centre)ᵀu_j + b_j)_+ a_j + c,

and for a gated network 1[(x − centre)ᵀg_j + h_j ≥ 0] in place of the positive part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.errors import DataError
from relu_opt.program.network import ReLUNetwork
from relu_opt.tabular.preprocessing import Preprocessing


@dataclass(frozen=True, eq=False)
class Folded:
    """A network that takes features as they are.

    Attributes
    ----------
    hidden : (m, d₀) array
        Weights u_j of the neurons.
    bias : (m,) array or None
        Their biases b_j; None if the network has none at all.
    output : (m,) array
        Weights a_j.
    constant : float
        The constant c.
    gates, gate_bias : arrays as `hidden` and `bias`, or None
        The gates (g_j, h_j) of a gated network.
    centre : (d₀,) array or None
        What is taken from the features first; None for nothing.
    classes : (float, float) or None
        The values that a negative and another prediction stand for; None for a regression.
    slope : float
        κ of a leaky ReLU.
    """

    hidden: FloatArray
    bias: FloatArray | None
    output: FloatArray
    constant: float
    gates: FloatArray | None
    gate_bias: FloatArray | None
    centre: FloatArray | None
    classes: tuple[float, float] | None
    slope: float = 0.0


def fold(
    network: ReLUNetwork, preprocessing: Preprocessing | None = None, bias: bool = False
) -> Folded:
    """The network on raw features.

    Parameters
    ----------
    network : ReLUNetwork
    preprocessing : Preprocessing, optional
        What made the rows that the network takes; without it, they stay what goes in.
    bias : bool
        Without preprocessing: whether the last of the columns is ones, and goes into biases.

    Raises
    ------
    DataError
        If network and preprocessing do not fit together, or folded weights are not finite.
    """
    check_fit(network, preprocessing, bias)
    ones, root = 1.0, 1.0
    divisor: FloatArray | None = None
    if preprocessing is not None:
        bias = preprocessing.bias
        if preprocessing.standardize:
            root = math.sqrt(len(preprocessing.features))
            ones, divisor = 1.0 / root, np.asarray(preprocessing.scale) * root

    def split(rows: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        weights = rows[:, :-1] if bias else rows
        with np.errstate(over="ignore", under="ignore"):
            weights = weights if divisor is None else weights / divisor
        return weights, rows[:, -1] * ones if bias else None

    hidden, hidden_bias = split(network.hidden)
    gates, gate_bias = (None, None) if network.gates is None else split(network.gates)
    output, constant = network.output, network.intercept
    centre, classes = None, None
    if preprocessing is not None:
        classes = preprocessing.classes
        with np.errstate(over="ignore", under="ignore"):
            output = output * preprocessing.target_scale
            constant = constant * preprocessing.target_scale + preprocessing.target_centre
        centre = np.asarray(preprocessing.centre) if preprocessing.standardize else None
    arrays = (hidden, output, constant, gates)
    if not all(np.isfinite(array).all() for array in arrays if array is not None):
        raise DataError(
            "A feature's or the target's deviation is so small or large that the weights on raw "
            "values overflow. Rescale the column, and train again."
        )
    folded = hidden, hidden_bias, output, constant, gates, gate_bias, centre, classes
    return Folded(*folded, network.slope)


def check_fit(network: ReLUNetwork, preprocessing: Preprocessing | None, bias: bool) -> None:
    """Raise a DataError unless the network takes the rows that are made for it."""
    if not isinstance(network, ReLUNetwork):
        raise DataError(f"network is a {type(network).__name__}, and a ReLUNetwork is needed.")
    width = network.hidden.shape[1]
    if preprocessing is None:
        if bias and width < 2:
            raise DataError(
                f"The network takes {width} column, and with bias=True it is the column of ones: "
                "no feature would be left. Leave bias=True out."
            )
        return
    if not isinstance(preprocessing, Preprocessing):
        raise DataError(
            f"preprocessing is a {type(preprocessing).__name__}, and a Preprocessing is needed: "
            "that of a model, or Preprocessing.fit(table, target)."
        )
    if bias:
        raise DataError(
            "The preprocessing says by itself whether there is a bias. Leave bias=True out."
        )
    made = len(preprocessing.features) + preprocessing.bias
    if made != width:
        raise DataError(
            f"The preprocessing makes {made} columns, and the network takes {width}. Pass the "
            "preprocessing that the network was trained with.",
            preprocessing=made,
            network=width,
        )
