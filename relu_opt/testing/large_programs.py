"""Programs that take a solver some time, for time limits. They are made when they are needed."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csc_array, eye_array, vstack

from relu_opt.program.conic import Cones, ConicProgram
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt.program.patterns import sample_patterns
from relu_opt.testing.named import named

SEED = 0


def _sparse(rows: int, columns: int, each: int, seed: int) -> csc_array:
    """Positive numbers at random places, some in each row: a factorization fills up."""
    rng = np.random.default_rng(seed)
    places = (np.repeat(np.arange(rows), each), rng.integers(0, columns, rows * each))
    return csc_array((rng.uniform(0.5, 1.5, rows * each), places), shape=(rows, columns))


def large_lp() -> LinearProgram:
    """A sparse linear program: many pivots, or factors that fill up."""
    rng, A = np.random.default_rng(SEED), _sparse(1500, 1500, 8, SEED)
    return LinearProgram(
        c=-A.sum(axis=0) - rng.uniform(0.0, 1.0, 1500),
        A=A,
        row_upper=rng.uniform(1.0, 2.0, 1500),
        lower=np.array(0.0),
        upper=np.array(100.0),
    )


def large_milp() -> LinearProgram:
    """Four equations over many binaries with slacks: bounds that say nothing for very long.

    The right-hand sides come from a choice of binaries, so the optimum is 0.
    """
    rng = np.random.default_rng(SEED)
    weights = rng.integers(1, 100, (5, 45)).astype(np.float64)
    sides = weights @ (np.arange(45) % 2)
    eye = np.eye(5)
    return LinearProgram(
        c=np.r_[np.zeros(45), np.ones(10)],
        A=np.hstack([weights, eye, -eye]),
        row_lower=sides,
        row_upper=sides,
        lower=np.array(0.0),
        upper=np.r_[np.ones(45), np.full(10, np.inf)],
        integrality=np.arange(55) < 45,
    )


def large_qp() -> QuadraticProgram:
    """A sparse quadratic program: factors that fill up."""
    root, size = _sparse(2500, 2500, 5, SEED), 2500
    return QuadraticProgram(
        P=root.T @ root + 0.01 * eye_array(size),
        c=-np.random.default_rng(SEED).uniform(0.0, 1.0, size),
        A=_sparse(size // 2, size, 5, SEED + 1),
        row_upper=np.ones(size // 2),
        lower=np.array(0.0),
    )


def large_conic() -> ConicProgram:
    """`large_lp` over cones."""
    plain = large_lp()
    eye = eye_array(plain.columns)
    rows = csc_array(vstack([plain.A, eye, -eye]))
    sides = np.concatenate([plain.row_upper, plain.upper, -plain.lower])
    return ConicProgram(plain.c, rows, sides, Cones(nonnegative=len(sides)))


def large_net() -> ConvexProgram:
    """A training program with many samples, features and patterns."""
    rng = np.random.default_rng(SEED)
    X = rng.standard_normal((300, 12))
    y = rng.standard_normal(300)
    prog = ConvexProgram(X, y, 1.0, sample_patterns(X, 80, seed=SEED))
    return prog.with_lam(0.001 * prog.lam_max)


LARGE_PROGRAMS = (
    named(large_lp, LinearProgram),
    named(large_milp, LinearProgram, 0.0),
    named(large_qp, QuadraticProgram),
    named(large_conic, ConicProgram),
    named(large_net, ConvexProgram),
)
