"""`demo`, `backends`, help, start-up and the terminal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from relu_opt.cli import main
from relu_opt.plugins import (
    Availability,
    BackendInfo,
    RawSolution,
    State,
    StopReason,
    hookimpl,
)
from relu_opt.program import LinearProgram
from relu_opt.progress.bar import closed, progress

COMMAND = [sys.executable, "-c", "import sys; from relu_opt.cli import main; sys.exit(main())"]


@pytest.mark.slow
def test_the_demo_trains_proves_and_compares(run, folder):
    result = run("demo", "--json")
    assert result.code == 0
    content = result.json
    assert content["verification"]["verdict"] == content["verdict"] == "certified"
    assert (content["data"]["rows"], content["test_rows"]) == (426, 143)
    assert content["test_errors"]["error_rate"] < 0.08
    assert len(content["mlp"]["test_error_rates"]) == 5
    assert max(content["mlp"]["test_error_rates"]) < 0.1
    files = sorted(path.name for path in (folder / "relu-opt-demo").iterdir())
    assert files == ["certificate.npz", "model.npz", "test.csv", "train.csv"]
    # The commands that it suggests work.
    made = folder / "relu-opt-demo"
    assert run("verify", made / "certificate.npz", made / "train.csv").code == 0
    assert run("certify", made / "model.npz", made / "train.csv").code == 0


def test_the_demo_refuses_a_file_as_folder(run, folder):
    (folder / "taken").write_text("precious")
    result = run("demo", "--out-dir", "taken")
    assert result.code == 2
    assert "--out-dir taken" in result.err
    assert (folder / "taken").read_text() == "precious"


def test_backends_are_listed(run):
    result = run("backends")
    assert result.code == 0
    assert "native" in result.out
    assert max(map(len, result.out.splitlines())) <= 80
    listed = {each["name"]: each for each in run("backends", "--json").json["backends"]}
    assert listed["native"]["state"] == "ready"
    assert "ConvexProgram" in listed["native"]["takes"]


def test_a_backend_shows_its_options(run):
    options = {each["name"] for each in run("backends", "native", "--json").json["options"]}
    assert {"tol", "time_limit", "threads", "seed", "verbose", "max_iter"} <= options
    worded = run("backends", "native")
    for name in options:
        assert name in worded.out


def test_an_unknown_backend_suggests_the_near_match(run):
    result = run("backends", "natve")
    assert result.code == 2
    assert "Did you mean 'native'" in result.err


@pytest.mark.parametrize("arguments", [(), ("--help",), ("fit", "--help"), ("--version",)])
def test_help_is_no_error(run, arguments):
    result = run(*arguments)
    assert result.code == 0
    assert "relu-opt" in result.out


def test_help_imports_nothing_heavy():
    script = (
        "import sys; from relu_opt.cli import main; code = main(['--help']); "
        "heavy = {'pyarrow', 'sklearn', 'pandas', 'cvxpy', 'clarabel', 'relu_opt_native', "
        "'rich.progress', 'matplotlib', 'onnx', 'torch'} & set(sys.modules); "
        "sys.exit(code or str(heavy or ''))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == ""


def test_nothing_but_json_on_stdout_and_nothing_on_stderr_when_piped(data):
    command = [*COMMAND, "fit", str(data), "--target", "y", "--gates", "10", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert json.loads(done.stdout)["command"] == "fit"
    assert done.stderr == ""


INTERRUPTING = """
import os, signal, sys
from relu_opt.cli import main
from relu_opt.plugins.manager import observe

sent = []

def interrupt(event):
    # As Ctrl-C does, once, when the first bounds are known.
    if event.rel_gap is not None and not sent:
        sent.append(True)
        os.kill(os.getpid(), signal.SIGINT)

with observe(interrupt):
    sys.exit(main())
"""


def test_an_interrupted_fit_writes_its_best_model(folder, data):
    command = [sys.executable, "-c", INTERRUPTING, "fit", "data.csv", "--target", "y"]
    done = subprocess.run(
        [*command, "--lam", "1e-5"], capture_output=True, text=True, cwd=folder, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "interrupted" in done.stdout
    assert "not certified" in done.stdout
    assert (folder / "model.npz").is_file()


def test_an_interruption_before_the_solve_leaves_files_alone(data, folder, monkeypatch, capsys):
    (folder / "model.npz").write_bytes(b"precious")

    def interrupted(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr("relu_opt.cli.training.sample_patterns", interrupted)
    assert main(["fit", str(data), "--target", "y"]) == 130
    assert "Interrupted" in capsys.readouterr().err
    assert (folder / "model.npz").read_bytes() == b"precious"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_progress_is_shown_on_a_terminal_and_not_in_the_results(data):
    import pty

    controller, terminal = pty.openpty()
    command = [*COMMAND, "fit", str(data), "--target", "y", "--gates", "30"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    quiet, shown = [], []
    for arguments, seen in ((["--quiet"], quiet), ([], shown)):
        done = subprocess.run(
            command + arguments,
            stdout=subprocess.PIPE,
            stderr=terminal,
            env=environment,
            check=False,
        )
        assert done.returncode == 0
        assert b"certified" in done.stdout
        os.write(terminal, b"END")
        while not (seen and b"END" in b"".join(seen)):
            seen.append(os.read(controller, 65536))
    os.close(controller)
    os.close(terminal)
    # A library of colours resets those of the terminal at its end.
    assert b"".join(quiet).replace(b"\x1b[0m", b"") == b"END"
    assert b"solving" in b"".join(shown)


def test_the_bar_counts_digits():
    assert closed(1.0, 1e-8) == 0
    assert closed(1e-4, 1e-8) == pytest.approx(0.5)
    assert closed(1e-9, 1e-8) == 1
    assert closed(float("nan"), 1e-8) == 0
    assert closed(1e-3, 1e-2) == 1


def test_without_a_terminal_there_is_no_bar(capsys):
    with progress(True, 1e-8) as report:
        report("solving")
    assert capsys.readouterr().err == ""


def test_the_command_is_installed():
    installed = Path(sys.executable).parent / "relu-opt"
    done = subprocess.run([installed, "--version"], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("relu-opt ")


# -- backends --check, and plugins that do not load ----------------------------------------


def test_every_backend_that_is_ready_solves_a_small_problem_of_each_type(run):
    result = run("backends", "--check", "--json")
    checks = result.json["checks"]
    assert [each for each in checks if each["outcome"] not in ("right", "unsupported")] == []
    assert result.code == 0
    outcomes = {(each["backend"], each["program"]): each["outcome"] for each in checks}
    assert set(outcomes.values()) == {"right", "unsupported"}
    assert outcomes["native", "net_squared"] == outcomes["highs", "milp_knapsack"] == "right"
    assert outcomes["clarabel", "sdp_eigenvalue"] == "right"
    assert outcomes["native", "milp_knapsack"] == "unsupported"
    worded = run("backends", "clarabel", "--check")
    assert worded.code == 0
    assert "SDP" in worded.out
    assert "native" not in worded.out


def test_a_backend_that_is_wrong_is_shown_and_counts(run, registry):
    class Wrong:
        def solve(self, program, options):
            return RawSolution(StopReason.CONVERGED, np.zeros(len(program.c)))

        @hookimpl
        def relu_opt_backends(self):
            ready = Availability(State.READY)
            return [BackendInfo("wrong", Wrong, lambda: ready, frozenset({LinearProgram}))]

    registry.add("wrong", "test", Wrong)
    result = run("backends", "wrong", "--check")
    assert result.code == 2
    assert "wrong, LP: wrong. objective 0, and -36 is known" in result.out


def test_a_backend_that_is_not_ready_is_not_checked(run, registry):
    class Absent:
        @hookimpl
        def relu_opt_backends(self):
            gone = Availability(State.NOT_INSTALLED, "libabsent is missing")
            return [BackendInfo("absent", object, lambda: gone, frozenset({LinearProgram}))]

    registry.add("absent", "test", Absent)
    result = run("backends", "absent", "--check")
    assert result.code == 2
    assert "libabsent is missing" in result.err
    assert not [c for c in run("backends", "--check", "--json").json["checks"] if "absent" in c]


@pytest.mark.slow
def test_a_broken_plugin_leaves_everything_else_working(tmp_path, data):
    """An installed distribution whose module raises when it is imported."""
    (tmp_path / "broken_plugin.py").write_text("raise ImportError('libbroken.so is missing')\n")
    info = tmp_path / "broken_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[relu_opt]\nbroken = broken_plugin\n")

    def command(*arguments):
        return subprocess.run(
            [*COMMAND, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            timeout=600,
        )

    assert command("--help").returncode == 0
    listed = json.loads(command("backends", "--json").stdout)["backends"]
    states = {each["name"]: each["state"] for each in listed}
    assert states["broken"] == "broken"
    assert states["native"] == states["highs"] == states["clarabel"] == "ready"
    fit = ["fit", str(data), "--target", "y", "--gates", "10", "--out", str(tmp_path / "m.npz")]
    assert command(*fit, "--json").returncode == 0
    failed = command(*fit, "--backend", "broken")
    assert failed.returncode == 2
    assert "libbroken.so is missing" in failed.stderr
    assert "Repair or uninstall 'broken-plugin'" in " ".join(failed.stderr.split())
