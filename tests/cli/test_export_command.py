"""`relu-opt export`: the files that it writes, what it says of them, and what it refuses."""

import json

import numpy as np
import pytest

from relu_opt.export import from_json
from relu_opt.tabular.model import Model
from relu_opt.tabular.tables import read_table

KEYS = {
    "bytes",
    "checked",
    "command",
    "drawn",
    "dtype",
    "features",
    "files",
    "labels_changed",
    "max_difference",
    "neurons",
    "reason",
    "relative_difference",
    "rows",
    "to",
}


@pytest.fixture
def predictions(trained):
    """What the model says of its table."""
    return Model.load(trained.model).predict(read_table(trained.data))


@pytest.fixture
def features(trained):
    return read_table(trained.data).matrix(["a", "b", "c", "label"])


def run_onnx(path, X):
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return session.run(None, {"X": X})


@pytest.mark.parametrize(("dtype", "limit"), [("float32", 1e-5), ("float64", 1e-12)])
def test_onnx_files_predict_from_the_columns_of_the_table(
    run, trained, folder, predictions, features, dtype, limit
):
    pytest.importorskip("onnx")
    out = folder / "m.onnx"
    arguments = ("export", trained.model, "--to", "onnx", "--out", out, "--dtype", dtype)
    result = run(*arguments, "--data", trained.data, "--json")
    assert (result.code, result.err) == (0, "")
    content = result.json
    assert set(content) == KEYS
    (found,) = run_onnx(out, features.astype(dtype))
    np.testing.assert_allclose(found, predictions, rtol=0, atol=limit)
    assert content["max_difference"] == np.abs(found - predictions).max()
    assert content["features"] == ["a", "b", "c", "label"]
    assert (content["rows"], content["drawn"], content["checked"]) == (40, False, True)
    assert (content["dtype"], content["bytes"]) == (dtype, out.stat().st_size)
    assert content["labels_changed"] is None
    # Single precision is what is written unless told otherwise.
    assert run(*arguments[:-2], "--json").json["dtype"] == "float32"


def test_the_words_say_how_close_the_file_is(run, trained, folder):
    pytest.importorskip("onnxruntime")
    result = run("export", trained.model, "--to", "onnx", "--out", "m.onnx")
    assert (result.code, result.err) == (0, "")
    for word in ("m.onnx", "float32", "4 features", "largest difference", "64 drawn rows"):
        assert word in " ".join(result.out.split())
    assert max(map(len, result.out.splitlines())) <= 80


def test_a_classifier_gives_labels(run, data, folder):
    pytest.importorskip("onnx")
    fit = ("fit", data, "--target", "label", "--loss", "logistic", "--gates", "20")
    assert run(*fit, "--out", "c.npz").code == 0
    arguments = ("export", "c.npz", "--to", "onnx", "--out", folder / "c.onnx", "--data", data)
    content = run(*arguments, "--json").json
    table = read_table(data)
    model = Model.load("c.npz")
    X = table.matrix(model.preprocessing.features).astype(np.float32)
    assert (run_onnx(folder / "c.onnx", X)[1] == model.predict(table)).all()
    assert content["labels_changed"] == 0


def test_json_files_keep_every_digit(run, trained, folder):
    content = run("export", trained.model, "--to", "json", "--out", "m.json", "--json").json
    network, preprocessing = from_json(folder / "m.json")
    model = Model.load(trained.model)
    assert (network.hidden == model.network.hidden).all()
    assert preprocessing == model.preprocessing
    assert (content["max_difference"], content["dtype"]) == (0.0, "float64")
    assert content["bytes"] == (folder / "m.json").stat().st_size
    assert json.loads((folder / "m.json").read_text())["preprocessing"]["features"]


def test_torch_files_predict_from_the_columns_of_the_table(
    run, trained, folder, predictions, features
):
    torch = pytest.importorskip("torch")
    arguments = ("export", trained.model, "--to", "torch", "--out", "m.pt2", "--json")
    content = run(*arguments, "--data", trained.data).json
    program = torch.export.load(folder / "m.pt2").module()
    with torch.no_grad():
        found = program(torch.tensor(features))[:, 0].numpy()
    np.testing.assert_allclose(found, predictions, rtol=0, atol=1e-12)
    assert content["max_difference"] < 1e-12
    assert content["bytes"] == (folder / "m.pt2").stat().st_size


def test_pruning_shrinks_the_file(run, trained, folder):
    assert run("prune", trained.model, trained.data, "--to", "2", "--out", "n.npz").code == 0
    sizes = {}
    for name in ("m", "n"):
        run("export", f"{name}.npz", "--to", "json", "--out", f"{name}.json")
        network, _ = from_json(folder / f"{name}.json")
        sizes[name] = (len(network), (folder / f"{name}.json").stat().st_size)
    assert sizes["n"][0] == 2 < sizes["m"][0]
    assert sizes["n"][1] < sizes["m"][1]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--to", "onx", "--out", "m.onnx"), "Did you mean 'onnx'"),
        (("--to", "json", "--out", "m.npz"), "another argument names the same file"),
        (("--to", "json", "--out", "data.csv", "--data", "data.csv"), "the same file"),
        (("--to", "json", "--out", "gone/m.json"), "no folder"),
        (("--to", "json", "--out", "."), "directory"),
        (("--to", "json", "--out", "m.json", "--dtype", "float32"), "is for onnx"),
        (("--to", "onnx", "--out", "m.onnx", "--dtype", "float16"), "float16"),
        (("--to", "json", "--out", "m.json", "--data", "gone.csv"), "gone.csv"),
        (("--to", "json"), "--out"),
        (("--out", "m.json"), "--to"),
    ],
)
def test_what_is_refused_leaves_all_files_alone(run, trained, folder, arguments, part):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    result = run("export", trained.model, *arguments)
    assert result.code == 2
    assert result.out == ""
    assert part in " ".join(result.err.split())
    again = run("export", trained.model, *arguments, "--json")
    assert again.code == 2
    assert part in again.json["error"]["message"]
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_table_without_the_features_is_refused(run, trained, folder):
    (folder / "other.csv").write_text("a,b\n1,2\n")
    arguments = ("export", trained.model, "--to", "json", "--out", "m.json", "--data", "other.csv")
    assert run(*arguments, "--json").json["error"]["column"] == "c"
    assert not (folder / "m.json").exists()


@pytest.mark.parametrize(("to", "library"), [("onnx", "onnx"), ("torch", "torch")])
def test_a_missing_library_is_named(run, trained, folder, monkeypatch, to, library):
    monkeypatch.setitem(__import__("sys").modules, library, None)
    result = run("export", trained.model, "--to", to, "--out", "m.bin")
    assert result.code == 2
    assert f"relu-opt[{library}]" in result.err
    assert not (folder / "m.bin").exists()


def test_without_onnxruntime_the_file_is_unchecked_and_that_is_said(run, trained, monkeypatch):
    pytest.importorskip("onnx")
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    result = run("export", trained.model, "--to", "onnx", "--out", "m.onnx")
    assert result.code == 0
    assert "unchecked" in result.out
    content = run("export", trained.model, "--to", "onnx", "--out", "m.onnx", "--json").json
    assert (content["checked"], content["max_difference"]) == (False, None)
    assert "onnxruntime" in content["reason"]
