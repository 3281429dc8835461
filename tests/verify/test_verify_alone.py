"""The re-check needs numpy and itself: no solver, no scipy, no other module of the package."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import relu_opt as ro

MOVED = "relu_opt._moved"
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
    assert {name for name in loaded if not name.startswith("relu_opt.verify")} == {
        "relu_opt",
        MOVED,
    }


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
        found = ro.train_vector(X, y, lam=0.2)
    else:
        X = X[:, :1]
        found = ro.fit_spline(X[:, 0], y, lam=0.1)
    found.certificate.save(tmp_path / "certificate.npz")
    np.savez(tmp_path / "data.npz", X=X, y=y)
    alone = tmp_path / "alone" / "relu_opt"
    shutil.copytree(FOLDER, alone / "verify", ignore=shutil.ignore_patterns("__pycache__"))
    (alone / "__init__.py").touch()
    before = f"import sys; sys.path.insert(0, {str(alone.parent)!r})"
    said = run(ALONE, tmp_path / "data.npz", tmp_path / "certificate.npz", path=[before]).split()
    assert said == ["certified", "float", "certified", "exact", "DataError"]


def test_every_public_name_is_at_home():
    """Whatever was imported before, a function is no module of the same name."""
    import relu_opt.derivatives.sensitivity  # noqa: F401 - a module with the name of a function

    for name in ro.__all__:
        value = getattr(ro, name)
        assert name in ("errors", "export") or callable(value), name
    assert set(ro.__all__) <= set(dir(ro))
    with pytest.raises(AttributeError, match="no attribute 'solv'"):
        ro.solv  # noqa: B018
