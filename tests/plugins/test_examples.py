"""The two example distributions, installed into a fresh environment and used by name."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
import textwrap
import venv
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
# Distributions are built and installed.
pytestmark = pytest.mark.slow
COMMAND = "import sys; from relu_opt.cli import main; sys.exit(main())"


class Environment:
    """A virtual environment that sees the packages of this one, and has plugins of its own."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False, symlinks=True)
        self.python = folder / "bin" / "python"
        site = Path(
            self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
        )
        parent = sysconfig.get_path("purelib")
        (site / "parent.pth").write_text(f"import site; site.addsitedir({parent!r})\n")

    def run(self, *arguments: str | Path, **environment: str) -> str:
        """Run Python there; what it printed."""
        done = subprocess.run(
            [self.python, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **environment},
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """An environment with the examples, built and installed by pip."""
    environment = Environment(tmp_path_factory.mktemp("venv"))
    for name in ("example_third_party", "example_wrapper", "example_loss"):
        options = ("--no-deps", "--no-build-isolation", "--quiet", "--disable-pip-version-check")
        environment.run("-m", "pip", "install", *options, ROOT / "plugins" / name)
    return environment


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A small CSV file with the target `kink`."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 2))
    rows = np.c_[x, np.abs(x[:, 0])]
    path = tmp_path_factory.mktemp("data") / "train.csv"
    np.savetxt(path, rows, delimiter=",", header="a,b,kink", comments="")
    return path


def test_the_examples_are_as_short_as_they_say():
    folder = ROOT / "plugins" / "example_third_party"
    assert [path.name for path in sorted(folder.glob("relu*.py"))] == ["relu_opt_scs.py"]
    assert len((folder / "relu_opt_scs.py").read_text().splitlines()) <= 25
    lines = (folder / "test_conformance.py").read_text().splitlines()
    assert len([line for line in lines if line]) <= 4


def test_a_stranger_is_listed_and_used_by_name(fresh, table, tmp_path):
    listed = json.loads(fresh.run("-c", COMMAND, "backends", "--json"))["backends"]
    mine = {each["name"]: each for each in listed}["scs"]
    assert (mine["distribution"], mine["state"]) == ("relu-opt-scs", "ready")
    assert mine["takes"] == ["ConicProgram"]
    model = tmp_path / "model.npz"
    arguments = ["fit", table, "--target", "kink", "--gates", "15", "--tol", "1e-6", "--json"]
    found = json.loads(fresh.run("-c", COMMAND, *arguments, "--backend", "scs", "--out", model))
    assert found["backend"] == "scs"
    assert found["verdict"] == "certified"
    assert model.exists()


def test_a_stranger_is_chosen_in_a_config_file(fresh, table, tmp_path):
    config = tmp_path / "relu-opt.toml"
    config.write_text('backend = "scs"\ntol = 1e-5\n')
    arguments = ["fit", table, "--target", "kink", "--gates", "15", "--json", "--config", config]
    found = json.loads(fresh.run("-c", COMMAND, *arguments, "--out", tmp_path / "model.npz"))
    assert (found["backend"], found["verdict"]) == ("scs", "certified")


def test_a_strangers_loss_is_trained_and_rechecked_by_its_name(fresh, table, tmp_path):
    model, proof = tmp_path / "model.npz", tmp_path / "proof.npz"
    arguments = ["fit", table, "--target", "kink", "--gates", "15", "--loss", "pseudo_huber"]
    arguments += ["--out", model, "--certificate", proof, "--json"]
    found = json.loads(fresh.run("-c", COMMAND, *arguments))
    assert found["verdict"] == "certified"
    for more in ([], ["--exact"]):
        again = fresh.run("-c", COMMAND, "verify", proof, table, "--json", *more)
        assert json.loads(again)["verdict"] == "certified"
    alone = """
        import sys
        from relu_opt.verify import verify
        import numpy as np
        found = verify(sys.argv[1], np.zeros((3, 2)), np.zeros(3))
        assert "other data" in found.problems[0], found.problems
        assert "relu_opt.program" not in sys.modules
    """
    fresh.run("-c", textwrap.dedent(alone), proof)


def test_the_strangers_conformance_test_passes(fresh, tmp_path):
    test = ROOT / "plugins" / "example_third_party" / "test_conformance.py"
    options = ("-q", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={tmp_path}")
    printed = fresh.run("-m", "pytest", *options, test)
    assert "passed" in printed
    assert "failed" not in printed


def test_the_wrapper_keeps_a_journal_of_every_backend(fresh, table, tmp_path):
    journal = tmp_path / "journal.jsonl"
    arguments = ["fit", table, "--target", "kink", "--gates", "15", "--tol", "1e-5", "--json"]
    for backend in ("native", "scs"):
        out = tmp_path / f"{backend}.npz"
        fresh.run(
            "-c", COMMAND, *arguments, "--backend", backend, "--out", out,
            RELU_OPT_JOURNAL=str(journal),
        )  # fmt: skip
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [(line["backend"], line["program"]) for line in lines] == [
        ("native", "ConvexProgram"),
        ("scs", "ConicProgram"),
    ]
    assert all(line["stop"] == "converged" and line["seconds"] >= 0 for line in lines)


def test_the_wrapper_notes_failures_too(fresh, tmp_path):
    journal = tmp_path / "journal.jsonl"
    code = """
import relu_opt as ro
from relu_opt.plugins import Availability, BackendInfo, State, hookimpl
from relu_opt.plugins.manager import registry

class Broken:
    def solve(self, program, options):
        raise ZeroDivisionError("no")

class Plugin:
    @hookimpl
    def relu_opt_backends(self):
        ready = Availability(State.READY)
        return [BackendInfo("broken", Broken, lambda: ready, frozenset({ro.LinearProgram}))]

registry().add("broken", "dist", Plugin)
try:
    ro.solve_program(ro.LinearProgram(c=[1.0], lower=0.0), "broken")
except ro.errors.SolveFailed as error:
    print(type(error.__cause__).__name__)
"""
    assert fresh.run("-c", code, RELU_OPT_JOURNAL=str(journal)).strip() == "ZeroDivisionError"
    (line,) = [json.loads(line) for line in journal.read_text().splitlines()]
    assert line["error"] == "ZeroDivisionError"


def test_without_the_variable_nothing_is_written(fresh, tmp_path):
    code = "import relu_opt as ro; ro.solve_program(ro.LinearProgram(c=[1.0], lower=0.0))"
    environment = {name: value for name, value in os.environ.items() if "JOURNAL" not in name}
    subprocess.run([fresh.python, "-c", code], check=True, env=environment, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []
