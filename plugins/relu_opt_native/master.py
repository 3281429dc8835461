r"""The master problem over a few neurons, with or without their curvature.

    minimise  F(Gx + Bz + c) + λ Σ_k x_k + ½‖z‖²    subject to  x ≥ 0

G holds the neurons' columns. B, if there is one, lets them turn: it comes from the second-order
model of the dual constraints. c is the intercept of a program that has one. Newton's method,
each step a quadratic program over x ≥ 0 from which z and c are eliminated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.program import ConvexProgram
from relu_opt_native.design import Design
from relu_opt_native.newton import Model, dense_model, gram_model
from relu_opt_native.quadratic import nonnegative_qp

MAX_NEWTON = 60
# Up to so many samples the turns are eliminated in the space of samples, which loses no digits.
DENSE_SAMPLES = 2000
# A decrease that is this small, relative to the objective, is rounding.
ROUNDING = 1e-15


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
        Free columns with the cost ½z².
    start : (m,) array
        Sizes ≥ 0 to start from.
    accuracy : float
        Stop when a Newton step promises to lower the objective by less than this.
    check : callable
        Raises when it is time to stop.
    """
    prog = neurons.prog
    turns = turns or Design(prog, np.empty((0, prog.d)), np.empty(0, dtype=np.intp))
    dense = (neurons.matrix(), turns.matrix()) if prog.n <= DENSE_SAMPLES else None
    x, z = start.copy(), np.zeros(len(turns))
    fits = neurons.fits(x)
    fits = fits + prog.best_intercept(fits)
    value = _value(prog, fits, x, z)
    damping, model = 0.0, None
    for _ in range(MAX_NEWTON):
        check()
        gradient = prog.loss_gradient(fits)
        if model is None or prog.loss.name != "squared":
            hessian = prog.loss_hessian(fits)
            model = (
                dense_model(*dense, hessian, prog.intercept)
                if dense is not None
                else gram_model(neurons, turns, hessian, prog.intercept)
            )
        step_x, step_z, step_c = _newton_step(prog, model, gradient, x, z, damping)
        if dense is not None:
            step_fits = dense[0] @ step_x + dense[1] @ step_z + step_c
        else:
            step_fits = neurons.fits(step_x) + turns.fits(step_z) + step_c
        promise = -float(gradient @ step_fits + prog.lam * step_x.sum() + z @ step_z)
        if promise <= max(accuracy, ROUNDING * abs(value)):
            break
        t, trial = 1.0, np.inf
        while t > 1e-10:
            trial = _value(prog, fits + t * step_fits, x + t * step_x, z + t * step_z)
            if trial <= value - 1e-4 * t * promise:
                break
            t *= 0.5
        else:
            if damping > 1e6:
                break
            damping = max(1e-6, 100 * damping)
            continue
        damping = 0.0 if t == 1.0 and damping < 1e-6 else damping * (0.1 if t == 1.0 else 10.0)
        x, z = np.maximum(x + t * step_x, 0.0), z + t * step_z
        fits, value = fits + t * step_fits, trial
    return MasterPoint(x, z, fits)


def _value(prog: ConvexProgram, fits: FloatArray, x: FloatArray, z: FloatArray) -> float:
    return prog.mean_loss(fits) + prog.lam * float(x.sum()) + 0.5 * float(z @ z)


def _newton_step(
    prog: ConvexProgram,
    model: Model,
    gradient: FloatArray,
    x: FloatArray,
    z: FloatArray,
    damping: float,
) -> tuple[FloatArray, FloatArray, float]:
    """Minimise the quadratic model over steps that keep x ≥ 0."""
    W, q = model.reduce(gradient, z)
    pull, along = 0.0, np.zeros(len(x))
    if prog.intercept:
        W, ones = W[:, :-1], W[:, -1]
        q, last = q[:-1], float(q[-1])
        size = max(float(ones @ ones), 1e-300)
        along, pull = ones @ W / size, last / size
        W, q = W - np.outer(ones, along), q - last * along
    if damping:
        W = np.vstack([W, np.sqrt(damping) * np.diag(np.linalg.norm(W, axis=0))])
    here = W @ x
    new_x = nonnegative_qp(W, q + prog.lam - here @ W, float(np.linalg.norm(here)))
    step_x = new_x - x
    step_c = -pull - float(along @ step_x)
    if not prog.intercept:
        return step_x, model.expand(step_x), 0.0
    return step_x, model.expand(np.append(step_x, step_c)), step_c
