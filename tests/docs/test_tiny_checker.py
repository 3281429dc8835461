"""The checker of the documentation, in a Python that has nothing but its standard library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.io import read_npz, write_npz

CHECKER = Path(__file__).resolve().parents[2] / "docs" / "tiny_checker.py"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The checker, without this environment's packages, variables and folder."""
    command = [sys.executable, "-I", "-S", str(CHECKER), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def problem(intercept: bool = False, weighted: bool = False) -> ro.ConvexProgram:
    rng = np.random.default_rng(3)
    X = np.column_stack([rng.standard_normal((30, 2)), np.ones(30)])
    y = X[:, 0] * X[:, 1] + 7 * intercept
    weight = rng.uniform(0.5, 2, 30) if weighted else None
    patterns = ro.sample_patterns(X, 20, seed=0)
    return ro.ConvexProgram(X, y, 0.01, patterns, intercept=intercept, sample_weight=weight)


def stored(folder: Path, program: ro.ConvexProgram, tol: float = 1e-8) -> tuple[Path, Path]:
    """The files of a certificate and of its data."""
    ro.solve(program, tol=tol).certificate.save(folder / "certificate.npz")
    np.savez(folder / "data.npz", X=program.X, y=program.y)
    return folder / "certificate.npz", folder / "data.npz"


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_honest_certificates_are_proved(intercept, weighted, tmp_path):
    program = problem(intercept, weighted)
    done = run(*stored(tmp_path, program))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("PROVED, lam = 0.01")
    assert f"of the {len(program.patterns)} listed patterns" in done.stdout
    assert ("weighted" in done.stdout) is weighted
    assert ("free constant" in done.stdout) is intercept


def changed(name, change):
    """The file's arrays and description with one of them changed."""

    def forge(arrays, meta):
        home = arrays if name in arrays else meta
        home[name] = change(home[name])

    return forge


def first(values, factor):
    """An array whose first entries are multiplied."""
    out = values.copy()
    out[:3] = out[:3] * factor
    return out


FORGERIES = {
    "a longer nu": changed("nu", lambda nu: 1.01 * nu),
    "another nu": changed("nu", lambda nu: first(nu, -1.0)),
    "nu without its constant's condition": changed("nu", lambda nu: nu + 0.01),
    "no multipliers": changed("rho_values", lambda rho: 0.0 * rho),
    "negative multipliers": changed("rho_values", lambda rho: -rho),
    "multipliers of other samples": changed("rho_rows", lambda rows: (rows + 1) % 30),
    "multipliers of a sample that is not": changed("rho_rows", lambda rows: rows + 30),
    "other patterns": changed("patterns", lambda bits: bits[::-1].copy()),
    "a worse network": changed("hidden", lambda hidden: 1.01 * hidden),
    "no network": changed("output", lambda output: 0.0 * output),
    "other outputs": changed("output", lambda output: -output),
    "a smaller lam": changed("lam", lambda lam: 0.9 * lam),
    "a larger lam": changed("lam", lambda lam: 1.1 * lam),
    "another loss": changed("loss", lambda loss: "huber"),
    "gates": changed("activation", lambda kind: "gated"),
    "another constant": changed("intercept", lambda constant: np.array(constant + 0.01)),
    "a smaller tol": changed("tol", lambda tol: 1e-18),
    "no tol": changed("tol", lambda tol: 2.0),
    "other data": changed("fingerprint", lambda digest: digest[::-1]),
    "numbers of another kind": changed("nu", lambda nu: nu.astype(np.float32)),
    "not a number": changed("nu", lambda nu: first(nu, np.nan)),
}


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    return stored(tmp_path_factory.mktemp("honest"), problem(intercept=True))


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_forged_certificates_are_not(forge, honest, tmp_path):
    arrays, meta = map(dict, read_npz(honest[0], "certificate"))
    forge(arrays, meta)
    write_npz(tmp_path / "forged.npz", "certificate", arrays, {**meta, "verdict": "certified"})
    done = run(tmp_path / "forged.npz", honest[1])
    assert done.returncode == 1
    assert not done.stdout
    assert done.stderr.startswith("NOT PROVED: ")


def test_a_constant_that_the_problem_does_not_have_is_not_proved(honest, tmp_path):
    arrays, meta = read_npz(honest[0], "certificate")
    write_npz(tmp_path / "forged.npz", "certificate", arrays, {**meta, "intercept": False})
    done = run(tmp_path / "forged.npz", honest[1])
    assert (done.returncode, "no output constant" in done.stderr) == (1, True)


def test_what_is_demanded_counts_and_not_what_the_file_says(tmp_path):
    files = stored(tmp_path, problem(), tol=1e-4)
    assert run(*files).returncode == 0
    assert run(*files, 0.01, 1e-4).returncode == 0
    assert run(*files, 0.01, 1e-15).returncode == 1
    assert run(*files, 0.02).returncode == 1
    assert run(*files, "nan").returncode == 1


def test_damaged_and_missing_files_are_not_proved(tmp_path):
    certificate, data = stored(tmp_path, problem())
    (tmp_path / "half.npz").write_bytes(certificate.read_bytes()[:-100])
    np.savez_compressed(tmp_path / "packed.npz", **np.load(certificate))
    np.savez(tmp_path / "turned.npz", X=np.asfortranarray(problem().X), y=problem().y)
    for arguments in (
        [],
        [certificate],
        [data, certificate],
        [tmp_path / "half.npz", data],
        [tmp_path / "packed.npz", data],
        [certificate, tmp_path / "turned.npz"],
        [certificate, tmp_path / "none.npz"],
    ):
        done = run(*arguments)
        assert done.returncode == 1
        assert "NOT PROVED" in done.stderr
        assert "Traceback" not in done.stderr
