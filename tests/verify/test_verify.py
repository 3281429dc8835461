"""The verifier accepts proofs made by hand and rejects everything that is not one.

The certificates are built here with formulas of their own, not by the library.
"""

from __future__ import annotations

import hashlib
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls
from scipy.special import entr

from relu_opt.errors import DataError
from relu_opt.io import write_npz
from relu_opt.verify import verify


class Fake:
    """A certificate as `verify` sees it: arrays and meta."""

    def __init__(self, arrays, meta):
        self.arrays, self.description = dict(arrays), dict(meta)

    def to_arrays(self):
        return self.arrays

    def meta(self):
        return self.description

    def but(self, **changes):
        """A copy with other entries; None removes an entry."""
        arrays, meta = dict(self.arrays), dict(self.description)
        for name, value in changes.items():
            home = arrays if name in [*ARRAYS, *RARE] else meta
            # The network's constant and the problem's setting have one name.
            home = meta if name == "intercept" and isinstance(value, bool) else home
            if value is None:
                home.pop(name, None)
            else:
                home[name] = value
        return Fake(arrays, meta)


NETWORK = ["hidden", "output", "intercept", "gates"]
PATTERNS = ["patterns", "pattern_gates", "nu", "sample_weight"]
RHO = ["rho_blocks", "rho_starts", "rho_rows", "rho_values"]
ARRAYS = [*NETWORK, *PATTERNS, *RHO]
# What most certificates have none of.
RARE = ["pattern_remainders"]


def fingerprint(X, y):
    return hashlib.sha256(
        f"{X.shape[0]},{X.shape[1]};".encode() + X.tobytes() + y.tobytes()
    ).hexdigest()


def losses(loss, z, y):
    return {
        "squared": lambda: 0.5 * (z - y) ** 2,
        "logistic": lambda: np.log1p(np.exp(-y * z)),
        "squared_hinge": lambda: 0.5 * np.clip(1 - y * z, 0, None) ** 2,
        "huber": lambda: np.where(abs(z - y) < 0.7, 0.5 * (z - y) ** 2, 0.7 * (abs(z - y) - 0.35)),
    }[loss]()


def slopes_at(loss, z, y):
    return {
        "squared": lambda: z - y,
        "logistic": lambda: -y / (1 + np.exp(y * z)),
        "squared_hinge": lambda: -y * np.clip(1 - y * z, 0, None),
        "huber": lambda: np.clip(z - y, -0.7, 0.7),
    }[loss]()


def dual_value(loss, nu, y, weight):
    tau = len(y) * nu / weight
    return {
        "squared": lambda: np.mean(weight * (tau * y - tau**2 / 2)),
        "huber": lambda: np.mean(weight * (tau * y - tau**2 / 2)),
        "logistic": lambda: np.mean(weight * (entr(tau * y) + entr(1 - tau * y))),
        "squared_hinge": lambda: np.mean(weight * (tau * y - tau**2 / 2)),
    }[loss]()


def objective(X, y, lam, hidden, output, *, loss="squared", weight=1.0, gates=None, constant=0.0):
    linear = X @ hidden.T
    active = linear > 0 if gates is None else X @ gates.T >= 0
    fits = (active * linear) @ output + constant
    return np.mean(weight * losses(loss, fits, y)) + lam / 2 * (
        (hidden**2).sum() + (output**2).sum()
    )


def plane_patterns(X):
    """All patterns of data in two dimensions: gates between neighbouring break angles."""
    angles = np.arctan2(X[:, 1], X[:, 0])
    breaks = np.unique(
        np.round(np.concatenate([angles + np.pi / 2, angles - np.pi / 2]) % (2 * np.pi), 12)
    )
    middles = (breaks + np.append(breaks[1:], breaks[0] + 2 * np.pi)) / 2
    gates = np.array([np.cos(middles), np.sin(middles)])
    return (X @ gates > 0).T, gates


def multipliers(X, masks, nu):
    """Least-norm multipliers of all blocks, and the norms that they leave."""
    blocks, starts, rows, values, norms = [], [0], [], [], []
    for sign, (i, mask) in itertools.product((1, -1), enumerate(masks)):
        target = sign * X.T @ (mask * nu)
        normals = np.where(mask, 1, -1)[:, None] * X
        rho = nnls(normals.T, -target)[0]
        norms.append(np.linalg.norm(target + normals.T @ rho))
        blocks.append(i + (sign < 0) * len(masks))
        rows += list(np.flatnonzero(rho))
        values += list(rho[rho > 0])
        starts.append(len(rows))
    arrays = {
        "rho_blocks": np.array(blocks, dtype=np.int64),
        "rho_starts": np.array(starts, dtype=np.int64),
        "rho_rows": np.array(rows, dtype=np.int64),
        "rho_values": np.array(values, dtype=np.float64),
    }
    return arrays, np.array(norms)


def certificate(
    X, y, lam, hidden, output, nu, masks, *, loss="squared", rho=None, constant=0.0, **more
):
    """A certificate with claims computed here; `more` overrides entries."""
    weight = more.get("sample_weight", np.ones(len(y)))
    primal = objective(
        X,
        y,
        lam,
        hidden,
        output,
        loss=loss,
        weight=weight,
        gates=more.get("gates"),
        constant=constant,
    )
    dual = dual_value(loss, nu, y, weight)
    rel_gap = (primal - dual) / dual if dual else 0.0 if primal == dual else math.inf
    arrays = {
        "hidden": hidden,
        "output": output,
        "intercept": np.array(constant),
        "nu": nu,
        "patterns": np.packbits(masks, axis=1),
        **(rho or {}),
    }
    meta = {
        "lam": lam,
        "loss": loss,
        "loss_parameters": {"delta": 0.7} if loss == "huber" else {},
        "activation": "gated" if "gates" in more else "relu",
        "intercept": bool(constant),
        "scope": "program",
        "tol": 1e-8,
        "verdict": "certified" if rel_gap <= 1e-8 else "not_certified",
        "primal": float(primal),
        "dual": float(dual),
        "rel_gap": float(rel_gap),
        "fingerprint": fingerprint(X, y),
    }
    return Fake(arrays, meta).but(**more)


# X = I, y = (3, −4, 0), nλ = 1: two neurons, optimum 6/n = 2 (closed form of whitened data).
X3 = np.eye(3)
Y3 = np.array([3.0, -4.0, 0.0])
LAM3 = 1 / 3
MASKS3 = np.array(list(itertools.product([True, False], repeat=3)))
NU3 = np.array([1.0, -1.0, 0.0]) / 3


def whitened(**more):
    roots = np.sqrt([2.0, 3.0])
    hidden = np.array([[roots[0], 0, 0], [0, roots[1], 0]])
    rho = {"rho_blocks": [], "rho_starts": [0], "rho_rows": [], "rho_values": []}
    for i, mask in enumerate(MASKS3):
        if mask[0] and mask[1]:
            for block, row in ((i, 1), (len(MASKS3) + i, 0)):
                rho["rho_blocks"].append(block)
                rho["rho_rows"].append(row)
                rho["rho_values"].append(1 / 3)
                rho["rho_starts"].append(len(rho["rho_rows"]))
    rho = {k: np.array(v, dtype=float if k == "rho_values" else np.int64) for k, v in rho.items()}
    gates = np.where(MASKS3, 1.0, -1.0).T
    output = roots * [1, -1]
    return certificate(
        X3,
        Y3,
        LAM3,
        hidden,
        output,
        NU3,
        MASKS3,
        rho=rho,
        **{"scope": "all", "pattern_gates": gates, **more},
    )


def test_closed_form_is_certified_globally():
    found = verify(whitened(), X3, Y3)
    assert found.valid
    assert found.problems == ()
    assert found.objective == pytest.approx(2.0, abs=1e-14)
    assert found.lower_bound == pytest.approx(2.0, abs=1e-13)
    assert "any width" in found.statement
    assert "0.333333" in found.statement


def test_file_and_object_give_the_same(tmp_path):
    cert = whitened()
    write_npz(tmp_path / "c.npz", "certificate", cert.arrays, cert.description)
    assert verify(tmp_path / "c.npz", X3, Y3) == verify(cert, X3, Y3)
    assert verify(str(tmp_path / "c.npz"), X3.tolist(), Y3.tolist()).valid


def negative(values):
    changed = values.copy()
    changed[0] = -changed[0]
    return changed


TAMPERED = {
    "scaled weight": lambda c: c.but(hidden=c.arrays["hidden"] * 1.001),
    "scaled output": lambda c: c.but(output=c.arrays["output"] * 0.999),
    "flipped sign": lambda c: c.but(output=negative(c.arrays["output"])),
    "nu scaled up": lambda c: c.but(nu=c.arrays["nu"] * 1.01),
    "nu and its claims scaled up": lambda c: c.but(
        nu=NU3 * 1.01, dual=float(dual_value("squared", NU3 * 1.01, Y3, 1.0))
    ),
    "rho negative": lambda c: c.but(rho_values=-c.arrays["rho_values"]),
    "rho smaller": lambda c: c.but(rho_values=c.arrays["rho_values"] * 0.99),
    "rho on another sample": lambda c: c.but(rho_rows=(c.arrays["rho_rows"] + 1) % 3),
    "no rho": lambda c: c.but(rho_blocks=None, rho_starts=None, rho_rows=None, rho_values=None),
    "other lam": lambda c: c.but(lam=0.3),
    "claimed primal improved": lambda c: c.but(primal=1.9),
    "claimed dual improved": lambda c: c.but(dual=2.001),
    "claimed gap improved": lambda c: c.but(rel_gap=-1e-3),
    "other loss": lambda c: c.but(loss="huber", loss_parameters={"delta": 0.5}),
    "loss of labels": lambda c: c.but(loss="logistic"),
    "pattern removed": lambda c: c.but(
        patterns=c.arrays["patterns"][:-1],
        pattern_gates=c.arrays["pattern_gates"][:, :-1],
        rho_blocks=np.where(
            c.arrays["rho_blocks"] >= 8, c.arrays["rho_blocks"] - 1, c.arrays["rho_blocks"]
        ),
    ),
    "witness moved": lambda c: c.but(pattern_gates=c.arrays["pattern_gates"][:, ::-1]),
    "witness on a hyperplane": lambda c: c.but(
        pattern_gates=c.arrays["pattern_gates"] * [[0.0], [1], [1]]
    ),
    "witness moved by remainders": lambda c: c.but(
        pattern_remainders=-2 * c.arrays["pattern_gates"][None]
    ),
    "remainders of another shape": lambda c: c.but(pattern_remainders=np.zeros((1, 3, 1))),
    "remainders without an axis": lambda c: c.but(pattern_remainders=np.zeros(8)),
    "too many remainders": lambda c: c.but(
        pattern_remainders=np.tile(0 * c.arrays["pattern_gates"], (99, 1, 1))
    ),
    "no witnesses": lambda c: c.but(pattern_gates=None),
    "constant not allowed": lambda c: c.but(intercept=np.array(1e-3)),
    "gates in a ReLU network": lambda c: c.but(gates=c.arrays["hidden"]),
    "other weights": lambda c: c.but(sample_weight=np.array([0.5, 1.5, 1.0])),
    "bits beyond the samples": lambda c: c.but(patterns=c.arrays["patterns"] | 1),
}


@pytest.mark.parametrize("change", TAMPERED.values(), ids=TAMPERED.keys())
def test_tampering_is_invalid(change):
    found = verify(change(whitened()), X3, Y3)
    assert found.verdict == "invalid"
    assert found.problems
    assert found.statement.startswith("Nothing is proved")


def test_duplicated_pattern_does_not_make_up_for_a_missing_one():
    cert = whitened()
    patterns, gates = cert.arrays["patterns"].copy(), cert.arrays["pattern_gates"].copy()
    patterns[-1], gates[:, -1] = patterns[-2], gates[:, -2]
    found = verify(cert.but(patterns=patterns, pattern_gates=gates), X3, Y3)
    assert not found.valid
    assert any("twice" in problem for problem in found.problems)


JUNK = [
    np.array(["x"]),
    np.array([]),
    np.zeros((1, 1, 1)),
    np.array([1j]),
    np.array(math.nan),
    "text",
]


@pytest.mark.parametrize("name", [n for n in ARRAYS if n not in ("gates", "sample_weight")])
def test_malformed_arrays_are_invalid(name):
    cert = whitened()
    good = cert.arrays[name]
    replacements = [*JUNK, good[..., :-1] if good.ndim else good.reshape(1), good[None]]
    replacements.append(good.astype(np.float32 if good.dtype == np.float64 else np.int16))
    if good.dtype == np.float64:
        replacements += [np.full_like(good, math.nan), np.full_like(good, math.inf)]
    for junk in replacements:
        found = verify(cert.but(**{name: junk}), X3, Y3)
        assert found.verdict == "invalid", junk
        assert name in found.problems[0] or name in ("patterns", "hidden", "rho_blocks", "rho_rows")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("lam", [0, -1.0, math.nan, math.inf, "1", None, True, 10**400, [1]]),
        ("tol", [0.0, 1.0, -1e-9, math.nan, "x"]),
        ("loss", ["cubic", None, 3, ["squared"]]),
        ("loss_parameters", [{"delta": 1.0}, [], "x"]),
        ("activation", ["gelu", {}]),
        ("scope", ["everything", 1]),
        ("verdict", ["proved", True]),
        ("intercept", [0, None, "false"]),
        ("primal", [math.nan, "2", math.inf]),
        ("dual", [math.nan, -math.inf]),
        ("rel_gap", [math.nan]),
        ("fingerprint", ["", 5, "0" * 64]),
    ],
)
def test_malformed_meta_is_invalid(name, values):
    for value in values:
        cert = whitened()
        cert.description[name] = value
        assert verify(cert, X3, Y3).verdict == "invalid", value
    cert = whitened()
    del cert.description[name]
    assert verify(cert, X3, Y3).verdict == "invalid"


@pytest.mark.parametrize(
    "changes",
    [
        {"rho_blocks": np.array([0, 0, 8, 8], dtype=np.int64)},
        {"rho_blocks": np.array([0, 1, 8, 16], dtype=np.int64)},
        {"rho_blocks": np.array([0, 1, 8, -1], dtype=np.int64)},
        {"rho_starts": np.array([0, 3, 2, 3, 4], dtype=np.int64)},
        {"rho_starts": np.array([0, 1, 2, 3, 9], dtype=np.int64)},
        {"rho_rows": np.array([1, 0, 1, 3], dtype=np.int64)},
        {"rho_rows": np.array([1, 0, 1, -1], dtype=np.int64)},
        {"sample_weight": np.array([0.0, 1.5, 1.5])},
        {"sample_weight": np.array([2.0, 2.0, 2.0])},
    ],
)
def test_inconsistent_arrays_are_invalid(changes):
    found = verify(whitened().but(**changes), X3, Y3)
    assert found.verdict == "invalid"
    assert next(iter(changes)) in found.problems[0]


def test_blocks_of_sign_minus_are_checked_without_multipliers():
    cert = whitened()
    found = verify(
        cert.but(
            rho_blocks=cert.arrays["rho_blocks"][::2],
            rho_starts=np.arange(3),
            rho_rows=cert.arrays["rho_rows"][::2],
            rho_values=cert.arrays["rho_values"][::2],
        ),
        X3,
        Y3,
    )
    assert found.verdict == "invalid"
    assert "block 8" in found.problems[0]


def test_negative_multiplier_that_fakes_feasibility():
    X, y, mask = np.eye(1), np.ones(1), np.ones((1, 1), dtype=bool)
    rho = {
        "rho_blocks": np.array([0, 1], dtype=np.int64),
        "rho_starts": np.array([0, 1, 2], dtype=np.int64),
        "rho_rows": np.array([0, 0], dtype=np.int64),
        "rho_values": np.array([-1.0, 1.0]),
    }
    cert = certificate(X, y, 0.1, np.zeros((0, 1)), np.zeros(0), y, mask, rho=rho)
    assert cert.description["verdict"] == "certified"
    found = verify(cert, X, y)
    assert found.verdict == "invalid"
    assert "negative" in found.problems[0]


def test_other_data_are_invalid():
    for X, y in ((X3 * (1 + 1e-15), Y3), (X3, Y3[::-1]), (np.eye(2), Y3[:2])):
        found = verify(whitened(), X, y)
        assert found.verdict == "invalid"
        assert "other data" in found.problems[0]
        assert math.isnan(found.objective)


def test_unusable_data_are_errors():
    bad = Y3.copy()
    bad[1] = math.nan
    for X, y in (
        (X3, bad),
        (np.full((3, 3), math.inf), Y3),
        (X3[0], Y3),
        (X3, Y3[:2]),
        (X3, list("abc")),
        ([], []),
    ):
        with pytest.raises(DataError):
            verify(whitened(), X, y)


def test_damaged_files_are_errors_or_invalid(tmp_path):
    cert, path = whitened(), tmp_path / "c.npz"
    write_npz(path, "certificate", cert.arrays, cert.description)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError):
        verify(path, X3, Y3)
    np.savez(path, meta=np.array({"kind": "certificate"}, dtype=object), allow_pickle=True)
    with pytest.raises(DataError):
        verify(path, X3, Y3)
    write_npz(path, "network", cert.arrays, cert.description)
    with pytest.raises(DataError, match="certificate"):
        verify(path, X3, Y3)
    with pytest.raises(DataError):
        verify(tmp_path / "absent.npz", X3, Y3)


@pytest.mark.parametrize("compress", [False, True])
def test_flipped_bytes_never_crash_or_fake_a_proof(tmp_path, compress):
    cert, path = whitened(), tmp_path / "c.npz"
    write_npz(path, "certificate", cert.arrays, cert.description)
    if compress:
        with np.load(path) as stored:
            np.savez_compressed(path, **dict(stored))
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    truth, rejected = verify(path, X3, Y3), 0
    for _ in range(400):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            found = verify(path, X3, Y3)
        except DataError:
            rejected += 1
            continue
        assert not found.valid or found == truth
    assert rejected > 100


def test_tol_decides():
    cert = whitened().but(nu=NU3 * 0.99)
    cert.description.update(
        dual=float(dual_value("squared", NU3 * 0.99, Y3, np.ones(3))), verdict="not_certified"
    )
    cert.description["rel_gap"] = 2 / cert.description["dual"] - 1
    found = verify(cert, X3, Y3)
    assert found.verdict == "not_certified"
    assert "above" in found.problems[0]
    assert found.lower_bound < 2
    assert f"{found.lower_bound:.12g}" in found.statement
    assert verify(cert.but(tol=0.1), X3, Y3).valid
    assert verify(cert.but(verdict="certified"), X3, Y3).verdict == "invalid"


def test_the_gap_with_all_rounding_is_within_tol_or_not():
    hidden, output = whitened().arrays["hidden"] * 1.01, whitened().arrays["output"] * 1.01
    cert = certificate(
        X3, Y3, LAM3, hidden, output, NU3, MASKS3, rho={k: whitened().arrays[k] for k in RHO}
    )
    found = verify(cert, X3, Y3)
    assert found.verdict == "not_certified"
    assert cert.description["rel_gap"] < found.rel_gap < cert.description["rel_gap"] + 1e-13
    assert verify(cert.but(tol=found.rel_gap), X3, Y3).valid
    assert not verify(cert.but(tol=math.nextafter(found.rel_gap, 0)), X3, Y3).valid


def test_neuron_outside_the_patterns_is_inconclusive():
    cert = whitened(scope="program", pattern_gates=None)
    assert verify(cert, X3, Y3).valid
    # Neuron 0 needs only x_0; keep the patterns without sample 0.
    keep = ~MASKS3[:, 0]
    small = certificate(
        X3,
        Y3,
        LAM3,
        cert.arrays["hidden"],
        cert.arrays["output"],
        NU3,
        MASKS3[keep],
        verdict="inconclusive",
    )
    for scope in ("program", "own"):
        found = verify(small.but(scope=scope), X3, Y3)
        assert found.verdict == "inconclusive"
        assert found.problems == ("Neuron 0 lies in none of the certificate's patterns.",)
    assert verify(small.but(verdict="certified"), X3, Y3).verdict == "invalid"


def test_bound_above_a_network_of_its_scope_is_inconclusive():
    """Only 0 is in the cone, and a good neuron is within the cone's tolerance."""
    slope = 5e-10
    X, y = np.array([[1.0, 0.0], [-slope, 1.0], [-slope, -1.0]]), np.array([10.0, 0.0, 0.0])
    nu, masks = y / 3, np.ones((1, 3), dtype=bool)
    rho = {
        "rho_blocks": np.array([0, 1], dtype=np.int64),
        "rho_starts": np.array([0, 2, 3], dtype=np.int64),
        "rho_rows": np.array([1, 2, 0], dtype=np.int64),
        "rho_values": np.array([5 / 3 / slope, 5 / 3 / slope, 10 / 3]),
    }
    zero = certificate(X, y, 0.1, np.zeros((0, 2)), np.zeros(0), nu, masks, rho=rho)
    assert verify(zero, X, y).valid
    good = np.array([[3.0, 0.0]]), np.array([3.0])
    found = verify(certificate(X, y, 0.1, *good, nu, masks, rho=rho, verdict="inconclusive"), X, y)
    assert found.objective < 0.1 * found.lower_bound
    assert found.verdict == "inconclusive"
    assert "above the objective" in found.problems[0]


def data(loss, seed=0, n=6):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((n, 2)), rng.standard_normal(n)
    return X, np.sign(y) if loss in ("logistic", "squared_hinge") else y


@pytest.mark.parametrize("loss", ["squared", "logistic", "squared_hinge", "huber"])
@pytest.mark.parametrize("weighted", [False, True])
def test_zero_network_above_lam_max(loss, weighted):
    X, y = data(loss)
    masks, gates = plane_patterns(X)
    weight = np.linspace(0.5, 1.5, len(y)) if weighted else np.ones(len(y))
    nu = -weight * slopes_at(loss, 0 * y, y) / len(y)
    rho, norms = multipliers(X, masks, nu)
    lam_max = norms.max()
    zero = np.zeros((0, 2)), np.zeros(0)
    more = {"loss": loss, "rho": rho, "scope": "all", "pattern_gates": gates}
    if weighted:
        more["sample_weight"] = weight
    assert verify(certificate(X, y, lam_max * (1 + 1e-12), *zero, nu, masks, **more), X, y).valid
    too_small = verify(certificate(X, y, lam_max * 0.999, *zero, nu, masks, **more), X, y)
    assert too_small.verdict == "invalid"
    assert any("infeasible" in problem for problem in too_small.problems)


@pytest.mark.parametrize("loss", ["logistic", "squared_hinge"])
def test_nu_outside_the_domain_gives_no_bound(loss):
    X, y = data(loss)
    masks, _ = plane_patterns(X)
    nu = -slopes_at(loss, 0 * y, y) / len(y)
    nu[0] = -nu[0]
    cert = certificate(X, y, 100.0, np.zeros((0, 2)), np.zeros(0), nu * 0, masks, loss=loss).but(
        nu=nu
    )
    cert.description.update(dual=-math.inf, rel_gap=math.inf, verdict="not_certified")
    found = verify(cert, X, y)
    assert found.verdict == "inconclusive"
    assert found.lower_bound == -math.inf


def test_free_constant_needs_nu_of_sum_zero():
    X, y = data("squared")
    masks, gates = plane_patterns(X)
    zero = np.zeros((0, 2)), np.zeros(0)
    more = {"constant": y.mean(), "scope": "all", "pattern_gates": gates}
    nu = (y - y.mean()) / len(y)
    nu -= nu.mean()
    cert = certificate(X, y, 10.0, *zero, nu, masks, **more)
    assert verify(cert, X, y).valid
    assert verify(cert.but(intercept=False), X, y).verdict == "invalid"
    found = verify(certificate(X, y, 10.0, *zero, y / len(y), masks, **more), X, y)
    assert found.verdict == "invalid"
    assert any("says dual" in problem for problem in found.problems)
    assert found.lower_bound < cert.description["dual"]


@pytest.fixture(scope="module")
def gated():
    """A gated network trained by proximal gradient steps on its group lasso."""
    X, y = data("squared", seed=3, n=8)
    masks, gates = plane_patterns(X)
    lam = 0.05
    design = np.hstack([mask[:, None] * X for mask in masks])
    step = len(y) / np.linalg.norm(design, 2) ** 2
    w = np.zeros((len(masks), 2))
    for _ in range(60000):
        residual = design @ w.ravel() - y
        v = w - step * (design.T @ residual / len(y)).reshape(w.shape)
        w = v * np.clip(1 - step * lam / np.linalg.norm(v, axis=1, keepdims=True), 0, None)
    nu = (y - design @ w.ravel()) / len(y)
    largest = max(np.linalg.norm(X.T @ (mask * nu)) for mask in masks)
    nu *= min(1.0, lam / largest)
    active = w.any(axis=1)
    roots = np.sqrt(np.linalg.norm(w[active], axis=1))
    hidden = w[active] / roots[:, None]
    return (
        X,
        y,
        certificate(
            X,
            y,
            lam,
            hidden,
            roots,
            nu,
            masks,
            gates=gates.T[active],
            scope="all",
            pattern_gates=gates,
        ),
    )


def test_gated_network(gated):
    X, y, cert = gated
    assert len(cert.arrays["output"]) > 1
    found = verify(cert, X, y)
    assert found.valid
    assert "gated" in found.statement
    for changes in (
        {"gates": cert.arrays["gates"][::-1]},
        {"nu": cert.arrays["nu"] * (1 + 1e-9)},
        {"gates": None},
        {"activation": "relu"},
        {"rho_blocks": np.zeros(1, dtype=np.int64)},
    ):
        assert verify(cert.but(**changes), X, y).verdict == "invalid"


def test_gated_gate_on_a_hyperplane_is_not_covered(gated):
    X, y, cert = gated
    gates = cert.arrays["gates"].copy()
    masks = np.unpackbits(cert.arrays["patterns"], axis=1, count=len(y)) == 1
    # The zero gate is active everywhere, which no open cell of these data is.
    assert not masks.all(axis=1).any()
    gates[0] = 0
    network = cert.arrays["hidden"], cert.arrays["output"]
    more = {"gates": gates, "scope": "all", "pattern_gates": cert.arrays["pattern_gates"]}
    lam, nu = cert.description["lam"], cert.arrays["nu"]
    other = certificate(X, y, lam, *network, nu, masks, verdict="inconclusive", **more)
    found = verify(other, X, y)
    assert found.verdict == "inconclusive"
    assert "Neuron 0" in found.problems[0]


def test_multipliers_that_drown_in_rounding_prove_nothing():
    """ρ = 1e20 on opposite rows allows any error; the bound must pay for it."""
    X, y = np.array([[1.0, 1.0], [-1.0, -1.0], [0.0, 1.0]]), np.array([0.0, 0.0, 15.0])
    rho = {
        "rho_blocks": np.array([0], dtype=np.int64),
        "rho_starts": np.array([0, 2], dtype=np.int64),
        "rho_rows": np.array([0, 1], dtype=np.int64),
        "rho_values": np.array([1e20, 1e20]),
    }
    nu, masks = np.array([0.0, 0.0, 5.0]), np.ones((1, 3), dtype=bool)
    cert = certificate(X, y, 1.0, np.zeros((0, 2)), np.zeros(0), nu, masks, rho=rho)
    assert cert.description["verdict"] == "certified"
    neuron = np.array([[-3.0, 3.0]])
    better = objective(X, y, 1.0, neuron, np.array([4.0]))
    assert better < cert.description["dual"]
    found = verify(cert, X, y)
    assert found.verdict == "invalid"
    assert found.lower_bound <= better


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["squared", "logistic", "squared_hinge", "huber"]),
    st.floats(0.3, 2.0),
)
def test_no_network_is_below_an_accepted_bound(seed, loss, factor):
    rng = np.random.default_rng(seed)
    X, y = data(loss, seed, n=int(rng.integers(2, 6)))
    masks, gates = plane_patterns(X)
    lam = 10 ** rng.uniform(-2, 0)
    nu = rng.uniform(size=len(y)) * -slopes_at(loss, 0 * y, y) / len(y)
    rho, norms = multipliers(X, masks, nu)
    t = min(1.0, lam / norms.max()) * factor
    t = min(t, 1.0) if loss in ("logistic", "huber") else t
    rho["rho_values"] = rho["rho_values"] * t
    hidden, output = rng.standard_normal((3, 2)), rng.standard_normal(3)
    cert = certificate(
        X,
        y,
        lam,
        hidden,
        output,
        nu * t,
        masks,
        loss=loss,
        rho=rho,
        scope="all",
        pattern_gates=gates,
    )
    found = verify(cert, X, y)
    assert (found.verdict == "invalid") == (t * norms.max() > lam * (1 + 1e-11))
    if found.verdict == "invalid":
        return
    for _ in range(50):
        size = int(rng.integers(1, 5))
        other = rng.standard_normal((size, 2)), rng.standard_normal(size)
        for scale in (0.03, 0.3, 1.0):
            value = objective(X, y, lam, other[0] * scale, other[1] * scale, loss=loss)
            assert value >= found.lower_bound - 1e-12 * (1 + abs(found.lower_bound))
