"""Work spread over processes and Dask workers: the same answers, also when workers die."""

from __future__ import annotations

import concurrent.futures
import os
import signal

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.errors import BackendUnavailable, DataError, SolveFailed
from relu_opt.plugins.manager import observe
from relu_opt.plugins.types import StopReason
from relu_opt.solving.shards import executors, pricing, training
from relu_opt.solving.shards.executors import Pool, Serial, WorkersLost, as_executor, run_all


@pytest.fixture
def small_shards(monkeypatch):
    """Shards and rounds so small that there are several of each."""
    monkeypatch.setattr(training, "SHARD", 16)
    monkeypatch.setattr(training, "JOIN", 6)


@pytest.fixture(scope="module")
def pool():
    made = executors.processes(2)
    assert isinstance(made, Pool)
    yield made
    made.close()


@pytest.fixture(scope="module")
def dask_client():
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True}
    with (
        distributed.LocalCluster(**options, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def problem(make_program, **more):
    return make_program(n=40, d=4, p=80, **more)


CASES = [
    (loss, activation, intercept)
    for loss in ("squared", "logistic", "squared_hinge", "huber")
    for activation in ("relu", "gated", "absolute")
    for intercept in (False, True)
]


@pytest.mark.parametrize(("loss", "activation", "intercept"), CASES)
def test_shards_find_the_optimum(make_program, small_shards, loss, activation, intercept):
    prog = problem(
        make_program, loss=loss, activation=activation, intercept=intercept, weighted=True
    )
    whole, spread = ro.solve(prog), ro.solve(prog, executor=Serial())
    assert spread.certificate.verdict == "certified"
    assert spread.objective == pytest.approx(whole.objective, rel=2e-8)
    assert spread.stop is StopReason.CONVERGED
    stats = spread.stats["backend_stats"]
    assert stats["shards"] == -(-len(prog.patterns) // 16) > 1
    assert stats["working_patterns"] < len(prog.patterns)
    assert stats["rounds"] > 1
    assert ro.verify(spread.certificate, prog.X, prog.y).verdict == "certified"


def test_any_backend_solves_the_master(make_program, small_shards):
    prog = problem(make_program)
    for backend in ("clarabel", "highs"):
        sol = ro.solve(prog, backend, executor=Serial())
        assert sol.backend == backend
        assert sol.objective == pytest.approx(ro.solve(prog).objective, rel=1e-7)


def test_bids_are_the_most_violated_patterns(make_program):
    prog = problem(make_program)
    nu = prog.dual_start()
    points = prog.project(prog.correlations(nu), np.arange(2 * len(prog.patterns))).points
    norms = np.linalg.norm(points, axis=1).reshape(2, -1).max(axis=0)
    for most in (1, 5, 1000):
        priced = pricing.price(prog, prog.patterns, prog.lam, nu, most, None)
        expected = [k for k in np.argsort(-norms, kind="stable")[:most] if norms[k] > prog.lam]
        assert priced.bids.patterns.tolist() == expected
        np.testing.assert_allclose(priced.bids.norms, norms[expected], rtol=1e-10)
        assert priced.bids.largest >= norms.max() * (1 - 1e-12)
        # What was learnt saves projections, and changes no bid.
        again = pricing.price(prog, prog.patterns, prog.lam, nu, most, priced)
        assert again.bids.patterns.tolist() == expected


@pytest.mark.parametrize("activation", ["relu", "gated", "leaky"])
def test_processes_change_no_bit(make_program, pool, activation):
    prog = problem(make_program, activation=activation)
    here, there = ro.solve(prog, executor=Serial()), ro.solve(prog, executor=pool)
    assert np.array_equal(here.weights, there.weights)
    assert np.array_equal(here.nu, there.nu)
    assert here.rel_gap == there.rel_gap


def test_dask_changes_no_bit(make_program, dask_client):
    prog = problem(make_program)
    here, there = ro.solve(prog, executor=Serial()), ro.solve(prog, executor=dask_client)
    assert np.array_equal(here.weights, there.weights)
    address = dask_client.scheduler.address
    again = ro.solve(prog, executor=address)
    assert np.array_equal(here.weights, again.weights)


@pytest.mark.usefixtures("small_shards")
def test_a_dask_worker_that_dies_costs_no_answer(make_program, dask_client):
    prog = problem(make_program, loss="logistic")
    expected = ro.solve(prog, executor=Serial())
    killed = []

    def kill(event):
        if event.iteration == 2 and not killed:
            pids = dask_client.run(os.getpid)
            killed.append(next(iter(pids.values())))
            os.kill(killed[0], signal.SIGKILL)

    with observe(kill):
        found = ro.solve(prog, executor=dask_client)
    assert killed
    assert np.array_equal(found.weights, expected.weights)
    assert found.certificate.verdict == "certified"


class Fragile(Serial):
    """Loses its workers at chosen calls of `gather`."""

    def __init__(self, at):
        self.at, self.calls, self.renewed = set(at), 0, 0

    def gather(self, references):
        self.calls += 1
        if self.calls in self.at:
            raise WorkersLost
        return super().gather(references)

    def renew(self):
        self.renewed += 1


@pytest.mark.usefixtures("small_shards")
def test_losses_at_any_moment_change_nothing(make_program):
    prog = problem(make_program)
    expected = ro.solve(prog, executor=Serial())
    count = Fragile([])
    ro.solve(prog, executor=count)
    for moment in range(1, count.calls + 1):
        executor = Fragile([moment])
        found = ro.solve(prog, executor=executor)
        assert executor.renewed == 1
        assert found.stats["backend_stats"]["workers_lost"] == 1
        assert np.array_equal(found.weights, expected.weights)
        assert found.certificate.verdict == "certified"
    with pytest.raises(SolveFailed, match="Workers died 5 times"):
        ro.solve(prog, executor=Fragile(range(1, 100)))


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(folder, item):
    """Kill the process the first time; the flag is a file."""
    flag = folder / "died"
    if item == 1 and not flag.exists():
        flag.touch()
        die()
    return 10 * item


def test_a_process_that_dies_is_replaced(tmp_path):
    made = executors.processes(2)
    try:
        assert run_all(made, die_once, tmp_path, [0, 1, 2, 3]) == [0, 10, 20, 30]
        assert (tmp_path / "died").exists()
    finally:
        made.close()


# -- limits --------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_shards")
def test_limits_and_interrupts_return_the_best(make_program):
    prog = problem(make_program)

    def interrupt(event):
        if "patterns" in event.message and event.iteration == 3:
            raise KeyboardInterrupt

    with observe(interrupt):
        sol = ro.solve(prog, executor=Serial())
    assert sol.stop is StopReason.INTERRUPTED
    assert 0 < sol.rel_gap < 1
    assert sol.objective < prog.with_lam(prog.lam_max).mean_loss(np.zeros(prog.n))
    short = ro.solve(prog, executor=Serial(), time_limit=1e-6)
    assert short.stop is StopReason.TIME_LIMIT
    assert short.certificate.verdict == "not_certified"
    assert np.isfinite(short.rel_gap)


@pytest.mark.usefixtures("small_shards")
def test_a_start_saves_rounds(make_program):
    prog = problem(make_program)
    cold = ro.solve(prog, executor=Serial())
    warm = ro.solve(prog, executor=Serial(), warm_start=cold)
    rounds = [sol.stats["backend_stats"]["rounds"] for sol in (cold, warm)]
    assert rounds[1] < rounds[0]
    assert warm.objective == pytest.approx(cold.objective, rel=1e-8)


# -- paths, folds, ranges --------------------------------------------------------------------


def test_a_path_on_workers(make_program, small_shards):
    class Counting(Serial):
        sent = 0

        def put(self, value, everywhere=False):
            Counting.sent += everywhere
            return value

    prog = problem(make_program)
    spread = ro.solution_path(prog, n_lams=4, lam_min_ratio=0.1, executor=Counting())
    plain = ro.solution_path(prog, n_lams=4, lam_min_ratio=0.1)
    np.testing.assert_allclose(spread.objectives, plain.objectives, rtol=1e-7)
    assert spread.is_certified
    # X went out once for all λ.
    assert Counting.sent == 1


def test_folds_on_workers(make_program, dask_client):
    prog = make_program(n=30, d=3, p=20)
    arguments = {"folds": 3, "n_lams": 4, "lam_min_ratio": 0.1}
    plain = ro.cross_validate(prog, **arguments)
    spread = ro.cross_validate(prog, **arguments, executor=dask_client)
    np.testing.assert_allclose(spread.errors, plain.errors, rtol=1e-4, atol=1e-7)
    assert spread.is_certified
    assert [f[1].tolist() for f in spread.folds] == [f[1].tolist() for f in plain.folds]


def test_ranges_on_workers(make_program, dask_client):
    prog = make_program(n=20, d=3, p=12)
    near = ro.optimal_set(ro.solve(prog, tol=1e-12)).near_optimal(0.01)
    queries = np.random.default_rng(0).standard_normal((3, 3))
    plain = near.prediction_range(queries)
    for executor in (Serial(), dask_client):
        spread = near.prediction_range(queries, executor=executor)
        for name in ("lower", "upper", "lower_bound", "upper_bound"):
            np.testing.assert_allclose(
                getattr(spread, name), getattr(plain, name), rtol=1e-9, atol=1e-12
            )


# -- what may be passed ----------------------------------------------------------------------


def test_what_an_executor_may_be():
    assert isinstance(as_executor(1), Serial)
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        made = as_executor(threads)
        assert isinstance(made, Pool)
        assert run_all(made, lambda shared, item: shared + item, 1, [1, 2]) == [2, 3]
        made.close()
    own = Fragile([])
    assert as_executor(own) is own


@pytest.mark.parametrize("wrong", [0, True, 1.5, "", object(), None, ["tcp://x:1"]])
def test_other_things_are_refused(wrong):
    with pytest.raises(DataError, match="executor is"):
        as_executor(wrong)


def test_a_scheduler_that_does_not_answer(monkeypatch, make_program):
    pytest.importorskip("distributed", reason="dask.distributed is not installed")
    monkeypatch.setattr(executors, "CONNECT_SECONDS", 0.5)
    for address in ("tcp://127.0.0.1:1", "nonsense"):
        with pytest.raises(BackendUnavailable, match="does not answer") as caught:
            as_executor(address)
        assert caught.value.fields == {"scheduler": address}
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(BackendUnavailable, match="pip install"):
        as_executor("tcp://127.0.0.1:1")


def test_errors_of_a_solver_come_through(make_program):
    class Broken(Serial):
        def submit(self, function, *arguments):
            raise ValueError("no such thing")

    with pytest.raises(ValueError, match="no such thing"):
        ro.solve(problem(make_program), executor=Broken())
