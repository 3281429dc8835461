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
    common = prog.correlations(nu)
    norms = np.linalg.norm(common, axis=1)
    if prog.activation == "gated":
        multipliers, largest = ConeMultipliers.pack({}), float(norms.max())
    else:
        multipliers, bounds = _cone_bounds(prog, common, norms, known)
        largest = max(float(norms[norms <= prog.lam].max(initial=0.0)), bounds)
    largest += _rounding(prog.n) * float(np.linalg.norm(np.abs(nu) @ np.abs(prog.X)))
    scale = prog.best_scale(nu, largest)
    nu = scale * nu
    value = prog.dual_objective(nu)
    return DualBound(
        nu,
        replace(multipliers, values=scale * multipliers.values),
        value if math.isfinite(value) else -math.inf,
        scale * largest,
    )


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
    count = len(prog.patterns)
    pieces = _usable_multipliers(prog, common, over, known)
    missing = np.array(
        [b for b in np.concatenate([over, over + count]) if int(b) not in pieces], dtype=np.intp
    )
    step = max(1, 2**22 // prog.n)
    for start in range(0, len(missing), step):
        part = missing[start : start + step]
        found = prog.project(common, part)
        for k, b in enumerate(part):
            size = float(np.linalg.norm(found.points[k]))
            pieces[int(b)] = _piece(prog, found.rows[k], found.rho[k], size)
    packed = ConeMultipliers.pack({b: (rows, rho) for b, (rows, rho, _) in pieces.items()})
    return packed, max((piece[2] for piece in pieces.values()), default=0.0)


def _piece(
    prog: ConvexProgram, rows: IntArray, rho: FloatArray, size: float
) -> tuple[IntArray, FloatArray, float]:
    """A block's multipliers and its bound, with what rounding may add to it."""
    error = _rounding(prog.n) * float(np.linalg.norm(rho @ np.abs(prog.X[rows])))
    return rows, rho, size + error


def _usable_multipliers(
    prog: ConvexProgram, common: FloatArray, over: IntArray, known: ConeMultipliers | None
) -> dict[int, tuple[IntArray, FloatArray, float]]:
    """Those of a backend's multipliers that are valid and prove what is needed."""
    if not isinstance(known, ConeMultipliers) or not _well_formed(prog, known):
        return {}
    count = len(prog.patterns)
    needed = np.zeros(2 * count, dtype=np.bool_)
    needed[over] = needed[over + count] = True
    usable: dict[int, tuple[IntArray, FloatArray, float]] = {}
    for k, b in enumerate(known.blocks):
        if not needed[b]:
            continue
        part = slice(known.starts[k], known.starts[k + 1])
        rows, rho = known.rows[part], known.values[part]
        sign, i = divmod(int(b), count)
        vector = common[i] if sign == 0 else -common[i]
        vector = vector + (rho * _sides(prog, int(b), rows)) @ prog.X[rows]
        size = float(np.linalg.norm(vector))
        if size <= prog.lam * (1 + 1e-9):
            usable[int(b)] = _piece(prog, rows, rho, size)
    return usable


def _sides(prog: ConvexProgram, block: int, rows: IntArray) -> FloatArray:
    """+1 where the block's pattern is active, −1 where it is not, at chosen samples."""
    packed = prog.patterns.packed[block % len(prog.patterns), rows >> 3]
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
        and ((known.blocks >= 0) & (known.blocks < 2 * len(prog.patterns))).all()
        and ((known.rows >= 0) & (known.rows < prog.n)).all()
        and np.isfinite(known.values).all()
        and (known.values >= 0).all()
    )
