"""`relu-opt certify` and `relu-opt verify`: exit codes, reports, and answers that were spoiled."""

import json

import numpy as np
import pytest

from relu_opt.cli.certify import show_certificate
from relu_opt.io import read_npz, write_npz
from relu_opt.model import Model
from relu_opt.tables import read_table


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


def test_verify_says_in_json_what_it_says_in_words(run, trained):
    result = run("verify", trained.certificate, trained.data, "--json").json
    assert result["valid"] is True
    assert result["problems"] == []
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
