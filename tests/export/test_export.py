"""Export and import: files of other formats say what the network says, and imports too."""

import builtins
import json
import zipfile
from itertools import product

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.errors import BackendUnavailable, DataError
from relu_opt.export import (
    from_arrays,
    from_json,
    from_torch,
    save_torch,
    to_json,
    to_onnx,
    to_torch,
)
from relu_opt.program.network import ReLUNetwork
from relu_opt.tabular.preprocessing import Preprocessing

KINDS = list(product(("relu", "gated"), (False, True), (0.0, 0.75), (0, 1, 9)))
EPS32 = float(np.finfo(np.float32).eps)


def make_network(kind="relu", intercept=0.75, neurons=9, d=4, seed=0):
    rng = np.random.default_rng(seed)
    hidden, output = rng.standard_normal((neurons, d)), rng.standard_normal(neurons)
    gates = rng.standard_normal((neurons, d)) if kind == "gated" else None
    return ReLUNetwork(hidden, output, intercept, gates)


def make_preprocessing(width, bias, standardize=True, classes=None):
    """What makes `width` columns, a bias among them if there is one."""
    rng = np.random.default_rng(width)
    count = width - bias
    return Preprocessing(
        features=tuple(f"f{k}" for k in range(count)),
        target="y",
        centre=tuple(rng.normal(0, 5, count) if standardize else np.zeros(count)),
        scale=tuple(rng.uniform(0.1, 10, count) if standardize else np.ones(count)),
        bias=bias,
        standardize=standardize,
        target_centre=0.0 if classes else 30.0,
        target_scale=1.0 if classes else 7.0,
        classes=classes,
    )


def by_hand(network, preprocessing, rows):
    """The prediction in the user's units, a row and a neuron at a time."""
    root = np.sqrt(rows.shape[1]) if preprocessing.standardize else 1.0
    found = []
    for row in rows:
        x = (row - preprocessing.centre) / preprocessing.scale
        x = np.append(x, [1.0] * preprocessing.bias) / root
        total = network.intercept
        for j in range(len(network)):
            gate = network.hidden[j] if network.gates is None else network.gates[j]
            total += network.output[j] * (network.hidden[j] @ x) * (gate @ x >= 0)
        found.append(total * preprocessing.target_scale + preprocessing.target_centre)
    return np.array(found)


def away_from_gates(network, rows, margin=1e-4):
    """Rows at which no gate is so near zero that single precision could flip it."""
    if network.gates is None:
        return rows
    return rows[(np.abs(rows @ network.gates.T) > margin).all(axis=1)]


def same(one, other):
    """Whether two networks have the same bits."""
    arrays, others = one.to_arrays(), other.to_arrays()
    return arrays.keys() == others.keys() and all(
        arrays[name].shape == others[name].shape and (arrays[name] == others[name]).all()
        for name in arrays
    )


# -- JSON ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "bias", "intercept", "neurons"), KINDS)
def test_json_keeps_every_bit(tmp_path, kind, bias, intercept, neurons):
    network = make_network(kind, intercept, neurons)
    preprocessing = make_preprocessing(4, bias)
    text = to_json(network, tmp_path / "n.json", preprocessing)
    for source in (text, tmp_path / "n.json", str(tmp_path / "n.json")):
        again, prepared = from_json(source)
        assert same(network, again)
        assert prepared == preprocessing
    assert from_json(to_json(network))[1] is None


def test_json_keeps_the_smallest_and_the_largest_numbers():
    values = [5e-324, -1.7976931348623157e308, 0.1, -0.0]
    network = ReLUNetwork([values], [np.pi], np.nextafter(1, 2))
    again, _ = from_json(to_json(network))
    assert same(network, again)
    assert np.signbit(again.hidden[0, 3])


def test_json_is_plain_and_documented(tmp_path):
    content = json.loads(to_json(make_network("gated")))
    assert list(content) == [
        "format", "version", "activation", "features", "hidden", "output", "intercept", "gates",
    ]  # fmt: skip
    assert content["activation"] == "gated"


def broken(change):
    """The JSON text of a network with one thing changed."""
    content = json.loads(
        to_json(make_network(neurons=2), preprocessing=make_preprocessing(4, True))
    )
    change(content)
    return json.dumps(content)


HOSTILE = {
    "no object": "[]",
    "nothing": "",
    "another format": '{"format": "onnx"}',
    "truncated": to_json(make_network())[:-200],
    "trailing text": to_json(make_network()) + "x",
    "a key twice": to_json(make_network()).replace('"features"', '"features": 4, "features"'),
    "deep": '{"format":' + "[" * 200_000,
    "NaN": broken(lambda c: c.update(intercept=float("nan"))),
    "Infinity": broken(lambda c: c["hidden"][0].__setitem__(0, float("inf"))),
    "beyond double": broken(lambda c: c.update(intercept=0)).replace(
        '"intercept": 0', '"intercept": 1e999'
    ),
    "a huge integer": broken(lambda c: c.update(output=[10**400, 1])),
    "more digits than Python reads": '{"format": ' + "9" * 5000 + "}",
    "a later version": broken(lambda c: c.update(version=2)),
    "a version that equals one": broken(lambda c: c.update(version=True)),
    "text for a number": broken(lambda c: c.update(output=["1", 2])),
    "true for a number": broken(lambda c: c.update(output=[True, 2])),
    "null for a number": broken(lambda c: c.update(intercept=None)),
    "rows of two lengths": broken(lambda c: c["hidden"][0].pop()),
    "rows that are numbers": broken(lambda c: c.update(hidden=[1, 2])),
    "no rows": broken(lambda c: c.update(hidden=7)),
    "too few outputs": broken(lambda c: c.update(output=[1])),
    "other features": broken(lambda c: c.update(features=5)),
    "no features": broken(lambda c: c.update(features=0)),
    "true features": broken(lambda c: c.update(features=True)),
    "gates without gating": broken(lambda c: c.update(gates=[[1, 2, 3, 4]] * 2)),
    "gating without gates": broken(lambda c: c.update(activation="gated")),
    "another activation": broken(lambda c: c.update(activation="tanh")),
    "a missing entry": broken(lambda c: c.pop("output")),
    "a strange entry": broken(lambda c: c.update(code="import os")),
    "damaged preprocessing": broken(lambda c: c["preprocessing"].update(scale=[0, 1, 1])),
    "preprocessing of other columns": broken(lambda c: c["preprocessing"].update(bias=False)),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_json_is_refused(tmp_path, case):
    file = tmp_path / "n.json"
    file.write_text(HOSTILE[case])
    with pytest.raises(DataError, match=r"n\.json"):
        from_json(file)
    if HOSTILE[case].startswith("{"):
        with pytest.raises(DataError):
            from_json(HOSTILE[case])


def test_every_truncation_of_json_is_refused():
    text = to_json(make_network(neurons=1)).rstrip()
    for end in range(1, len(text)):
        with pytest.raises(DataError):
            from_json(text[:end])


def test_files_that_are_no_json_are_named(tmp_path, monkeypatch):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "big").write_text("{" + " " * 100)
    monkeypatch.setattr("relu_opt.export.json_form.MAX_BYTES", 100)
    for name in ("binary", "big", "gone", "."):
        with pytest.raises(DataError) as caught:
            from_json(tmp_path / name)
        assert str(tmp_path / name) in caught.value.message
    with pytest.raises(DataError, match="is a int"):
        from_json(3)


def test_a_failed_write_leaves_the_earlier_file(tmp_path):
    file = tmp_path / "n.json"
    file.write_text("precious")
    with pytest.raises(DataError, match="preprocessing makes"):
        to_json(make_network(), file, make_preprocessing(6, True))
    assert file.read_text() == "precious"
    with pytest.raises(DataError, match="Cannot write"):
        to_json(make_network(), tmp_path / "gone" / "n.json")


# -- arrays --------------------------------------------------------------------------------


def test_arrays_with_biases_are_networks_on_a_column_of_ones():
    rng = np.random.default_rng(1)
    hidden, bias, X = rng.standard_normal((5, 3)), rng.standard_normal(5), rng.random((20, 3))
    output, gates, opening = rng.standard_normal(5), rng.standard_normal((5, 3)), rng.random(5)
    ones = np.column_stack([X, np.ones(20)])
    for last in (output, output[None, :]):
        network = from_arrays(hidden, last, bias, 0.5)
        expected = np.maximum(X @ hidden.T + bias, 0) @ output + 0.5
        np.testing.assert_allclose(network.predict(ones), expected, rtol=1e-13)
    gated = from_arrays(hidden, output, bias, gates=gates, gate_bias=opening)
    expected = ((X @ gates.T + opening >= 0) * (X @ hidden.T + bias)) @ output
    np.testing.assert_allclose(gated.predict(ones), expected, rtol=1e-13)
    plain = from_arrays(hidden, output, bias, gates=gates)
    expected = ((X @ gates.T >= 0) * (X @ hidden.T + bias)) @ output
    np.testing.assert_allclose(plain.predict(ones), expected, rtol=1e-13)
    assert from_arrays(hidden, output).hidden.shape == (5, 3)
    assert len(from_arrays(np.zeros((0, 3)), np.zeros((1, 0)), np.zeros(0))) == 0


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"output": np.ones((2, 5))}, "2 outputs"),
        ({"output": np.ones(4)}, "5 neurons"),
        ({"output": np.ones((5, 1))}, "5 outputs"),
        ({"bias": np.ones(4)}, "4 values"),
        ({"bias": np.full(5, np.nan)}, "nan"),
        ({"hidden": np.ones(5)}, "two axes"),
        ({"hidden": [["a"] * 3] * 5}, "real numbers"),
        ({"gates": np.ones((3, 5))}, "transpose"),
        ({"gate_bias": np.ones(5)}, "without gates"),
        ({"output_bias": np.inf}, "finite"),
    ],
)
def test_arrays_that_are_no_network_are_refused(change, part):
    arrays = {"hidden": np.ones((5, 3)), "output": np.ones(5), **change}
    with pytest.raises(DataError, match=part):
        from_arrays(**arrays)


# -- a certificate in one call ---------------------------------------------------------------


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.standard_normal((25, 2)), np.ones(25)])
    return X, np.abs(X[:, 0]) + 0.1 * rng.standard_normal(25)


def test_an_optimal_network_is_certified_in_one_call(data):
    X, y = data
    solution = ro.solve(ro.ConvexProgram(X, y, 0.01, ro.enumerate_patterns(X)))
    network = solution.network
    proof = ro.certify_network(
        from_arrays(network.hidden[:, :2], network.output, network.hidden[:, 2]), X, y, 0.01
    )
    assert proof.verdict == "certified"
    assert proof.scope == "own"
    assert ro.verify(proof, X, y).verdict == "certified"
    assert proof.objective == pytest.approx(solution.objective, rel=1e-9)


def test_a_solver_sharpens_the_bound_of_a_bad_network(data):
    X, y = data
    network = make_network(d=3, intercept=0.0)
    quick = ro.certify_network(network, X, y, 0.01)
    sharp = ro.certify_network(network, X, y, 0.01, backend="auto")
    own = ro.ConvexProgram(X, y, 0.01, ro.program.patterns_of_gates(X, network.hidden.T))
    assert quick.lower_bound < sharp.lower_bound
    assert sharp.lower_bound == pytest.approx(ro.solve(own).objective, rel=1e-7)
    assert sharp.verdict == "not_certified"


def test_the_scope_all_is_a_claim_about_every_network(data):
    X, y = data
    everything = ro.ConvexProgram(X, y, 0.02, ro.enumerate_patterns(X))
    best = ro.solve(everything).network
    proof = ro.certify_network(best, X, y, 0.02, scope="all", backend="auto")
    assert (proof.verdict, proof.scope) == ("certified", "all")


@pytest.mark.parametrize("kind", ["relu", "gated"])
@pytest.mark.parametrize("neurons", [0, 4])
def test_networks_of_every_kind_get_a_verdict(data, kind, neurons):
    X, y = data
    network = make_network(kind, 0.3, neurons, d=3)
    proof = ro.certify_network(network, X, y, 0.05, loss=ro.losses.Huber(), backend="auto")
    assert proof.lower_bound <= proof.objective
    assert proof.intercept
    assert ro.verify(proof, X, y).verdict in ("certified", "not_certified")


def test_what_cannot_be_certified_is_refused(data):
    X, y = data
    with pytest.raises(DataError, match="column of ones"):
        ro.certify_network(make_network(d=2), X, y, 0.1)
    with pytest.raises(DataError, match="Unknown scope 'program'"):
        ro.certify_network(make_network(d=3), X, y, 0.1, scope="program")
    with pytest.raises(DataError, match="ReLUNetwork is needed"):
        ro.certify_network(None, X, y, 0.1)
    with pytest.raises(DataError, match="intercept"):
        ro.certify_network(make_network(d=3), X, y, 0.1, intercept=False)


# -- ONNX ----------------------------------------------------------------------------------


def run_onnx(content, X):
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    return dict(
        zip([each.name for each in session.get_outputs()], session.run(None, {"X": X}), strict=True)
    )


@pytest.fixture
def onnx():
    return pytest.importorskip("onnx")


@pytest.mark.usefixtures("onnx")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("kind", "bias", "intercept", "neurons"), KINDS)
def test_onnx_predicts_what_the_network_predicts(kind, bias, intercept, neurons, dtype):
    network = make_network(kind, intercept, neurons)
    full = np.random.default_rng(5).standard_normal((50, 4))
    full[:, -1] = 1.0 if bias else full[:, -1]
    full = away_from_gates(network, full)
    X = full[:, :-1] if bias else full
    report = to_onnx(network, dtype=dtype, bias=bias, X=X)
    found = run_onnx(report.content, X.astype(dtype))
    assert list(found) == ["prediction"]
    assert found["prediction"].dtype == dtype
    assert found["prediction"].shape == (len(X),)
    size = np.abs(full) @ np.abs(network.hidden.T) @ np.abs(network.output) + abs(intercept)
    eps = EPS32 if dtype == "float32" else 1e-14
    expected = network.predict(full)
    assert (np.abs(found["prediction"] - expected) <= 8 * eps * size).all()
    assert report.checked
    assert report.rows == len(X)
    assert not report.drawn
    assert report.max_difference == np.abs(found["prediction"] - expected).max()
    assert report.max_difference <= (1e-12 if dtype == "float64" else 1e-4)
    assert (report.inputs, report.neurons, report.dtype) == (X.shape[1], neurons, dtype)


@pytest.mark.usefixtures("onnx")
@pytest.mark.parametrize(
    ("kind", "bias", "standardize"),
    list(product(("relu", "gated"), (False, True), (False, True))),
)
def test_onnx_takes_raw_features(kind, bias, standardize):
    network = make_network(kind)
    preprocessing = make_preprocessing(4, bias, standardize)
    rng = np.random.default_rng(2)
    X = rng.standard_normal((30, 4 - bias)) * preprocessing.scale + preprocessing.centre
    report = to_onnx(network, preprocessing=preprocessing, dtype="float64", X=X)
    found = run_onnx(report.content, X)["prediction"]
    np.testing.assert_allclose(found, by_hand(network, preprocessing, X), rtol=0, atol=1e-11)
    assert report.max_difference < 1e-11
    assert to_onnx(network, preprocessing=preprocessing).drawn


@pytest.mark.usefixtures("onnx")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("neurons", [0, 6])
def test_onnx_of_a_classifier_gives_labels_too(dtype, neurons):
    # 2²⁴ + 1 is no float32.
    preprocessing = make_preprocessing(4, True, classes=(-3.0, 16777217.0))
    network = make_network(intercept=-0.1, neurons=neurons)
    X = np.random.default_rng(3).standard_normal((40, 3)) * 4
    report = to_onnx(network, preprocessing=preprocessing, dtype=dtype, X=X)
    found = run_onnx(report.content, X.astype(dtype))
    outputs = by_hand(network, preprocessing, X)
    np.testing.assert_allclose(found["prediction"], outputs, rtol=0, atol=1e-5)
    assert found["label"].dtype == np.float64
    assert (found["label"] == np.where(outputs >= 0, 16777217.0, -3.0)).all()
    assert report.labels_changed == 0
    assert "another label" in str(report)


@pytest.mark.usefixtures("onnx")
def test_onnx_of_a_classifier_at_zero_is_the_second_class():
    preprocessing = make_preprocessing(4, True, classes=(0.0, 1.0))
    report = to_onnx(make_network(intercept=0.0, neurons=0), preprocessing=preprocessing)
    found = run_onnx(report.content, np.zeros((2, 3), dtype=np.float32))
    assert found["label"].tolist() == [1.0, 1.0]


@pytest.mark.usefixtures("onnx")
@pytest.mark.parametrize("neurons", [0, 5])
@pytest.mark.parametrize("kind", ["relu", "gated"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_onnx_predicts_nothing_from_a_missing_value(kind, neurons, value):
    preprocessing = make_preprocessing(4, True, classes=(0.0, 1.0))
    report = to_onnx(make_network(kind, neurons=neurons), preprocessing=preprocessing)
    X = np.ones((3, 3), dtype=np.float32)
    X[1, 2] = value
    for name, found in run_onnx(report.content, X).items():
        assert np.isnan(found).tolist() == [False, True, False], name


def test_onnx_files_are_portable_and_say_what_they_are(onnx, tmp_path):
    file = tmp_path / "m.onnx"
    preprocessing = make_preprocessing(4, True)
    report = to_onnx(make_network(), file, preprocessing)
    assert report.path == str(file)
    assert file.read_bytes() == report.content
    assert to_onnx(make_network(), preprocessing=preprocessing).content == report.content
    model = onnx.load(str(file))
    onnx.checker.check_model(model, full_check=True)
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 17)]
    assert model.ir_version == 8
    assert [each.name for each in model.graph.input] == ["X"]
    props = {each.key: each.value for each in model.metadata_props}
    assert json.loads(props["features"]) == ["f0", "f1", "f2"]
    assert props["target"] == "y"
    assert run_onnx(report.content, np.ones((0, 3), dtype=np.float32))["prediction"].shape == (0,)


def test_a_pruned_network_makes_a_smaller_file(onnx):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, 3))
    wide = make_network(d=3, neurons=120, intercept=0.0)
    narrow = ro.prune(wide, X, rng.standard_normal(20), lam=0.01).vertex
    assert len(narrow) <= 20
    files = [to_onnx(network, X=X, dtype="float64").content for network in (wide, narrow)]
    shapes = []
    for content in files:
        model = onnx.load_model_from_string(content)
        shapes.append({each.name: list(each.dims) for each in model.graph.initializer})
    assert shapes[0]["hidden"] == [120, 3]
    assert shapes[1]["hidden"] == [len(narrow), 3]
    assert shapes[1]["output"] == [1, len(narrow)]
    # A neuron has 4 weights of 8 bytes.
    saved = 32 * (120 - len(narrow))
    assert saved <= len(files[0]) - len(files[1]) <= saved + 16
    one, other = (run_onnx(content, X)["prediction"] for content in files)
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-9)
    assert len(to_json(narrow)) < len(to_json(wide)) / 5


@pytest.mark.usefixtures("onnx")
def test_single_precision_is_reported_and_not_hidden():
    """Far from zero, rounding the features alone moves the prediction."""
    preprocessing = Preprocessing(("a",), "y", (1e6,), (1.0,))
    network = ReLUNetwork([[1.0, 0.0]], [1.0])
    X = 1e6 + np.linspace(0.1, 2, 30)[:, None]
    report = to_onnx(network, preprocessing=preprocessing, X=X)
    assert 0.01 < report.max_difference < 0.1
    assert report.relative_difference == report.max_difference / (X.max() - 1e6)
    assert to_onnx(network, preprocessing=preprocessing, X=X, dtype="float64").max_difference == 0


@pytest.mark.usefixtures("onnx")
def test_weights_beyond_the_dtype_are_refused(tmp_path):
    file = tmp_path / "m.onnx"
    file.write_bytes(b"precious")
    large = ReLUNetwork([[1e39, 0.0]], [1e-39])
    with pytest.raises(DataError, match="float64") as caught:
        to_onnx(large, file)
    assert caught.value.fields["name"] == "hidden"
    assert to_onnx(large, dtype="float64").max_difference < 1e-12
    # The weights fit, and the values of the neurons do not.
    with pytest.raises(DataError, match="overflow in this precision"):
        to_onnx(ReLUNetwork([[1e38]], [1e38]), file, X=[[10.0]])
    tiny = Preprocessing(("a",), "y", (0.0,), (1e-300,))
    with pytest.raises(DataError, match="Rescale the column"):
        to_onnx(ReLUNetwork([[1e10, 0.0]], [1.0]), file, tiny, "float64")
    assert file.read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"dtype": "float16"}, "dtype is 'float16'"),
        ({"network": "net"}, "network is a str"),
        ({"preprocessing": {}}, "preprocessing is a dict"),
        ({"preprocessing": make_preprocessing(4, True), "bias": True}, "Leave bias=True out"),
        (
            {"preprocessing": make_preprocessing(3, True)},
            "makes 3 columns, and the network takes 4",
        ),
        ({"network": make_network(d=1), "bias": True}, "no feature would be left"),
        ({"X": np.ones((5, 3))}, "3 columns"),
        ({"X": [[np.nan] * 4]}, "nan"),
    ],
)
def test_exports_that_make_no_sense_are_refused(arguments, part):
    with pytest.raises(DataError, match=part):
        to_onnx(**{"network": make_network(), **arguments})


def test_without_onnxruntime_the_report_says_unchecked(onnx, monkeypatch):
    hide(monkeypatch, "onnxruntime")
    report = to_onnx(make_network())
    assert not report.checked
    assert "onnxruntime" in report.unchecked
    assert report.max_difference is None
    assert report.rows == 0
    assert "unchecked" in str(report)
    onnx.checker.check_model(report.content)


@pytest.mark.parametrize(("library", "export"), [("onnx", to_onnx), ("torch", save_torch)])
def test_a_missing_library_is_named_with_its_remedy(monkeypatch, tmp_path, library, export):
    hide(monkeypatch, library)
    with pytest.raises(BackendUnavailable, match=rf"relu-opt\[{library}\]"):
        export(make_network(), tmp_path / "m")
    assert not list(tmp_path.iterdir())


def hide(monkeypatch, library):
    """Make a library impossible to import."""
    real = builtins.__import__

    def without(name, *rest, **options):
        if name.split(".")[0] == library:
            raise ImportError(f"No module named {library!r}")
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)


# -- torch ---------------------------------------------------------------------------------


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def run_torch(torch, module, X):
    with torch.no_grad():
        return module(torch.tensor(X))[:, 0].numpy()


@pytest.mark.parametrize(("kind", "bias", "intercept", "neurons"), KINDS)
def test_torch_both_ways(torch, kind, bias, intercept, neurons):
    network = make_network(kind, intercept, neurons)
    full = np.random.default_rng(6).standard_normal((40, 4))
    full[:, -1] = 1.0 if bias else full[:, -1]
    X = full[:, :-1] if bias else full
    state = torch.get_rng_state()
    module = to_torch(network, bias=bias)
    assert torch.equal(state, torch.get_rng_state())
    found = run_torch(torch, module, X)
    np.testing.assert_allclose(found, network.predict(full), rtol=0, atol=1e-12)
    assert same(from_torch(module), network)
    if kind == "relu":
        assert [type(layer).__name__ for layer in module] == ["Linear", "ReLU", "Linear"]
        assert module[0].weight.requires_grad


@pytest.mark.parametrize("kind", ["relu", "gated"])
@pytest.mark.parametrize("bias", [False, True])
def test_torch_takes_raw_features(torch, kind, bias):
    network, preprocessing = make_network(kind), make_preprocessing(4, bias)
    X = np.random.default_rng(2).standard_normal((30, 4 - bias)) * 5
    found = run_torch(torch, to_torch(network, preprocessing), X)
    np.testing.assert_allclose(found, by_hand(network, preprocessing, X), rtol=0, atol=1e-11)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("bias", [False, True])
def test_a_module_trained_elsewhere_becomes_a_network(torch, dtype, bias):
    torch.manual_seed(0)
    nn = torch.nn
    module = nn.Sequential(nn.Linear(3, 7, bias=bias), nn.ReLU(), nn.Linear(7, 1, bias=bias))
    module = module.to(getattr(torch, dtype))
    network = from_torch(module)
    X = torch.randn(20, 3).to(getattr(torch, dtype))
    with torch.no_grad():
        expected = module.double()(X.double())[:, 0].numpy()
    rows = X.double().numpy()
    rows = np.column_stack([rows, np.ones(20)]) if bias else rows
    np.testing.assert_allclose(network.predict(rows), expected, rtol=0, atol=1e-12)
    assert (network.intercept != 0) == bias
    proof = ro.certify_network(network, rows, rows[:, 0], 0.1)
    assert proof.lower_bound <= proof.objective


def refused_modules(torch):
    nn = torch.nn

    def two(*between, outputs=1, dtype=None):
        return nn.Sequential(
            nn.Linear(3, 4, dtype=dtype), *between, nn.Linear(4, outputs, dtype=dtype)
        )

    nan = two(nn.ReLU())
    nan[0].weight.data[0, 0] = float("nan")
    hooked = two(nn.ReLU())
    hooked[0].register_forward_hook(lambda layer, inputs, output: 2 * output + 1)
    mixed = two(nn.ReLU())
    mixed[2].double()
    parametrized = two(nn.ReLU())
    nn.utils.parametrizations.weight_norm(parametrized[0])
    return {
        "deep": (two(nn.ReLU(), nn.Linear(4, 4), nn.ReLU()), "Sequential"),
        "tanh": (two(nn.Tanh()), "Tanh"),
        "leaky": (two(nn.LeakyReLU()), "LeakyReLU"),
        "dropout": (two(nn.ReLU(), nn.Dropout()), "Dropout"),
        "linear": (nn.Linear(3, 1), "Linear"),
        "empty": (nn.Sequential(), "empty"),
        "lazy": (nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.Linear(4, 1)), "LazyLinear"),
        "outputs": (two(nn.ReLU(), outputs=2), "2 outputs"),
        "none": (two(nn.ReLU(), outputs=0), "0 outputs"),
        "widths": (nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(5, 1)), "4 neurons"),
        "nan": (nan, "nan"),
        "hook": (hooked, "differ"),
        "mixed": (mixed, "cannot be run"),
        "parametrized": (parametrized, "ParametrizedLinear"),
        "meta": (two(nn.ReLU()).to("meta"), "meta"),
        "complex": (two(nn.ReLU(), dtype=torch.complex64), "complex"),
        "text": ("module", "str"),
    }


@pytest.mark.parametrize(
    "case",
    ["deep", "tanh", "leaky", "dropout", "linear", "empty", "lazy", "outputs", "none", "widths",
     "nan", "hook", "mixed", "parametrized", "meta", "complex", "text"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Initializing zero-element", "ignore:Lazy modules")
def test_other_modules_are_refused(torch, case):
    module, part = refused_modules(torch)[case]
    with pytest.raises(DataError, match=part):
        from_torch(module)


@pytest.mark.parametrize("kind", ["relu", "gated"])
@pytest.mark.parametrize("neurons", [0, 1, 5])
def test_torch_files_hold_the_module_and_nothing_pickled(torch, tmp_path, kind, neurons):
    network, preprocessing = make_network(kind, neurons=neurons), make_preprocessing(4, True)
    X = np.random.default_rng(2).standard_normal((30, 3))
    report = save_torch(network, tmp_path / "m.pt2", preprocessing, X=X)
    program = torch.export.load(tmp_path / "m.pt2").module()
    expected = by_hand(network, preprocessing, X)
    for rows in (X, X[:1]):
        found = run_torch(torch, program, rows)
        np.testing.assert_allclose(found, expected[: len(rows)], rtol=0, atol=1e-11)
    assert report.max_difference < 1e-11
    assert report.rows == 30
    with zipfile.ZipFile(tmp_path / "m.pt2") as archive:
        for name in archive.namelist():
            content = archive.read(name)
            # Torch's pickles are zip archives of their own, or begin with a protocol's number.
            assert content[:2] not in (b"PK", b"\x80\x02", b"\x80\x04"), name
            if name.endswith(".json"):
                assert "true" not in str(json.loads(content).get("use_pickle")), name
    labelled = save_torch(network, preprocessing=make_preprocessing(4, True, classes=(0.0, 1.0)))
    assert labelled.labels_changed == 0


def test_a_pruned_network_makes_a_smaller_module(torch):
    wide = make_network(neurons=50, d=3)
    X = np.random.default_rng(1).standard_normal((10, 3))
    narrow = ro.prune(wide, X, X[:, 0], lam=0.1).vertex
    sizes = [sum(each.numel() for each in to_torch(net).parameters()) for net in (wide, narrow)]
    assert sizes == [50 * 4 + 1, len(narrow) * 4 + 1]
    assert len(save_torch(narrow).content) < len(save_torch(wide).content)
