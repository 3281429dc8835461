"""`relu-opt fit`: what it writes, and where its settings come from."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

import relu_opt as ro
from relu_opt.tabular.model import Model
from relu_opt.tabular.tables import read_table

QUICK = ("--gates", "15", "--json")


def test_a_person_is_told_what_was_solved(run, data, folder):
    result = run("fit", data, "--target", "y", "--gates", "15")
    assert result.code == 0
    for word in ("40 rows", "4 features", "15 patterns", "native", "certified", "R²", "model.npz"):
        assert word in result.out
    assert max(map(len, result.out.splitlines())) <= 80
    assert result.err == ""
    assert (folder / "model.npz").is_file()


def test_json_is_one_object_and_the_files_hold_what_it_says(run, data, folder):
    result = run(
        "fit", data, "--target", "y", "--out", "m.npz", "--certificate", "c.npz", *QUICK
    ).json
    assert result["verdict"] == "certified"
    assert 0 <= result["objective"] - result["dual_objective"] <= 1e-8 * result["objective"] * 1.01
    model = Model.load(folder / "m.npz")
    table = read_table(data)
    program = model.program(table)
    objective = model.network.objective(program.X, program.y, model.lam)
    assert objective == pytest.approx(result["objective"], rel=1e-12)
    assert program.lam == result["program"]["lam"]
    assert len(model.network) == result["neurons"]
    residuals = model.predict(table) - table.numbers("y")
    assert np.sqrt(np.mean(residuals**2)) == pytest.approx(result["training_errors"]["rmse"])
    assert ro.verify(folder / "c.npz", program.X, program.y).valid
    assert model.provenance["backend"] == result["backend"]
    assert model.provenance["versions"]["relu-opt"]


def test_the_program_is_the_one_of_the_library(run, data):
    given = ("--lam", "0.003", "--seed", "7")
    result = run("fit", data, "--target", "label", *given, *QUICK).json
    raw = np.loadtxt(data, delimiter=",", skiprows=1)
    X = np.c_[StandardScaler().fit_transform(raw[:, :4]), np.ones(len(raw))] / 2
    y = StandardScaler().fit_transform(raw[:, 4:]).ravel()
    program = ro.ConvexProgram(X, y, 0.003, ro.sample_patterns(X, 15, 7))
    assert result["objective"] == pytest.approx(ro.solve(program).objective, rel=1e-7)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--loss", "logistic"),
        ("--loss", "squared_hinge"),
        ("--loss", "huber"),
        ("--activation", "gated"),
        ("--no-bias",),
        ("--no-standardize", "--lam", "0.01"),
        ("--intercept",),
    ],
)
def test_every_kind_of_program_is_certified_and_verified(run, data, arguments):
    fitted = run(
        "fit", data, "--target", "label", "--certificate", "c.npz", *QUICK, *arguments
    ).json
    assert fitted["verdict"] == "certified"
    assert run("verify", "c.npz", data).code == 0
    assert run("certify", "model.npz", data).code == 0


def test_classes_come_back_in_the_users_own_values(run, folder):
    file = folder / "classes.csv"
    rows = [f"{k},{(k * 7) % 5},{3 if k > 9 else 8}" for k in range(20)]
    file.write_text("a,b,kind\n" + "\n".join(rows))
    result = run("fit", file, "--target", "kind", "--loss", "logistic", *QUICK).json
    assert result["data"]["classes"] == [3, 8]
    model = Model.load(folder / "model.npz")
    predictions = model.predict(read_table(file))
    assert set(predictions) <= {3.0, 8.0}
    truth = read_table(file).numbers("kind")
    assert np.mean(predictions != truth) == result["training_errors"]["error_rate"]


def test_a_file_without_header_takes_the_target_by_position(run, data, folder):
    body = data.read_text().split("\n", 1)[1]
    (folder / "plain.csv").write_text(body)
    last = run("fit", "plain.csv", "--target", "-1", *QUICK).json
    fifth = run("fit", "plain.csv", "--target", "4", *QUICK).json
    assert last["data"]["target"] == fifth["data"]["target"] == "c4"
    assert last["objective"] == fifth["objective"]


def test_the_same_seed_gives_the_same_model(run, data, folder):
    for name in ("one.npz", "two.npz"):
        assert run("fit", data, "--target", "y", "--seed", "3", "--out", name, *QUICK).code == 0
    one, two = Model.load(folder / "one.npz"), Model.load(folder / "two.npz")
    np.testing.assert_array_equal(one.network.hidden, two.network.hidden)
    np.testing.assert_array_equal(one.gates, two.gates)


def test_argument_beats_environment_beats_file(run, data, folder, monkeypatch):
    def tol(*arguments):
        return run("fit", data, "--target", "y", *QUICK, *arguments).json["tol"]

    (folder / "relu-opt.toml").write_text("tol = 1e-3\n")
    assert tol() == 1e-3
    (folder / "other.toml").write_text("tol = 1e-4\n")
    assert tol("--config", "other.toml") == 1e-4
    monkeypatch.setenv("RELU_OPT_TOL", "1e-5")
    assert tol("--config", "other.toml") == 1e-5
    assert tol("--tol", "1e-6") == 1e-6
    monkeypatch.delenv("RELU_OPT_TOL")
    assert tol() == 1e-3


def test_options_reach_the_backend(run, data, folder):
    given = ("--option", "max_iter=77", "--threads", "1")
    assert run("fit", data, "--target", "y", "--backend", "native", *given, *QUICK).code == 0
    options = Model.load(folder / "model.npz").provenance["options"]
    assert options["max_iter"] == 77
    assert options["threads"] == 1


def test_a_limit_is_a_result_and_the_model_is_written(run, data, folder):
    limited = ("--option", "max_iter=1", "--lam", "1e-5", "--gates", "60", "--json")
    result = run("fit", data, "--target", "y", *limited)
    assert result.code == 0
    assert result.json["verdict"] == "not_certified"
    assert result.json["stop"] == "iteration limit"
    assert Model.load(folder / "model.npz").provenance["stop"] == "iteration limit"


def test_a_large_lam_gives_the_empty_network_certified(run, data):
    result = run("fit", data, "--target", "y", "--lam", "1e3", *QUICK).json
    assert result["neurons"] == 0
    assert result["verdict"] == "certified"
    assert run("certify", "model.npz", data).code == 0


def test_a_constant_target_is_certified(run, folder):
    (folder / "flat.csv").write_text("a,b,y\n1,2,3\n4,5,3\n7,9,3\n")
    result = run("fit", "flat.csv", "--target", "y", *QUICK).json
    assert result["verdict"] == "certified"
    assert result["training_errors"]["r2"] is None
    assert result["training_errors"]["rmse"] == 0


@pytest.mark.parametrize("ending", ["parquet", "npz"])
def test_other_formats_give_the_same_answer(run, data, folder, ending):
    table = read_table(data)
    if ending == "npz":
        np.savez(folder / "data.npz", **table.columns)
    else:
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.table(dict(table.columns)), folder / "data.parquet")
    from_csv = run("fit", data, "--target", "y", *QUICK).json
    other = run("fit", f"data.{ending}", "--target", "y", *QUICK).json
    assert other["objective"] == from_csv["objective"]


def test_all_patterns_are_searched_on_request(run, data, folder):
    path = folder / "two.csv"
    table = read_table(data)
    names = [name for name in table.names if name != "y"][:2]
    columns = np.column_stack([table.numbers(name) for name in [*names, "y"]])
    header = ",".join([*names, "y"])
    np.savetxt(path, columns, delimiter=",", header=header, comments="", fmt="%.17g")
    arguments = ("--target", "y", "--lam", "0.05", "--oracle", "auto", "--certificate", "c.npz")
    result = run("fit", path, *arguments, "--json").json
    assert (result["verdict"], result["program"]["scope"]) == ("certified", "all")
    assert result["rel_gap"] <= 1e-6
    sampled = run("fit", path, "--target", "y", "--lam", "0.05", *QUICK).json
    assert result["dual_objective"] <= sampled["objective"]
    told = run("verify", "c.npz", path, "--target", "y")
    assert told.code == 0
    assert "every ReLU network of any width" in " ".join(told.out.split())
    assert "all patterns" in run("fit", path, *arguments).out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--oracle", "cell"), "Unknown oracle"),
        (("--oracle", "auto", "--activation", "gated"), "for ReLU networks"),
    ],
)
def test_oracles_that_there_are_not(run, data, folder, arguments, said):
    result = run("fit", data, "--target", "y", *arguments)
    assert result.code == 2
    assert said in result.err
    assert not (folder / "model.npz").exists()
