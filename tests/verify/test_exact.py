"""The proof in integers: equal to plain rationals, true of honest files, refused to forged ones."""

from __future__ import annotations

import hashlib
import itertools
import math
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from targets import targets_of

import relu_opt as ro
from relu_opt import verify
from relu_opt.errors import DataError
from relu_opt.train.formulas.spike_free import spike_free_program, train_spike_free
from relu_opt.verify.claim import Claim
from relu_opt.verify.exact import exact_bounds
from relu_opt.verify.exact_integers import integers
from relu_opt.verify.exact_search import reach
from relu_opt.verify.losses import LOSSES as TWINS

ZERO = Fraction(0)
DELTA = Fraction(0.7)
EXACT = ["squared", "huber", "hinge", "squared_hinge"]


def claim_of(seed, loss, *, gated=False, weighted=False, constant=False, scale=1.0, slope=0.0):
    """A claim of random numbers, its X and y, with ν of the signs of y."""
    rng = np.random.default_rng(seed)
    n, d, m, p = 5, 2, 3, 4
    X, y = scale * rng.standard_normal((n, d)), rng.standard_normal(n)
    labelled = loss not in ("squared", "huber")
    y = np.sign(y) if labelled else y
    nu = 0.5 * y * rng.random(n) / n
    if constant:
        nu[0] = -nu[1:].sum()
        y[0] = np.sign(nu[0]) if labelled else nu[0]
    masks = rng.integers(0, 2, (p, n), dtype=np.uint8)
    gates = rng.standard_normal((m, d)) if gated else None
    rho = {} if gated else {1: (np.array([0, 3]), rng.random(2)), 6: (np.array([2]), rng.random(1))}
    weight = rng.uniform(0.5, 1.5, n) if weighted else np.ones(n)
    return (
        Claim(
            hidden=rng.standard_normal((m, d)),
            output=rng.standard_normal(m),
            constant=0.3 if constant else 0.0,
            slope=slope,
            gates=gates,
            gate_bits=None if gates is None else np.packbits((X @ gates.T >= 0).T, axis=1),
            nu=nu,
            patterns=np.packbits(masks, axis=1),
            witnesses=(),
            rho=rho,
            weight=weight,
            lam=0.1,
            loss=TWINS[loss](**({"delta": 0.7} if loss == "huber" else {})),
            tol=1e-8,
            scope="program",
            has_constant=constant,
            coverage="listed",
            oracle="",
            verdict="certified",
            numbers={},
        ),
        X,
        y,
    )


def rational(array):
    return [Fraction(value) for value in np.ravel(array).tolist()]


def dot(a, b):
    return sum((p * q for p, q in zip(a, b, strict=True)), ZERO)


def loss_at(claim, fit, target):
    name = claim.loss.name
    if name == "squared":
        return (fit - target) ** 2 / 2
    if name == "huber":
        delta = Fraction(claim.loss.delta)
        away = abs(fit - target)
        return away**2 / 2 if away <= delta else delta * (away - delta / 2)
    margin = max(ZERO, 1 - target * fit)
    return margin if name == "hinge" else margin**2 / 2


def primal_of(claim, X, y):
    rows, hidden, output = (
        [*map(rational, X)],
        [*map(rational, claim.hidden)],
        rational(claim.output),
    )
    gates = hidden if claim.gates is None else [*map(rational, claim.gates)]
    total = ZERO
    for row, target, weight in zip(rows, rational(y), rational(claim.weight), strict=True):
        fit = Fraction(claim.constant)
        for u, a, g in zip(hidden, output, gates, strict=True):
            side = dot(row, g)
            on = side > 0 or (side == 0 and claim.gated)
            fit += dot(row, u) * a * (1 if on else Fraction(claim.slope))
        total += weight * loss_at(claim, fit, target)
    squares = sum(value**2 for value in [*rational(claim.hidden), *output])
    return total / len(y) + Fraction(claim.lam) / 2 * squares


def largest_square(claim, X, nu):
    """The largest squared norm of a block, by rationals."""
    slope = Fraction(claim.slope)
    rows, n, p, found = [*map(rational, X)], len(X), len(claim.patterns), []
    for i, bits in enumerate(np.unpackbits(claim.patterns, axis=1, count=n).tolist()):
        whole = [
            sum((nu[k] * row[c] * (1 if bits[k] else slope) for k, row in enumerate(rows)), ZERO)
            for c in (0, 1)
        ]
        for block, side in ((i, 1), (i + p, -1)):
            vector = [side * value for value in whole]
            for k, value in zip(*claim.rho.get(block, ([], [])), strict=True):
                sign = Fraction(float(value)) * (1 if bits[k] else -1)
                vector = [v + sign * r for v, r in zip(vector, rows[k], strict=True)]
            found.append(dot(vector, vector))
    return max(found)


def dual_at(claim, y, nu):
    """D(ν), or None where a conjugate is infinite."""
    n, total = len(y), ZERO
    for v, target, weight in zip(nu, rational(y), rational(claim.weight), strict=True):
        slope = n * v / weight
        edge = {"hinge": Fraction(1), "huber": DELTA}.get(claim.loss.name)
        if claim.loss.labelled and slope * target < 0:
            return None
        if edge is not None and abs(slope) > edge:
            return None
        bent = ZERO if claim.loss.name == "hinge" else slope**2 / 2
        total += weight * (slope * target - bent)
    return total / n


def balanced(claim):
    nu = rational(claim.nu)
    if claim.has_constant:
        worst = max(range(len(nu)), key=lambda k: abs(nu[k]))
        nu[worst] -= sum(nu)
    return nu


CASES = list(itertools.product(EXACT, [False, True], [False, True], [False, True]))


@pytest.mark.parametrize(("loss", "gated", "weighted", "constant"), CASES)
def test_bounds_are_those_of_rationals(loss, gated, weighted, constant):
    for seed, scale in itertools.product(range(3), (1.0, 1e-180, 1e170)):
        slope = 0.0 if gated else (0.0, -1.0, 0.37)[seed]
        claim, X, y = claim_of(
            seed, loss, gated=gated, weighted=weighted, constant=constant, scale=scale, slope=slope
        )
        found = exact_bounds(claim, X, y)
        assert found.primal == primal_of(claim, X, y)
        nu, lam = balanced(claim), Fraction(claim.lam)
        square = largest_square(claim, X, nu)
        # Some t that is feasible, and hardly smaller than the largest.
        t = min(Fraction(1), below_root(lam**2 / square)) if square else Fraction(1)
        edge = {"hinge": Fraction(1), "huber": DELTA}.get(loss)
        if edge is not None:
            slopes = [len(y) * abs(v) / s for v, s in zip(nu, rational(claim.weight), strict=True)]
            t = min(t, edge / max(slopes))
        best = dual_at(claim, y, [t * v for v in nu])
        assert best is not None
        assert best > 0
        if t == 1 and not weighted:
            assert found.dual == max(0, best)
        else:
            size = sum(abs(t * v * w) for v, w in zip(nu, rational(y), strict=True)) + abs(best)
            assert abs(found.dual - max(0, best)) <= size * Fraction(1, 2**90)


def below_root(square):
    shift = 400 + square.denominator.bit_length()
    return Fraction(math.isqrt(math.floor(square * 4**shift)), 2**shift)


# -- certificates ------------------------------------------------------------------------------


def data(n=20, d=3, seed=0):
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.standard_normal((n, d - 1)), np.ones(n)])
    return X, X[:, 0] * X[:, 1] + 0.1 * rng.standard_normal(n), rng.uniform(0.5, 2.0, n)


def sampled(loss="squared", activation="relu", intercept=False, weighted=False, **more):
    X, y, weight = data()
    y = targets_of(loss, y)
    return ro.ConvexProgram(
        X,
        y,
        0.02,
        ro.sample_patterns(X, 12, seed=1),
        loss=loss,
        activation=activation,
        intercept=intercept,
        sample_weight=weight if weighted else None,
        **more,
    )


LOSSES = [*EXACT, "quantile", "logistic", "poisson"]
PROGRAMS = [
    *(
        {"loss": loss, "activation": kind}
        for loss in LOSSES
        for kind in ("relu", "gated", "absolute")
    ),
    *({"loss": loss, "intercept": True, "weighted": True} for loss in LOSSES),
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda case: "-".join(map(str, case.values())))
def test_honest_programs_are_proved(program):
    program = sampled(**program)
    certificate = ro.solve(program, tol=1e-8).certificate
    found = verify(certificate, program.X, program.y, arithmetic="exact")
    doubles = verify(certificate, program.X, program.y)
    assert (found.verdict, doubles.verdict, found.problems) == ("certified", "certified", ())
    assert (found.arithmetic, doubles.arithmetic) == ("exact", "float")
    assert "Proved in exact arithmetic." in found.statement
    assert ("128 binary digits" in found.statement) is (
        program.loss.name in ("logistic", "poisson")
    )
    # Doubles are not better than what is exact.
    assert found.objective <= doubles.objective
    assert found.lower_bound >= doubles.lower_bound
    assert 0 <= found.gap <= Fraction(found.objective) - Fraction(found.lower_bound)
    assert found.rel_gap <= doubles.rel_gap


def test_all_patterns_listed():
    X, y, _ = data(12)
    program = ro.ConvexProgram(X, y, 0.02, ro.enumerate_patterns(X))
    certificate = ro.certify(program, ro.solve(program), scope="all")
    found = verify(certificate, X, y, scope="all", arithmetic="exact")
    assert (found.verdict, found.scope) == ("certified", "all")
    assert "of any width" in found.statement
    fewer = Fake(certificate).but(
        patterns=lambda bits: bits[:-1], pattern_gates=lambda g: g[:, :-1]
    )
    assert not verify(fewer, X, y, arithmetic="exact").valid


@pytest.mark.parametrize(("loss", "columns"), [("squared", 3), ("logistic", 3), ("hinge", 4)])
def test_searched_directions(loss, columns):
    X, y, _ = data(14, 3, seed=2)
    X = X if columns == 3 else np.column_stack([X, X @ [0.3, 0.7, 0.1]])
    y = y if loss == "squared" else np.sign(y)
    certificate = ro.train_globally(X, y, 0.05, loss=loss, tol=1e-6).certificate
    assert certificate.coverage.kind == "searched"
    found = verify(certificate, X, y, scope="all", arithmetic="exact")
    assert (found.verdict, found.problems) == ("certified", ())
    longer = Fake(certificate).but(nu=lambda nu: 1.001 * nu)
    assert not verify(longer, X, y, arithmetic="exact").valid


@pytest.mark.parametrize("kind", ["whitened", "identity"])
def test_spike_free_data(kind):
    X = np.eye(4, 5)
    if kind == "whitened":
        X = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 4)))[0].T
    y = np.array([1.0, -2.0, 0.5, 3.0])
    certificate = train_spike_free(spike_free_program(X, y, 0.05)).certificate
    found = verify(certificate, X, y, scope="all", arithmetic="exact")
    assert (found.verdict, found.coverage) == ("certified", "spike_free")


def test_data_that_are_not_spike_free_are_not_taken_for_it():
    X, y, _ = data(3, 3)
    X = np.array([[1.0, 0.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert not ro.formulas.is_spike_free(X)
    program = ro.ConvexProgram(X, y, 0.05, ro.Patterns(np.ones((3, 1), dtype=bool)))
    forged = Fake(ro.solve(program).certificate).but(
        scope=lambda scope: "all", coverage=lambda coverage: "spike_free"
    )
    found = verify(forged, X, y, arithmetic="exact")
    assert not found.valid
    assert any("positive entries beside its diagonal" in problem for problem in found.problems)


class Fake:
    """A certificate whose entries are changed by functions of what they were."""

    def __init__(self, certificate):
        self.arrays, self.description = dict(certificate.to_arrays()), dict(certificate.meta())

    def to_arrays(self):
        return self.arrays

    def meta(self):
        return self.description

    def but(self, **changes):
        copy = Fake(self)
        for name, change in changes.items():
            home = copy.arrays if name in copy.arrays else copy.description
            home[name] = change(home.get(name))
        return copy


def some(values, factor):
    """The array with its first entries multiplied."""
    changed = np.array(values)
    changed[:3] = changed[:3] * factor
    return changed


FORGERIES = {
    "a shorter nu": {"nu": lambda nu: 0.99 * nu},
    "no nu": {"nu": lambda nu: 0.0 * nu, "rho_values": lambda rho: 0.0 * rho},
    "signs of nu": {"nu": lambda nu: some(nu, -1.0)},
    "nu far from its sum": {"nu": lambda nu: nu + 0.01},
    "no multipliers": {"rho_values": lambda rho: 0.0 * rho},
    "multipliers of other samples": {"rho_rows": lambda rows: (rows + 1) % 20},
    "patterns in another order": {"patterns": lambda bits: bits[::-1].copy()},
    "patterns negated": {
        "patterns": lambda bits: np.packbits(1 - np.unpackbits(bits, axis=1, count=20), axis=1)
    },
    "weights": {"sample_weight": lambda weight: weight[::-1].copy()},
    "a worse network": {"hidden": lambda hidden: 1.01 * hidden},
    "no network": {"output": lambda output: 0.0 * output},
    "signs of the outputs": {"output": lambda output: -output},
    "another constant": {"intercept": lambda constant: constant + 0.1},
    "a smaller lam": {"lam": lambda lam: 0.9 * lam},
    "a larger lam": {"lam": lambda lam: 1.1 * lam},
    "a smaller tol": {"tol": lambda tol: 1e-18},
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("changes", FORGERIES.values(), ids=FORGERIES.keys())
def test_forged_certificates_are_not_proved(changes, loss, honest):
    certificate, X, y = honest[loss]
    found = verify(Fake(certificate).but(**changes), X, y, arithmetic="exact")
    assert not found.valid
    assert found.problems
    assert found.arithmetic == "exact"


@pytest.fixture(scope="module")
def honest():
    programs = {loss: sampled(loss, intercept=True, weighted=True) for loss in LOSSES}
    return {
        loss: (ro.solve(program, tol=1e-8).certificate, program.X, program.y)
        for loss, program in programs.items()
    }


# -- beyond what doubles can ------------------------------------------------------------------


def diagonal(sizes):
    """The optimal network for X = diag(sizes), y of signs +, −, 0, at lam = 1, as a certificate.

    y_k − s_k w_k = ±lam n/s_k and ν_k s_k = ±lam, for a neuron of weight √w_k at each of the
    two; where both are active, ρ takes what is of the wrong sign away.
    """
    s, n = np.array(sizes, dtype=float), 3
    y = np.array([4.0 * n / s[0], -7.0 * n / s[1], 0.0])
    root = np.sqrt((np.abs(y[:2]) - n / s[:2]) / s[:2])
    masks = np.array(list(itertools.product([1, 0], repeat=3)), dtype=np.uint8)
    both = [i for i, mask in enumerate(masks) if mask[0] and mask[1]]
    blocks = [*both, *(i + len(masks) for i in both)]
    rows = [1] * len(both) + [0] * len(both)
    arrays = {
        "hidden": np.diag(root)[:, [0, 1, 1]] * [1.0, 1.0, 0.0],
        "output": root * [1.0, -1.0],
        "intercept": np.array(0.0),
        "nu": np.array([1.0, -1.0, 0.0]) / s,
        "patterns": np.packbits(masks, axis=1),
        "pattern_gates": 2.0 * masks.T - 1,
        "rho_blocks": np.array(blocks),
        "rho_starts": np.arange(len(blocks) + 1),
        "rho_rows": np.array(rows),
        "rho_values": 1.0 / s[rows],
    }
    X = np.diag(s)
    digest = hashlib.sha256(b"3,3;" + X.tobytes() + y.tobytes()).hexdigest()
    meta = {
        "lam": 1.0,
        "loss": "squared",
        "loss_parameters": {},
        "activation": "relu",
        "intercept": False,
        "scope": "all",
        "tol": 1e-8,
        "verdict": "certified",
        "primal": 1.0,
        "dual": 1.0,
        "rel_gap": 0.0,
        "fingerprint": digest,
    }
    return SimpleNamespace(to_arrays=lambda: arrays, meta=lambda: meta), X, y


@pytest.mark.parametrize("sizes", [(1, 2, 4), (1e-130, 1e130, 1), (1e140, 3e-140, 1e-300)])
def test_no_range_is_too_wide(sizes):
    certificate, X, y = diagonal(sizes)
    found = verify(certificate, X, y, arithmetic="exact")
    assert (found.verdict, found.problems) == ("certified", ())
    # The claims of the file are not what is proved, and are said to be others.
    assert "The file says otherwise: primal = 1," in found.statement
    worse = Fake(certificate).but(nu=lambda nu: 0.99 * nu)
    assert not verify(worse, X, y, arithmetic="exact").valid
    if max(sizes) > 1e100:
        assert not verify(certificate, X, y).valid


@pytest.mark.parametrize(
    "change", [lambda X: X.astype(np.int64) + 2**60 + 1, lambda X: X.astype(np.longdouble) / 3]
)
def test_numbers_that_are_no_doubles_are_refused(change):
    X = change(np.ones((3, 2)))
    if np.finfo(np.longdouble).nmant == 52 and X.dtype == np.longdouble:
        pytest.skip("long doubles are doubles here")
    certificate, _, y = diagonal((1, 2, 4))
    for arithmetic in ("float", "exact"):
        with pytest.raises(DataError, match="no double") as refused:
            verify(certificate, X, y, arithmetic=arithmetic)
        assert refused.value.fields["name"] == "X"


def test_integers_and_narrow_floats_that_are_doubles_are_taken():
    certificate, X, y = diagonal((1, 2, 4))
    for dtype in (np.int8, np.uint64, np.float32, np.longdouble):
        assert verify(certificate, X.astype(dtype), y, arithmetic="exact").valid
    assert verify(certificate, X.astype(object).astype(int), y, arithmetic="exact").valid


def test_what_an_oracle_said_is_not_proved_in_doubles_instead():
    X, y, _ = data(8, 2)
    honest = Fake(ro.train_globally(X, y, 0.1).certificate)
    honest.description |= {"coverage": "oracle", "oracle": "A friend", "oracle_bound": 0.1}
    found = verify(honest, X, y, arithmetic="exact")
    assert (found.verdict, found.arithmetic) == ("inconclusive", "exact")
    assert "not re-checked" in found.problems[0]


def test_unknown_arithmetic():
    certificate, X, y = diagonal((1, 2, 4))
    with pytest.raises(DataError, match="'float' or 'exact'"):
        verify(certificate, X, y, arithmetic="rational")


def test_rows_that_are_nearly_one_are_charged():
    e = 2e-13
    X, y = np.array([[1, e], [1, 2 * e], [1, 3 * e]]), np.array([1.0, -2.0, 1.0]) / e
    program = ro.ConvexProgram(X, y, 0.1, ro.Patterns(np.ones((3, 1), dtype=bool)))
    forged = Fake(ro.solve(program).certificate).but(
        scope=lambda scope: "all", coverage=lambda coverage: "spike_free"
    )
    found = verify(forged, X, y, arithmetic="exact")
    assert not found.valid
    # Another network has this objective.
    assert found.lower_bound <= 2.3333e25


def test_rows_that_are_multiples_up_to_rounding_are_one_direction():
    base = np.linalg.qr(np.random.default_rng(1).standard_normal((4, 3)))[0].T
    X = np.vstack([base, 3 * base[:1], 0.1 * base[1:2]])
    y = np.array([1.0, -2.0, 0.5, 3.0, -1.0])
    program = ro.ConvexProgram(X, y, 0.05, ro.Patterns(np.ones((5, 1), dtype=bool)))
    proof = Fake(ro.solve(program).certificate).but(
        scope=lambda scope: "all", coverage=lambda coverage: "spike_free"
    )
    assert verify(proof, X, y, scope="all", arithmetic="exact").valid


def test_a_search_that_cannot_end_says_so():
    """Two rows are parallel up to rounding, and λ is below the last digits of a huge ν."""
    X = [
        [-0.9735092681000501, -0.24750002975088198],
        [-0.619233087151146, -0.15743066092400898],
        [-0.2287645888770706, 0.8998158412711554],
        [-0.3196557687198361, 1.2573245092682563],
    ]
    nu = [-689970143408878.0, 1084716471484206.6, 1460786022545215.0, -1045424943285843.6]
    _, problem = reach(integers(X), integers(nu), Fraction(0.06080222746172749))
    assert "cannot be told" in problem
    # No double is as large as such a ν over λ.
    nu = [0.16, -0.16, -1e308, 0.06]
    _, problem = reach(integers(X), integers(nu), Fraction(0.02))
    assert problem.startswith("a direction ")
