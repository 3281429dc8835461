"""Spoils of the proof of one output: the dual point, its multipliers, the patterns."""

from __future__ import annotations

import numpy as np

from .answers import Answer
from .claims import edge
from .data import Matrix, Rng
from .registry import spoil, tiny


def _nu(answer: Answer, nu: Matrix) -> Answer:
    return answer.having(nu=np.asarray(nu, dtype=float))


# -- the dual point ------------------------------------------------------------


@spoil("network")
def nu_raised(rng: Rng, answer: Answer) -> Answer:
    """ν a little larger, which raises the bound."""
    return _nu(answer, answer.arrays["nu"] * (1 + tiny(rng)))


@spoil("network")
def nu_next(rng: Rng, answer: Answer) -> Answer:
    """Every entry of ν one or more doubles away from zero."""
    nu = answer.arrays["nu"]
    for _ in range(int(rng.integers(1, 9))):
        nu = np.where(nu == 0, nu, np.nextafter(nu, np.inf * np.sign(nu)))
    return _nu(answer, nu)


@spoil("network")
def nu_entry(rng: Rng, answer: Answer) -> Answer:
    """One entry moved, in the direction that raises the bound where there is one."""
    nu = answer.arrays["nu"].copy()
    k = int(rng.integers(len(nu)))
    nu[k] += np.sign(answer.y[k] or 1.0) * tiny(rng) * np.abs(nu).max()
    return _nu(answer, nu)


@spoil("network")
def nu_noise(rng: Rng, answer: Answer) -> Answer:
    nu = answer.arrays["nu"]
    return _nu(answer, nu + tiny(rng) * np.abs(nu).max() * rng.standard_normal(len(nu)))


@spoil("network")
def nu_zero(rng: Rng, answer: Answer) -> Answer:
    return _nu(answer, 0 * answer.arrays["nu"])


@spoil("network")
def nu_negated(rng: Rng, answer: Answer) -> Answer:
    return _nu(answer, -answer.arrays["nu"])


@spoil("network")
def nu_permuted(rng: Rng, answer: Answer) -> Answer:
    return _nu(answer, rng.permutation(answer.arrays["nu"]))


@spoil("network")
def nu_rounded(rng: Rng, answer: Answer) -> Answer:
    with np.errstate(all="ignore"):
        return _nu(answer, np.nan_to_num(answer.arrays["nu"].astype(np.float32)))


@spoil("network")
def nu_greedy(rng: Rng, answer: Answer) -> Answer:
    """The ν of zero fits: the best bound if nothing constrained it."""
    shares = 1.0 if answer.weights is None else answer.weights
    most = edge(answer)
    t = answer.y if np.isinf(most) else np.clip(answer.y, -most, most)
    return _nu(answer, shares * t / len(answer.y) * (1 - tiny(rng)))


@spoil("network")
def nu_huge(rng: Rng, answer: Answer) -> Answer:
    """A huge part that nearly cancels in Xᵀν."""
    X, nu = answer.X, answer.arrays["nu"]
    with np.errstate(all="ignore"):
        scale = np.abs(X).max(axis=0)
        left = np.linalg.svd(X / np.where(scale > 0, scale, 1))[0][:, X.shape[1] :]
    if not left.shape[1]:
        return _nu(answer, nu * 1e16)
    return _nu(answer, nu + left[:, 0] * np.abs(nu).max() * 10 ** rng.uniform(0, 20))


@spoil("network")
def nu_sum(rng: Rng, answer: Answer) -> Answer:
    """Σν a little off zero, which the offset of y multiplies."""
    nu = answer.arrays["nu"]
    away = np.sign(answer.y.sum() or 1.0) * 10 ** rng.uniform(-16, -6)
    return _nu(answer, nu + away * np.abs(nu).sum() / len(nu))


@spoil("network")
def nu_edge(rng: Rng, answer: Answer) -> Answer:
    """Entries on or beyond the edge of the conjugate's domain."""
    most, nu = edge(answer), answer.arrays["nu"].copy()
    shares = np.ones(len(nu)) if answer.weights is None else answer.weights
    which = rng.random(len(nu)) < 0.5
    most = 1.0 if np.isinf(most) else most
    nu[which] = (np.sign(answer.y) * shares * most / len(nu))[which]
    nu[which] *= 1 + rng.choice([-1, 1]) * 10 ** rng.uniform(-17, -12)
    return _nu(answer, nu)


# -- multipliers ---------------------------------------------------------------


def _rho(answer: Answer, values: Matrix) -> Answer:
    return answer.having(rho_values=np.asarray(values, dtype=float))


@spoil("network")
def rho_dropped(rng: Rng, answer: Answer) -> Answer:
    none = np.zeros(0, dtype=np.int64)
    return answer.having(
        rho_blocks=none, rho_starts=np.zeros(1, dtype=np.int64), rho_rows=none,
        rho_values=np.zeros(0),
    )  # fmt: skip


@spoil("network")
def rho_scaled(rng: Rng, answer: Answer) -> Answer:
    return _rho(answer, answer.arrays["rho_values"] * (1 + rng.choice([-1, 1]) * tiny(rng)))


@spoil("network")
def rho_huge(rng: Rng, answer: Answer) -> Answer:
    return _rho(answer, answer.arrays["rho_values"] * 10 ** rng.uniform(5, 300))


@spoil("network")
def rho_negative(rng: Rng, answer: Answer) -> Answer:
    values = answer.arrays["rho_values"]
    return _rho(answer, np.where(rng.random(len(values)) < 0.5, -values, values))


@spoil("network")
def rho_moved(rng: Rng, answer: Answer) -> Answer:
    """Multipliers of other rows."""
    rows = answer.arrays["rho_rows"]
    return answer.having(rho_rows=rng.integers(0, len(answer.X), len(rows)))


@spoil("network")
def rho_blocks(rng: Rng, answer: Answer) -> Answer:
    """Multipliers of other blocks, perhaps of one twice or of none that there is."""
    blocks = answer.arrays["rho_blocks"]
    most = 2 * len(answer.arrays["patterns"]) + 1
    return answer.having(rho_blocks=rng.integers(-1, most, len(blocks)))


@spoil("network")
def rho_repaired(rng: Rng, answer: Answer) -> Answer:
    """ν raised, and the multipliers that do best for it."""
    raised = nu_raised(rng, answer) if rng.random() < 0.7 else nu_noise(rng, answer)
    return projected(raised)


def projected(answer: Answer) -> Answer:
    """The answer with the best multipliers of every block that needs some."""
    from scipy.optimize import nnls

    X, nu, lam = answer.X, answer.arrays["nu"], float(answer.claims["lam"])
    if answer.claims["activation"] != "relu":
        return answer
    blocks, starts, rows, values = [], [0], [], []
    masks = answer.masks()
    for block in range(2 * len(masks)):
        mask = masks[block % len(masks)]
        v = (1 if block < len(masks) else -1) * (mask * nu) @ X
        if not np.isfinite(v).all() or np.linalg.norm(v) <= lam:
            continue
        sides = ((2 * mask - 1.0)[:, None] * X).T
        try:
            rho = nnls(sides, -v)[0]
        except (RuntimeError, ValueError):
            continue
        some = np.flatnonzero(rho > 0)
        blocks.append(block)
        rows.extend(some)
        values.extend(rho[some])
        starts.append(len(rows))
    return answer.having(
        rho_blocks=np.array(blocks, dtype=np.int64), rho_starts=np.array(starts, dtype=np.int64),
        rho_rows=np.array(rows, dtype=np.int64), rho_values=np.array(values, dtype=float),
    )  # fmt: skip


@spoil("network")
def rho_cancelling(rng: Rng, answer: Answer) -> Answer:
    """Huge multipliers on all rows of one block, of random sizes."""
    n, size = len(answer.X), 10 ** rng.uniform(0, 18)
    block = int(rng.integers(0, 2 * len(answer.arrays["patterns"])))
    return answer.having(
        rho_blocks=np.array([block]), rho_starts=np.array([0, n]), rho_rows=np.arange(n),
        rho_values=size * rng.random(n),
    )  # fmt: skip


# -- patterns ------------------------------------------------------------------


def _patterns(answer: Answer, masks: Matrix, kept: Matrix | None = None) -> Answer:
    """The patterns of these masks; gates of those that are kept, else made up."""
    gates = answer.arrays.get("pattern_gates")
    if gates is not None:
        p = len(masks)
        gates = gates[:, kept] if kept is not None else np.resize(gates.T, (p, len(gates))).T
    packed = np.packbits(masks.astype(bool), axis=1)
    return answer.having(patterns=packed, pattern_gates=gates)


@spoil("network")
def patterns_dropped(rng: Rng, answer: Answer) -> Answer:
    masks = answer.masks()
    kept = np.flatnonzero(rng.random(len(masks)) < rng.choice([0.3, 0.8]))
    kept = kept if len(kept) else np.zeros(1, dtype=int)
    return projected(_patterns(answer, masks[kept], kept))


@spoil("network")
def patterns_one(rng: Rng, answer: Answer) -> Answer:
    """One pattern alone, with ν as large as it allows."""
    masks = answer.masks()
    kept = np.array([int(rng.integers(len(masks)))])
    return projected(nu_greedy(rng, _patterns(answer, masks[kept], kept)))


@spoil("network")
def patterns_repeated(rng: Rng, answer: Answer) -> Answer:
    masks = answer.masks()
    kept = rng.integers(0, len(masks), len(masks))
    return projected(_patterns(answer, masks[kept], kept))


@spoil("network")
def patterns_flipped(rng: Rng, answer: Answer) -> Answer:
    masks = answer.masks().copy()
    for _ in range(int(rng.integers(1, 4))):
        masks[rng.integers(len(masks)), rng.integers(masks.shape[1])] ^= True
    return projected(_patterns(answer, masks, np.arange(len(masks))))


@spoil("network")
def patterns_drawn(rng: Rng, answer: Answer) -> Answer:
    """Any bits, most of no cell."""
    p = int(rng.integers(1, 6))
    return projected(_patterns(answer, rng.random((p, len(answer.X))) < 0.5))


@spoil("network")
def patterns_empty(rng: Rng, answer: Answer) -> Answer:
    """The pattern without active rows, which allows any ν."""
    return nu_greedy(rng, _patterns(rho_dropped(rng, answer), np.zeros((1, len(answer.X)))))


@spoil("network")
def patterns_padded(rng: Rng, answer: Answer) -> Answer:
    """Bits beyond the last sample."""
    packed = answer.arrays["patterns"].copy()
    packed[:, -1] |= np.uint8(rng.integers(1, 256))
    return answer.having(patterns=packed)


@spoil("network")
def gates_moved(rng: Rng, answer: Answer) -> Answer:
    gates = answer.arrays.get("pattern_gates")
    if gates is None:
        return answer.having(pattern_gates=rng.standard_normal((answer.X.shape[1], 1)))
    return answer.having(pattern_gates=gates + tiny(rng) * rng.standard_normal(gates.shape))
