r"""The re-check of a network with one output: its bounds, in doubles and with every rounding.

With F(z) = (1/n) Σ_k s_k ℓ(z_k, y_k), the network's own objective F(ŷ) + (λ/2) Σ_j (‖u_j‖² + a_j²)
is an upper bound, and D(ν) = −(1/n) Σ_k s_k ℓ*(−n ν_k/s_k, y_k) is a lower bound for every network
whose neurons lie in the file's cones, if ‖s XᵀD_iν + (S_iX)ᵀρ_b‖ ≤ λ for every pattern i and
sign s, with any ρ_b ≥ 0 (Pilanci & Ergen, ICML 2020; no projection has to be trusted). A leaky ReLU
of slope κ has D_i + κ(I − D_i) in place of D_i.

Rounding. Each computed quantity comes with a bound on its error that holds for any order of
summation (`verify.rounding`); sums over samples are cut into chunks, which makes the bounds small.
The largest norm is taken from above, and the bound that is reported is D(tν), from below, for a
t ≤ 1 that makes tν feasible. Multipliers so large that they drown the rest in rounding therefore
weaken the bound instead of faking one.

Units. Powers of two bring X, y and the network near 1 first, which changes no bit beyond exponents.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from relu_opt.verify.claim import Claim, FloatArray, IntArray, parts
from relu_opt.verify.losses import DualPoint, dual_point, mean_loss_above
from relu_opt.verify.outcome import (
    ARITHMETIC,
    Verification,
    above_others,
    concluded,
    in_units,
    undecided,
)
from relu_opt.verify.rounding import UNDERFLOW, UNIT, above, chunk_rows, depth, gamma, total
from relu_opt.verify.scope import scope_of
from relu_opt.verify.search import reach
from relu_opt.verify.units import RANGE, TOO_WIDE, exponent, in_range, scaled

# A norm that is above λ by more than this share of it makes the file false, not only weak.
INFEASIBLE = 1e-12


def check_network(claim: Claim, X: FloatArray, y: FloatArray) -> Verification:
    """What is proved of a network with one output."""
    doubts, stretch = scope_of(claim, X)
    near, rows, targets, unit = _near_one(claim, X, y)
    if not _fits_doubles(near):
        return undecided(claim.terms, TOO_WIDE)
    primal = _loss_above(near, rows, targets) + _penalty_above(claim, unit)
    point = dual_point(near, near.nu, targets, claim.has_constant)
    dual = -math.inf
    false: list[str] = []
    if point is not None:
        if claim.coverage == "searched":
            # Of all directions, and so of those in the patterns that are listed.
            bound, problem = reach(rows, near.nu, near.lam)
            sizes = float(np.abs(near.nu) @ np.linalg.norm(rows, axis=1))
            largest = bound + gamma(point.roundings) * above(sizes, len(rows) + 40)
            doubts += [f"The scope is all patterns, and {problem}."] if problem else []
        else:
            largest, false = _largest(near, rows, point)
            largest *= stretch
        dual = max(0.0, point.below(_shrink(near, rows, point, largest)))
    trusted = ""
    if claim.coverage == "oracle":
        trusted = f"{claim.oracle[0].upper()}{claim.oracle[1:]}, which is not re-checked here."

    def statement(rel_gap: float) -> str:
        upper, lower = in_units(primal, unit, math.inf), in_units(dual, unit, -math.inf)
        return network_statement(claim, upper, lower, rel_gap, "float")

    most = dual if point is None else point.below(1.0)
    return concluded(claim, primal, dual, false, doubts, "network", statement, trusted, unit, most)


def network_statement(
    claim: Claim, primal: float, dual: float, rel_gap: float, arithmetic: str
) -> str:
    """What is proved of a network, in plain words."""
    whose = {
        "own": "with neurons in the patterns that it uses",
        "program": f"with neurons in the {len(claim.patterns)} patterns of its program",
        "all": "with gates off the data's hyperplanes" if claim.gated else "of any width",
    }[claim.scope]
    constant = " and a free output constant" if claim.has_constant else ""
    weights = "weighted " if claim.terms.weights else ""
    others = above_others(primal, rel_gap, f"{claim.kind} network {whose}", dual)
    return (
        f"With the {weights}mean {claim.loss}, lam = {claim.lam:g}{constant}, the network's "
        f"objective {others}. Proved {ARITHMETIC[arithmetic]}.{_little(claim)}"
    )


def _little(claim: Claim) -> str:
    """What makes a true certificate worth little."""
    if not claim.patterns.any():
        return " It says little: no pattern is active at any sample, so all these are constant."
    if not ((claim.output != 0) & claim.hidden.any(axis=1)).any():
        return " The network is constant: it has no neuron, since none pays at this lam."
    return ""


# -- units ---------------------------------------------------------------------


def _near_one(
    claim: Claim, X: FloatArray, y: FloatArray
) -> tuple[Claim, FloatArray, FloatArray, int]:
    """The claim and the data in units in which the data are near 1; objectives are in 2^unit.

    The layers are those that give the same outputs; their norms are not those of the network.
    """
    x_power = exponent(X)
    y_power = exponent(y) if claim.loss.residual else 0
    out_power = exponent(claim.output)
    near = replace(
        claim,
        hidden=scaled(claim.hidden, x_power - y_power + out_power),
        output=scaled(claim.output, -out_power),
        constant=float(np.ldexp(claim.constant, -y_power)),
        nu=scaled(claim.nu, -y_power),
        rho=_scaled_rho(claim, -y_power),
        lam=float(np.ldexp(claim.lam, -x_power - y_power)),
        loss=claim.loss.scaled(y_power),
    )
    return near, scaled(X, -x_power), scaled(y, -y_power), 2 * y_power


def _scaled_rho(claim: Claim, power: int) -> dict[int, tuple[IntArray, FloatArray]]:
    """The multipliers times 2^power."""
    if not claim.rho:
        return {}
    listed = [values for _, values in claim.rho.values()]
    ends = np.cumsum([len(values) for values in listed])[:-1]
    pieces = np.split(scaled(np.concatenate(listed), power), ends)
    return {b: (rows, new) for (b, (rows, _)), new in zip(claim.rho.items(), pieces, strict=True)}


def _fits_doubles(near: Claim) -> bool:
    numbers = np.array([near.constant, float(near.loss.grid)])
    multipliers = np.concatenate([numbers, *(values for _, values in near.rho.values())])
    return near.lam >= 2.0**-RANGE and in_range(near.hidden, near.nu, near.weight, multipliers)


# -- from above ----------------------------------------------------------------


def _loss_above(claim: Claim, X: FloatArray, y: FloatArray) -> float:
    """The mean loss of the network."""
    (n, d), m = X.shape, len(claim.hidden)
    # What is off counts `slope` times: one more rounding, and wrong signs are no more wrong than
    # the number is, times that.
    fits, rounds = np.zeros(n), d + m + 5
    for part in parts(m, n):
        linear = X @ claim.hidden[part].T
        if claim.gate_bits is None:
            active = linear > 0
        else:
            active = np.unpackbits(claim.gate_bits[part], axis=1, count=n).T == 1
        fits += np.where(active, linear, claim.slope * linear) @ claim.output[part]
        rounds += 1
    sizes = np.abs(X) @ (np.abs(claim.hidden).T @ np.abs(claim.output))
    error = gamma(rounds) * (_most(claim) * sizes) * (1 + gamma(rounds))
    if claim.hidden.any() and claim.output.any():
        error += UNDERFLOW
    return mean_loss_above(claim, fits, error, claim.constant, y)


def _penalty_above(claim: Claim, unit: int) -> float:
    """(λ/2) Σ_j (‖u_j‖² + a_j²) in 2^unit."""
    penalty = 0.0
    strength, power = math.frexp(claim.lam)
    for layer in (claim.hidden, claim.output[:, None]):
        size = exponent(layer)
        squares = (scaled(layer, -size) ** 2).sum(axis=1)
        value = strength * above(total(squares), layer.shape[1] + 4)
        penalty += in_units(value, 2 * size + power - 1 - unit, math.inf)
    return above(penalty, 2)


def _most(claim: Claim) -> float:
    """How often a row counts at most."""
    return max(1.0, abs(claim.slope))


# -- feasibility ---------------------------------------------------------------


def _largest(claim: Claim, X: FloatArray, point: DualPoint) -> tuple[float, list[str]]:
    """What no block's ‖X_bᵀν + (S_iX)ᵀρ_b‖ exceeds, and what makes ν infeasible for certain."""
    (n, d), p, nu = X.shape, len(claim.patterns), claim.nu
    sizes = np.abs(X)
    vectors = np.zeros((p, d))
    step = chunk_rows(n)
    for part in parts(p, n):
        active = np.unpackbits(claim.patterns[part], axis=1, count=n)
        masked = np.where(active, nu, claim.slope * nu)
        for start in range(0, n, step):
            chunk = slice(start, start + step)
            vectors[part] += masked[:, chunk] @ X[chunk]
    error = gamma(depth(n) + 3 + point.roundings) * (np.abs(nu) @ sizes) * (1 + gamma(n + 4))
    error = error * _most(claim)
    count = p if claim.gated else 2 * p
    high, low = np.zeros(count), np.zeros(count)
    high[:p], low[:p] = _norms(vectors, error, d)
    high[p:], low[p:] = high[: count - p], low[: count - p]
    if claim.rho:
        blocks = np.array(list(claim.rho))
        pulls, charges = np.zeros((2, len(blocks), d))
        for k, (block, (rows, values)) in enumerate(claim.rho.items()):
            on = np.unpackbits(claim.patterns[block % p], count=n)[rows] == 1
            pulls[k] = np.where(on, values, -values) @ X[rows]
            charges[k] = gamma(len(rows) + 2) * (1 + gamma(len(rows) + 4)) * (values @ sizes[rows])
        pulls += np.where(blocks < p, 1.0, -1.0)[:, None] * vectors[blocks % p]
        high[blocks], low[blocks] = _norms(pulls, error + charges + UNIT * np.abs(pulls), d)
    over = np.where(np.isnan(low), math.inf, low) / claim.lam
    worst, false = int(np.argmax(over)), []
    if not over[worst] <= 1 + INFEASIBLE:
        false.append(
            f"ν is infeasible: block {worst} has a norm of {over[worst]:.17g} times lam, above lam."
        )
    largest = float(high.max())
    return (largest + UNDERFLOW if largest else 0.0), false


def _norms(vectors: FloatArray, error: FloatArray, d: int) -> tuple[FloatArray, FloatArray]:
    """Bounds from above and below on the norms of vectors that are off by `error`."""
    sizes, slack = np.abs(vectors), gamma(d + 8)
    high = np.sqrt(((sizes + error) ** 2).sum(axis=-1)) * (1 + slack)
    low = np.sqrt((np.maximum(sizes - error, 0.0) ** 2).sum(axis=-1)) * (1 - slack)
    return np.asarray(high), np.asarray(low)


def _shrink(claim: Claim, X: FloatArray, point: DualPoint, largest: float) -> float:
    """The t for which t times the dual point is feasible."""
    norm = point.share * largest * (1 + 4 * UNIT)
    for row, size in point.moves:
        norm += size * _most(claim) * above(float(np.linalg.norm(X[row])), X.shape[1] + 3)
    lam, norm = min(claim.lam, 2.0**RANGE), above(norm, 2 + len(point.moves))
    return 1.0 if norm <= lam * (1 - 2 * UNIT) else lam / norm * (1 - 8 * UNIT)
