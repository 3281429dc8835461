"""A program on its way to a backend: as it is, lowered, or by column generation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.clock import Clock
from relu_opt.plugins.dispatch import Request, call_backend, with_progress
from relu_opt.plugins.routes import Route
from relu_opt.plugins.stopping import StopNow
from relu_opt.plugins.types import (
    BackendInfo,
    Feature,
    Program,
    RawSolution,
    SolveOptions,
    StopReason,
)
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.embedding import as_conic, as_quadratic
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt.program.lowering import lower_to_conic, without_idle_blocks
from relu_opt.program.units import PLAIN, Units
from relu_opt.solving.column_generation import QuadraticSolver, train

# What column generation asks of its quadratic programs, beside the tolerance of the whole.
MASTER_SHARE = 0.01
TIGHTEST = 1e-11
# Keeps the models of losses that are linear somewhere bounded.
FLAT_DAMPING = 1e-4
# How far a master problem that is unbounded may go, in units of its expected solution.
FAR = 1e4
# Share of the tolerance that a solver gets for a loss with kinks: its own multipliers are the dual
# point then, and their errors enter the gap to first order.
KINK_SHARE = 0.1


def run(request: Request, program: Program, units: Units = PLAIN) -> RawSolution:
    """Solve a program, lowering it when the backend does not take it as it is.

    Numbers beyond doubles on the way are the judge's matter, and warn nobody.

    Parameters
    ----------
    request : Request
    program : Program
        A training program comes in its own units; see `ConvexProgram.canonical`.
    units : Units
        What these are, for those who follow the progress.
    """
    with np.errstate(all="ignore"):
        return _run(request, program, units)


def _run(request: Request, program: Program, units: Units) -> RawSolution:
    info, options = request.info, with_progress(request.options, units)
    if isinstance(program, ConvexProgram) and not program.loss.smooth:
        options = replace(options, tol=KINK_SHARE * options.tol)
    if request.route is Route.DIRECT:
        return call_backend(info, program, options)
    if request.route is Route.COLUMNS:
        assert isinstance(program, ConvexProgram)  # noqa: S101 - the only ones with this route
        raw = train(program, options, _master_solver(info, options))
        return replace(raw, x=_without_noise(program, raw))
    plain = replace(options, warm_start=None, state=None)
    if request.route is Route.QUADRATIC:
        assert isinstance(program, LinearProgram)  # noqa: S101
        return call_backend(info, as_quadratic(program), plain)
    if isinstance(program, ConvexProgram):
        lowering = lower_to_conic(program)
        raw = replace(call_backend(info, lowering.program, plain), ray=None)
        if raw.x is None:
            return replace(raw, duals=None)
        weights, _, nu = lowering.recover(raw.x, raw.duals)
        objective = None if raw.objective is None else raw.objective * lowering.units.cost
        return replace(raw, x=weights, duals=nu, objective=objective)
    assert isinstance(program, LinearProgram | QuadraticProgram)  # noqa: S101
    embedding = as_conic(program)
    raw = call_backend(info, embedding.program, plain)
    ray = embedding.recover_ray(raw.stop is StopReason.INFEASIBLE, raw.ray)
    if raw.x is None:
        return replace(raw, duals=None, ray=ray)
    x, y = embedding.recover(raw.x, raw.duals)
    return replace(raw, x=x, duals=y, ray=ray)


def _without_noise(prog: ConvexProgram, raw: RawSolution) -> FloatArray | None:
    """The weights without blocks that an interior-point method left over."""
    if raw.x is None or raw.duals is None:
        return raw.x
    sizes = np.linalg.norm(raw.x, axis=2)
    blocks = np.flatnonzero(sizes)
    common = prog.correlations(raw.duals)
    gated = prog.activation.gated
    points = common[blocks] if gated else prog.project(common, blocks).points
    slack = np.zeros(sizes.size)
    slack[blocks] = np.maximum(0.0, 1.0 - np.linalg.norm(points, axis=1) / prog.lam)
    return without_idle_blocks(raw.x, slack.reshape(sizes.shape), float(sizes.sum()))


def _master_solver(info: BackendInfo, options: SolveOptions) -> QuadraticSolver:
    """The master problems of column generation, solved by a backend of quadratic programs."""
    clock = Clock(options.time_limit if Feature.TIME_LIMIT in info.features else None)
    tol = max(TIGHTEST, MASTER_SHARE * options.tol)
    plain = SolveOptions(tol=tol, threads=options.threads, seed=options.seed)
    plain = replace(plain, verbose=options.verbose, extra=options.extra)

    def ask(program: QuadraticProgram) -> RawSolution:
        return call_backend(info, program, replace(plain, time_limit=clock.remaining))

    def solve(W: FloatArray, q: FloatArray, start: FloatArray) -> FloatArray:
        result = np.zeros(len(q))
        norms = np.linalg.norm(W, axis=0)
        usable = norms > 0
        pull = -q[usable] / norms[usable]
        if pull.max(initial=0.0) <= 0:
            return result
        # Columns of norm one and a solution of size about one suit absolute tolerances.
        unit = W[:, usable] / norms[usable]
        size = max(float(np.linalg.norm(W @ start)), float(pull.max()))
        program = QuadraticProgram(P=unit.T @ unit, c=-pull / size, lower=np.zeros(len(pull)))
        raw = ask(program)
        if raw.stop is StopReason.UNBOUNDED:
            # Where the loss is linear its model may fall without end; the line search that
            # follows needs no more than a direction.
            raw = ask(replace(program, upper=np.full(len(pull), FAR)))
        limits = (StopReason.TIME_LIMIT, StopReason.ITERATION_LIMIT, StopReason.INTERRUPTED)
        if raw.stop in limits or raw.x is None:
            said = f"a quadratic program ended with: {raw.raw_status or raw.stop.value}"
            raise StopNow(raw.stop if raw.stop in limits else StopReason.NUMERICAL, said)
        result[usable] = np.maximum(raw.x, 0.0) * size / norms[usable]
        return result

    return QuadraticSolver(solve, accuracy=tol, damping=FLAT_DAMPING)
