"""The example of a loss of one's own: trained, proved, re-checked; refused without a verifier."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.errors import DataError
from relu_opt.program.losses import registry

FOLDER = Path(__file__).resolve().parents[2] / "plugins" / "example_loss"


@pytest.fixture
def pseudo_huber(monkeypatch):
    """The loss of the example, registered for one test."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr(registry, "LOSSES", dict(registry.LOSSES))
    twins = sys.modules["relu_opt.verify.losses"]
    monkeypatch.setattr(twins, "LOSSES", dict(twins.LOSSES))
    from relu_opt_pseudo_huber import PseudoHuber

    return ro.losses.register_loss(PseudoHuber)


def data():
    rng = np.random.default_rng(1)
    X = np.c_[rng.standard_normal((40, 2)), np.ones(40)]
    return X, np.abs(X[:, 0]) + rng.standard_t(2, 40) + 5.0


@pytest.mark.parametrize("intercept", [False, True])
def test_it_is_trained_proved_and_rechecked(pseudo_huber, tmp_path, intercept):
    X, y = data()
    loss = pseudo_huber(0.5)
    program = ro.ConvexProgram(
        X, y, 0.01, ro.sample_patterns(X, 20), loss, "relu", np.linspace(0.5, 2, 40), intercept
    )
    solution = ro.solve(program)
    assert solution.certificate.verdict is ro.Verdict.CERTIFIED
    fits = solution.network.predict(X)
    for step in np.random.default_rng(0).standard_normal((20, *program.weights_shape)):
        nearby = ro.ReLUNetwork(
            solution.network.hidden * (1 + 1e-3 * step.flat[0]),
            solution.network.output,
            intercept=solution.network.intercept,
        )
        assert program.mean_loss(nearby.predict(X)) + 0.005 * (
            (nearby.hidden**2).sum() + (nearby.output**2).sum()
        ) >= solution.objective * (1 - 1e-9)
    assert np.isfinite(fits).all()
    solution.certificate.save(tmp_path / "c.npz")
    for arithmetic in ("float", "exact"):
        found = ro.verify(tmp_path / "c.npz", X, y, arithmetic=arithmetic)
        assert found.verdict == "certified", found.problems
        assert "pseudo_huber loss (delta = 0.5)" in found.statement
    again = ro.Certificate.load(tmp_path / "c.npz")
    assert again.loss == loss


def test_a_loss_without_atoms_is_not_for_conic_solvers(pseudo_huber):
    X, y = data()
    program = ro.ConvexProgram(X, y, 0.01, ro.sample_patterns(X, 20), pseudo_huber())
    with pytest.raises(ro.errors.UnsupportedProgram):
        ro.solve(program, "cvxpy")
    by_columns = ro.solve(program, "highs")
    assert by_columns.objective == pytest.approx(ro.solve(program).objective, rel=1e-7)


def test_what_cannot_be_rechecked_is_not_registered(pseudo_huber):
    class Bare(pseudo_huber):
        name = "bare"
        verifier = None

    with pytest.raises(DataError, match="'bare' has no verifier") as caught:
        ro.losses.register_loss(Bare)
    assert caught.value.fields["name"] == "bare"
    Bare.verifier = pseudo_huber
    with pytest.raises(DataError, match=r"no subclass of relu_opt\.verify\.losses\.Loss"):
        ro.losses.register_loss(Bare)
    Bare.name = "squared"
    with pytest.raises(DataError, match="'squared' is registered already"):
        ro.losses.register_loss(Bare)
    Bare.name = "no name"
    with pytest.raises(DataError, match="letters, digits and underscores"):
        ro.losses.register_loss(Bare)
    with pytest.raises(DataError, match="a subclass of relu_opt"):
        ro.losses.register_loss("squared")
    assert "bare" not in registry.LOSSES


def test_who_overrides_a_value_proves_nothing(pseudo_huber):
    class Half(pseudo_huber):
        def value(self, z, y):
            return super().value(z, y) / 2

    X, y = data()
    solution = ro.solve(ro.ConvexProgram(X, y, 0.01, ro.sample_patterns(X, 20), Half()))
    assert solution.certificate.verdict is ro.Verdict.INCONCLUSIVE
