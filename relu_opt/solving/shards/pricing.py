"""What a worker does: price the blocks of a shard of the patterns at a dual point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.clock import Clock
from relu_opt.plugins.manager import registry
from relu_opt.plugins.types import State
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.multipliers import ConeMultipliers
from relu_opt.program.patterns import Patterns
from relu_opt.solving.column_generation.pricing import Pricer, Projector

# Blocks that are projected at a time.
BATCH = 32


@dataclass(frozen=True, eq=False)
class Bids:
    """The patterns of a shard that would improve the network most.

    Attributes
    ----------
    patterns : (k,) int array
        Positions in the shard, those with the largest g_b(ν) first.
    norms : (k,) array
        g_b(ν) > λ of each, the larger of the two signs.
    largest : float
        What g_b(ν) does not exceed for any block of the shard.
    """

    patterns: IntArray
    norms: FloatArray
    largest: float


@dataclass(frozen=True, eq=False)
class Priced:
    """A shard after pricing: its bids, and the multipliers that show what `largest` says."""

    bids: Bids
    multipliers: ConeMultipliers


def price(
    base: ConvexProgram,
    shard: Patterns,
    lam: float,
    nu: FloatArray,
    most: int,
    before: Priced | None,
) -> Priced:
    """Price a shard.

    Parameters
    ----------
    base : ConvexProgram
        The program; its patterns play no part.
    shard : Patterns
        Those to price.
    lam : float
    nu : (n,) array
        The dual point.
    most : int
        How many patterns to bid.
    before : Priced, optional
        The shard at an earlier dual point, whose multipliers save projections.
    """
    with threadpool_limits(1, user_api="blas"):
        prog = base.with_lam(lam).with_patterns(shard)
        pricer = Pricer(prog, Clock(), projector())
        if before is not None:
            pricer.adopt(before.multipliers)
        return _priced(prog, pricer, nu, most)


def _priced(prog: ConvexProgram, pricer: Pricer, nu: FloatArray, most: int) -> Priced:
    count = len(prog.patterns)
    look = pricer.bound(nu, prog.correlations(nu))
    norms = np.zeros(len(look.bounds))
    order = np.argsort(-look.bounds)
    for start in range(0, len(order), BATCH):
        part = order[start : start + BATCH]
        part = part[look.bounds[part] > _enough(norms, prog.lam, most)]
        if not len(part):
            break
        points = pricer.project(look.common, part, prog.lam)
        norms[part] = np.linalg.norm(points, axis=1)
    tight = pricer.bound(nu, look.common)
    best = norms.reshape(len(prog.signs), count).max(axis=0)
    wanted = np.argsort(-best, kind="stable")[:most]
    wanted = wanted[best[wanted] > prog.lam * (1 + 1e-14)]
    proof = pricer.proof(tight, 1.0)
    multipliers = ConeMultipliers.pack({}) if proof is None else proof.pack()
    largest = float(tight.bounds.max(initial=0.0))
    return Priced(Bids(wanted, best[wanted], largest), multipliers)


def _enough(norms: FloatArray, lam: float, most: int) -> float:
    """What a bound must exceed to matter: λ, or the least of the bids once there are enough."""
    if len(norms) <= most:
        return lam
    return max(lam, float(np.partition(norms, -most)[-most]))


def bids_of(priced: Priced) -> Bids:
    """The part that goes back."""
    return priced.bids


def multipliers_of(priced: Priced) -> ConeMultipliers:
    """The proof, which goes back at the end."""
    return priced.multipliers


def projector() -> Projector:
    """The projections of the first backend that lends any, or the core's own."""
    known = registry()
    for info in known.infos().values():
        if info.projector is not None and known.probe(info).state is State.READY:
            return info.projector()
    return ConvexProgram.project
