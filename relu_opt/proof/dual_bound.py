r"""Lower bounds: scale a dual point until it is feasible, and find the multipliers that show it.

For every ρ ≥ 0, ‖X_bᵀν + (S_iX)ᵀρ‖ ≥ ‖P_K(X_bᵀν)‖ = g_b(ν), so multipliers that make the left
side at most λ for every block prove that ν is feasible and that D(ν) bounds the optimum.

Norms and D are computed in doubles, and every rounding is charged to them: a bound holds whatever
the order of the sums. The sums over the samples are cut into chunks, which keeps the charge small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.loss_proof import dual_below, settled
from relu_opt.program.multipliers import ConeMultipliers
from relu_opt.program.units import survives
from relu_opt.rounding import REACH, UNDERFLOW, charge, chunk_rows, depth, scaled_down, scaled_up

# Entries of the terms of sums that are held at a time.
CHUNK_ENTRIES = 4_000_000


@dataclass(frozen=True)
class DualBound:
    """A dual point, its multipliers, and what they prove.

    Attributes
    ----------
    nu : (n,) array
    multipliers : ConeMultipliers
    value : float
        What no network over the patterns is below; at least 0.
    largest : float
        What no ‖X_bᵀν + (S_iX)ᵀρ_b‖ exceeds.
    """

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
    own, nu, known = _in_units(prog, nu, known)
    size = float(np.abs(nu).max())
    if not own.loss.proves or not 1 / REACH <= size < math.inf:
        return nothing_below(prog)
    # What is this large is scaled down all the same.
    shrink = 1.0 if size <= REACH else math.ldexp(1.0, -math.frexp(size)[1])
    nu = settled(own, shrink * nu)
    multipliers, largest = _feasibility(own, nu, known if shrink == 1.0 else None)
    return _best_multiple(prog, own, nu, multipliers, largest)


def bound_at(
    prog: ConvexProgram, nu: FloatArray, multipliers: ConeMultipliers, largest: float
) -> DualBound:
    """The best bound that a multiple of ν proves.

    Parameters
    ----------
    prog : ConvexProgram
    nu : (n,) array
    multipliers : ConeMultipliers
        Those that go with ν.
    largest : float
        What no block's norm exceeds at ν and its multipliers.
    """
    own, nu, known = _in_units(prog, nu, multipliers)
    with np.errstate(all="ignore"):
        # What doubles within two roundings of ν may add.
        nearby = charge(2) * float(np.abs(nu) @ np.linalg.norm(own.X, axis=1))
        nearby *= own.activation.reach
    return _best_multiple(prog, own, nu, known, prog.units.in_strength(largest) + nearby)


def _in_units(
    prog: ConvexProgram, nu: FloatArray, known: ConeMultipliers | None
) -> tuple[ConvexProgram, FloatArray, ConeMultipliers | None]:
    """Program, ν and multipliers in the program's canonical units."""
    units = prog.units
    if isinstance(known, ConeMultipliers):
        known = replace(known, values=units.in_duals(np.asarray(known.values, dtype=np.float64)))
    return prog.canonical, units.in_duals(nu), known


def _best_multiple(
    prog: ConvexProgram,
    own: ConvexProgram,
    nu: FloatArray,
    multipliers: ConeMultipliers | None,
    largest: float,
) -> DualBound:
    """The bound at the best multiple of ν, for which `largest` is proved; both in canonical units.

    `largest` is to hold for all doubles within two roundings of ν and its multipliers.
    """
    units = prog.units
    if not own.loss.proves or multipliers is None or not (math.isfinite(largest) and nu.any()):
        return nothing_below(prog)
    scale = own.best_scale(nu, largest)
    scaled = scale * nu
    kept = settled(own, scaled)
    # Entries that moved by more than rounding change each norm by no more than this.
    moved = float(np.abs(kept - scaled) @ np.linalg.norm(own.X, axis=1))
    moved *= own.activation.reach * (1 + charge(own.n + own.d + 8))
    largest = (scale * largest + moved) * (1 + charge(3))
    # D is concave and D(0) is not negative.
    share = 1.0 if largest <= own.lam else own.lam / largest * (1 - charge(2))
    value = share * dual_below(own, kept) * (1 - charge(1))
    if not (value > 0 and survives(kept, units.y)):
        return nothing_below(prog)
    return DualBound(
        units.duals(kept),
        replace(multipliers, values=units.duals(scale * multipliers.values)),
        scaled_down(value, 2 * units.y),
        scaled_up(largest, units.x + units.y),
    )


def nothing_below(prog: ConvexProgram) -> DualBound:
    """ν = 0, which is feasible: no loss is negative."""
    return DualBound(np.zeros(prog.n), ConeMultipliers.pack({}), 0.0, 0.0)


def feasibility(
    prog: ConvexProgram, nu: FloatArray, known: ConeMultipliers | None
) -> tuple[ConeMultipliers, float]:
    """Multipliers of the blocks with ‖X_bᵀν‖ > λ, and what no ‖X_bᵀν + (S_iX)ᵀρ_b‖ exceeds.

    The latter holds for all doubles within two roundings of ν and ρ.
    """
    units = prog.units
    found, largest = _feasibility(*_in_units(prog, nu, known))
    return replace(found, values=units.duals(found.values)), scaled_up(largest, units.x + units.y)


def _feasibility(
    prog: ConvexProgram, nu: FloatArray, known: ConeMultipliers | None
) -> tuple[ConeMultipliers, float]:
    """`feasibility` in canonical units."""
    with np.errstate(all="ignore"):
        common, error = _correlations(prog, nu)
        norms = np.linalg.norm(common, axis=1)
        largest = _norms_above(common, error)
        if prog.activation.gated:
            multipliers, most = ConeMultipliers.pack({}), float(largest.max())
        else:
            multipliers, most = _cone_bounds(prog, common, error, norms, known)
            most = max(float(largest[norms <= prog.lam].max(initial=0.0)), most)
    if not math.isfinite(most):
        return multipliers, math.inf
    return multipliers, most + UNDERFLOW if most else 0.0


def _correlations(prog: ConvexProgram, nu: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What `ConvexProgram.correlations` gives, and what rounding may add to any entry, (d,)."""
    X, n = prog.X, prog.n
    common = np.zeros((len(prog.patterns), prog.d))
    step = chunk_rows(n)
    for part in prog.patterns.chunks():
        masked = prog.counts(part) * nu
        for start in range(0, n, step):
            rows = slice(start, start + step)
            common[part] += masked[:, rows] @ X[rows]
    sizes = (np.abs(nu) @ np.abs(X)) * (1 + charge(n + 2))
    activation = prog.activation
    return common, charge(depth(n) + 4 + activation.rounds) * activation.reach * sizes


def _norms_above(vectors: FloatArray, error: FloatArray) -> FloatArray:
    """What the norms of vectors (k, d) with these errors in each entry do not exceed, (k,)."""
    entries = np.abs(vectors) + error
    return np.asarray(np.linalg.norm(entries, axis=1) * (1 + charge(vectors.shape[1] + 8)))


def _cone_bounds(
    prog: ConvexProgram,
    common: FloatArray,
    error: FloatArray,
    norms: FloatArray,
    known: ConeMultipliers | None,
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
    return multipliers, _largest_bound(prog, common, error, multipliers)


def _largest_bound(
    prog: ConvexProgram, common: FloatArray, error: FloatArray, known: ConeMultipliers
) -> float:
    """What no ‖X_bᵀν + (S_iX)ᵀρ_b‖ of the blocks that have multipliers exceeds."""
    if not len(known.blocks):
        return 0.0
    lengths = np.diff(known.starts)
    own = charge(int(lengths.max()) + 6) * segment_sums(np.abs(prog.X), known)
    return float(_norms_above(_pulled(prog, common, known), error + own).max())


def proved_norms(prog: ConvexProgram, common: FloatArray, known: ConeMultipliers) -> FloatArray:
    """‖X_bᵀν + (S_iX)ᵀρ_b‖ of the blocks that have multipliers."""
    return np.asarray(np.linalg.norm(_pulled(prog, common, known), axis=1))


def _pulled(prog: ConvexProgram, common: FloatArray, known: ConeMultipliers) -> FloatArray:
    """X_bᵀν + (S_iX)ᵀρ_b of the blocks that have multipliers, (k, d)."""
    count = len(prog.patterns)
    signs = np.where(known.blocks < count, 1.0, -1.0)[:, None]
    return np.asarray(signs * common[known.blocks % count] + pulls(prog, known))


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
