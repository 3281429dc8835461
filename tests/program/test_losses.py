"""Losses against finite differences, the Fenchel–Young inequality and a brute-force conjugate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relu_opt.errors import DataError
from relu_opt.program.losses import (
    LOSSES,
    Hinge,
    Huber,
    Logistic,
    Poisson,
    Quantile,
    Squared,
    SquaredHinge,
    get_loss,
    make_loss,
)

ALL = [
    Squared(),
    Logistic(),
    SquaredHinge(),
    Hinge(),
    Huber(0.7),
    Huber(30.0),
    Poisson(),
    Quantile(0.3),
]
NAMES = [f"{loss.name}{loss.parameters or ''}" for loss in ALL]
every_loss = pytest.mark.parametrize("loss", ALL, ids=NAMES)

numbers = st.floats(-30, 30, allow_subnormal=False)


def points(loss, away=1e-3):
    """Predictions and targets that keep away from kinks of the gradient."""
    rng = np.random.default_rng(5)
    z = np.concatenate([rng.uniform(-6, 6, 400), rng.uniform(-0.1, 0.1, 50)])
    y = np.sign(rng.standard_normal(len(z))) if loss.classifies else rng.uniform(-2, 2, len(z))
    y = np.maximum(y, 0) if loss.name == "poisson" else y
    margin, delta = y * z - 1, loss.parameters.get("delta", 0)
    kinks = {"squared_hinge": margin, "hinge": margin, "huber": np.abs(z - y) - delta}
    kinks["quantile"] = z - y
    keep = np.abs(kinks.get(loss.name, np.ones_like(z))) > away
    return z[keep], y[keep]


def targets_of(loss, t, y):
    if loss.classifies:
        return np.where(y > 0, 1.0, -1.0)
    return np.abs(y) if loss.name == "poisson" else y


@pytest.mark.parametrize(
    ("loss", "z", "y", "value"),
    [
        (Squared(), 3.0, 1.0, 2.0),
        (Logistic(), 0.0, 1.0, np.log(2)),
        (Logistic(), 2.0, -1.0, np.log1p(np.exp(2.0))),
        (SquaredHinge(), -1.0, 1.0, 2.0),
        (SquaredHinge(), 1.5, 1.0, 0.0),
        (SquaredHinge(), 0.5, -1.0, 1.125),
        (Hinge(), -1.0, 1.0, 2.0),
        (Hinge(), 1.5, 1.0, 0.0),
        (Hinge(), 0.5, -1.0, 1.5),
        (Huber(1.0), 0.5, 0.0, 0.125),
        (Huber(1.0), 3.0, 0.0, 2.5),
        (Huber(0.5), 0.0, 2.0, 0.875),
        (Poisson(), 0.0, 0.0, 1.0),
        (Poisson(), np.log(3.0), 3.0, 0.0),
        (Poisson(), 0.0, 2.0, 1.0 - 2.0 + 2.0 * np.log(2.0)),
        (Poisson(), np.log(3.0) + 1e-6, 3.0, 1.5e-12 + 0.5e-18),
        (Quantile(0.25), 1.0, 3.0, 0.5),
        (Quantile(0.25), 3.0, 1.0, 1.5),
    ],
)
def test_values_by_hand(loss, z, y, value):
    assert loss.value(np.array([z]), np.array([y]))[0] == pytest.approx(value, rel=1e-14)


@every_loss
def test_gradient_by_finite_differences(loss):
    z, y = points(loss)
    h = 1e-5
    slope = (loss.value(z + h, y) - loss.value(z - h, y)) / (2 * h)
    np.testing.assert_allclose(loss.gradient(z, y), slope, rtol=1e-7, atol=1e-9)


@every_loss
def test_hessian_by_finite_differences(loss):
    z, y = points(loss)
    h = 1e-5
    bend = (loss.gradient(z + h, y) - loss.gradient(z - h, y)) / (2 * h)
    np.testing.assert_allclose(loss.hessian(z, y), bend, rtol=1e-7, atol=1e-9)
    assert (loss.hessian(z, y) >= 0).all()


@every_loss
@given(z=numbers, t=numbers, y=numbers)
def test_fenchel_young(loss, z, t, y):
    """ℓ(z) + ℓ*(t) ≥ tz for all t, with equality at t = ∇ℓ(z)."""
    z, t = np.array([z]), np.array([t])
    y = targets_of(loss, t, np.array([y]))
    value, size = loss.value(z, y), 1 + np.abs(t * z) + np.abs(t * y) + z**2 + t**2
    assert (value + loss.conjugate(t, y) >= t * z - 1e-12 * size).all()

    slope = loss.gradient(z, y)
    conjugate = loss.conjugate(slope, y)
    assert np.isfinite(conjugate).all()
    size = 1 + value + np.abs(slope * z) + slope**2
    assert (np.abs(value + conjugate - slope * z) <= 1e-12 * size).all()


@every_loss
@pytest.mark.parametrize("y", [1.0, -1.0])
def test_conjugate_is_the_supremum(loss, y):
    domain = {"squared": (-3, 3), "logistic": (0, 1), "squared_hinge": (0, 6), "hinge": (0, 1)}
    domain |= {"quantile": (-0.3, 0.7), "poisson": (-abs(y), 2)}
    y = abs(y) if loss.name == "poisson" else y
    delta = loss.parameters.get("delta", 0.0)
    low, high = domain.get(loss.name, (-delta, delta))
    z = np.linspace(-60, 60, 240_001)
    for tau in np.linspace(low, high, 15):
        t = -y * tau if loss.classifies else tau
        supremum = (t * z - loss.value(z, np.full_like(z, y))).max()
        conjugate = loss.conjugate(np.array([t]), np.array([y]))[0]
        # The grid's best is below the supremum by at most curvature · step² / 8.
        assert supremum <= conjugate + 1e-12 * (1 + abs(conjugate))
        assert conjugate == pytest.approx(supremum, abs=1e-7)


@pytest.mark.parametrize(
    ("loss", "t", "y"),
    [
        (Logistic(), 0.1, 1.0),
        (Logistic(), -1.001, 1.0),
        (Logistic(), -0.1, -1.0),
        (Logistic(), 1.001, -1.0),
        (SquaredHinge(), 1e-9, 1.0),
        (SquaredHinge(), -1e-9, -1.0),
        (Hinge(), 1e-9, 1.0),
        (Hinge(), -1.001, 1.0),
        (Huber(0.7), 0.701, 5.0),
        (Huber(0.7), -0.701, 5.0),
        (Quantile(0.3), 0.701, 5.0),
        (Quantile(0.3), -0.301, 5.0),
        (Poisson(), -5.001, 5.0),
    ],
)
def test_conjugate_is_infinite_outside_its_domain(loss, t, y):
    """There the supremum over [−L, L] grows without bound with L."""
    assert loss.conjugate(np.array([t]), np.array([y]))[0] == np.inf
    suprema = []
    for size in (1e3, 1e5, 1e11):
        z = np.concatenate([-np.geomspace(1e-3, size, 20_000), np.geomspace(1e-3, size, 20_000)])
        suprema.append((t * z - loss.value(z, np.full_like(z, y))).max())
    assert suprema[-1] > 10 * max(1.0, suprema[0])


@pytest.mark.parametrize("loss", [Logistic(), Hinge(), Huber(0.7)])
def test_rounding_on_the_edge_of_the_domain_is_forgiven(loss):
    edge = loss.parameters.get("delta", 1.0)
    y = np.array([-1.0])
    at, beyond, outside = (
        loss.conjugate(np.array([edge * factor]), y)[0] for factor in (1.0, 1 + 4e-16, 1 + 1e-12)
    )
    assert np.isfinite(at)
    assert beyond == pytest.approx(at, abs=1e-14)
    assert outside == np.inf


@pytest.mark.parametrize("z", [-1e4, -800.0, 800.0, 1e4, 1e300])
@pytest.mark.parametrize("y", [-1.0, 1.0])
def test_logistic_does_not_overflow(z, y):
    z, y = np.array([z]), np.array([y])
    loss = Logistic()
    assert np.isfinite(loss.value(z, y)).all()
    assert np.isfinite(loss.gradient(z, y)).all()
    assert (loss.hessian(z, y) >= 0).all()
    assert np.isfinite(loss.conjugate(loss.gradient(z, y), y)).all()


@every_loss
def test_nan_is_never_turned_into_a_number(loss):
    nan, y = np.array([np.nan]), np.array([1.0])
    with np.errstate(invalid="ignore"):
        assert np.isnan(loss.value(nan, y)).all()
        assert np.isnan(loss.gradient(nan, y)).all()
        assert not np.isfinite(loss.conjugate(nan, y)).any()


@every_loss
def test_a_file_rebuilds_the_loss(loss):
    assert make_loss(loss.name, loss.parameters) == loss
    assert get_loss(loss) is loss


def test_names():
    assert " ".join(sorted(LOSSES)) == (
        "hinge huber logistic poisson quantile squared squared_hinge"
    )
    for name, kind in LOSSES.items():
        assert get_loss(name) == kind()
    assert get_loss("huber").delta == 1.0
    assert {name for name in LOSSES if LOSSES[name].classifies} == {
        "logistic",
        "hinge",
        "squared_hinge",
    }


@pytest.mark.parametrize("maker", [get_loss, lambda name: make_loss(name, {})])
def test_unknown_loss_names_the_near_match(maker):
    with pytest.raises(DataError, match=r"'squred'.*Did you mean 'squared'\?") as caught:
        maker("squred")
    assert caught.value.fields["loss"] == "squred"
    with pytest.raises(
        DataError, match="Known: hinge, huber, logistic, poisson, quantile, squared"
    ):
        maker("x")


@pytest.mark.parametrize("parameters", [{"delta": 1.0}, {"x": 1}])
def test_parameters_of_another_loss(parameters):
    with pytest.raises(DataError, match="'squared' does not take the parameters"):
        make_loss("squared", parameters)


@pytest.mark.parametrize("delta", [0, -1.0, np.nan, np.inf, "1", None, True])
def test_unusable_delta(delta):
    with pytest.raises(DataError, match="delta is") as caught:
        Huber(delta)
    assert caught.value.fields["name"] == "delta"


@every_loss
def test_the_mixed_derivative_by_differences(loss):
    z, y = points(loss)
    h = 1e-6
    expected = (loss.gradient(z, y + h) - loss.gradient(z, y - h)) / (2 * h)
    np.testing.assert_allclose(loss.cross(z, y), expected, atol=1e-7)


@every_loss
def test_the_curvature_is_smooth_as_far_as_the_next_kink(loss):
    z, y = points(loss, away=0.0)
    distance = loss.kink_distance(z, y)
    bend = loss.hessian if loss.smooth else loss.gradient
    assert (distance > 0).all()
    for side in (-1.0, 1.0):
        inside = z + side * np.minimum(0.999 * distance, 0.5)
        change = np.abs(bend(inside, y) - bend(z, y))
        # The logistic curvature moves by at most 1/(6√3) a unit, that of counts by itself.
        most = {"logistic": 0.05, "poisson": 0.5 * loss.hessian(z + 0.5, y)}.get(loss.name, 0.0)
        assert (change <= most).all()
    if np.isfinite(distance).any():
        beyond = [bend(z + side * 1.001 * distance, y) for side in (-1.0, 1.0)]
        jumps = [np.abs(each - bend(z, y)) for each in beyond]
        assert (np.maximum(*jumps) == 1).all()
