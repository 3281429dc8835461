"""Files of every kind as 0.1 wrote them, on the data in data.npz: they are read, and proved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import relu_opt as ro

FILES = Path(__file__).parent / "files_of_0_1"
DATA = np.load(FILES / "data.npz")
TYPES = {
    "certificate": "NetworkCertificate",
    "gated": "NetworkCertificate",
    "global": "NetworkCertificate",
    "interpolant": "NetworkCertificate",
    "several": "VectorCertificate",
    "spline": "SplineCertificate",
    "interpolating": "SplineCertificate",
    "solution": "Solution",
    "path": "SolutionPath",
    "pruning": "PruningPath",
    "model": "Model",
    "network": "ReLUNetwork",
    "vector_network": "VectorNetwork",
    "deep": "DeepNetwork",
}
ON = {"several": ("X", "Y"), "spline": ("x", "y"), "interpolating": ("x", "y")}


@pytest.mark.parametrize("name", TYPES)
def test_a_file_is_read_as_what_it_is(name):
    X, y = DATA["X"], DATA["y"]
    program = ro.ConvexProgram(X, y, 0.01, ro.sample_patterns(X, 5))
    found = ro.load(FILES / f"{name}.npz", program)
    assert type(found).__name__ == TYPES[name]
    if not isinstance(found, ro.Certificate | ro.Solution):
        return
    data = [DATA[each] for each in ON.get(name, ("X", "y"))]
    if name == "interpolant":
        data = [each[:3] for each in data]
    for subject in (FILES / f"{name}.npz", found):
        for arithmetic in ("float", "exact"):
            assert ro.verify(subject, *data, arithmetic=arithmetic).valid


def test_no_file_is_forgotten():
    assert {each.stem for each in FILES.iterdir()} == {*TYPES, "data"}
