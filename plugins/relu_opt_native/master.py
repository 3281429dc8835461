r"""The master problem over a few neurons, with or without their curvature.

    minimise  F(Mx + c) + λ Σ_{k ≤ m} x_k + ½ Σ_{k > m} x_k²    subject to  x_k ≥ 0 for k ≤ m

The first m columns are neurons. The others, if any, let the neurons turn: they come from the
second-order model of the dual constraints. Solved by Newton's method, each step a
quadratic program over x ≥ 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from relu_opt.arrays import BoolArray, FloatArray
from relu_opt_native.design import Design

MAX_NEWTON = 100
# Relative to the largest diagonal entry: keeps dependent columns solvable.
RIDGE = 1e-14


@dataclass(frozen=True)
class MasterPoint:
    """A solution: sizes of the neurons (m,), of the turns, and the fits (n,)."""

    sizes: FloatArray
    turns: FloatArray
    fits: FloatArray


def solve_master(
    neurons: Design,
    turns: Design | None,
    start: FloatArray,
    accuracy: float,
    check: Callable[[], None],
) -> MasterPoint:
    """Solve the master problem from feasible sizes `start` (m,).

    Parameters
    ----------
    neurons : Design
        Columns with x ≥ 0 and the linear cost λ.
    turns : Design or None
        Free columns with the cost ½x².
    start : (m,) array
        Sizes ≥ 0 to start from.
    accuracy : float
        Stop when a Newton step promises to lower the objective by less than this.
    check : callable
        Raises when it is time to stop.
    """
    prog = neurons.prog
    design = neurons if turns is None else _joined(neurons, turns)
    m, free_from = len(neurons), len(neurons)
    x = np.zeros(len(design))
    x[:m] = start
    cost = np.zeros(len(design))
    cost[:m] = prog.lam
    fits = design.fits(x)
    constant = prog.best_intercept(fits)
    damping = RIDGE

    def value(fits: FloatArray, x: FloatArray) -> float:
        return prog.mean_loss(fits) + float(cost @ x) + 0.5 * float(x[m:] @ x[m:])

    best = value(fits + constant, x)
    gram: FloatArray | None = None
    exact = prog.loss.name == "squared"
    for _ in range(MAX_NEWTON):
        check()
        slope = prog.loss_gradient(fits + constant)
        gradient = design.correlate(slope) + cost
        gradient[m:] += x[m:]
        if gram is None or not exact:
            gram = design.gram(prog.loss_hessian(fits + constant), prog.intercept)
        hessian = gram.copy()
        hessian[np.arange(m, len(design)), np.arange(m, len(design))] += 1.0
        if prog.intercept:
            gradient = np.append(gradient, slope.sum())
        step = _newton_step(hessian, gradient, x[:m], free_from, damping)
        decrease = -float(gradient @ step)
        scale = abs(best) + 1e-300
        if decrease <= max(accuracy, 1e-15 * scale):
            break
        move, shift = step[: len(design)], float(step[-1]) if prog.intercept else 0.0
        fits_step = design.fits(move)
        t, trial = 1.0, np.inf
        while t > 1e-12:
            trial = value(fits + t * fits_step + constant + t * shift, x + t * move)
            if trial <= best - 1e-4 * t * decrease or (t == 1.0 and trial <= best + 1e-15 * scale):
                break
            t *= 0.5
        else:
            if damping > 1.0:
                break
            damping = max(1e-8, 100 * damping)
            continue
        damping = max(RIDGE, damping * (0.1 if t == 1.0 else 10.0)) if damping > RIDGE else (
            RIDGE if t > 0.01 else 1e-8
        )
        x = x + t * move
        x[:m] = np.maximum(x[:m], 0.0)
        fits = fits + t * fits_step
        constant = constant + t * shift
        improved = best - trial
        best = min(best, trial)
        if improved <= 1e-16 * scale:
            break
    fits = design.fits(x)
    constant = prog.best_intercept(fits)
    return MasterPoint(x[:m], x[m:], fits + constant)


def _joined(neurons: Design, turns: Design) -> Design:
    return Design(
        neurons.prog,
        np.concatenate([neurons.bases, turns.bases]),
        np.concatenate([neurons.which, turns.which]),
    )


def _newton_step(
    hessian: FloatArray, gradient: FloatArray, sizes: FloatArray, m: int, damping: float
) -> FloatArray:
    """Minimise the quadratic model over steps that keep the sizes ≥ 0."""
    diagonal = np.arange(len(hessian))
    hessian[diagonal, diagonal] += damping * max(float(hessian.diagonal().max()), 1e-300)
    if len(hessian) == m:
        new_sizes = nonnegative_qp(hessian, gradient - hessian @ sizes, sizes)
        return new_sizes - sizes
    factor = cho_factor(hessian[m:, m:], lower=True, overwrite_a=False, check_finite=False)
    solved = cho_solve(factor, np.column_stack([hessian[m:, :m], gradient[m:]]))
    coupling, pull = solved[:, :m], solved[:, m]
    reduced = hessian[:m, :m] - hessian[:m, m:] @ coupling
    reduced = 0.5 * (reduced + reduced.T)
    linear = gradient[:m] - hessian[:m, m:] @ pull
    new_sizes = nonnegative_qp(reduced, linear - reduced @ sizes, sizes)
    move = new_sizes - sizes
    return np.concatenate([move, -pull - coupling @ move])


def nonnegative_qp(S: FloatArray, q: FloatArray, start: FloatArray) -> FloatArray:
    """Minimise ½xᵀSx + qᵀx over x ≥ 0 by an active-set method.

    Lawson and Hanson's scheme for a positive semidefinite S, started from a feasible point;
    every step descends. Dependent columns are held apart by a small ridge.
    """
    count = len(q)
    x = np.maximum(start, 0.0)
    if not count:
        return x
    passive: BoolArray = x > 0
    ridge = RIDGE * max(float(S.diagonal().max()), 1e-300)
    tolerance = 1e-14 * float(np.abs(q).max())
    blocked = np.zeros(count, dtype=np.bool_)
    for _ in range(10 * count + 50):
        x = _descend(S, q, x, passive, ridge)
        passive = x > 0
        gradient = S @ x + q
        candidates = np.where(passive | blocked, 0.0, gradient)
        joining = int(candidates.argmin())
        if candidates[joining] >= -tolerance:
            break
        trial = passive.copy()
        trial[joining] = True
        moved = _descend(S, q, x, trial, ridge)
        if moved[joining] > 0:
            x, passive = moved, moved > 0
            blocked[:] = False
        else:
            blocked[joining] = True
    return x


def _descend(
    S: FloatArray, q: FloatArray, x: FloatArray, passive: BoolArray, ridge: float
) -> FloatArray:
    """Minimise over the passive entries, dropping those that reach zero on the way."""
    active = np.flatnonzero(passive)
    x = np.where(passive, x, 0.0)
    while len(active):
        block = S[np.ix_(active, active)]
        block[np.arange(len(active)), np.arange(len(active))] += ridge
        try:
            target = cho_solve(
                cho_factor(block, lower=True, check_finite=False), -q[active]
            )
        except LinAlgError:
            target = np.linalg.lstsq(block, -q[active], rcond=1e-13)[0]
        if (target > 0).all():
            x[active] = target
            break
        here = x[active]
        falling = target <= 0
        ratios = np.full(len(active), np.inf)
        gaps = here - target
        ratios[falling] = np.divide(
            here[falling], gaps[falling], out=np.zeros(falling.sum()), where=gaps[falling] > 0
        )
        alpha = min(1.0, float(ratios.min()))
        here = here + alpha * (target - here)
        here[ratios <= alpha] = 0.0
        x[active] = np.maximum(here, 0.0)
        active = active[x[active] > 0] if (ratios <= alpha).any() else active
    return x
