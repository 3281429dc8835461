"""`relu-opt path`: the table, the files, the command to go on with, and what it refuses."""

import json
import shlex
import subprocess
import sys

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.tabular.model import Model
from relu_opt.tabular.tables import read_table

KEYS = {
    "advice",
    "backend",
    "bounds",
    "command",
    "data",
    "eps",
    "events",
    "events_stop",
    "files",
    "lams",
    "largest_gap",
    "losses",
    "neurons",
    "next",
    "objectives",
    "program",
    "reason",
    "rel_gaps",
    "seconds",
    "segment_gaps",
    "slopes",
    "stop",
    "tol",
    "tol_from",
    "validation",
    "verdict",
}
SHORT = ("--gates", "15", "--lam-min-ratio", "0.05")


def path(data, *arguments, target="y"):
    return ("path", data, "--target", target, *SHORT, *arguments)


def program_of(run, data, *options):
    """The training program and table of `fit` with the same options."""
    fitted = ("fit", data, "--target", "y", "--gates", "15", "--lam", "1", "--json", *options)
    assert run(*fitted).code == 0
    return Model.load("model.npz").program(read_table(data))


def test_the_numbers_are_those_of_the_library(run, data):
    result = run(*path(data, "--json"))
    assert result.code == 0
    assert result.err == ""
    content = result.json
    assert set(content) == KEYS
    assert content["command"] == "path"
    assert content["verdict"] == "certified"
    assert content["eps"] == 1e-3 >= content["largest_gap"]
    assert content["tol"] == 1e-8 >= max(content["rel_gaps"])
    assert content["validation"] is content["events"] is None
    ours = ro.solution_path(program_of(run, data), lam_min_ratio=0.05)
    for name in ("lams", "objectives", "losses", "slopes"):
        np.testing.assert_allclose(content[name], getattr(ours, name), rtol=1e-6)
    assert content["neurons"] == ours.neurons.tolist()
    np.testing.assert_allclose(content["segment_gaps"], ours.segment_gaps, rtol=1e-3, atol=1e-8)


def test_the_validation_is_that_of_the_library(run, data):
    arguments = ("--n-lams", "5", "--folds", "3", "--metric", "mse", "--seed", "2", "--json")
    found = run(*path(data, *arguments)).json["validation"]
    program = program_of(run, data, "--seed", "2")
    ours = ro.cross_validate(program, 3, n_lams=5, lam_min_ratio=0.05, metric="mse", seed=2)
    np.testing.assert_allclose(found["errors"], ours.errors, rtol=1e-5)
    np.testing.assert_allclose(found["train_errors"], ours.train_errors, rtol=1e-5)
    assert found["lam_best"] == pytest.approx(ours.lam_best)
    assert found["lam_one_se"] == pytest.approx(ours.lam_one_se)
    assert found["metric"] == "mse"
    assert found["complete"]
    assert found["certified"]


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        ("y", ()),
        ("y", ("--activation", "gated", "--no-bias", "--seed", "3")),
        ("label", ("--loss", "logistic", "--intercept", "--tol", "1e-7")),
        ("a", ("--no-standardize", "--backend", "native", "--option", "max_iter=90")),
    ],
)
def test_the_next_command_trains_the_network_of_the_best_lam(run, data, target, arguments):
    content = run(
        *path(data, "--n-lams", "4", "--folds", "2", *arguments, "--json", target=target)
    ).json
    command = shlex.split(content["next"])
    assert command[:2] == ["relu-opt", "fit"]
    fitted = run(*command[1:], "--json").json
    best = content["validation"]["best"]
    assert fitted["program"]["lam"] == pytest.approx(content["lams"][best], rel=1e-5)
    assert fitted["objective"] == pytest.approx(content["objectives"][best], rel=2e-5)
    named = {word for word in command if word.startswith("--")}
    given = {word for word in arguments if word.startswith("--")}
    assert named == {"--target", "--lam", "--gates"} | given


def test_a_person_gets_a_table_and_what_to_do_next(run, data):
    result = run(*path(data, "--folds", "2", "--lam-min-ratio", "0.01"))
    assert result.code == 0
    assert result.err == ""
    for word in ("objective", "to next", "neurons", "CV loss", "±", "best", "1 SE", "certified at"):
        assert word in result.out
    assert "The gap is at most" in " ".join(result.out.split())
    lines = result.out.splitlines()
    assert max(map(len, lines[:-1])) <= 80
    assert len(lines) <= 45
    assert lines[-1].split()[:2] == ["relu-opt", "fit"]
    assert "LAM" not in result.out
    assert "--lam LAM" in run(*path(data, "--n-lams", "2")).out


def test_a_long_path_is_shown_in_few_rows(run, data):
    arguments = path(data, "--n-lams", "30", "--folds", "2")
    table = run(*arguments).out.split("\n\n")[0].splitlines()[1:]
    assert len(table) <= 25
    content = run(*arguments, "--json").json
    assert len(content["lams"]) == 30
    shown = [float(line.split()[0]) for line in table]
    for k in (0, content["validation"]["best"], content["validation"]["one_se"], -1):
        assert min(abs(lam / content["lams"][k] - 1) for lam in shown) < 1e-3


def test_events_are_listed_and_located(run, data):
    content = run(*path(data, "--n-lams", "4", "--events", "--json")).json
    coarse = content["events"]
    kinds = {"enters", "leaves", "face"}
    assert coarse
    assert {event["kind"] for event in coarse} <= kinds
    arguments = path(data, "--n-lams", "4", "--events", "--event-tol", "0.05", "--out", "p.npz")
    result = run(*arguments, "--json").json
    assert len(result["lams"]) == 4
    assert all(e["lam_high"] <= 1.05 * e["lam_low"] * (1 + 1e-9) for e in result["events"])
    stored = ro.SolutionPath.load("p.npz", program_of(run, data))
    assert len(stored) > 4
    assert len(stored.events) == len(result["events"])
    worded = run(*arguments)
    assert "enters" in worded.out
    assert max(map(len, worded.out.splitlines()[:-1])) <= 80


def test_the_path_is_written_and_read(run, data):
    content = run(*path(data, "--out", "p.npz", "--json")).json
    stored = ro.SolutionPath.load("p.npz", program_of(run, data))
    np.testing.assert_array_equal(stored.lams, content["lams"])
    np.testing.assert_allclose(stored.objectives, content["objectives"], rtol=1e-12)
    assert stored.is_certified


@pytest.mark.parametrize("folds", [(), ("--folds", "2")])
def test_the_picture_is_drawn(run, data, folder, folds):
    pytest.importorskip("matplotlib")
    result = run(*path(data, "--plot", "p.png", *folds))
    assert result.code == 0
    assert "p.png" in result.out
    assert (folder / "p.png").read_bytes().startswith(b"\x89PNG")


def test_a_promise_that_is_not_kept_is_told(run, data):
    result = run(*path(data, "--option", "max_iter=1", "--n-lams", "3", "--eps", "1e-6"))
    assert result.code == 0
    assert "not certified" in result.out
    assert "was asked for" in " ".join(result.out.split())


def test_a_time_limit_is_a_result(run, data, clock):
    arguments = ("--lam-min-ratio", "1e-4", "--eps", "1e-6", "--time-limit", "200")
    content = run(*path(data, *arguments, "--json")).json
    assert content["verdict"] == "not_certified"
    assert content["stop"] == "time limit"
    assert "Ended early: time limit" in content["reason"]


INTERRUPTING = """
import os, signal, sys
from relu_opt.cli import main
from relu_opt.plugins.manager import observe

message = sys.argv.pop(1)
sent = []

def interrupt(event):
    # As Ctrl-C does, once.
    if event.message.startswith(message) and not sent:
        sent.append(True)
        os.kill(os.getpid(), signal.SIGINT)

with observe(interrupt):
    sys.exit(main())
"""


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("path, point 2", ["Ended early: interrupted", "stopped before all of them", "--lam LAM"]),
        ("fold 2 of 2", ["certified at tol", "stopped before all of them", "--lam LAM"]),
    ],
)
def test_after_ctrl_c_what_was_reached_is_shown_and_written(folder, data, message, words):
    command = [sys.executable, "-c", INTERRUPTING, message, *path(data, "--folds", "2")]
    done = subprocess.run(
        [*map(str, command), "--out", "p.npz"],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    for word in words:
        assert word in said
    assert (folder / "p.npz").is_file()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--eps", "0"), "eps is 0"),
        (("--eps", "2"), "eps is 2"),
        (("--n-lams", "1"), "n_lams is 1"),
        (("--lam-min-ratio", "1"), "lam_min_ratio is 1"),
        (("--folds", "1"), "folds is 1"),
        (("--folds", "41"), "40 rows"),
        (("--metric", "mse"), "Give --folds"),
        (("--folds", "2", "--metric", "rmse"), "Did you mean 'mse'"),
        (("--folds", "2", "--metric", "error_rate"), "labels"),
        (("--folds", "2", "--jobs", "0"), "n_jobs is 0"),
        (("--event-tol", "0.1"), "Give --events"),
        (("--events", "--event-tol", "0"), "tol is 0"),
        (("--loss", "squarred"), "Did you mean 'squared'"),
        (("--backend", "natve"), "Did you mean 'native'"),
        (("--option", "max_itr=3"), "Did you mean 'max_iter'"),
        (("--seed", "-1"), "seed is -1"),
        (("--config", "gone.toml"), "gone.toml"),
        (("--out", "data.csv"), "another argument names the same file"),
        (("--plot", "x.gif"), "endings .png, .svg, .pdf"),
        (("--plot", "x.png", "--out", "x.png"), "another argument names the same file"),
    ],
)
def test_what_is_refused_leaves_all_files_alone(run, data, folder, arguments, part):
    before = {file: file.read_bytes() for file in folder.iterdir()}
    result = run(*path(data, *arguments))
    assert result.code == 2
    assert result.out == ""
    assert part in " ".join(result.err.split())
    again = run(*path(data, *arguments, "--json"))
    assert again.code == 2
    assert part in json.loads(again.out)["error"]["message"]
    assert {file: file.read_bytes() for file in folder.iterdir()} == before


def test_a_target_without_a_path_is_told(run, folder):
    (folder / "flat.csv").write_text("a,b,y\n1,2,3\n4,5,3\n7,9,3\n")
    result = run("path", "flat.csv", "--target", "y", "--gates", "5")
    assert result.code == 2
    assert "no path" in result.err
