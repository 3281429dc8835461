"""A command line that runs in this process, and small files to run it on."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from relu_opt.cli import main


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder of its own as the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys):
    """Run `relu-opt` with arguments; `.json` reads its output."""

    def run(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return SimpleNamespace(
            code=code,
            out=printed.out,
            err=printed.err,
            json=json.loads(printed.out) if "--json" in arguments else None,
        )

    return run


def csv_text(rows=40, seed=0):
    """A table with three features, a numeric target and two classes."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, 3)) * [1, 10, 0.1] + [0, 5, 1]
    y = np.abs(X[:, 0]) + 0.1 * X[:, 1] + 0.05 * rng.standard_normal(rows)
    lines = ["a,b,c,y,label"]
    lines += [
        ",".join(f"{value:.17g}" for value in (*x, target, target > np.median(y)))
        for x, target in zip(X, y, strict=True)
    ]
    return "\n".join(lines) + "\n"


@pytest.fixture
def data(folder):
    """`data.csv`."""
    file = folder / "data.csv"
    file.write_text(csv_text())
    return file


@pytest.fixture(scope="session")
def trained_bytes(tmp_path_factory):
    """The model and certificate of one training, as bytes."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "data.csv").write_text(csv_text())
    arguments = ["fit", folder / "data.csv", "--target", "y", "--gates", "20", "--json"]
    arguments += ["--out", folder / "m.npz", "--certificate", folder / "c.npz"]
    assert main([str(argument) for argument in arguments]) == 0
    return (folder / "m.npz").read_bytes(), (folder / "c.npz").read_bytes()


@pytest.fixture
def trained(folder, data, trained_bytes):
    """`data.csv`, and the `model` and `certificate` that were trained on its column y."""
    model, certificate = folder / "m.npz", folder / "c.npz"
    model.write_bytes(trained_bytes[0])
    certificate.write_bytes(trained_bytes[1])
    return SimpleNamespace(data=data, model=model, certificate=certificate)
