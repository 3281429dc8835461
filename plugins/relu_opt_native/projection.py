"""Many projections onto activation cones, compiled, in threads."""

from __future__ import annotations

from concurrent.futures import Executor
from functools import partial

import numpy as np

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.program import ConvexProgram
from relu_opt.program.cones import SLACK, Projections
from relu_opt_native.active_set import project_blocks


def project(
    prog: ConvexProgram,
    correlations: FloatArray,
    blocks: IntArray,
    guesses: list[IntArray] | None,
    enough: float,
    *,
    executor: Executor | None,
    threads: int,
) -> Projections:
    """What `ConvexProgram.project` does, faster; `threads` tasks at a time on the executor."""
    m, d = len(blocks), prog.d
    sign, which = np.divmod(blocks, len(prog.patterns))
    targets = np.where(sign == 0, 1.0, -1.0)[:, None] * correlations[which]
    counts = np.zeros(m, dtype=np.intp)
    rows, rho, points = np.zeros((m, d), dtype=np.intp), np.zeros((m, d)), np.empty((m, d))
    for b, guess in enumerate(guesses or ()):
        # More than d rows cannot be independent.
        counts[b] = min(d, len(guess))
        rows[b, : counts[b]] = guess[:d]
    unit, packed = prog.cone_rows.unit, prog.patterns.packed[which]
    work = partial(project_blocks, unit, packed, targets, enough, SLACK)
    tasks = min(threads, m)
    if tasks <= 1 or executor is None:
        work(0, 1, counts, rows, rho, points)
    else:
        # Each task takes every so many blocks: neighbours in the list take about as long.
        run = [executor.submit(work, k, tasks, counts, rows, rho, points) for k in range(tasks)]
        for each in run:
            each.result()
    faces = [rows[b, :count].copy() for b, count in enumerate(counts)]
    norms = prog.cone_rows.norms
    return Projections(points, faces, [rho[b, : len(r)] / norms[r] for b, r in enumerate(faces)])
