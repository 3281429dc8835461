"""Derivatives of optimal networks beside central differences of re-solved programs.

For diabetes (442 rows, 50 gates) and breast cancer (569 rows, 500 gates), ReLU and gated, squared
and logistic loss (diabetes: whether the target is above its mean): the largest difference, relative
to the largest entry, of dw/dλ, dw/dy and dw/dX (both in one random direction). The programs are
solved to a relative gap of 1e-12. `dof` is tr(dŷ/dy) beside the trace of the Jacobian of
differences in 40 random directions (Hutchinson's estimate along the same directions, so that the
two must agree). Seconds are those of `ro.sensitivity` alone, on a solution that is accurate.

Usage: python tests/benchmarks/sensitivity.py
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from problems import breast_cancer, diabetes
from threadpoolctl import threadpool_limits

import relu_opt as ro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from moving import Moving, solved

DIRECTIONS = 40


def labelled(prog: ro.ConvexProgram, loss: str) -> ro.ConvexProgram:
    """The program with that loss, and labels where it needs them."""
    y = np.where(prog.y > 0, 1.0, -1.0) if loss == "logistic" else prog.y
    return replace(prog, y=y, loss=loss)


def off(got: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(got - expected).max() / np.abs(expected).max())


def row(name: str, prog: ro.ConvexProgram) -> str:
    moving = Moving(prog)
    result, rng = moving.result, np.random.default_rng(0)
    sol = solved(prog)
    started = time.perf_counter()
    ro.sensitivity(sol)
    seconds = time.perf_counter() - started
    cells = [name, prog.activation, prog.loss.name, str(len(result.network)), f"{seconds:.2f}"]
    if not result.differentiable:
        return f"| {' | '.join(cells)} | {result.reason} | | | |"
    step = 1e-5 * prog.lam
    by_lam, *_ = moving.differences(lambda h: prog.with_lam(prog.lam + h), step)
    cells.append(f"{off(result.d_lam, by_lam):.0e}")
    dX = rng.standard_normal(prog.X.shape)
    if prog.activation == "gated":
        # Samples stay on their sides of the gates.
        dX[np.abs(prog.X @ prog.patterns.gates).min(axis=1) < 1e-4] = 0.0
    by_x, *_ = moving.differences(lambda h: replace(prog, X=prog.X + h * dX), 1e-6)
    by_y, dof = "", f"{result.dof:.4f}"
    if not prog.loss.classifies:
        errors, traces = [], []
        for _ in range(DIRECTIONS):
            dy = rng.choice((-1.0, 1.0), prog.n)
            expected, above, below = moving.differences(
                lambda h, dy=dy: replace(prog, y=prog.y + h * dy), 1e-6
            )
            errors.append(off((result.d_y @ dy).reshape(expected.shape), expected))
            moved = (above.predict(prog.X) - below.predict(prog.X)) / 2e-6
            traces.append((dy @ (result.fits_d_y @ dy), dy @ moved))
        by_y = f"{max(errors):.0e}"
        ours, theirs = np.mean(traces, axis=0)
        dof += f" (estimates {ours:.4f}, {theirs:.4f})"
    cells += [by_y, f"{off((result.d_X @ dX.ravel()).reshape(by_x.shape), by_x):.0e}", dof]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    print("| data | network | loss | neurons | seconds | d_lam | d_y | d_X | dof |")
    print("|---|---|---|---|---|---|---|---|---|")
    with threadpool_limits(1, user_api="blas"):
        for name, build in (("diabetes", diabetes), ("breast cancer", breast_cancer)):
            for activation in ("relu", "gated"):
                for loss in ("squared", "logistic"):
                    prog = labelled(replace(build(), activation=activation), loss)
                    print(row(name, prog), flush=True)
    print(f"\nrelu_opt {ro.__version__}, numpy {np.__version__}; one BLAS thread")


if __name__ == "__main__":
    main()
