"""Networks: predictions, balancing, merging, files, and the map to and from blocks."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relu_opt.errors import DataError
from relu_opt.io import write_npz
from relu_opt.program import Patterns, ReLUNetwork, patterns_of_gates
from relu_opt.program.losses import Huber
from relu_opt.program.network import (
    locate_neurons,
    network_blocks,
    network_from_weights,
    weights_from_network,
)


def random_network(seed=0, m=5, d=3, gated=False, intercept=0.25):
    rng = np.random.default_rng(seed)
    hidden = rng.standard_normal((m, d)) * 10.0 ** rng.integers(-2, 3, (m, 1))
    gates = rng.standard_normal((m, d)) if gated else None
    return ReLUNetwork(hidden, rng.standard_normal(m), intercept, gates)


def by_hand(network, x):
    """The prediction at one point, neuron by neuron."""
    total = network.intercept
    for j in range(len(network)):
        linear = float(network.hidden[j] @ x)
        on = linear > 0 if network.gates is None else float(network.gates[j] @ x) >= 0
        total += linear * on * network.output[j]
    return total


def inside_weights(prog, seed=0, share=0.5):
    """Random blocks in their cones, some of them zero."""
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal(prog.weights_shape)
    if prog.activation != "gated":
        # A gate of the pattern lies inside its cone; a short step keeps it there.
        weights = np.stack([prog.patterns.gates.T * rng.uniform(0.1, 3) for _ in prog.signs])
    weights[rng.random(weights.shape[:2]) < share] = 0.0
    return weights


# -- predictions and objective -----------------------------------------------------------


@pytest.mark.parametrize("gated", [False, True])
def test_predictions_by_hand(gated):
    network = random_network(gated=gated)
    X = np.random.default_rng(1).standard_normal((20, 3))
    np.testing.assert_allclose(network.predict(X), [by_hand(network, x) for x in X], rtol=1e-12)
    np.testing.assert_allclose(network.predict(X.tolist()), network.predict(X))


def test_a_gate_is_active_on_its_border():
    network = ReLUNetwork([[1.0, 2.0]], [3.0], gates=[[1.0, 0.0]])
    np.testing.assert_array_equal(network.predict([[0.0, 1.0], [-1.0, 1.0]]), [6.0, 0.0])


@pytest.mark.parametrize("gated", [False, True])
def test_a_network_without_neurons_predicts_its_intercept(gated):
    empty = np.empty((0, 3))
    network = ReLUNetwork(empty, [], 1.5, empty if gated else None)
    np.testing.assert_array_equal(network.predict(np.ones((4, 3))), [1.5] * 4)
    assert (len(network), network.penalty()) == (0, 0.0)
    assert (len(network.balance()), len(network.merge())) == (0, 0)


def test_predictions_in_chunks():
    network = random_network(m=3000)
    X = np.random.default_rng(1).standard_normal((3000, 3))
    whole = network.predict(X)
    np.testing.assert_allclose(whole[::500], network.predict(X[::500]), rtol=1e-9)


@pytest.mark.parametrize("loss", ["squared", "logistic", "squared_hinge", Huber(0.3)])
@pytest.mark.parametrize("weighted", [False, True])
def test_objective_is_weighted_mean_loss_and_penalty(make_program, loss, weighted):
    prog = make_program(2, loss=loss, weighted=weighted)
    network = random_network()
    weight = prog.sample_weight if weighted else np.ones(prog.n)
    values = prog.loss.value(network.predict(prog.X), prog.y)
    penalty = sum(u @ u + a * a for u, a in zip(network.hidden, network.output, strict=True)) / 2
    wanted = weight @ values / weight.sum() + 0.3 * penalty
    given_ = None if not weighted else 5 * weight
    assert network.objective(prog.X, prog.y, 0.3, loss, given_) == pytest.approx(wanted, rel=1e-12)
    assert network.penalty() == pytest.approx(penalty, rel=1e-13)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.ones((4, 2))}, "X has 2 columns and the network takes 3.*column of ones"),
        ({"X": np.ones(3)}, r"X has shape \(3,\)"),
        ({"X": np.full((4, 3), np.nan)}, "X holds nan"),
        ({"y": np.ones(5)}, "X has 4 rows and y has 5 values"),
        ({"lam": 0}, "lam is 0"),
        ({"lam": -1}, "lam is -1"),
        ({"loss": "square"}, "Did you mean 'squared'"),
        ({"sample_weight": [1.0, np.inf, 1.0, 1.0]}, "sample_weight holds inf"),
        ({"sample_weight": np.ones(3)}, "sample_weight"),
        ({"sample_weight": np.zeros(4)}, "sample_weight"),
        ({"sample_weight": [1.0, -1.0, 1.0, 1.0]}, "sample_weight"),
    ],
)
def test_objective_of_unusable_data(change, message):
    arguments = {"X": np.ones((4, 3)), "y": np.ones(4), "lam": 0.1, **change}
    with pytest.raises(DataError, match=message):
        random_network().objective(**arguments)


# -- construction ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1.0]], [1.0, 2.0]), "hidden has 1 neurons and output has 2"),
        (([1.0], [1.0]), r"hidden has shape \(1,\)"),
        (([[1.0]], [[1.0]]), r"output has shape \(1, 1\)"),
        (([[np.nan]], [1.0]), "hidden holds nan"),
        (([[1.0]], [np.inf]), "output holds inf"),
        (([[1.0]], [1.0], np.nan), "intercept is nan"),
        (([[1.0]], [1.0], "0"), "intercept is '0'"),
        (([[1.0]], [1.0], 0.0, [[1.0, 2.0]]), r"gates has shape \(1, 2\) and hidden \(1, 1\)"),
        (([[1.0]], [1.0], 0.0, [[np.nan]]), "gates holds nan"),
        (([["a"]], [1.0]), "hidden has dtype"),
    ],
)
def test_what_is_not_a_network_is_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        ReLUNetwork(*arguments)


def test_weights_are_copied_and_frozen():
    hidden = np.ones((2, 3))
    network = ReLUNetwork(hidden, [1, 2])
    hidden[:] = 0
    assert network.hidden.all()
    assert network.output.dtype == np.float64
    with pytest.raises(ValueError, match="read-only"):
        network.hidden[0, 0] = 5.0
    with pytest.raises(AttributeError):
        network.intercept = 1.0


def test_repr_names_kind_and_sizes():
    assert repr(random_network(m=4)) == "ReLUNetwork(4 ReLU neurons, 3 features)"
    assert "gated ReLU" in repr(random_network(gated=True))


# -- balance and merge -------------------------------------------------------------------


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.booleans())
def test_balancing_keeps_the_function_and_never_raises_the_penalty(seed, gated):
    network = random_network(seed, gated=gated)
    X = np.random.default_rng(seed).standard_normal((15, 3))
    balanced = network.balance()
    np.testing.assert_allclose(balanced.predict(X), network.predict(X), rtol=1e-9, atol=1e-9)
    assert balanced.penalty() <= network.penalty() * (1 + 1e-12)
    norms = np.linalg.norm(balanced.hidden, axis=1)
    np.testing.assert_allclose(norms, np.abs(balanced.output), rtol=1e-12)
    # ½(‖u‖² + a²) = ‖u‖|a| of every neuron: no scaling has a smaller penalty.
    wanted = (np.linalg.norm(network.hidden, axis=1) * np.abs(network.output)).sum()
    assert balanced.penalty() == pytest.approx(wanted, rel=1e-12)
    again = balanced.balance()
    np.testing.assert_allclose(again.hidden, balanced.hidden, rtol=1e-14)


@pytest.mark.parametrize("gated", [False, True])
def test_balancing_drops_neurons_that_do_nothing(gated):
    hidden = np.array([[1.0, 2.0], [0.0, 0.0], [3.0, 4.0]])
    network = ReLUNetwork(hidden, [0.0, 5.0, -2.0], 1.0, hidden + 7.0 if gated else None)
    balanced = network.balance()
    assert (len(balanced), balanced.intercept) == (1, 1.0)
    assert np.sign(balanced.output[0]) == -1
    if gated:
        np.testing.assert_array_equal(balanced.gates, [[10.0, 11.0]])


def test_balancing_of_very_unequal_layers():
    network = ReLUNetwork([[3e120, 4e120], [3e-120, 4e-120]], [1e-120, 1e120])
    balanced = network.balance()
    np.testing.assert_allclose(balanced.output, [np.sqrt(5), np.sqrt(5)], rtol=1e-12)


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.booleans())
def test_merging_keeps_function_and_penalty(seed, gated):
    rng = np.random.default_rng(seed)
    base = random_network(seed, m=4, gated=gated)
    which, factor = rng.integers(0, 4, 12), rng.uniform(0.1, 5, (12, 1))
    split = ReLUNetwork(
        base.hidden[which] * factor,
        base.output[which] * rng.choice([-1.0, 1.0], 12),
        0.5,
        base.gates[which] if gated else None,
    )
    merged = split.merge()
    X = rng.standard_normal((15, 3))
    scale = 1 + np.abs(split.activations(X)) @ np.abs(split.output)
    assert (np.abs(merged.predict(X) - split.predict(X)) <= 1e-9 * scale).all()
    assert merged.penalty() == pytest.approx(split.balance().penalty(), rel=1e-9)
    assert len(merged) == len({*zip(which, np.sign(split.output), strict=True)})
    assert len(merged.merge()) == len(merged)


def test_merging_leaves_different_neurons():
    apart = ReLUNetwork([[1.0, 0.0], [1.0, 1e-6], [1.0, 0.0]], [1.0, 1.0, -1.0])
    assert len(apart.merge()) == 3
    assert len(apart.merge(tol=1e-5)) == 2
    gates = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    gated = ReLUNetwork(np.ones((3, 2)), np.ones(3), gates=gates)
    assert len(gated.merge()) == 2


# -- the solution map --------------------------------------------------------------------


def test_an_objective_beyond_all_doubles_is_inf():
    network = ReLUNetwork([[1e100]], [1e100])
    assert network.objective([[1.0]], [0.0], 1.0) == np.inf
    assert ReLUNetwork([[1.0]], [1.0]).objective([[1e200]], [0.0], 1.0) == np.inf
    assert ReLUNetwork([[1e200]], [1.0]).objective([[0.0]], [0.0], 1.0) == np.inf


@pytest.mark.parametrize(
    ("loss", "activation", "intercept", "weighted"),
    list(
        product(
            ("squared", "logistic"), ("relu", "gated", "absolute"), (False, True), (False, True)
        )
    ),
)
def test_blocks_and_network_have_one_objective(make_program, loss, activation, intercept, weighted):
    prog = make_program(3, loss=loss, activation=activation, intercept=intercept, weighted=weighted)
    weights, c = inside_weights(prog), 0.2 * intercept
    network = network_from_weights(prog, weights, c)
    assert len(network) == int(weights.any(axis=2).sum())
    assert network.intercept == c
    np.testing.assert_allclose(network.predict(prog.X), prog.fits(weights) + c, atol=1e-12)
    found = network.objective(prog.X, prog.y, prog.lam, prog.loss, prog.sample_weight)
    assert found == pytest.approx(prog.objective(weights, c), rel=1e-12)
    # ½(‖u‖² + a²) = ‖w‖, neuron by neuron.
    np.testing.assert_allclose(
        np.linalg.norm(network.hidden, axis=1), np.abs(network.output), rtol=1e-12
    )
    assert network.penalty() == pytest.approx(np.linalg.norm(weights, axis=2).sum(), rel=1e-12)


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from(["relu", "gated", "leaky"]))
def test_there_and_back(make_program, seed, activation):
    prog = make_program(seed, activation=activation)
    weights = inside_weights(prog, seed)
    network = network_from_weights(prog, weights)
    back = weights_from_network(prog, network)
    np.testing.assert_allclose(back, weights, rtol=1e-12, atol=1e-14)
    blocks = network_blocks(network)
    sign, which = np.nonzero(weights.any(axis=2))
    np.testing.assert_allclose(np.abs(blocks), np.abs(weights[sign, which]), rtol=1e-12)
    # Unbalanced and split neurons are the same blocks.
    m = len(network)
    factor = np.random.default_rng(seed).uniform(0.1, 9, (2 * m, 1))
    split = ReLUNetwork(
        np.tile(network.hidden, (2, 1)) * factor,
        np.tile(network.output, 2) / factor.ravel() / 2,
        0.0,
        None if network.gates is None else np.tile(network.gates, (2, 1)),
        network.slope,
    )
    np.testing.assert_allclose(weights_from_network(prog, split), weights, rtol=1e-9, atol=1e-12)


def test_no_blocks_are_no_neurons(make_program):
    for activation in ("relu", "gated", "absolute"):
        prog = make_program(activation=activation)
        zero = np.zeros(prog.weights_shape)
        network = network_from_weights(prog, zero, 0.5)
        assert len(network) == 0
        np.testing.assert_array_equal(weights_from_network(prog, network), zero)


def test_tiny_blocks_are_kept_or_dropped_but_never_nan(make_program):
    """The square of 1e−170 is below the smallest number."""
    prog = make_program()
    weights = inside_weights(prog)
    weights[0, 0] = 1e-170 * prog.patterns.gates[:, 0]
    network = network_from_weights(prog, weights)
    assert np.isfinite(network.hidden).all()


def test_locating_neurons(make_program):
    prog = make_program(4)
    gates = prog.patterns.gates
    p = len(prog.patterns)
    others = np.random.default_rng(9).standard_normal((3, 400))
    known = {mask.tobytes() for mask in prog.patterns.masks.T}
    new = [g for g in others.T if (prog.X @ g >= 0).tobytes() not in known]
    network = ReLUNetwork(np.vstack([gates.T[::-1], new[:2]]), np.ones(p + 2))
    place = locate_neurons(prog, network, 1e-9)
    assert place.tolist() == [*range(p - 1, -1, -1), -1, -1]


def test_a_neuron_on_a_border_belongs_to_either_side():
    X = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    on_border = np.array([0.0, 1.0])
    for gate in ([1e-3, 1.0], [-1e-3, 1.0]):
        program = _program(X, patterns_of_gates(X, np.array([gate]).T))
        assert locate_neurons(program, ReLUNetwork([on_border], [1.0]), 1e-9).tolist() == [0]
        nearly = ReLUNetwork([[1e-12, 1.0], [-1e-12, 1.0]], [1.0, 1.0])
        assert locate_neurons(program, nearly, 1e-9).tolist() == [0, 0]
    program = _program(X, patterns_of_gates(X, np.array([[0.1, -1.0]]).T))
    assert locate_neurons(program, ReLUNetwork([on_border], [1.0]), 1e-9).tolist() == [-1]


def _program(X, patterns):
    from relu_opt.program import ConvexProgram

    return ConvexProgram(X, np.arange(float(len(X))), 0.1, patterns)


def test_location_does_not_depend_on_scale():
    """A tolerance is relative to the norms of row and neuron."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((10, 3))
    gates = rng.standard_normal((3, 5))
    rows = 10.0 ** rng.integers(-9, 9, (10, 1))
    program = _program(X * rows, patterns_of_gates(X * rows, gates))
    for size in (1e-9, 1.0, 1e9):
        place = locate_neurons(program, ReLUNetwork(size * gates.T, np.ones(5)), 1e-9)
        assert (place >= 0).all()


def test_neuron_outside_the_cones_is_named(make_program):
    prog = make_program(4)
    one = prog.with_patterns(Patterns(prog.patterns.masks[:, :1]))
    hidden = np.vstack([prog.patterns.gates[:, 0], -prog.patterns.gates[:, 0]])
    with pytest.raises(DataError, match="Neuron 1 lies outside every cone") as caught:
        weights_from_network(one, ReLUNetwork(hidden, [1.0, 1.0]))
    assert caught.value.fields["neuron"] == 1


@pytest.mark.parametrize(("activation", "gated"), [("relu", True), ("gated", False)])
def test_networks_of_the_other_kind(make_program, activation, gated):
    prog = make_program(activation=activation)
    kind = prog.activation.kind
    with pytest.raises(DataError, match=f"program is of {kind} networks"):
        weights_from_network(prog, random_network(gated=gated))


# -- files -------------------------------------------------------------------------------


@pytest.mark.parametrize("network", [random_network(), random_network(gated=True)])
def test_files_keep_every_bit(tmp_path, network):
    network.save(tmp_path / "net.npz")
    again = ReLUNetwork.load(tmp_path / "net.npz")
    np.testing.assert_array_equal(again.hidden, network.hidden)
    np.testing.assert_array_equal(again.output, network.output)
    assert again.intercept == network.intercept
    assert (again.gates is None) == (network.gates is None)
    if network.gates is not None:
        np.testing.assert_array_equal(again.gates, network.gates)
    arrays = ReLUNetwork(**network.to_arrays())
    np.testing.assert_array_equal(arrays.hidden, network.hidden)


def test_empty_networks_can_be_saved(tmp_path):
    ReLUNetwork(np.empty((0, 4)), [], 2.0).save(tmp_path / "net.npz")
    assert ReLUNetwork.load(tmp_path / "net.npz").hidden.shape == (0, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": None}, "'hidden'.*holds nothing"),
        ({"output": None}, "'output'"),
        ({"intercept": None}, "'intercept'"),
        ({"hidden": np.ones((2, 3), dtype=int)}, "'hidden'.*holds int64 with 2 axes"),
        ({"hidden": np.ones(3)}, "'hidden'"),
        ({"hidden": np.ones((7, 3))}, "hidden has 7 neurons and output has 5"),
        ({"hidden": np.full((5, 3), np.nan)}, "hidden holds nan"),
        ({"intercept": np.array(np.inf)}, "intercept is inf"),
        ({"intercept": np.ones(1)}, "'intercept'"),
        ({"gates": np.ones(3)}, "'gates'"),
        ({"gates": np.ones((5, 4))}, r"gates has shape \(5, 4\)"),
    ],
)
def test_files_that_hold_no_network(tmp_path, change, message):
    write_npz(tmp_path / "net.npz", "network", {**random_network().to_arrays(), **change}, {})
    with pytest.raises(DataError, match=message):
        ReLUNetwork.load(tmp_path / "net.npz")
