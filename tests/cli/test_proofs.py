"""`relu-opt certify` and `relu-opt verify`: exit codes, reports, and answers that were spoiled."""

import json
from dataclasses import replace

import numpy as np
import pytest

from relu_opt.cli.certify import show_certificate
from relu_opt.io import read_npz, write_npz
from relu_opt.tabular.model import Model
from relu_opt.tabular.tables import read_table


def spoil(file, kind, change):
    """Rewrite a result file with its arrays or its description changed."""
    arrays, meta = read_npz(file, kind)
    change(arrays, meta)
    write_npz(file, kind, arrays, meta)


def test_a_trained_model_is_certified(run, trained):
    result = run("certify", trained.model, trained.data)
    assert result.code == 0
    for word in ("objective", "relative gap", "stationarity", "within tol", "certified"):
        assert word in result.out
    assert max(map(len, result.out.splitlines())) <= 100


def test_certify_says_in_json_what_it_says_in_words(run, trained):
    result = run("certify", trained.model, trained.data, "--json").json
    assert result["verdict"] == "certified"
    assert result["kkt"]["rel_gap"] <= result["tol"] == 1e-8
    assert result["scope"] == "program"


def test_scope_own_is_certified_too(run, trained):
    result = run("certify", trained.model, trained.data, "--scope", "own", "--json")
    assert (result.code, result.json["scope"]) == (0, "own")


def test_certify_writes_a_certificate_that_verifies(run, trained, folder):
    assert run("certify", trained.model, trained.data, "--certificate", "new.npz").code == 0
    assert run("verify", "new.npz", trained.data).code == 0
    assert read_npz(folder / "new.npz", "certificate")[1]["preprocessing"]["target"] == "y"


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays, meta: arrays["output"].__imul__(1.01),
        lambda arrays, meta: arrays["output"].__imul__(-1),
        lambda arrays, meta: arrays["hidden"].__imul__(0.9),
        lambda arrays, meta: meta.update(lam=2 * meta["lam"]),
    ],
    ids=["weight scaled", "signs flipped", "layer scaled", "another lam"],
)
def test_a_spoiled_model_is_not_certified(run, trained, change):
    spoil(trained.model, "model", change)
    result = run("certify", trained.model, trained.data, "--json")
    assert result.code == 1
    assert result.json["verdict"] != "certified"


def test_other_data_do_not_certify_a_model(run, trained, folder):
    rows = trained.data.read_text().splitlines()
    (folder / "half.csv").write_text("\n".join(rows[:21]) + "\n")
    result = run("certify", trained.model, "half.csv", "--json")
    assert result.code == 1
    assert result.json["verdict"] != "certified"


def test_a_true_certificate_verifies(run, trained):
    result = run("verify", trained.certificate, trained.data)
    assert result.code == 0
    assert "certified" in result.out
    assert "these very data" in " ".join(result.out.split())


def test_verify_in_exact_arithmetic(run, trained):
    told = run("verify", trained.certificate, trained.data, "--exact")
    assert told.code == 0
    assert "Proved in exact arithmetic." in " ".join(told.out.split())
    for options, arithmetic in ((["--exact"], "exact"), ([], "float")):
        result = run("verify", trained.certificate, trained.data, *options, "--json").json
        assert (result["valid"], result["arithmetic"]) == (True, arithmetic)


def test_verify_says_in_json_what_it_says_in_words(run, trained):
    result = run("verify", trained.certificate, trained.data, "--json").json
    assert result["valid"] is True
    assert result["problems"] == []
    assert (result["target"], result["features"]) == ("y", ["a", "b", "c", "label"])
    said = ("scope", "loss", "weights", "coverage", "tol", "tol_from", "arithmetic")
    assert [result[name] for name in said] == [
        "program", "squared", False, "listed", 1e-8, "certificate", "float",
    ]  # fmt: skip
    assert result["lam"] == read_npz(trained.certificate, "certificate")[1]["lam"]
    assert result["standardisation"] == {"own": True, "differs_in": []}
    assert result["rel_gap"] <= 1e-8


def test_other_data_are_invalid(run, trained):
    text = trained.data.read_text().splitlines()
    cells = text[5].split(",")
    cells[1] = str(float(cells[1]) + 1e-3)
    trained.data.write_text("\n".join([*text[:5], ",".join(cells), *text[6:]]) + "\n")
    result = run("verify", trained.certificate, trained.data, "--json")
    assert result.code == 1
    assert result.json["verdict"] == "invalid"
    assert result.json["standardisation"] == {"own": False, "differs_in": ["b"]}
    assert "not of these data" not in result.out
    worded = run("verify", trained.certificate, trained.data)
    assert worded.code == 1
    assert "at tol" not in worded.out
    assert "standardised with those of other data (1 columns differ: b)" in " ".join(
        worded.out.split()
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays, meta: arrays["output"].__imul__(1.01),
        lambda arrays, meta: arrays["nu"].__imul__(1.5),
        lambda arrays, meta: arrays["rho_values"].__imul__(-1),
        lambda arrays, meta: arrays["hidden"].__setitem__(0, np.nan),
        lambda arrays, meta: meta.update(lam=2 * meta["lam"]),
        lambda arrays, meta: meta["preprocessing"].update(target_centre=1.0),
        lambda arrays, meta: meta["preprocessing"]["scale"].__setitem__(0, 2.0),
    ],
    ids=["weight", "nu", "rho", "nan", "lam", "target centre", "feature scale"],
)
def test_a_spoiled_certificate_is_invalid(run, trained, change):
    spoil(trained.certificate, "certificate", change)
    result = run("verify", trained.certificate, trained.data, "--json")
    assert result.code == 1
    assert result.json["verdict"] == "invalid"
    assert result.json["problems"]


def test_a_certificate_of_the_library_speaks_of_the_columns_as_they_are(run, trained, folder):
    model = Model.load(trained.model)
    program = model.program(read_table(trained.data))
    import relu_opt as ro

    ro.certify(program, model.network, nu=model.nu).save(folder / "library.npz")
    header = ",".join([f"x{k}" for k in range(program.d)] + ["y"])
    np.savetxt(
        "rows.csv",
        np.c_[program.X, program.y],
        delimiter=",",
        header=header,
        comments="",
        fmt="%.17g",
    )
    result = run("verify", "library.npz", "rows.csv", "--target", "y")
    assert result.code == 0
    assert "as they are" in " ".join(result.out.split())
    missing = run("verify", "library.npz", "rows.csv")
    assert missing.code == 2
    assert "--target" in missing.err


def test_a_network_trained_elsewhere_gets_its_true_gap(run, trained):
    model = Model.load(trained.model)
    best = read_npz(trained.certificate, "certificate")[1]["dual"]
    spoil(trained.model, "model", lambda arrays, meta: arrays["output"].__imul__(1.01))
    kkt = run("certify", trained.model, trained.data, "--json").json["kkt"]
    program = model.program(read_table(trained.data))
    spoiled = Model.load(trained.model).network.balance()
    truth = spoiled.objective(program.X, program.y, program.lam)
    assert kkt["primal"] == pytest.approx(truth, rel=1e-12)
    assert kkt["dual"] == pytest.approx(best, rel=1e-9)


def test_the_report_has_a_word_for_what_fails(run, trained, capsys):
    import relu_opt as ro

    model = Model.load(trained.model)
    program = model.program(read_table(trained.data))
    bad = ro.ReLUNetwork(model.network.hidden, -model.network.output)
    show_certificate(ro.certify(program, bad), "spoiled")
    printed = capsys.readouterr().out
    assert "above tol 1e-08" in printed
    assert "above 1e-04" in printed
    assert "not certified" in printed


def test_json_is_strict(run, trained):
    spoil(trained.certificate, "certificate", lambda arrays, meta: meta.update(fingerprint="no"))
    result = run("verify", trained.certificate, trained.data, "--json")
    refuse = pytest.fail
    content = json.loads(result.out, parse_constant=lambda name: refuse(f"{name} in JSON"))
    assert content["objective"] is None


# -- what the file says of the data --------------------------------------------------------


def forged(trained, **changes):
    """A certificate that is true of the table's columns prepared in another way than `fit` does."""
    import relu_opt as ro
    from relu_opt.tabular.preprocessing import Preprocessing

    table = read_table(trained.data)
    own = Preprocessing.fit(table, "y")
    other = replace(own, **{name: change(getattr(own, name)) for name, change in changes.items()})
    X, y = other.transform(table), other.targets(table)
    solution = ro.solve(ro.ConvexProgram(X, y, 0.01, ro.sample_patterns(X, 10)))
    solution.certificate.save(trained.certificate, extra={"preprocessing": other.to_meta()})
    assert ro.verify(trained.certificate, X, y).valid


def one_less(columns):
    return columns[:-1]


def swapped(columns):
    return (columns[1], columns[0], *columns[2:])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"centre": one_less, "scale": one_less, "features": one_less}, "The features are"),
        ({"centre": swapped, "scale": swapped, "features": swapped}, "The features are"),
        ({"features": swapped}, "The features are"),
        ({"features": lambda names: ("y", *names[1:])}, "The features are"),
        ({"features": lambda names: (names[0],) * len(names)}, "damaged"),
        ({"target": lambda name: "label"}, "The features are"),
        ({"scale": lambda sizes: (2 * sizes[0], *sizes[1:])}, "not those of the columns 'a'"),
        ({"centre": lambda means: (*means[:-1], 7.0)}, "not those of the columns 'label'"),
        ({"target_scale": lambda size: 1e6 * size}, "not those of the columns 'y'"),
        ({"target_centre": lambda mean: mean + 1}, "not those of the columns 'y'"),
        ({"standardize": lambda flag: False}, "The means or deviations"),
    ],
    ids=[
        "fewer",
        "swapped",
        "other-order",
        "target-among-features",
        "one-twice",
        "other-target",
        "other-scale",
        "other-mean",
        "other-unit",
        "other-offset",
        "not-standardised",
    ],
)
def test_a_preparation_that_is_not_the_table_s_own_is_a_problem(run, trained, changes, problem):
    forged(trained, **changes)
    result = run("verify", trained.certificate, trained.data, "--json")
    if problem == "damaged":
        assert (result.code, problem in result.json["error"]["message"]) == (2, True)
        return
    assert (result.code, result.json["verdict"]) == (1, "invalid")
    assert any(problem in text for text in result.json["problems"])
    assert result.json["statement"].startswith("Nothing is proved")
    assert run("verify", trained.certificate, trained.data).code == 1


def test_preparations_that_fit_makes_are_the_table_s_own(run, data):
    for given in (
        ("--no-standardize", "--lam", "0.1"),
        ("--no-bias",),
        ("--target", "label", "--loss", "logistic"),
        ("--target", "0", "--gates", "5"),
    ):
        target = () if "--target" in given else ("--target", "y")
        fitted = run("fit", data, *target, "--gates", 10, *given, "--certificate", "c.npz")
        assert fitted.code == 0
        result = run("verify", "c.npz", data, "--json")
        assert (result.code, result.json["problems"]) == (0, [])


def test_the_classes_are_those_of_the_table(run, data):
    arguments = ("--loss", "logistic", "--gates", 10, "--certificate", "c.npz")
    run("fit", data, "--target", "label", *arguments)

    def flip(arrays, meta):
        meta["preprocessing"]["classes"] = [-1.0, 1.0]

    spoil("c.npz", "certificate", flip)
    assert run("verify", "c.npz", data).code == 2  # the table holds another class


def test_the_target_is_named_and_has_to_be_the_one_asked_for(run, trained):
    shown = " ".join(run("verify", trained.certificate, trained.data).out.split())
    assert "target 'y'" in shown
    assert "features 'a', 'b', 'c', 'label'" in shown
    assert run("verify", trained.certificate, trained.data, "--target", "y").code == 0
    assert run("verify", trained.certificate, trained.data, "--target", "3").code == 0
    other = run("verify", trained.certificate, trained.data, "--target", "label", "--json")
    assert other.code == 1
    assert (
        "The target asked for is 'label', and the certificate's is 'y'." in other.json["problems"]
    )
    assert run("verify", trained.certificate, trained.data, "--target", "z").code == 2


def test_demands_refuse_less(run, trained):
    lam = read_npz(trained.certificate, "certificate")[1]["lam"]
    verify = ("verify", trained.certificate, trained.data)
    assert run(*verify, "--require-scope", "program", "--require-loss", "squared").code == 0
    assert run(*verify, "--require-lam", repr(lam), "--tol", "1e-6").code == 0
    for demand in (
        ("--require-scope", "all"),
        ("--require-lam", "1e300"),
        ("--require-loss", "hinge"),
        ("--tol", "1e-15"),
    ):
        result = run(*verify, *demand, "--json")
        assert result.code == 1
        assert result.json["verdict"] == "inconclusive"
    for wrong in (("--require-scope", "most"), ("--tol", "1"), ("--tol", "0"), ("--tol", "nan")):
        assert run(*verify, *wrong).code == 2


def test_certificates_that_no_table_can_be_held_against(run, data, folder):
    import relu_opt as ro

    rng = np.random.default_rng(0)
    X = rng.standard_normal((8, 2))
    ro.several_outputs.train_vector(X, X, 0.1).certificate.save(folder / "v.npz")
    refused = run("verify", "v.npz", data, "--target", "y")
    assert refused.code == 2
    assert "several outputs" in refused.err


def test_a_spline_is_verified_on_its_two_columns(run, folder):
    import relu_opt as ro

    x = np.linspace(0, 1, 9)
    np.savez(folder / "xy.npz", x=x, y=np.abs(x - 0.4))
    ro.one_input.fit_spline(x, np.abs(x - 0.4), 0.01).certificate.save(folder / "s.npz")
    assert run("verify", "s.npz", "xy.npz", "--target", "y").code == 0


# -- the tol of a verdict, and where it came from ------------------------------------------


def test_every_verdict_names_its_tol_and_where_it_came_from(run, trained, folder, monkeypatch):
    fit = ("fit", trained.data, "--target", "y", "--gates", 10)
    commands = {
        "fit": fit,
        "certify": ("certify", trained.model, trained.data),
        "prune": ("prune", trained.model, trained.data),
        "path": ("path", trained.data, "--target", "y", "--gates", 5, "--n-lams", 3),
    }
    for command in commands.values():
        assert "at tol 1e-08." in " ".join(run(*command).out.split())
        assert run(*command, "--json").json["tol_from"] == "default"
    outer = folder / "relu-opt.toml"
    outer.write_text("tol = 0.25\n")
    (folder / "inner").mkdir()
    monkeypatch.chdir(folder / "inner")
    for command in commands.values():
        shown = "".join(run(*command).out.split())
        assert f"attol0.25of{outer}" in shown
        found = run(*command, "--json").json
        assert (found["tol"], found["tol_from"]) == (0.25, str(outer))
    monkeypatch.setenv("RELU_OPT_TOL", "0.125")
    assert "at tol 0.125 of RELU_OPT_TOL" in " ".join(run(*commands["certify"]).out.split())
    shown = " ".join(run(*commands["certify"], "--tol", "0.5").out.split())
    assert "at tol 0.5 of --tol" in shown
    shown = " ".join(run("verify", trained.certificate, trained.data).out.split())
    assert "at tol 1e-08 of the certificate" in shown
    outer.write_text("tol = 1e6\n")
    monkeypatch.delenv("RELU_OPT_TOL")
    refused = run(*commands["fit"])
    assert (refused.code, str(outer) in "".join(refused.err.split())) == (2, True)
    oracle = ("--oracle", "auto", "--no-standardize")
    small = folder / "small.csv"
    small.write_text("a,y\n1,2\n2,1\n3,4\n")
    outer.unlink()
    assert run("fit", small, "--target", "y", *oracle, "--json").json["tol"] == 1e-6
    monkeypatch.setenv("RELU_OPT_TOL", "1e-4")
    assert run("fit", small, "--target", "y", *oracle, "--json").json["tol"] == 1e-4
