"""`relu-opt prune`: the table, the files it writes, and what it refuses."""

import json

import numpy as np
import pytest

from relu_opt.program.network import ReLUNetwork
from relu_opt.pruning.prune import METHODS
from relu_opt.tabular.model import Model
from relu_opt.tabular.tables import read_table

KEYS = {
    "bound",
    "command",
    "exact_steps",
    "files",
    "lam",
    "losses",
    "method",
    "model_on_data",
    "metric",
    "minimal",
    "neurons_before",
    "objectives",
    "reason",
    "rel_gaps",
    "scope",
    "scores",
    "tol",
    "tol_from",
    "verdict",
    "vertex_neurons",
    "widths",
}


@pytest.fixture
def wide(trained):
    """The trained model with every neuron cut in three."""
    model = Model.load(trained.model)
    thirds = np.repeat(model.network.hidden / 3, 3, axis=0)
    network = ReLUNetwork(thirds, np.repeat(model.network.output, 3))
    object.__setattr__(model, "network", network)
    model.save(trained.model)
    return trained


def test_neurons_that_can_be_spared_go_and_the_model_stays_certified(run, wide, folder):
    before = Model.load(wide.model)
    result = run("prune", wide.model, wide.data, "--out", "narrow.npz", "--json")
    assert result.code == 0
    assert result.err == ""
    content = result.json
    assert set(content) == KEYS
    assert content["command"] == "prune"
    assert content["verdict"] == "certified"
    assert content["minimal"]
    assert content["exact_steps"] == len(content["widths"]) - 1
    assert content["neurons_before"] == content["widths"][0] == len(before.network)
    assert content["vertex_neurons"] == content["widths"][-1] <= len(before.network) // 3
    assert max(content["rel_gaps"]) <= 1e-8
    assert len({len(content[key]) for key in ("widths", "objectives", "losses", "scores")}) == 1
    after = Model.load("narrow.npz")
    table = read_table(wide.data)
    assert len(after.network) == content["widths"][-1]
    assert after.predict(table) == pytest.approx(before.predict(table), rel=1e-9)
    assert np.array_equal(after.nu, before.nu)
    assert np.array_equal(after.gates, before.gates)
    assert after.provenance["pruned"] == {
        "from": str(wide.model),
        "method": "optimal",
        "neurons": [content["widths"][0], content["widths"][-1]],
    }
    assert after.provenance["verdict"] == "certified"
    assert after.provenance["objective"] == pytest.approx(content["objectives"][-1], rel=1e-13)
    proved = run("certify", "narrow.npz", wide.data, "--json")
    assert proved.code == 0
    assert proved.json["kkt"]["primal"] == pytest.approx(content["objectives"][-1], rel=1e-13)
    assert run("prune", "narrow.npz", wide.data, "--json").json["exact_steps"] == 0


def test_the_table_says_what_was_done(run, wide):
    result = run("prune", wide.model, wide.data, "--to", "2", "--out", "narrow.npz")
    assert result.code == 0
    assert result.err == ""
    for word in ("neurons", "objective", "relative gap", "r2", "same fits", "minimal"):
        assert word in result.out
    assert "certified at tol" in result.out
    assert "narrow.npz" in result.out
    assert max(map(len, result.out.splitlines())) <= 80
    assert len(result.out.splitlines()) < 35
    last = [line.split() for line in result.out.splitlines() if line.strip()[:2] == "2 "]
    assert last
    assert len(Model.load("narrow.npz").network) == 2
    # What is left is not optimal any more, and `certify` says so.
    assert run("certify", "narrow.npz", wide.data).code == 1


@pytest.mark.parametrize("method", METHODS)
def test_every_method_goes_down_to_nothing(run, trained, method):
    arguments = ("prune", trained.model, trained.data, "--method", method, "--to", "0")
    content = run(*arguments, "--out", "none.npz", "--json").json
    assert content["widths"][-1] == 0
    assert content["method"] == method
    assert len(Model.load("none.npz").network) == 0
    table = read_table(trained.data)
    assert Model.load("none.npz").predict(table) == pytest.approx(table.numbers("y").mean())
    assert run("certify", "none.npz", trained.data).code == 1


def test_the_seed_chooses_the_random_order(run, trained):
    def losses(*seed):
        arguments = ("prune", trained.model, trained.data, "--method", "random", *seed, "--json")
        return run(*arguments).json["losses"]

    assert losses("--seed", "1") == losses("--seed", "1") != losses("--seed", "2")
    assert losses() == losses("--seed", "0")


def test_a_classifier_is_scored_by_its_accuracy(run, data):
    arguments = ("fit", data, "--target", "label", "--loss", "logistic", "--gates", "20")
    assert run(*arguments, "--out", "c.npz").code == 0
    content = run("prune", "c.npz", data, "--to", "1", "--json").json
    assert content["metric"] == "accuracy"
    model, table = Model.load("c.npz"), read_table(data)
    right = np.mean(model.predict(table) == table.numbers("label"))
    assert content["scores"][0] == pytest.approx(right)


@pytest.mark.parametrize("ending", ["png", "svg", "PDF"])
def test_the_curve_is_drawn(run, trained, folder, ending):
    pytest.importorskip("matplotlib")
    picture = folder / f"curve.{ending}"
    result = run("prune", trained.model, trained.data, "--to", "0", "--plot", picture)
    assert result.code == 0
    assert picture.name in "".join(result.out.split())
    starts = {"png": b"\x89PNG", "svg": b"<?xml", "PDF": b"%PDF"}
    assert picture.read_bytes().startswith(starts[ending])


def test_another_table_than_that_of_the_training_proves_nothing(run, trained, data):
    rows = data.read_text().splitlines()
    data.write_text("\n".join(rows[:1] + rows[20:]) + "\n")
    content = run("prune", trained.model, data, "--method", "magnitude", "--json").json
    assert content["verdict"] in ("inconclusive", "not_certified")
    if content["verdict"] == "inconclusive":
        assert content["bound"] is None
        assert set(content["rel_gaps"]) == {None}


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--method", "magnitud"), "Did you mean 'magnitude'"),
        (("--to", "-1"), "to is -1"),
        (("--to", "few"), "--to"),
        (("--seed", "-1"), "seed"),
        (("--target", "why"), "no column 'why'"),
        (("--out", "m.npz"), "another argument names the same file"),
        (("--out", "data.csv"), "another argument names the same file"),
        (("--out", "gone/x.npz"), "no folder"),
        (("--plot", "x.gif"), "endings .png, .svg, .pdf"),
        (("--plot", "x.png", "--out", "x.png"), "another argument names the same file"),
        (("--plot", "."), "directory"),
    ],
)
def test_what_is_refused_leaves_all_files_alone(run, trained, folder, arguments, part):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    result = run("prune", trained.model, trained.data, *arguments)
    assert result.code == 2
    assert result.out == ""
    assert part in " ".join(result.err.split())
    again = run("prune", trained.model, trained.data, *arguments, "--json")
    assert again.code == 2
    assert part in again.json["error"]["message"]
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_failing_plot_leaves_the_earlier_picture(run, trained, folder, monkeypatch):
    pytest.importorskip("matplotlib")
    picture = folder / "curve.png"
    picture.write_bytes(b"precious")

    def broken(figure, stream, **options):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", broken)
    result = run("prune", trained.model, trained.data, "--plot", picture)
    assert result.code == 2
    assert "No space left" in result.err
    assert picture.read_bytes() == b"precious"
    assert not [path for path in folder.iterdir() if path.name.startswith(".curve")]


def test_without_matplotlib_only_the_plot_is_refused(run, trained, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    result = run("prune", trained.model, trained.data, "--plot", "x.png", "--out", "n.npz")
    assert result.code == 2
    assert "relu-opt[plot]" in result.err
    assert run("prune", trained.model, trained.data, "--out", "n.npz").code == 0


def test_a_file_that_is_no_model_is_named(run, trained):
    result = run("prune", trained.certificate, trained.data, "--json")
    assert result.code == 2
    assert json.loads(result.out)["error"]["type"] == "DataError"
    assert run("prune", "gone.npz", trained.data).code == 2
