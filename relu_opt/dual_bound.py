"""Lower bounds: scale a dual point until it is feasible, and find the multipliers that show it.

For every ρ ≥ 0, ‖X_bᵀν + (S_iX)ᵀρ‖ ≥ ‖P_K(X_bᵀν)‖ = g_b(ν), so multipliers that make the left
side at most λ for every block prove that ν is feasible and that D(ν) bounds the optimum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.plugins.types import ConeMultipliers
from relu_opt.program.convex import ConvexProgram

# Entries of the terms of sums that are held at a time.
CHUNK_ENTRIES = 4_000_000


@dataclass(frozen=True)
class DualBound:
    """A feasible dual point, its multipliers, D(ν), and the largest ‖X_bᵀν + (S_iX)ᵀρ_b‖."""

    nu: FloatArray
    multipliers: ConeMultipliers
    value: float
    largest: float

    def rho_of(self, prog: ConvexProgram, block: int) -> tuple[IntArray, FloatArray, FloatArray]:
        """Rows, multipliers and sides ±1 of a block; empty where it needs none."""
        known = self.multipliers
        k = int(np.searchsorted(known.blocks, block))
        if k == len(known.blocks) or known.blocks[k] != block:
            return np.empty(0, dtype=np.intp), np.empty(0), np.empty(0)
        part = slice(known.starts[k], known.starts[k + 1])
        rows = known.rows[part]
        return rows, known.values[part], _sides(prog, block, rows)


def lower_bound(prog: ConvexProgram, nu: FloatArray, known: ConeMultipliers | None) -> DualBound:
    """Scale ν until it is feasible; find the multipliers that show it."""
    if abs(nu.sum()) > 1e-13 * np.abs(nu).sum():
        nu = prog.admissible(nu)
    multipliers, largest = feasibility(prog, nu, known)
    scale = prog.best_scale(nu, largest)
    nu = scale * nu
    value = prog.dual_objective(nu)
    return DualBound(
        nu,
        replace(multipliers, values=scale * multipliers.values),
        value if math.isfinite(value) else -math.inf,
        scale * largest,
    )


def feasibility(
    prog: ConvexProgram, nu: FloatArray, known: ConeMultipliers | None
) -> tuple[ConeMultipliers, float]:
    """Multipliers of the blocks with ‖X_bᵀν‖ > λ, and the largest ‖X_bᵀν + (S_iX)ᵀρ_b‖ of all.

    The largest includes what rounding may have taken from it; ν over it is feasible for λ = 1.
    """
    common = prog.correlations(nu)
    norms = np.linalg.norm(common, axis=1)
    if prog.activation == "gated":
        multipliers, largest = ConeMultipliers.pack({}), float(norms.max())
    else:
        multipliers, bounds = _cone_bounds(prog, common, norms, known)
        largest = max(float(norms[norms <= prog.lam].max(initial=0.0)), bounds)
    largest += _rounding(prog.n) * float(np.linalg.norm(np.abs(nu) @ np.abs(prog.X)))
    return multipliers, largest


def _rounding(n: int) -> float:
    """How wrong a computed norm ‖X_bᵀν‖ may be, relative to ‖|X|ᵀ|ν|‖: a sum of n products.

    The usual model of random rounding errors (Higham & Mary, SIAM J. Sci. Comput. 2019).
    """
    return 4 * float(np.finfo(np.float64).eps) * math.sqrt(n)


def _cone_bounds(
    prog: ConvexProgram, common: FloatArray, norms: FloatArray, known: ConeMultipliers | None
) -> tuple[ConeMultipliers, float]:
    """Multipliers of every block with ‖X_bᵀν‖ > λ, and the largest bound that they give."""
    over = np.flatnonzero(norms > prog.lam)
    needed = np.concatenate([over, over + len(prog.patterns)])
    usable = _usable_multipliers(prog, common, needed, known)
    missing = np.setdiff1d(needed, usable.blocks)
    pieces: dict[int, tuple[IntArray, FloatArray]] = {}
    step = max(1, 2**22 // prog.n)
    for start in range(0, len(missing), step):
        part = missing[start : start + step]
        found = prog.project(common, part)
        pieces.update(zip(part.tolist(), zip(found.rows, found.rho, strict=True), strict=True))
    multipliers = ConeMultipliers.pack({**usable.pieces(), **pieces}) if pieces else usable
    return multipliers, _largest_bound(prog, common, multipliers, needed)


def _largest_bound(
    prog: ConvexProgram, common: FloatArray, known: ConeMultipliers, needed: IntArray
) -> float:
    """The largest ‖X_bᵀν + (S_iX)ᵀρ_b‖ over the blocks, with what rounding may add to it."""
    if not len(needed):
        return 0.0
    errors = _rounding(prog.n) * np.linalg.norm(segment_sums(np.abs(prog.X), known), axis=1)
    return float((proved_norms(prog, common, known) + errors).max())


def proved_norms(prog: ConvexProgram, common: FloatArray, known: ConeMultipliers) -> FloatArray:
    """‖X_bᵀν + (S_iX)ᵀρ_b‖ of the blocks that have multipliers."""
    count = len(prog.patterns)
    signs = np.where(known.blocks < count, 1.0, -1.0)[:, None]
    vectors = signs * common[known.blocks % count] + pulls(prog, known)
    return np.asarray(np.linalg.norm(vectors, axis=1))


def pulls(prog: ConvexProgram, known: ConeMultipliers) -> FloatArray:
    """(S_iX)ᵀρ_b of the blocks that have multipliers, (k, d)."""
    owners = np.repeat(known.blocks, np.diff(known.starts))
    signed = known.values * _sides(prog, owners, known.rows)
    return segment_sums(prog.X, replace(known, values=signed))


def segment_sums(X: FloatArray, known: ConeMultipliers) -> FloatArray:
    """Xᵀρ_b of the blocks that have multipliers, (k, d)."""
    sums = np.zeros((len(known.blocks), X.shape[1]))
    lengths = np.diff(known.starts)
    filled = np.flatnonzero(lengths)
    step = max(1, CHUNK_ENTRIES // (int(lengths.max(initial=1)) * X.shape[1]))
    for start in range(0, len(filled), step):
        part = filled[start : start + step]
        ends = slice(known.starts[part[0]], known.starts[part[-1] + 1])
        terms = known.values[ends, None] * X[known.rows[ends]]
        sums[part] = np.add.reduceat(terms, known.starts[part] - ends.start)
    return sums


def _usable_multipliers(
    prog: ConvexProgram, common: FloatArray, needed: IntArray, known: ConeMultipliers | None
) -> ConeMultipliers:
    """Those of a backend's multipliers that are valid and prove what is needed."""
    if not isinstance(known, ConeMultipliers) or not _well_formed(prog, known):
        return ConeMultipliers.pack({})
    wanted = known.select(np.isin(known.blocks, needed))
    return wanted.select(proved_norms(prog, common, wanted) <= prog.lam * (1 + 1e-9))


def _sides(prog: ConvexProgram, blocks: int | IntArray, rows: IntArray) -> FloatArray:
    """+1 where the blocks' patterns are active, −1 where they are not, at chosen samples."""
    packed = prog.patterns.packed[blocks % len(prog.patterns), rows >> 3]
    return np.where((packed >> (7 - (rows & 7))) & 1, 1.0, -1.0)


def _well_formed(prog: ConvexProgram, known: ConeMultipliers) -> bool:
    """Whether a backend's multipliers have the form that they should have."""
    integers = (known.blocks, known.starts, known.rows)
    for array in (*integers, known.values):
        if not isinstance(array, np.ndarray) or array.ndim != 1:
            return False
    if any(array.dtype.kind != "i" for array in integers) or known.values.dtype.kind != "f":
        return False
    starts, total = known.starts, len(known.values)
    return bool(
        len(starts) == len(known.blocks) + 1
        and len(known.rows) == total
        and starts[0] == 0
        and starts[-1] == total
        and (np.diff(starts) >= 0).all()
        and (np.diff(known.blocks) > 0).all()
        and ((known.blocks >= 0) & (known.blocks < 2 * len(prog.patterns))).all()
        and ((known.rows >= 0) & (known.rows < prog.n)).all()
        and np.isfinite(known.values).all()
        and (known.values >= 0).all()
    )
