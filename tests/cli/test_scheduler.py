"""`--scheduler`: commands on the workers of a Dask cluster."""

from __future__ import annotations

import numpy as np
import pytest

from relu_opt.tabular.model import Model


@pytest.fixture(scope="module")
def address():
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": True}
    with distributed.LocalCluster(**options, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


def test_fit_path_and_explore(run, trained, folder, address):
    arguments = ("--target", "y", "--gates", "20", "--json", "--scheduler", address)
    answer = run("fit", trained.data, *arguments, "--out", folder / "far.npz")
    assert answer.code == 0
    assert answer.json["verdict"] == "certified"
    near, far = Model.load(trained.model), Model.load(folder / "far.npz")
    assert far.provenance["objective"] == pytest.approx(near.provenance["objective"], rel=2e-8)
    assert far.provenance["backend_stats"]["shards"] == 1
    path = run("path", trained.data, *arguments, "--n-lams", "3", "--folds", "2")
    assert path.code == 0
    assert path.json["validation"]["complete"]
    explored = [
        run("explore", trained.model, trained.data, "--rows", "1", "--eps", "0.05", "--json", *more)
        for more in ((), ("--scheduler", address))
    ]
    ends = [
        [each.json["near_predictions"][0][end] for end in ("lower", "upper")] for each in explored
    ]
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-9)


def test_a_scheduler_that_is_not_there(run, trained, monkeypatch):
    pytest.importorskip("distributed", reason="dask.distributed is not installed")
    monkeypatch.setattr("relu_opt.solving.shards.executors.CONNECT_SECONDS", 0.5)
    answer = run("fit", trained.data, "--target", "y", "--scheduler", "tcp://127.0.0.1:1")
    assert answer.code == 2
    assert "does not answer" in answer.err
