r"""The Newton model of the master problem with the turns eliminated.

At fits ŷ with Φ = ∇²F and g = ∇F, a step (d, e) of [neurons and constant, turns] changes the
objective by gᵀ(Gd + Be) + ½‖Φ^½(Gd + Be)‖² + zᵀe + ½‖e‖², to second order and up to the cost of
the neurons. Minimising over e leaves qᵀd + ½‖Wd‖², with K = LLᵀ = I + Φ^½BBᵀΦ^½:

    W = L⁻¹Φ^½ G,     q = Gᵀg₀ + WᵀL⁻¹[h − Φ^½B(z + Bᵀg₀)],     g = g₀ + Φ^½h,

where g₀ is the part of g on samples without curvature. No digits cancel in this form. Only the
lengths of Wd matter, so the triangular factor of W is handed on in its place. When samples are
many, WᵀW and q come from Gram matrices, at the price of some digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, cholesky, qr
from scipy.linalg.lapack import dgeqrf, dtrtrs

from relu_opt.arrays import FloatArray
from relu_opt.solving.column_generation.design import Design

# Curvature below this share of the largest is treated as none.
FLAT = 1e-10


@dataclass(frozen=True)
class Model:
    """A Newton model: `reduce(g, z)` gives W and q, then `expand(d)` gives the turns' step."""

    reduce: Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]
    expand: Callable[[FloatArray], FloatArray]


def dense_model(G: FloatArray, B: FloatArray, hessian: FloatArray, constant: bool) -> Model:
    """The model with K factored in the space of samples."""
    curved = hessian > FLAT * hessian.max(initial=0.0)
    root = np.sqrt(np.where(curved, hessian, 0.0))
    columns = np.column_stack([G, np.ones(len(G))]) if constant else G
    scaled_columns, scaled_turns = root[:, None] * columns, root[:, None] * B
    whiten = _whitening(scaled_turns)
    white = whiten(scaled_columns)
    tall = len(white) > white.shape[1] > 0
    short = np.triu(dgeqrf(white)[0][: white.shape[1]]) if tall else white
    state: dict[str, FloatArray] = {}

    def reduce(gradient: FloatArray, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        flat = np.where(curved, 0.0, gradient)
        pull = z + B.T @ flat
        inner = np.divide(gradient, root, out=np.zeros_like(root), where=curved)
        state["pull"] = pull
        state["white"] = whiten(inner - scaled_turns @ pull)
        return short, columns.T @ flat + white.T @ state["white"]

    def expand(move: FloatArray) -> FloatArray:
        back = whiten(state["white"] + white @ move, transposed=True)
        return np.asarray(-state["pull"] - scaled_turns.T @ back)

    return Model(reduce, expand)


def _whitening(turns: FloatArray) -> Callable[..., FloatArray]:
    """v ↦ L⁻¹v, or L⁻ᵀv if asked, with LLᵀ = I + TTᵀ for turns T (n, t).

    If t is small, with T = QR, only the part of v in the range of Q is changed.
    """
    n, t = turns.shape
    if not t:
        return lambda values, transposed=False: values
    thin = 2 * t < n
    Q, R = qr(turns, mode="economic", check_finite=False) if thin else (None, turns)
    kernel = R @ R.T
    kernel[np.arange(len(kernel)), np.arange(len(kernel))] += 1.0
    try:
        lower = cholesky(kernel, lower=True, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:  # I is rounding beside TTᵀ, but not beside T
        upper = qr(np.vstack([np.eye(len(R)), R.T]), mode="r", check_finite=False)[0]
        lower = np.asarray(upper[: len(R)].T)

    def whiten(values: FloatArray, transposed: bool = False) -> FloatArray:
        inner = values if Q is None else Q.T @ values
        solved = dtrtrs(lower, inner, lower=1, trans=int(transposed))[0]
        return np.asarray(solved if Q is None else values + Q @ (solved - inner))

    return whiten


def gram_model(neurons: Design, turns: Design, hessian: FloatArray, constant: bool) -> Model:
    """The model from Gram matrices, whose rows are summed in chunks of samples."""
    m = len(neurons)
    gram = neurons.gram(turns, hessian, constant)
    order = np.concatenate([np.arange(m), np.arange(m + len(turns), len(gram))])
    first, second = np.ix_(order, order), np.arange(m, m + len(turns))
    cross = gram[np.ix_(second, order)]
    inner = gram[np.ix_(second, second)]
    inner[np.arange(len(second)), np.arange(len(second))] += 1.0
    factor = cho_factor(inner, lower=True, overwrite_a=True, check_finite=False)
    coupling = cho_solve(factor, cross, check_finite=False)
    schur = gram[first] - cross.T @ coupling
    sizes, vectors = np.linalg.eigh(0.5 * (schur + schur.T))
    white = np.sqrt(np.maximum(sizes, 0.0))[:, None] * vectors.T
    state: dict[str, FloatArray] = {}

    def reduce(gradient: FloatArray, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        linear = neurons.correlate(gradient)
        if constant:
            linear = np.append(linear, gradient.sum())
        state["pull"] = cho_solve(factor, turns.correlate(gradient) + z, check_finite=False)
        return white, linear - cross.T @ state["pull"]

    def expand(move: FloatArray) -> FloatArray:
        return np.asarray(-state["pull"] - coupling @ move)

    return Model(reduce, expand)
