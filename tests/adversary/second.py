"""Another solver for the optimum: cvxpy's own model of the training program, and Clarabel."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .answers import Answer
from .data import LABELLED, Matrix, Rng
from .exact import Network, products

# Sizes of neurons below this, relative to the largest, are the solver's zeros.
ABSENT = 1e-7


def best_found(answer: Answer, rng: Rng) -> Network | None:
    """A network of the answer's scope, near the optimum; None where the solver has no answer.

    With the scope of all networks, patterns are drawn in addition to those listed.
    """
    import cvxpy as cp

    masks, gates = candidates(answer, rng)
    gated = answer.claims["activation"] == "gated"
    if gated and gates is None:
        return None
    X, y, d = answer.X, answer.y, answer.X.shape[1]
    signs = np.repeat([1.0] if gated else [1.0, -1.0], len(masks))
    blocks = np.tile(masks, (1 if gated else 2, 1))
    w = cp.Variable((len(blocks), d))
    linear = w @ X.T
    fits = cp.sum(cp.multiply(signs[:, None] * blocks, linear), axis=0)
    constant = cp.Variable() if answer.claims["intercept"] else 0.0
    conditions = [] if gated else [cp.multiply(2 * blocks - 1, linear) >= 0]
    shares = np.ones(len(y)) if answer.weights is None else answer.weights
    mean = cp.sum(cp.multiply(shares, _losses(answer, fits + constant, y))) / len(y)
    size = cp.sum(cp.norm(w, 2, axis=1))
    problem = cp.Problem(cp.Minimize(mean + answer.claims["lam"] * size), conditions)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
        except (cp.SolverError, ValueError, ArithmeticError):
            return None
    if w.value is None or not np.isfinite(w.value).all():
        return None
    value = float(constant.value) if answer.claims["intercept"] else 0.0
    places = np.arange(len(blocks)) % len(masks)
    return _network(answer.X, w.value, signs, masks[places], gates, places, value, gated)


def _losses(answer: Answer, fits: Any, y: Matrix) -> Any:
    import cvxpy as cp

    name = answer.claims["loss"]
    if name == "huber":
        return cp.huber(fits - y, answer.delta) / 2
    if name not in LABELLED:
        return cp.square(fits - y) / 2
    margins = cp.multiply(y, fits)
    if name == "logistic":
        return cp.logistic(-margins)
    return cp.pos(1 - margins) if name == "hinge" else cp.square(cp.pos(1 - margins)) / 2


def candidates(answer: Answer, rng: Rng) -> tuple[Matrix, Matrix | None]:
    """Patterns of the answer's scope, (p, n), and a gate for each if all are known: (p, d)."""
    masks, gates = answer.masks(), answer.arrays.get("pattern_gates")
    gates = None if gates is None else gates.T
    if answer.claims["scope"] == "all":
        drawn = rng.standard_normal((60, answer.X.shape[1]))
        more = answer.X @ drawn.T >= 0
        masks = np.vstack([masks, more.T])
        gates = None if gates is None else np.vstack([gates, drawn])
    masks, which = np.unique(masks, axis=0, return_index=True)
    return masks.astype(float), None if gates is None else gates[which]


def _network(
    X: Matrix,
    w: Matrix,
    signs: Matrix,
    masks: Matrix,
    gates: Matrix | None,
    places: Any,
    constant: float,
    gated: bool,
) -> Network:
    size = np.linalg.norm(w, axis=1)
    kept = np.flatnonzero(size > ABSENT * max(1e-300, size.max()))
    root = np.sqrt(size[kept])
    hidden = w[kept] / root[:, None]
    chosen = None if gates is None else gates[places[kept]]
    if not gated and chosen is not None:
        triples = zip(hidden, masks[kept], chosen, strict=True)
        hidden = np.array([nudged(u, mask, gate, X) for u, mask, gate in triples])
    return Network(
        hidden.reshape(-1, X.shape[1]),
        signs[kept] * root,
        np.float64(constant),
        chosen if gated else None,
    )


def nudged(u: Matrix, mask: Matrix, gate: Matrix, X: Matrix) -> Matrix:
    """u moved into the pattern's cone, towards its gate, as little as exact signs ask for."""
    sides = 2 * mask - 1
    towards = gate / max(1e-300, float(np.linalg.norm(gate))) * np.linalg.norm(u)
    for step in (0.0, *10.0 ** np.arange(-16.0, -5.0)):
        moved = u + step * towards
        signs = np.sign(products(X, moved[:, None])[0][:, 0]).astype(int)
        if (sides * signs >= 0).all():
            return np.asarray(moved)
    return u
