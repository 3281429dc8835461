"""What the verifier proves: against rationals, in other units, on demand, for ν made to fool it."""

from __future__ import annotations

import hashlib
import itertools
import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.errors import DataError
from relu_opt.verify import verify
from relu_opt.verify.losses import LOSSES as TWINS
from relu_opt.verify.losses import MeanLoss, mean_loss_above

LOSSES = ["squared", "logistic", "squared_hinge", "hinge", "huber"]
DELTA = 0.75


class Fake:
    """A certificate as `verify` sees it."""

    def __init__(self, arrays, meta):
        self.arrays, self.description = arrays, meta

    def to_arrays(self):
        return self.arrays

    def meta(self):
        return self.description


def certificate(X, y, lam, network, nu, masks, loss="squared", **more):
    """A certificate that claims nothing but its contents."""
    hidden, output, constant = network
    digest = hashlib.sha256(
        f"{X.shape[0]},{X.shape[1]};".encode() + X.tobytes() + y.tobytes()
    ).hexdigest()
    arrays = {
        "hidden": hidden,
        "output": output,
        "intercept": np.array(constant),
        "nu": nu,
        "patterns": np.packbits(masks, axis=1),
    }
    arrays.update(
        {name: more.pop(name) for name in list(more) if isinstance(more[name], np.ndarray)}
    )
    meta = {
        "lam": lam,
        "loss": loss,
        "loss_parameters": {"delta": DELTA} if loss == "huber" else {},
        "activation": "gated" if "gates" in arrays else "relu",
        "intercept": bool(constant),
        "scope": "program",
        "tol": 1e-8,
        "verdict": "not_certified",
        "primal": 0.0,
        "dual": 0.0,
        "rel_gap": math.inf,
        "fingerprint": digest,
        **more,
    }
    return Fake(arrays, meta)


def found_of(X, y, *rest, **more):
    """What `verify` finds; a second look, so that its own numbers are what the file says."""
    fake = certificate(X, y, *rest, **more)
    first = verify(fake, X, y)
    fake.description.update(primal=first.objective, dual=first.lower_bound, rel_gap=first.rel_gap)
    return verify(fake, X, y)


def rationals(values):
    return [Fraction(value) for value in np.ravel(values).tolist()]


def exact_loss(loss, z, y):
    r = z - y
    if loss == "squared":
        return r * r / 2
    if loss == "huber":
        near = min(abs(r), Fraction(DELTA))
        return near * (abs(r) - near / 2)
    short = max(1 - y * z, Fraction(0))
    if loss == "hinge":
        return short
    if loss == "squared_hinge":
        return short * short / 2
    with localcontext() as context:
        context.prec = 60
        power = (Decimal((-y * z).numerator) / Decimal((-y * z).denominator)).exp()
        return Fraction((1 + power).ln())


def exact_objective(X, y, lam, network, loss, weight, gates=None):
    hidden, output, constant = network
    units = [rationals(u) for u in hidden]
    sides = units if gates is None else [rationals(g) for g in gates]
    total = Fraction(0)
    for row, target, s in zip(X, rationals(y), rationals(weight), strict=True):
        x, z = rationals(row), Fraction(constant)
        for u, g, a in zip(units, sides, rationals(output), strict=True):
            on = sum(p * q for p, q in zip(x, g, strict=True))
            if on > 0 or (on == 0 and gates is not None):
                z += a * sum(p * q for p, q in zip(x, u, strict=True))
        total += s * exact_loss(loss, z, target)
    squares = sum(v * v for v in [*rationals(hidden), *rationals(output)])
    return total / len(y) + Fraction(lam) / 2 * squares


def exact_dual(nu, y, loss, weight):
    total, n = Fraction(0), len(y)
    for v, target, s in zip(rationals(nu), rationals(y), rationals(weight), strict=True):
        tau = n * v / s
        if loss == "logistic":
            with localcontext() as context:
                context.prec = 60
                t = tau * target
                share = Decimal(t.numerator) / Decimal(t.denominator)
                parts = [p * p.ln() for p in (share, 1 - share) if p > 0]
                total -= s * Fraction(sum(parts, Decimal(0)))
        else:
            total += s * (tau * target - (0 if loss == "hinge" else tau * tau / 2))
    return total / n


def problem(seed, loss):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(2, 7)), int(rng.integers(1, 4))
    X, y = rng.standard_normal((n, d)), 3 * rng.standard_normal(n)
    y = np.where(y > 0, 1.0, -1.0) if loss in LOSSES[1:4] else y
    weight = rng.uniform(0.2, 1.0, n)
    weight *= 1 / weight.mean()
    m = int(rng.integers(0, 4))
    return rng, X, y, weight, (rng.standard_normal((m, d)), rng.standard_normal(m), 0.0)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("gated", [False, True])
def test_bounds_enclose_the_exact_ones(loss, gated):
    for seed in range(25):
        rng, X, y, weight, network = problem(seed, loss)
        n, m = len(y), len(network[1])
        masks = rng.random((3, n)) > 0.5
        nu = rng.uniform(0, 1, n) * weight / n * np.where(np.abs(y) == 1, y, rng.choice([1, -1], n))
        nu *= DELTA
        more = {"gates": rng.standard_normal((m, X.shape[1]))} if gated else {}
        norms = [np.linalg.norm((mask * nu) @ X) for mask in masks]
        lam = max(max(norms), 1e-3) * (1 + 1e-9)
        found = found_of(X, y, lam, network, nu, masks, loss=loss, sample_weight=weight, **more)
        primal = exact_objective(X, y, lam, network, loss, weight, more.get("gates"))
        dual = exact_dual(nu, y, loss, weight)
        assert primal <= Fraction(found.objective) <= primal * (1 + Fraction(1e-12))
        # ν = 0 proves 0.
        assert Fraction(found.lower_bound) <= max(dual, 0)
        assert dual <= 0 or Fraction(found.lower_bound) >= dual - abs(dual) * Fraction(
            1e-11
        ) - Fraction(1e-16)


def test_a_point_beyond_its_cone_is_shrunk_for_certain():
    """D at the t that is used is at most D at the exact one."""
    for seed in range(40):
        rng, X, y, _, network = problem(seed, "squared")
        nu, mask = rng.standard_normal(len(y)), np.ones((1, len(y)), dtype=bool)
        columns = [
            sum(v * x for v, x in zip(rationals(nu), rationals(column), strict=True))
            for column in X.T
        ]
        square = sum(c * c for c in columns)
        lam = float(math.sqrt(square)) * rng.uniform(0.1, 1.2)
        found = found_of(X, y, lam, network, nu, mask)
        linear = sum(v * t for v, t in zip(rationals(nu), rationals(y), strict=True))
        half = Fraction(len(y), 2) * sum(v * v for v in rationals(nu))
        # The best multiple t ≤ 1 with t² square ≤ λ², by a bound on t that is above it.
        limit = min(Fraction(1), Fraction(lam) ** 2 / square + Fraction(1, 10**25))
        top = Fraction(math.sqrt(limit)) * (1 + Fraction(1, 10**15))
        best = max(
            (t * linear - t * t * half for t in (top, min(top, max(linear / (2 * half), 0)))),
            default=0,
        )
        assert Fraction(found.lower_bound) <= max(best, 0)


def test_a_sum_that_doubles_get_wrong_proves_nothing():
    """In order, 1 + 2⁻⁵³ + … stays 1: off by n/2 times the unit roundoff, not by √n times it."""
    n = 10_000
    X = np.full((n, 1), 1.0)
    nu = np.full(n, 2.0**-53)
    nu[0] = 1.0
    y = np.zeros(n)
    y[0] = 1e4
    found = found_of(
        X, y, 1.0, (np.zeros((0, 1)), np.zeros(0), 0.0), nu, np.ones((1, n), dtype=bool)
    )
    exact = sum(rationals(nu))
    t = 1 / exact
    dual = t * Fraction(1e4) - Fraction(n, 2) * t * t * sum(v * v for v in rationals(nu))
    assert Fraction(found.lower_bound) <= dual
    assert found.lower_bound >= float(dual) * (1 - 1e-12)


def test_what_is_left_of_the_sum_of_nu_is_taken_out():
    """With a free constant, any Σν ≠ 0 makes D infinite below; an offset of y would multiply it."""
    rng = np.random.default_rng(0)
    X, masks = rng.standard_normal((6, 2)), np.ones((1, 6), dtype=bool)
    nothing = np.zeros((0, 2)), np.zeros(0)
    for offset in (0.0, 1e8, 1e12):
        y = np.round(rng.standard_normal(6), 3) + offset
        nu = np.zeros(6)
        nu[:2] = np.array([1.0, -1.0 + 2.0**-40]) * (y[0] - y[1]) / 12
        values = []
        for constant in np.linspace(y.min(), y.max(), 41):
            network = (*nothing, float(constant))
            values.append(exact_objective(X, y, 1e9, network, "squared", np.ones(6)))
        network = (*nothing, float(y.mean()))
        found = found_of(X, y, 1e9, network, nu, masks, intercept=True)
        assert Fraction(found.lower_bound) <= min(values)
        assert found.lower_bound > 0


@pytest.mark.parametrize("powers", [(300, 0), (-300, 0), (0, 400), (0, -400), (250, -251), (-7, 9)])
@pytest.mark.parametrize("loss", LOSSES)
def test_powers_of_two_change_exponents_alone(powers, loss):
    x_power, y_power = powers
    rng, X, y, _, network = problem(5, loss)
    y_power = 0 if loss in LOSSES[1:4] else y_power
    half, odd = divmod(y_power - x_power, 2)
    masks = rng.random((3, len(y))) > 0.3
    nu = rng.uniform(0, DELTA, len(y)) / len(y) * np.sign(y)
    lam = 0.4
    here = found_of(X, y, lam, network, nu, masks, loss=loss)
    # Layers need not be balanced for the bounds; they only make the same outputs.
    scaled = np.ldexp(network[0], half), np.ldexp(network[1], half + odd), 0.0
    there = found_of(
        np.ldexp(X, x_power),
        np.ldexp(y, y_power),
        math.ldexp(lam, x_power + y_power),
        scaled,
        np.ldexp(nu, y_power),
        masks,
        loss=loss,
        loss_parameters={"delta": math.ldexp(DELTA, y_power)} if loss == "huber" else {},
    )
    assert there.lower_bound == math.ldexp(here.lower_bound, 2 * y_power)
    assert there.verdict == here.verdict
    if not odd:
        assert there.objective == math.ldexp(here.objective, 2 * y_power)
        assert there.rel_gap == here.rel_gap


def test_numbers_too_far_apart_are_inconclusive_not_false():
    X, y = np.array([[1.0], [2.0]]), np.array([1.0, 2.0])
    fake = certificate(
        X, y, 1e-70, (np.zeros((0, 1)), np.zeros(0), 0.0), np.zeros(2), np.ones((1, 2), dtype=bool)
    )
    found = verify(fake, X, y)
    assert found.verdict == "inconclusive"
    assert "exact" in found.statement


@pytest.fixture(scope="module")
def solved():
    rng = np.random.default_rng(2)
    X = np.c_[rng.standard_normal((30, 2)), np.ones(30)]
    y = np.maximum(X[:, 0], 0) - X[:, 1]
    program = ro.ConvexProgram(X, y, 0.03, ro.sample_patterns(X, 12, seed=0))
    return program, ro.solve(program).certificate


def test_fields_say_what_the_certificate_is_of(solved):
    program, proof = solved
    found = verify(proof, program.X, program.y)
    assert (found.scope, found.lam, found.loss, found.weights) == (
        "program",
        0.03,
        "squared",
        False,
    )
    assert (found.coverage, found.tol, found.arithmetic) == ("listed", 1e-8, "float")
    assert "Proved in doubles, with bounds on every rounding." in found.statement


@pytest.mark.parametrize(
    ("demand", "word"),
    [({"scope": "all"}, "scope"), ({"lam": 0.02}, "lam"), ({"loss": "huber"}, "huber"),
     ({"tol": 1e-300}, "tol")],
)  # fmt: skip
def test_less_than_what_is_demanded_is_refused(solved, demand, word):
    program, proof = solved
    found = verify(proof, program.X, program.y, **demand)
    assert found.verdict == "inconclusive"
    assert word in found.problems[-1]
    assert found.statement.startswith("What is asked for is not proved")


def test_what_is_demanded_and_there_is_certified(solved):
    program, proof = solved
    for scope in ("own", "program"):
        assert verify(
            proof, program.X, program.y, scope=scope, lam=0.03, loss="squared", tol=1e-7
        ).valid
    with pytest.raises(DataError, match="scope"):
        verify(proof, program.X, program.y, scope="everything")


def test_true_and_worthless_certificates_say_so():
    X, y = np.eye(2), np.array([1.0, -2.0])
    nothing = np.zeros((0, 2)), np.zeros(0), 0.0
    asleep = found_of(X, y, 0.1, nothing, y / 2, np.zeros((1, 2), dtype=bool), verdict="certified")
    assert asleep.valid
    assert "no pattern is active" in asleep.statement
    masks = np.array(list(itertools.product([True, False], repeat=2)))
    strong = found_of(X, y, 1e300, nothing, y / 2, masks, verdict="certified")
    assert strong.valid
    assert "none pays at this lam" in strong.statement


def test_a_gap_above_the_bound_is_told_relative_to_the_bound():
    """(P − D)/P would be below 1 for any gap."""
    X, y = np.eye(2), np.array([1.0, 2.0])
    network = np.zeros((0, 2)), np.zeros(0), 0.0
    found = found_of(X, y, 0.01, network, 1e-2 * y, np.ones((1, 2), dtype=bool))
    assert found.rel_gap == pytest.approx(found.objective / found.lower_bound - 1)
    assert found.rel_gap > 20
    nothing = found_of(X, y, 0.01, network, 0 * y, np.ones((1, 2), dtype=bool))
    assert nothing.rel_gap == math.inf
    assert "no positive lower bound" in nothing.statement


@pytest.mark.parametrize("loss", [*LOSSES, "poisson", "quantile"])
def test_losses_beyond_doubles_are_infinite(loss):
    y, huge = np.array([1.0, -1.0, 1.0]), np.array([-1.7e308, 1.7e308, -1.7e308])
    twin = TWINS[loss](*{"huber": (2.0,), "quantile": (0.5,)}.get(loss, ()))
    if loss == "poisson":
        y, huge = np.abs(y), -huge
    with np.errstate(all="ignore"):
        mean = mean_loss_above(MeanLoss(twin, np.ones(3)), huge, 0 * huge, 0.0, y)
    assert mean == math.inf
