"""Write a backend, register it in this process, and let the core judge its answers.

The solver is accelerated proximal gradient (FISTA) on the convex program: a gradient step,
then each block is projected onto its cone and shortened by lam times the step size. It is
complete, and slow to reach many digits; the certified gap tells how far it came.

Usage: python docs/examples/custom_backend.py
"""

import sys
import time

import numpy as np

import relu_opt as ro
from relu_opt.plugins import (
    Availability,
    BackendInfo,
    Feature,
    OptionSpec,
    ProgressEvent,
    RawSolution,
    SolveOptions,
    State,
    StopReason,
    hookimpl,
    registry,
)


class Fista:
    """A backend is any object with this one method."""

    def solve(self, program: ro.ConvexProgram, options: SolveOptions) -> RawSolution:
        """Descend until the gap, the time or the iterations are used up."""
        start = time.perf_counter()
        weights = np.zeros(program.weights_shape)
        ahead, momentum, step = weights, 1.0, 1 / curvature(program)
        stop = StopReason.ITERATION_LIMIT
        for iteration in range(int(options.extra["max_iter"])):
            constant = program.best_intercept(program.fits(ahead))
            moved = proximal(program, ahead - step * program.gradient(ahead, constant), step)
            following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            ahead = moved + (momentum - 1) / following * (moved - weights)
            weights, momentum = moved, following
            if iteration % 10:
                continue
            upper, lower, nu = bounds(program, weights)
            elapsed = time.perf_counter() - start
            gap = (upper - lower) / upper
            options.progress(ProgressEvent("solve", iteration, elapsed, upper, lower, gap))
            if gap <= options.tol:
                stop = StopReason.CONVERGED
                break
            if options.time_limit is not None and elapsed > options.time_limit:
                stop = StopReason.TIME_LIMIT
                break
        upper, _, nu = bounds(program, weights)
        return RawSolution(stop, weights, nu, objective=upper, stats={"iterations": iteration + 1})


def curvature(program: ro.ConvexProgram) -> float:
    """A bound on the eigenvalues of the loss term's Hessian, by power iteration.

    None of the four losses curves more than ½z² does.
    """
    direction = np.random.default_rng(0).standard_normal(program.weights_shape)
    size = 1.0
    for _ in range(50):
        common = program.correlations(program.sample_scale * program.fits(direction / size))
        direction = np.stack([sign * common for sign in program.signs])
        size = float(np.linalg.norm(direction))
    return 1.05 * size


def proximal(program: ro.ConvexProgram, blocks: np.ndarray, step: float) -> np.ndarray:
    """Project every block onto its cone, then shorten it by lam times the step size."""
    if program.activation == "relu":
        every = np.arange(len(program.patterns))
        blocks = np.stack([program.project(part, every).points for part in blocks])
    norms = np.linalg.norm(blocks, axis=2, keepdims=True)
    return blocks * np.maximum(0, 1 - program.lam * step / np.maximum(norms, 1e-300))


def bounds(program: ro.ConvexProgram, weights: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Objective, dual objective, and the dual point ν = −∇F(fits), scaled to be feasible."""
    fits = program.fits(weights)
    constant = program.best_intercept(fits)
    nu = -program.loss_gradient(fits + constant)
    common = program.correlations(nu)
    if program.activation == "relu":
        common = program.project(common, np.arange(2 * len(program.patterns))).points
    nu = program.best_scale(nu, float(np.linalg.norm(common, axis=1).max())) * nu
    return program.objective(weights, constant), program.dual_objective(nu), nu


@hookimpl
def relu_opt_backends() -> list[BackendInfo]:
    """What an installed plugin would define just so."""
    return [
        BackendInfo(
            name="fista",
            load=Fista,
            probe=lambda: Availability(State.READY, version="1.0"),
            takes=frozenset({ro.ConvexProgram}),
            features=frozenset({Feature.DUALS, Feature.TIME_LIMIT}),
            options=(OptionSpec("max_iter", int, 1000, "proximal steps", least=1),),
        )
    ]


def main() -> None:
    registry().add("fista", "this example", lambda: sys.modules[__name__])
    rng = np.random.default_rng(0)
    X = np.c_[rng.standard_normal((40, 2)), np.ones(40)]
    patterns = ro.sample_patterns(X, n_gates=8, seed=0)
    for activation in ("relu", "gated"):
        program = ro.ConvexProgram(X, np.abs(X[:, 0]), 0.02, patterns, activation=activation)
        for backend in ("fista", "native"):
            print(f"{activation:5s} {ro.solve(program, backend=backend, tol=1e-5)}")


if __name__ == "__main__":
    main()
