"""`relu-opt sensitivity`: numbers, verdicts, and bad input."""

from __future__ import annotations

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.tabular.model import Model
from relu_opt.tabular.standing import Standing
from relu_opt.tabular.tables import read_table


def test_numbers_as_json(run, trained):
    answer = run("sensitivity", trained.model, trained.data, "--rows", "3", "--json")
    assert answer.code == 0
    found = answer.json
    assert found["command"] == "sensitivity"
    assert found["differentiable"]
    assert found["rel_gap"] <= 1e-10
    assert set(found["margins"]) == {"independence", "size", "off", "face", "slack", "kink"}
    model = Model.load(trained.model)
    table = read_table(trained.data)
    program = model.program(table)
    result = ro.sensitivity(ro.solve(program, tol=1e-12))
    assert found["dof"] == pytest.approx(result.dof, rel=1e-6)
    assert found["dof"] == pytest.approx(sum(found["leverages"]), rel=1e-9)
    np.testing.assert_allclose(found["leverages"], result.leverages, atol=1e-7)
    assert found["objective_d_lam"] == pytest.approx(sum(n["size"] for n in found["neurons"]))
    # Slopes of sizes and predictions, in the target's units, by solving at two λ.
    step = 1e-5 * program.lam
    ends = [ro.solve(program.with_lam(program.lam + h), tol=1e-12) for h in (step, -step)]
    sets = [ro.optimal_set(end) for end in ends]
    networks = [S.element(S.polytope.start) for S in sets]
    total = sum((s.output**2).sum() * sign for s, sign in zip(networks, (1, -1), strict=True))
    assert sum(n["size_d_lam"] for n in found["neurons"]) == pytest.approx(
        total / (2 * step), rel=1e-4
    )
    X = model.preprocessing.transform(table)[:3]
    for each, row in zip(found["predictions"], X, strict=True):
        if each["kink"]:
            assert each["d_lam"] is None
            continue
        up, down = (
            model.preprocessing.restore(network.predict(row[None, :]))[0] for network in networks
        )
        assert each["d_lam"] == pytest.approx((up - down) / (2 * step), rel=1e-3, abs=1e-6)


def test_a_table_for_people(run, trained):
    answer = run("sensitivity", trained.model, trained.data, "--rows", "2")
    assert answer.code == 0
    for word in ("Differentiable", "margins", "degrees of freedom", "leverages", "1% more lam"):
        assert word in answer.out
    assert "prediction" not in run("sensitivity", trained.model, trained.data, "--rows", "0").out


def test_no_number_without_a_derivative(run, trained, monkeypatch):
    """Two optimal networks: the model's program is replaced by one that has more."""
    from symmetric import crosspolytope

    prog = crosspolytope([1.0, 2.0, -1.5], lam=0.02)
    monkeypatch.setattr(Model, "optimum", lambda *_: ro.solve(prog, tol=1e-12))
    # The model's network is not of that program.
    own = Standing(True, 1.0, 0.0, None)
    monkeypatch.setattr("relu_opt.tabular.standing.standing", lambda *_: own)
    found = run("sensitivity", trained.model, trained.data, "--rows", "0", "--json").json
    assert not found["differentiable"]
    assert found["reason"].startswith("Not differentiable: ")
    assert found["dof"] is None
    assert found["leverages"] is None
    assert {each["size_d_lam"] for each in found["neurons"]} == {None}
    text = run("sensitivity", trained.model, trained.data, "--rows", "0").out
    assert "Not differentiable" in text
    assert "degrees" not in text
    minimal = run("sensitivity", trained.model, trained.data, "--rows", "0", "--minimal", "--json")
    assert minimal.json["differentiable"]
    assert minimal.json["dof"] > 0


def test_bad_input(run, trained, folder):
    assert run("sensitivity", trained.model, trained.data, "--rows", "-1").code == 2
    assert run("sensitivity", folder / "none.npz", trained.data).code == 2
    assert run("sensitivity", trained.data, trained.data).code == 2
    (folder / "q.csv").write_text("a\n1\n")
    answer = run("sensitivity", trained.model, trained.data, "--query", folder / "q.csv")
    assert answer.code == 2
