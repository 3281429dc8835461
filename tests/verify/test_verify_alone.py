"""The re-check needs numpy and itself: no solver, no scipy, no other module of the package."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import relu_opt as ro

FACE = {"relu_opt", "relu_opt._face", "relu_opt._moved"}
FOLDER = Path(ro.__file__).parent / "verify"
LOADED = """
import sys
from relu_opt.verify import verify
print(*sorted(name for name in sys.modules if name.split(".")[0] in {"relu_opt", "scipy"}))
"""
ALONE = """
import sys
sys.modules["scipy"] = None
import numpy as np
from relu_opt.verify import verify
data = np.load(sys.argv[1])
for arithmetic in ("float", "exact"):
    found = verify(sys.argv[2], data["X"], data["y"], arithmetic=arithmetic)
    print(found.verdict, found.arithmetic)
try:
    verify(sys.argv[1], data["X"], data["y"])
except ValueError as error:
    print(type(error).__name__)
"""


def run(code, *arguments, path=()):
    command = [sys.executable, "-c", "\n".join([*path, code]), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_importing_the_recheck_loads_nothing_else():
    loaded = run(LOADED).split()
    assert "relu_opt.verify.entry" in loaded
    assert {name for name in loaded if not name.startswith("relu_opt.verify")} == FACE


@pytest.mark.parametrize("kind", ["program", "all", "several", "spline"])
def test_the_recheck_runs_without_the_rest(tmp_path, kind):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, 2)), rng.normal(size=12)
    if kind == "program":
        patterns = ro.sample_patterns(X, n_gates=10, seed=0)
        found = ro.solve(ro.ConvexProgram(X, y, lam=0.1, patterns=patterns))
    elif kind == "all":
        found = ro.train_globally(X, y, lam=0.1)
    elif kind == "several":
        y = rng.normal(size=(12, 2))
        found = ro.several_outputs.train_vector(X, y, lam=0.2)
    else:
        X = X[:, :1]
        found = ro.one_input.fit_spline(X[:, 0], y, lam=0.1)
    found.certificate.save(tmp_path / "certificate.npz")
    np.savez(tmp_path / "data.npz", X=X, y=y)
    alone = tmp_path / "alone" / "relu_opt"
    shutil.copytree(FOLDER, alone / "verify", ignore=shutil.ignore_patterns("__pycache__"))
    (alone / "__init__.py").touch()
    before = f"import sys; sys.path.insert(0, {str(alone.parent)!r})"
    said = run(ALONE, tmp_path / "data.npz", tmp_path / "certificate.npz", path=[before]).split()
    assert said == ["certified", "float", "certified", "exact", "DataError"]
