"""Bounds in doubles against exact rationals: none is ever on the wrong side, and all are close."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.program.logarithms import (
    entropy_below,
    excess_above,
    exp_above,
    relative_entropy_above,
    softplus_above,
)
from relu_opt.program.loss_proof import settled
from relu_opt.program.losses import Squared, get_loss
from relu_opt.proof.assembly import certificate_of
from relu_opt.proof.certificate import LISTED
from relu_opt.proof.dual_bound import feasibility, lower_bound
from relu_opt.proof.primal_bound import objective_above
from relu_opt.rounding import scaled_down, scaled_up

LOSSES = (
    "squared",
    "logistic",
    "squared_hinge",
    "hinge",
    ro.losses.Huber(0.4),
    "poisson",
    "quantile",
)


# -- exact values ------------------------------------------------------------------------


def exact(number):
    return Fraction(float(number))


# Digits enough for 1 − t, t = 1e-300.
DIGITS = 350


def as_decimal(number):
    with localcontext() as context:
        context.prec = DIGITS
        return Decimal(number.numerator) / Decimal(number.denominator)


def log(number):
    with localcontext() as context:
        context.prec = DIGITS
        return as_decimal(number).ln()


def root_above(square):
    """A Fraction just above the root of another."""
    shift = 1 << 400
    return Fraction(math.isqrt(square.numerator * shift**2 // square.denominator) + 1, shift)


def exact_loss(loss, z, y):
    if loss.name == "squared":
        return (z - y) ** 2 / 2
    if loss.name == "huber":
        delta, far = exact(loss.delta), abs(z - y)
        return far**2 / 2 if far <= delta else delta * (far - delta / 2)
    if loss.name == "quantile":
        return max(exact(loss.level) * (y - z), (exact(loss.level) - 1) * (y - z))
    if loss.name == "poisson":
        return exponential(z) - y * z - y + (y * Fraction(log(y)) if y else 0)
    margin = max(Fraction(0), 1 - y * z)
    if loss.name == "hinge":
        return margin
    if loss.name == "squared_hinge":
        return margin**2 / 2
    return softplus(-y * z)


def exponential(x):
    """e^x, as a Fraction."""
    with localcontext() as context:
        context.prec = DIGITS
        return Fraction(as_decimal(x).exp())


def exact_relative(v, y):
    """q log(q/y) + v, q = y − v; of y = 0 q log q + v."""
    q = y - v
    return v + sum(sign * q * Fraction(log(each)) for sign, each in ((1, q), (-1, y)) if q * each)


def softplus(x):
    """log(1 + e^x), as a Fraction."""
    with localcontext() as context:
        context.prec = DIGITS
        size = -abs(as_decimal(x))
        return Fraction((1 + size.exp()).ln()) + max(x, 0)


def exact_entropy(t):
    return sum((-p * Fraction(log(p)) for p in (t, 1 - t) if p > 0), Fraction(0))


def weights_of(prog):
    given = np.ones(prog.n) if prog.sample_weight is None else prog.sample_weight
    return [exact(s) for s in given]


def exact_objective(prog, network):
    """The objective of the network's doubles, without rounding."""
    total, weights = Fraction(0), weights_of(prog)
    gates = network.hidden if network.gates is None else network.gates
    for x, y, s in zip(prog.X, prog.y, weights, strict=True):
        row = [exact(v) for v in x]
        z = exact(network.intercept)
        for u, g, a in zip(network.hidden, gates, network.output, strict=True):
            linear = exact(a) * sum(p * exact(q) for p, q in zip(row, u, strict=True))
            on = sum(p * exact(q) for p, q in zip(row, g, strict=True)) >= 0
            z += linear if on else exact(prog.activation.slope) * linear
        total += s * exact_loss(prog.loss, z, exact(y))
    squares = sum(exact(v) ** 2 for v in [*network.hidden.ravel(), *network.output])
    return total / prog.n + exact(prog.lam) / 2 * squares


def exact_dual(prog, nu):
    """D at the doubles ν; None outside of its domain."""
    total = Fraction(0)
    if prog.intercept and sum(map(exact, nu)) != 0:
        return None
    for v, y, s in zip(nu, prog.y, weights_of(prog), strict=True):
        slope, y = prog.n * exact(v) / s, exact(y)
        name, tau = prog.loss.name, prog.n * exact(v) / s * exact(y)
        if prog.loss.classifies and (tau < 0 or (name in ("hinge", "logistic") and tau > 1)):
            return None
        if name == "huber" and abs(slope) > exact(prog.loss.delta):
            return None
        if name == "quantile" and not exact(prog.loss.level) - 1 <= slope <= exact(prog.loss.level):
            return None
        if name == "poisson" and slope > y:
            return None
        if name == "logistic":
            total += s * exact_entropy(tau)
        elif name == "poisson":
            total += s * ((slope * Fraction(log(y)) if y else 0) - exact_relative(slope, y))
        else:
            total += s * (slope * y - (0 if name in ("hinge", "quantile") else slope**2 / 2))
    return total / prog.n


def exact_largest(prog, nu, multipliers):
    """The square of the largest ‖X_bᵀν + (S_iX)ᵀρ_b‖ of all blocks."""
    rho, worst = multipliers.pieces(), Fraction(0)
    rows = [[exact(v) for v in x] for x in prog.X]
    for b in range(len(prog.signs) * len(prog.patterns)):
        sign, which = divmod(b, len(prog.patterns))
        mask = prog.patterns.masks[:, which]
        vector = [Fraction(0)] * prog.d
        for k in range(prog.n):
            counts = 1 if mask[k] else exact(prog.activation.slope)
            for j in range(prog.d):
                vector[j] += counts * (1 if sign == 0 else -1) * exact(nu[k]) * rows[k][j]
        for k, value in zip(*rho.get(b, ((), ())), strict=True):
            for j in range(prog.d):
                vector[j] += (1 if mask[k] else -1) * exact(value) * rows[k][j]
        worst = max(worst, sum(v * v for v in vector))
    return worst


# -- random programs, friendly and not ---------------------------------------------------


def programs(count, seed=0, offsets=(0.0, 1e7, -1e9)):
    """Programs of all kinds, with offsets, nearly equal columns and columns of other units."""
    rng = np.random.default_rng(seed)
    for k in range(count):
        loss = LOSSES[k % len(LOSSES)]
        n, d = int(rng.integers(3, 9)), int(rng.integers(1, 4))
        X = rng.standard_normal((n, d))
        if k % 4 == 1:
            X = np.column_stack([X, X[:, 0] + 1e-9 * rng.standard_normal(n)])
        if k % 4 == 2:
            X = np.column_stack([1e6 * X, np.ones(n)])
        y = rng.standard_normal(n)
        intercept = bool(rng.random() < 0.5)
        if get_loss(loss).classifies:
            y = np.where(y > 0, 1.0, -1.0)
            y[:2] = 1.0, -1.0
        elif not get_loss(loss).scales:
            y = rng.choice([0.0, 1.0, 0.3, 7.0, 1e6], n)
            y[0] = 2.0
        elif intercept:
            y = y + rng.choice(offsets)
        activation = ("relu", "gated")[int(rng.integers(2))]
        if activation == "relu" and k % 2 and get_loss(loss).smooth:
            activation = ro.Leaky((0.01, -0.7)[k % 4 == 1])
        weight = rng.uniform(0.2, 3.0, n) if rng.random() < 0.5 else None
        patterns = ro.sample_patterns(X, 5, seed=k)
        prog = ro.ConvexProgram(X, y, 1.0, patterns, loss, activation, weight, intercept)
        yield prog.with_lam(rng.choice([0.01, 0.3]) * (prog.lam_max or 1.0)), rng


def some_network(prog, rng):
    weights = rng.standard_normal(prog.weights_shape) / np.abs(prog.X).max()
    weights[rng.random(weights.shape[:2]) < 0.5] = 0.0
    if not prog.activation.gated:
        blocks = np.arange(len(prog.patterns))
        weights = np.stack([prog.project(part, blocks).points for part in weights])
    constant = prog.best_intercept(prog.fits(weights))
    return ro.program.network.network_from_weights(prog, weights, constant)


def some_dual(prog, network, rng):
    fits = network.predict(prog.X) - network.intercept
    if not prog.loss.scales and not prog.loss.classifies:
        fits = np.clip(fits, -20.0, 20.0)
    nu = prog.dual_candidate(fits)
    return nu + rng.choice([0.0, 0.3]) * rng.standard_normal(prog.n) * np.abs(nu).mean()


# -- the parts ---------------------------------------------------------------------------


def test_entropy_is_a_lower_bound():
    rng = np.random.default_rng(0)
    tau = np.concatenate(
        [rng.random(60), 10.0 ** rng.uniform(-300, -1, 30), 1 - 10.0 ** rng.uniform(-16, -1, 30)]
    )
    tau = np.concatenate([tau, [0.0, 1.0, 0.5, 0.25, np.sqrt(0.5), np.nextafter(1.0, 0)]])
    for t, low in zip(tau, entropy_below(tau), strict=True):
        true = exact_entropy(exact(t))
        assert exact(low) <= true
        assert exact(low) >= true * (1 - exact(1e-12))


def test_softplus_is_an_upper_bound():
    rng = np.random.default_rng(1)
    z = np.concatenate([40 * rng.standard_normal(80), [0.0, -0.0, 700.0, -700.0, -1e5, 1e5, 1e-9]])
    for size in (0.0, 1e-12, 0.1, 3.0):
        error = np.full(len(z), size)
        for x, high in zip(z, softplus_above(z, error), strict=True):
            true = softplus(exact(x) + exact(size))
            assert exact(high) >= true
            slack = exact(1.01 * size if size > 0.4 else 1e-299)
            assert exact(high) <= true * exact((1 + 1e-10) * (1 + 5 * size)) + slack


def test_what_the_poisson_loss_is_made_of_is_bounded_from_above():
    rng = np.random.default_rng(2)
    z = np.concatenate(
        [30 * rng.standard_normal(40), 1e-7 * rng.standard_normal(5), [0, 700, -900]]
    )
    for r, high in zip(z, exp_above(z), strict=True):
        true = exponential(exact(r))
        assert true <= exact(high) <= true * (1 + exact(1e-10)) + exact(1e-299)
    for r, high in zip(z, excess_above(z), strict=True):
        true = exponential(exact(r)) - 1 - exact(r)
        assert true <= exact(high) <= true * (1 + exact(1e-10))
    y = np.concatenate([10.0 ** rng.uniform(-3, 9, 60), np.zeros(10)])
    for share in (1e-9, 0.1, 0.49, 0.6, 1 - 1e-12, 1.0, -1e-12, -0.5, -0.99, -1.01, -5.0, -1e6):
        v = np.where(y > 0, share * y, -abs(share))
        for a, b, high in zip(v, y, relative_entropy_above(v, y), strict=True):
            true = exact_relative(exact(a), exact(b))
            assert true <= exact(high)
            assert exact(high) <= true + abs(true) * exact(1e-10) + exact(1e-12 * b * (share > 0.9))


@pytest.mark.parametrize("seed", range(3))
def test_dual_points_are_moved_into_the_domain_exactly(seed):
    for prog, rng in programs(15, seed):
        nu = some_dual(prog, some_network(prog, rng), rng)
        kept = settled(prog, nu)
        assert exact_dual(prog, kept) is not None
        again = settled(prog, kept)
        assert np.abs(again - kept).max() <= 1e-14 * np.abs(kept).max()


# -- the whole ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_objectives_are_above_the_exact_ones(seed):
    for prog, rng in programs(15, seed):
        network = some_network(prog, rng)
        true, value = exact_objective(prog, network), objective_above(prog, network)
        assert exact(value) >= true
        assert exact(value) <= true * (1 + exact(1e-9))


@pytest.mark.parametrize("seed", range(4))
def test_norms_and_bounds_are_on_the_safe_side(seed):
    found = 0
    for prog, rng in programs(15, seed):
        nu = settled(prog, some_dual(prog, some_network(prog, rng), rng))
        multipliers, largest = feasibility(prog, nu, None)
        assert exact_largest(prog, nu, multipliers) <= exact(largest) ** 2
        bound = lower_bound(prog, nu, None)
        if bound.value == 0.0:
            continue
        found += 1
        # D is concave, and zero at zero at the least.
        square = exact_largest(prog, bound.nu, bound.multipliers)
        over = max(Fraction(1), root_above(square) / exact(prog.lam))
        assert over <= 1 + exact(1e-13)
        assert exact(bound.value) * over <= exact_dual(prog, bound.nu)
        assert exact(bound.value) >= exact_dual(prog, bound.nu) * (1 - exact(1e-9))
    assert found >= 10


@pytest.mark.parametrize("seed", range(2))
def test_no_bound_exceeds_the_exact_objective_of_a_better_network(seed):
    """The optimum's bound, and its multiples, against the optimum itself."""
    for prog, _ in programs(10, seed):
        solution = ro.solve(prog)
        true = exact_objective(prog, solution.certificate.network)
        for factor in (1.0, 0.7, 1.5):
            bound = lower_bound(prog, factor * solution.nu, None)
            assert exact(bound.value) <= true
        assert exact(solution.objective) >= true
        assert solution.certificate.verdict is ro.Verdict.CERTIFIED, (prog, solution)


@pytest.mark.parametrize("offset", [1e7, -1e8, 1e9])
@pytest.mark.parametrize("loss", ["squared", ro.losses.Huber(0.5)])
def test_targets_far_from_zero_are_certified(make_program, offset, loss):
    near = make_program(6, n=24, p=15, loss=loss, intercept=True)
    prog = replace(near, y=near.y + offset)
    solution = ro.solve(prog)
    assert solution.certificate.verdict is ro.Verdict.CERTIFIED
    assert exact(solution.lower_bound) <= exact_objective(prog, solution.network)
    assert ro.verify(solution.certificate, prog.X, prog.y).valid


def test_sums_whose_rounding_always_goes_one_way():
    """The error of a long sum is counted, not modelled: here it is far above √n units."""
    n = 10_000
    X, nu = np.ones((n, 1)), np.full(n, 2.0**-54)
    nu[:64] = 1.0
    prog = ro.ConvexProgram(X, np.ones(n), 100.0, ro.Patterns(np.ones((n, 1), dtype=bool)))
    _, largest = feasibility(prog, nu, None)
    assert exact(largest) >= sum(map(exact, nu))


@dataclass(frozen=True)
class Doubled(Squared):
    """A loss of one's own that goes by the name of another."""

    def value(self, z, y):
        return 2 * super().value(z, y)


def test_of_other_losses_nothing_is_proved(make_program):
    prog = make_program(1, loss=Doubled())
    proof = ro.certify(prog, np.zeros(prog.weights_shape))
    assert proof.verdict is ro.Verdict.INCONCLUSIVE
    assert "rounding" in proof.reason


@pytest.mark.parametrize("size", [1e155, 1e200, 1e300])
@pytest.mark.parametrize("intercept", [False, True])
def test_enormous_weights_are_not_certified(make_program, size, intercept):
    prog = make_program(2, intercept=intercept)
    network = some_network(prog, np.random.default_rng(0))
    weights = np.zeros(prog.weights_shape)
    weights[0, 0] = size
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for answer in (
            weights,
            ro.ReLUNetwork(size * network.hidden, network.output),
            ro.ReLUNetwork(size * network.hidden, size * network.output),
        ):
            proof = ro.certify(prog, answer)
            assert proof.verdict is ro.Verdict.NOT_CERTIFIED
            assert 0 <= proof.lower_bound <= ro.solve(prog).objective


def test_nothing_to_fit_is_certified_exactly(make_program):
    prog = replace(make_program(3), y=np.zeros(12))
    proof = ro.certify(prog.with_lam(0.1), np.zeros(prog.weights_shape))
    assert (proof.objective, proof.lower_bound, proof.rel_gap) == (0.0, 0.0, 0.0)
    assert proof.verdict is ro.Verdict.CERTIFIED


def test_a_certificate_of_little_worth_says_so(make_program):
    prog = make_program(4, lam=1e9)
    proof = ro.certify(prog, np.zeros(prog.weights_shape))
    assert proof.verdict is ro.Verdict.CERTIFIED
    assert "no neurons" in proof.reason
    dead = ro.ConvexProgram(prog.X, prog.y, 0.1, ro.Patterns(np.zeros((prog.n, 1), dtype=bool)))
    proof = certificate_of(
        dead,
        ro.ReLUNetwork(np.zeros((0, prog.d)), np.zeros(0)),
        lower_bound(dead, dead.dual_start(), None),
        "own",
        1e-8,
        LISTED,
    )
    assert proof.verdict is ro.Verdict.CERTIFIED
    assert "No pattern" in proof.reason


def test_scaling_beyond_all_doubles_is_rounded_to_its_side():
    assert scaled_up(1.5, 2000) == np.inf
    assert scaled_down(1.5, 2000) == np.finfo(float).max
    assert (scaled_up(1.5, 3), scaled_down(1.5, 3)) == (12.0, 12.0)
    assert scaled_down(5e-324, -1) == 0.0
    assert scaled_up(5e-324, -1) == 5e-324
