"""Networks as torch modules, modules as networks, and torch's own files without pickle."""

from __future__ import annotations

import functools
import io
import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import FloatArray
from relu_opt.errors import BackendUnavailable, DataError
from relu_opt.export.arrays_form import from_arrays
from relu_opt.export.comparison import ExportReport, comparison, path_text
from relu_opt.export.folded import Folded, fold
from relu_opt.io import write_atomically
from relu_opt.program.network import ReLUNetwork
from relu_opt.tabular.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch.nn import Module

# Rows on which a module and the network made of it have to agree.
ROWS = 16


def to_torch(
    network: ReLUNetwork, preprocessing: Preprocessing | None = None, *, bias: bool = False
) -> Module:
    """A torch module of a network.

    Parameters
    ----------
    network : ReLUNetwork
    preprocessing : Preprocessing, optional
        What made the rows that the network takes, such as a model's. The module then takes raw
        features, and its outputs are in the target's units; for two classes, an output ≥ 0
        means the second.
    bias : bool
        Without preprocessing: whether the network's last column is ones. The module then takes
        the others.

    Returns
    -------
    torch.nn.Module
        `Sequential(Linear, ReLU, Linear)` in double precision, from (n, d₀) to (n, 1), with
        LeakyReLU for a leaky network; for a gated one, a layer with `linear` and a fixed `gate`
        in place of the first two.

    Raises
    ------
    DataError
        If network and preprocessing do not fit together.
    BackendUnavailable
        If torch is missing.
    """
    torch = need_torch()
    folded = fold(network, preprocessing, bias)
    hidden = _linear(folded.hidden, _shifted(folded, folded.hidden, folded.bias))
    output = _linear(folded.output[None, :], np.array([folded.constant]))
    if folded.gates is None:
        slope, nn = folded.slope, torch.nn
        active = nn.LeakyReLU(negative_slope=slope) if slope else nn.ReLU()
        made: Module = nn.Sequential(hidden, active, output)
        return made
    gate = _linear(folded.gates, _shifted(folded, folded.gates, folded.gate_bias))
    return torch.nn.Sequential(_gated_layer()(hidden, gate), output)


def from_torch(module: Module) -> ReLUNetwork:
    """The network of a torch module.

    Parameters
    ----------
    module : torch.nn.Module
        `Sequential(Linear, ReLU, Linear)` with one output, or LeakyReLU in the middle, or what
        `to_torch` returned.

    Returns
    -------
    ReLUNetwork
        If the first layer has a bias, its last column: the network takes rows that end with a
        one, `np.column_stack([X, np.ones(len(X))])`. The bias of the last layer is the
        intercept.

    Raises
    ------
    DataError
        If the module is of another architecture, has several outputs, weights that are not
        finite, or hooks that change what it predicts.
    BackendUnavailable
        If torch is missing.
    """
    torch = need_torch()
    nn = torch.nn
    layers = list(module) if type(module) is nn.Sequential else [module]
    gates: tuple[Any, Any] = (None, None)
    slope = 0.0
    match [type(layer) for layer in layers]:
        case [nn.Linear, nn.ReLU, nn.Linear]:
            hidden = layers[0]
        case [nn.Linear, nn.LeakyReLU, nn.Linear]:
            hidden, slope = layers[0], float(layers[1].negative_slope)
        case [kind, nn.Linear] if kind is _gated_layer():
            hidden, gates = layers[0].linear, weights_of(layers[0].gate)
        case kinds:
            raise DataError(
                f"The module is {', '.join(kind.__name__ for kind in kinds) or 'empty'}, and "
                "Sequential(Linear, ReLU, Linear) is needed: two layers, nothing else. Of a "
                "module of your own, pass nn.Sequential(module.first, nn.ReLU(), module.second).",
                layers=[kind.__name__ for kind in kinds],
            )
    weights, bias = weights_of(hidden)
    output, constant = weights_of(layers[-1])
    intercept = 0.0 if constant is None or not len(constant) else float(constant[0])
    network = from_arrays(weights, output, bias, intercept, *gates, slope=slope)
    _check_agreement(module, network, hidden.bias is not None)
    return network


def save_torch(
    network: ReLUNetwork,
    path: str | os.PathLike[str] | None = None,
    preprocessing: Preprocessing | None = None,
    *,
    bias: bool = False,
    X: ArrayLike | None = None,
) -> ExportReport:
    """Write a network as an exported torch program, which `torch.export.load` reads.

    The file (usually `.pt2`) holds the graph as JSON and the weights as bytes, in double
    precision, and nothing pickled.

    Parameters
    ----------
    network, preprocessing, bias
        As in `to_torch`.
    path : path, optional
        The file to write; an earlier one survives a failure. Without it, the program is only
        in the report's `content`.
    X : (n, d₀) array, optional
        Rows to compare on, as the module takes them; 64 are drawn if there are none.

    Returns
    -------
    ExportReport
        With the largest difference between the file's predictions and the network's.

    Raises
    ------
    DataError
        If network, preprocessing and X do not fit together, or the file cannot be written.
    BackendUnavailable
        If torch is missing.
    """
    torch = need_torch()
    module = to_torch(network, preprocessing, bias=bias).eval()
    check = comparison(network, preprocessing, bias, X)
    content = _exported(module, check.rows.shape[1])
    program = torch.export.load(io.BytesIO(content))
    with torch.no_grad():
        outputs = program.module()(torch.tensor(check.rows))[:, 0].numpy()
    labels = None
    if preprocessing is not None and check.labels is not None:
        labels = preprocessing.restore(outputs)
    report = ExportReport(
        content,
        "torch",
        "float64",
        check.rows.shape[1],
        len(network),
        path_text(path),
        **check.measure(outputs, labels),
    )
    if path is not None:
        write_atomically(path, lambda stream: stream.write(content))
    return report


def need_torch() -> Any:
    """The module torch, or a BackendUnavailable."""
    try:
        import torch
    except ImportError as error:
        raise BackendUnavailable(
            "Torch modules need torch, which cannot be imported. pip install 'relu-opt[torch]'."
        ) from error
    return torch


def _linear(weights: FloatArray, bias: FloatArray | None) -> Any:
    """A Linear layer of given weights; torch's global random numbers stay untouched."""
    torch = need_torch()
    rows, columns = weights.shape
    with warnings.catch_warnings():
        # A network may have no neurons.
        warnings.filterwarnings("ignore", "Initializing zero-element", UserWarning)
        layer = torch.nn.utils.skip_init(
            torch.nn.Linear, columns, rows, bias=bias is not None, dtype=torch.float64
        )
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weights))
        if bias is not None:
            layer.bias.copy_(torch.tensor(bias))
    return layer


def _shifted(folded: Folded, weights: FloatArray, bias: FloatArray | None) -> FloatArray | None:
    """Biases that make up for the centre, which a Linear layer does not take away."""
    if folded.centre is None:
        return bias
    shift = -weights @ folded.centre
    return shift if bias is None else bias + shift


@functools.cache
def _gated_layer() -> Any:
    """The class of gated layers; made when torch is there."""
    torch = need_torch()

    class GatedReLU(torch.nn.Module):  # type: ignore[misc, name-defined]
        """linear(x) where gate(x) ≥ 0, and zero elsewhere."""

        def __init__(self, linear: Any, gate: Any) -> None:
            super().__init__()
            self.linear, self.gate = linear, gate.requires_grad_(False)

        def forward(self, x: Any) -> Any:
            # A product, so that a row with NaN stays NaN.
            return self.linear(x) * (self.gate(x) >= 0)

    return GatedReLU


def weights_of(layer: Any) -> tuple[FloatArray, FloatArray | None]:
    """Weights and bias of a layer in double precision."""
    if layer.weight.is_meta:
        raise DataError("The module is on the device 'meta', without values. Load its weights.")
    if not layer.weight.is_floating_point():
        raise DataError(f"The module's weights are {layer.weight.dtype}, and floats are needed.")
    arrays = [
        None if each is None else each.detach().cpu().double().numpy()
        for each in (layer.weight, layer.bias)
    ]
    return arrays[0], arrays[1]  # type: ignore[return-value]


def _check_agreement(module: Any, network: ReLUNetwork, bias: bool) -> None:
    """Run both: hooks and the like change a module's predictions without a trace in its weights."""
    torch = need_torch()
    first = next(module.parameters())
    rows = np.random.default_rng(0).standard_normal((ROWS, network.hidden.shape[1] - bias))
    inputs = torch.tensor(rows).to(first)
    try:
        with torch.no_grad():
            outputs = module(inputs)[:, 0].cpu().double().numpy()
    except RuntimeError as error:
        raise DataError(f"The module cannot be run on {tuple(rows.shape)}: {error}.") from error
    data = inputs.cpu().double().numpy()
    data = np.column_stack([data, np.ones(ROWS)]) if bias else data
    size = np.abs(data) @ np.abs(network.hidden.T) @ np.abs(network.output)
    off = np.abs(network.predict(data) - outputs)
    allowed = 100 * float(torch.finfo(first.dtype).eps) * (size + abs(network.intercept))
    if not (off <= allowed).all():
        raise DataError(
            f"The module's predictions differ from those of its weights by {off.max():.3g}: "
            "something else than its layers acts on them, such as a hook. Pass a plain "
            "Sequential(Linear, ReLU, Linear)."
        )


def _exported(module: Any, width: int) -> bytes:
    """The bytes of the exported program for any number of rows."""
    torch = need_torch()
    rows = torch.zeros(2, width, dtype=torch.float64)
    batch = {0: torch.export.Dim.DYNAMIC}
    program = torch.export.export(module, (rows,), dynamic_shapes=(batch,))
    # torch would pickle them.
    program.example_inputs = None
    stream = io.BytesIO()
    torch.export.save(program, stream)
    return stream.getvalue()
