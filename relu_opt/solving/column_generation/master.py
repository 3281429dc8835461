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
from relu_opt.program.line_search import crossing
from relu_opt.solving.column_generation.design import Design
from relu_opt.solving.column_generation.newton import Model, dense_model, gram_model


@dataclass(frozen=True)
class QuadraticSolver:
    """Who solves the quadratic programs of the master problem, and how well.

    Attributes
    ----------
    solve : callable
        Of W (n, k), q (k,) and a point x ≥ 0 to start from: the x ≥ 0 with the least
        ½‖Wx‖² + qᵀx.
    accuracy : float
        Of its answers, relative to the objective; Newton's method stops there.
    damping : float
        For a loss that is linear somewhere, whose quadratic models can fall without end: the
        share of its majorant that keeps them bounded, for a solver that needs that.
    """

    solve: Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
    accuracy: float = 0.0
    damping: float = 0.0


MAX_NEWTON = 60
# Up to so many samples the turns are eliminated in the space of samples, which loses no digits.
DENSE_SAMPLES = 2000
# A decrease that is this small, relative to the objective, is rounding.
ROUNDING = 1e-15

REFINEMENTS = 3
# Losses that are flat somewhere are damped by a share of their majorant after a step shorter than
# the first, and less so after one longer than the second.
POOR_STEP = 0.1
GOOD_STEP = 0.5
LEAST_DAMPING = 1e-4


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
    solver: QuadraticSolver,
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
    solver : QuadraticSolver
        For the quadratic program of each Newton step.
    """
    prog = neurons.prog
    turns = turns or Design(prog, np.empty((0, prog.d)), np.empty(0, dtype=np.intp))
    dense = (neurons.matrix(), turns.matrix()) if prog.n <= DENSE_SAMPLES else None
    x, z = start.copy(), np.zeros(len(turns))
    fits = neurons.fits(x)
    fits = fits + prog.best_intercept(fits)
    value = _value(prog, fits, x, z)
    accuracy = max(accuracy, solver.accuracy * abs(value))
    model: Model | None = None
    least = 0.0 if prog.loss.curved else solver.damping
    damping, refined = least, 0
    for _ in range(MAX_NEWTON):
        check()
        gradient = prog.loss_gradient(fits)
        if model is None or not prog.loss.quadratic:
            curvature = prog.loss_hessian(fits)
            if damping:
                curvature = np.maximum(curvature, damping * prog.loss_majorant(fits))
            model = (
                dense_model(*dense, curvature, prog.intercept)
                if dense is not None
                else gram_model(neurons, turns, curvature, prog.intercept)
            )
        step_x, step_z, step_c = _newton_step(prog, model, gradient, x, z, solver)
        if dense is not None:
            step_fits = dense[0] @ step_x + dense[1] @ step_z + step_c
        else:
            step_fits = neurons.fits(step_x) + turns.fits(step_z) + step_c
        promise = -float(gradient @ step_fits + prog.lam * step_x.sum() + z @ step_z)
        t = _line_search(prog, (fits, step_fits), step_x, (z, step_z)) if promise > 0 else 0.0
        x, z = np.maximum(x + t * step_x, 0.0), z + t * step_z
        fits = fits + t * step_fits
        value = _value(prog, fits, x, z)
        # The last steps are too short for the objective to tell, but not for the gradient.
        if promise <= max(accuracy, ROUNDING * abs(value)):
            refined += 1
            t = 0.0 if refined >= REFINEMENTS or damping > least else t
        if t == 0 and (damping == 1 or prog.loss.curved):
            break
        damping = _next_damping(damping, t, least)
    return MasterPoint(x, z, fits)


def _next_damping(damping: float, t: float, least: float) -> float:
    """The share of the majorant in the curvature of the next step."""
    if t == 0:
        return 1.0
    if t < POOR_STEP:
        return min(1.0, max(LEAST_DAMPING, 10 * damping))
    if t <= GOOD_STEP:
        return damping
    return max(least, 0.3 * damping if damping > LEAST_DAMPING else 0.0)


def _line_search(
    prog: ConvexProgram,
    fits: tuple[FloatArray, FloatArray],
    step_x: FloatArray,
    z: tuple[FloatArray, FloatArray],
) -> float:
    """The t in (0, 1] with the smallest objective along a direction of descent."""
    if prog.loss.quadratic:
        return 1.0
    fixed = prog.lam * float(step_x.sum()) + float(z[0] @ z[1])
    growth = float(z[1] @ z[1])

    def slope(t: float) -> float:
        return float(prog.loss_gradient(fits[0] + t * fits[1]) @ fits[1]) + fixed + t * growth

    return crossing(slope)


def _value(prog: ConvexProgram, fits: FloatArray, x: FloatArray, z: FloatArray) -> float:
    return prog.mean_loss(fits) + prog.lam * float(x.sum()) + 0.5 * float(z @ z)


def _newton_step(
    prog: ConvexProgram,
    model: Model,
    gradient: FloatArray,
    x: FloatArray,
    z: FloatArray,
    solver: QuadraticSolver,
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
    step_x = solver.solve(W, q + prog.lam - (W @ x) @ W, x) - x
    step_c = -pull - float(along @ step_x)
    if not prog.intercept:
        return step_x, model.expand(step_x), 0.0
    return step_x, model.expand(np.append(step_x, step_c)), step_c
