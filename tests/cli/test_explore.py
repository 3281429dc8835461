"""`relu-opt explore`: facts, ranges, a picture, and bad input."""

from dataclasses import replace

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.tabular.model import Model
from relu_opt.tabular.standing import standing
from relu_opt.tabular.tables import read_table


def test_facts_as_json(run, trained):
    answer = run("explore", trained.model, trained.data, "--rows", "3", "--json")
    assert answer.code == 0
    found = answer.json
    assert found["command"] == "explore"
    assert found["unique"] == (found["network_dim"] == 0)
    assert found["convex_dim"] >= found["network_dim"]
    assert found["narrowest"]["bound"] <= found["narrowest"]["neurons"]
    assert found["rel_gap"] <= 1e-8
    assert found["near_predictions"] is None
    assert [each["row"] for each in found["predictions"]] == [0, 1, 2]
    # In the target's own units, as fit reports them.
    truth = np.genfromtxt(trained.data, delimiter=",", names=True)["y"][:3]
    for each, value in zip(found["predictions"], truth, strict=True):
        assert each["lower_bound"] <= each["lower"] <= each["upper"] <= each["upper_bound"]
        assert abs(each["lower"] - value) < 0.5
    for neuron in found["neurons"]:
        assert 0 <= neuron["lower"] <= neuron["upper"]


def test_near_optimal_ranges_hold_the_exact_ones(run, trained):
    arguments = ("--rows", "2", "--eps", "0.05", "--json")
    found = run("explore", trained.model, trained.data, *arguments).json
    for exact, near in zip(found["predictions"], found["near_predictions"], strict=True):
        assert near["lower_bound"] <= near["lower"] < exact["lower"]
        assert exact["upper"] < near["upper"] <= near["upper_bound"]


def test_a_table_for_people(run, trained):
    answer = run("explore", trained.model, trained.data, "--rows", "2", "--eps", "0.05")
    assert answer.code == 0
    for word in ("networks", "nique", "narrowest", "dimension", "row", "lowest", "flips"):
        assert word in answer.out
    assert "proved" in answer.out
    quiet = run("explore", trained.model, trained.data, "--rows", "0")
    assert "lowest" not in quiet.out


@pytest.mark.parametrize("name", ["p.png", "p.svg", "p.pdf"])
def test_a_picture(run, trained, folder, name):
    pytest.importorskip("matplotlib")
    arguments = ("--rows", "2", "--eps", "0.05", "--plot", folder / name)
    assert run("explore", trained.model, trained.data, *arguments).code == 0
    start = {"p.png": b"\x89PNG", "p.svg": b"<?xml", "p.pdf": b"%PDF"}[name]
    assert (folder / name).read_bytes().startswith(start)


def test_queries_from_another_table(run, trained, folder):
    (folder / "q.csv").write_text("a,b,c,label\n0.5,4,1,0\n0.1,7,1,1\n")
    found = run("explore", trained.model, trained.data, "--query", folder / "q.csv", "--json").json
    assert len(found["predictions"]) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--eps", "0"], "--eps"),
        (["--eps", "nan"], "--eps"),
        (["--eps", "1e300"], "eps is"),
        (["--rows", "-1"], "--rows"),
        (["--plot", "nowhere/p.png"], "no folder"),
        (["--query", "absent.csv"], "absent.csv"),
        (["--target", "none"], "none"),
    ],
)
def test_bad_input(run, trained, arguments, says):
    answer = run("explore", trained.model, trained.data, *arguments)
    assert answer.code == 2
    assert says in answer.err
    assert not answer.out


def test_an_unknown_kind_of_picture_leaves_the_file_alone(run, trained, folder):
    pytest.importorskip("matplotlib")
    file = folder / "p.xyz"
    file.write_text("mine")
    answer = run("explore", trained.model, trained.data, "--rows", "1", "--plot", file)
    assert answer.code == 2
    assert "picture" in answer.err
    assert file.read_text() == "mine"


def test_an_interrupt_ends_the_rows_and_says_so(run, trained, monkeypatch):
    calls = []

    def interrupted(*arguments, **options):
        calls.append(1)
        found = ro.solve(*arguments, **options)
        return replace(found, stop=ro.plugins.StopReason.INTERRUPTED)

    monkeypatch.setattr("relu_opt.sets.stacking.solve", interrupted)
    arguments = ("--rows", "3", "--eps", "0.05")
    found = run("explore", trained.model, trained.data, *arguments, "--json").json
    assert len(calls) == 1
    assert found["interrupted"]
    assert [each["upper_bound"] for each in found["near_predictions"]] == [None, None, None]
    shown = run("explore", trained.model, trained.data, *arguments).out
    assert "Interrupted" in shown
    assert "?" in shown


def test_a_flip_is_denied_with_a_proof_only(run, data):
    arguments = ("--target", "label", "--loss", "logistic", "--gates", "10", "--out", "c.npz")
    assert run("fit", data, *arguments).code == 0
    found = run("explore", "c.npz", data, "--rows", "8", "--eps", "0.3", "--json").json
    assert not found["interrupted"]
    for each in found["near_predictions"]:
        crosses = each["lower"] < 0 <= each["upper"]
        agrees = each["lower_bound"] >= 0 or each["upper_bound"] < 0
        assert each["class_can_flip"] == (True if crosses else False if agrees else None)
    assert {each["class_can_flip"] for each in found["near_predictions"]} >= {False}


@pytest.mark.parametrize("backend", ["native", "highs", "clarabel", "cvxpy"])
@pytest.mark.parametrize("command", ["explore", "sensitivity", "prune"])
def test_a_default_backend_is_no_start_that_nobody_gave(
    run, trained, monkeypatch, command, backend
):
    monkeypatch.setenv("RELU_OPT_BACKEND", backend)
    rows = () if command == "prune" else ("--rows", "1")
    answer = run(command, trained.model, trained.data, *rows, "--json")
    assert answer.code == 0, answer.out
    assert answer.json["model_on_data"]["note"] == ""
    assert answer.json["model_on_data"]["same_data"]


@pytest.mark.parametrize("command", ["explore", "sensitivity"])
def test_the_hinge_loss_is_refused_for_its_kinks(run, data, command):
    arguments = ("--target", "label", "--loss", "hinge", "--gates", "5", "--out", "h.npz")
    assert run("fit", data, *arguments).code == 0
    assert run("certify", "h.npz", data).code == 0
    answer = run(command, "h.npz", data)
    assert answer.code == 2
    assert "hinge loss" in answer.err
    assert "squared_hinge" in answer.err
    assert "warm_start" not in answer.err


@pytest.mark.parametrize("command", ["explore", "sensitivity", "prune", "report"])
def test_other_data_than_those_of_the_training_are_told(run, trained, folder, command):
    lines = trained.data.read_text().splitlines()
    other = folder / "other.csv"
    rows = ("--no-path",) if command == "report" else ()
    for kept in (lines[:1] + lines[3:], lines[:1] + lines[:0:-1]):
        other.write_text("\n".join(kept) + "\n")
        own = run(command, trained.model, other, *rows, "--json").json["model_on_data"]
        assert not own["same_data"]
        assert "not the data that the model was trained on" in own["note"]
        shown = " ".join(run(command, trained.model, other, *rows).out.split())
        assert "not the data that the model was trained on" in shown
    own = run(command, trained.model, trained.data, *rows, "--json").json["model_on_data"]
    assert own["same_data"]
    assert own["rel_gap"] <= 1e-7
    assert own["note"] == ""


def test_a_model_that_does_not_say_what_it_was_trained_on_is_judged_by_its_gap(trained):
    model = Model.load(trained.model)
    model = replace(model, provenance={**model.provenance, "fingerprint": None})
    program = model.program(read_table(trained.data))
    best = ro.solve(program, tol=1e-10).lower_bound
    assert standing(model, program, best).is_own
    moved = replace(program, y=program.y + 0.1)
    assert not standing(model, moved, ro.solve(moved).lower_bound).is_own
