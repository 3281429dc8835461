"""What the exact phase promises, over random networks of any rank."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import relu_opt as ro
from relu_opt.pruning.prune import METHODS

LOSSES = ("squared", "logistic", "squared_hinge", ro.losses.Huber(0.4))

# Networks whose neurons are copies, sums and multiples of each other, on data with repeated rows
# and columns: the contributions have any rank.
networks = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10**6),
        "n": st.integers(1, 25),
        "d": st.integers(1, 5),
        "k": st.integers(0, 40),
        "distinct": st.integers(1, 12),
        "repeated_rows": st.integers(0, 10),
        "repeated_features": st.booleans(),
        "gated": st.booleans(),
        "one_sign": st.booleans(),
        "noise": st.sampled_from([0.0, 0.0, 1e-13, 1e-11, 1e-9, 1e-7]),
        "spread": st.sampled_from([0.0, 1.0, 3.0]),
        "intercept": st.sampled_from([0.0, 0.8]),
        "loss": st.sampled_from(LOSSES),
        "weighted": st.booleans(),
        "lam": st.sampled_from([1e-6, 1e-2, 1.0]),
    }
)


def build(case):
    """The network, and the keyword arguments of `prune`."""
    rng = np.random.default_rng(case["seed"])
    n, d, k = case["n"], case["d"], case["k"]
    X = rng.standard_normal((n, d))
    X[n - min(case["repeated_rows"], n - 1) :] = X[0]
    if case["repeated_features"]:
        X[:, -1] = X[:, 0]
    y = rng.standard_normal(n)
    if getattr(case["loss"], "classifies", case["loss"] in ("logistic", "squared_hinge")):
        y = np.sign(y)
        if case["intercept"]:
            X, y = np.vstack([X, X[:2], X[:1]]), np.append(y, [1.0, -1.0, 1.0][: 2 + (n > 1)])
            X = X[: len(y)]
    which = rng.integers(0, case["distinct"], k)
    sizes = 10.0 ** (case["spread"] * rng.uniform(-1, 1, k))
    hidden = rng.standard_normal((case["distinct"], d))[which] * sizes[:, None]
    # Copies that are nearly equal: the rank is in doubt.
    hidden *= 1 + case["noise"] * rng.standard_normal(hidden.shape)
    output = rng.standard_normal(k)
    gates = rng.standard_normal((case["distinct"], d))[which] if case["gated"] else None
    network = ro.ReLUNetwork(
        hidden, np.abs(output) if case["one_sign"] else output, case["intercept"], gates
    )
    weight = rng.uniform(0.2, 3.0, len(y)) if case["weighted"] else None
    return network, {
        "X": X,
        "y": y,
        "lam": case["lam"],
        "loss": case["loss"],
        "sample_weight": weight,
    }


def unit_columns(network, X, free):
    """q_j/‖q_j‖ of a network, and a constant column where the intercept is free."""
    Q = np.asarray(network.activations(X)) * network.output
    Q = Q / np.linalg.norm(Q, axis=0)
    return np.column_stack([Q, np.full(len(X), len(X) ** -0.5)]) if free else Q


@settings(max_examples=150)
@given(networks)
def test_the_exact_phase_changes_no_fit_and_raises_no_objective(case):
    network, problem = build(case)
    X = problem["X"]
    path = ro.prune(network, **problem)
    fits = network.predict(X)
    size = np.abs(fits).max()
    # Where neurons cancel, fits are as exact as what they are sums of.
    floor = 1e-14 * np.abs(path.start.network.activations(X) * path.start.network.output).sum()
    assert (np.diff(path.widths) < 0).all()
    assert (path.factors >= 0).all()
    values = {name: problem[name] for name in ("X", "y", "lam", "loss", "sample_weight")}
    before = network.objective(**values)
    for step in range(len(path)):
        smaller = path.network(step)
        assert np.abs(smaller.predict(X) - fits).max() <= 1e-8 * size + floor
        after = smaller.objective(**values)
        assert abs(after - path.objectives[step]) <= 1e-12 * max(after, 1e-12)
        assert after <= before * (1 + 1e-12) + floor * np.abs(fits - problem["y"]).max()
        before = min(after, before)
    # Where the rank is in doubt, what was promised of the fits may stop the steps before.
    assert path.minimal or case["noise"] > 0
    if not path.minimal:
        return
    columns = unit_columns(path.vertex, X, path.start.intercept)
    if columns.size:
        assert np.linalg.matrix_rank(columns, tol=1e-11) == columns.shape[1]


@settings(max_examples=60)
@given(networks, st.sampled_from(METHODS), st.integers(0, 8))
def test_every_method_ends_at_to_with_gaps_that_hold(case, method, to):
    network, problem = build(case)
    path = ro.prune(network, method=method, to=to, **problem)
    assert path.widths[-1] <= max(to, path.widths[-1] if len(path) == 1 else 0)
    assert path.widths[0] <= to or path.widths[-1] <= to
    assert (path.widths[:-1] > to).all()
    assert (np.diff(path.widths) < 0).all()
    assert np.isfinite(path.objectives).all()
    # The bound is below each network, since each uses patterns that it speaks of.
    assert (path.objectives >= path.lower_bound * (1 - 1e-9) - 1e-12).all()
    last = path.certify()
    assert last.verdict != ro.Verdict.INCONCLUSIVE
    assert last.rel_gap == pytest.approx(path.rel_gaps[-1], rel=1e-9, abs=1e-9)
