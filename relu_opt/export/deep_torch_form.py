"""Deep networks from torch: a `Sequential` of linear layers, ReLU and one batch normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import FloatArray, as_floats
from relu_opt.errors import DataError
from relu_opt.export.torch_form import ROWS, need_torch, weights_of
from relu_opt.program.network import as_inputs
from relu_opt.train.deep.network import BatchNorm, DeepNetwork


def deep_from_torch(module: Any, X: ArrayLike | None) -> DeepNetwork:
    """`DeepNetwork.from_torch`."""
    nn = need_torch().nn
    layers = list(module) if type(module) is nn.Sequential else [module]
    linears, norm = _read(nn, layers)
    activation = "relu" if any(type(layer) is nn.ReLU for layer in layers) else "linear"
    pairs = [weights_of(layer) for layer in linears]
    last = len(pairs) - 2
    for k, (_, bias) in enumerate(pairs[:-2]):
        if bias is not None and bias.any():
            raise DataError(
                f"Layer {k + 1} of {len(pairs)} has biases. Deep networks here have them in the "
                "last hidden layer and at the output alone: formulas for others do not exist. "
                "Train with Linear(..., bias=False).",
                layer=k + 1,
            )
    weights, bias = tuple(w for w, _ in pairs), pairs[last][1]
    if norm is None:
        # Biases that are all zero are none.
        network = DeepNetwork(
            weights, activation, bias if bias is not None and bias.any() else None, pairs[-1][1]
        )
        _check_agreement(module, network, None)
        return network
    if X is None:
        raise DataError("A batch normalisation has the statistics of its training rows. Pass X.")
    data = as_inputs(as_floats(X, "X", 2), weights[0].shape[1])
    network = _with_norm(weights, norm, pairs[-1][1], data)
    _check_agreement(module, network, data)
    return network


def _read(nn: Any, layers: list[Any]) -> tuple[list[Any], Any]:
    """The linear layers, and the batch normalisation if there is one."""
    kinds = [type(layer) for layer in layers]
    linears = [layer for layer in layers if type(layer) is nn.Linear]
    norms = [layer for layer in layers if type(layer) is nn.BatchNorm1d]
    depth = len(linears)
    if depth >= 2:
        plain = [nn.Linear, *([nn.ReLU, nn.Linear] * (depth - 1))]
        normed = [*plain[:-2], nn.BatchNorm1d, *plain[-2:]]
        if kinds in (plain, normed, [nn.Linear] * depth):
            return linears, norms[0] if norms else None
    names = [kind.__name__ for kind in kinds]
    raise DataError(
        f"The module is {', '.join(names) or 'empty'}. Deep networks here are Linear layers, two "
        "or more, with ReLU between all or none of them, and at most one BatchNorm1d, before the "
        "last ReLU.",
        layers=names,
    )


def _with_norm(
    weights: tuple[FloatArray, ...], layer: Any, intercept: FloatArray | None, X: FloatArray
) -> DeepNetwork:
    """torch divides by √(variance + eps): eps goes into the size, √n into scale and shift."""
    scale, shift = weights_of(layer) if layer.affine else (np.ones(len(weights[-2])), None)
    shift = np.zeros(len(scale)) if shift is None else shift
    n = len(X)
    bare = BatchNorm(np.sqrt(n) * scale, np.sqrt(n) * shift, scale * 0, scale * 0, n)
    network = DeepNetwork(weights, intercept=intercept, norm=bare).with_statistics(X)
    found = network.norm
    assert found is not None  # noqa: S101 - it was given one
    size = np.sqrt(found.size**2 + n * layer.eps)
    norm = BatchNorm(found.gamma, found.alpha, found.mean, size, n)
    return DeepNetwork(weights, intercept=intercept, norm=norm)


def _check_agreement(module: Any, network: DeepNetwork, X: FloatArray | None) -> None:
    """Run both; a batch normalisation as in training, on its own rows, and left as it was."""
    torch = need_torch()
    first = next(module.parameters())
    rows = X
    if rows is None:
        rows = np.random.default_rng(0).standard_normal((ROWS, network.widths[0]))
    state = {name: value.clone() for name, value in module.state_dict().items()}
    mode = module.training
    try:
        with torch.no_grad():
            module.train(network.norm is not None)
            inputs = torch.tensor(rows).to(first)
            outputs = module(inputs).cpu().double().numpy()
    except (RuntimeError, ValueError) as error:
        raise DataError(f"The module cannot be run on {rows.shape}: {error}.") from error
    finally:
        module.load_state_dict(state)
        module.train(mode)
    ours = network.predict(inputs.cpu().double().numpy()).reshape(outputs.shape)
    off = float(np.abs(ours - outputs).max())
    allowed = 1e4 * float(torch.finfo(first.dtype).eps) * max(1.0, float(np.abs(outputs).max()))
    if not off <= allowed:
        raise DataError(
            f"The module's predictions differ from those of its weights by {off:.3g}: something "
            "else than its layers acts on them, such as a hook. Pass a plain Sequential.",
            difference=off,
        )
