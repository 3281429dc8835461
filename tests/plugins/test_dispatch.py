"""Registration, choice, options and hooks: everything between a program and its backend."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.errors import (
    BackendUnavailable,
    ConfigError,
    ContractViolation,
    DataError,
    OptionError,
    PluginConflict,
    PluginLoadError,
    UnknownBackend,
    UnsupportedProgram,
)
from relu_opt.plugins import routes
from relu_opt.plugins.hookspec import hookimpl
from relu_opt.plugins.manager import observe
from relu_opt.plugins.types import (
    Availability,
    BackendInfo,
    Feature,
    OptionSpec,
    ProgressEvent,
    RawSolution,
    SolveOptions,
    State,
    StopReason,
)
from relu_opt.program import ConicProgram, ConvexProgram
from relu_opt.program.multipliers import ConeMultipliers

READY = Availability(State.READY, version="1.0")
BUILT_IN = ["native", "highs", "clarabel", "cvxpy", "pyomo", "mosek"]


class Zero:
    """An honest backend of little skill: it returns the zero network and remembers its orders."""

    def __init__(self):
        self.seen = []

    def solve(self, program, options):
        self.seen.append((program, options))
        options.progress(ProgressEvent("solve", 1, 0.0))
        if isinstance(program, ConicProgram):
            return RawSolution(StopReason.ITERATION_LIMIT)
        return RawSolution(StopReason.ITERATION_LIMIT, np.zeros(program.weights_shape))


class Plugin:
    """A plugin object with one backend."""

    def __init__(self, backend=None, **changes):
        self.backend = backend or Zero()
        self.info = BackendInfo(
            **{
                "name": "zero",
                "load": lambda: self.backend,
                "probe": lambda: READY,
                "takes": frozenset({ConvexProgram}),
                **changes,
            }
        )

    @hookimpl
    def relu_opt_backends(self):
        return [self.info]


@pytest.fixture
def install(registry):
    """Install a plugin as an entry point would; returns it."""

    def add(plugin, name="plugin", distribution="dist"):
        registry.add(name, distribution, lambda: plugin)
        return plugin

    return add


@pytest.fixture
def prog(make_program):
    """A program in its own units: backends see it as it is."""
    return make_program(n=8, d=2, p=4).canonical


def status_of(name):
    return {status.name: status for status in ro.backends()}[name]


# -- an honest backend -------------------------------------------------------------------


def test_a_stranger_backend_is_used_as_it_declares(install, prog):
    plugin = install(Plugin(features=frozenset({Feature.TIME_LIMIT, Feature.WARM_START})))
    # Each gate lies inside the cone of its pattern.
    start = np.stack([prog.patterns.gates.T] * 2)
    sol = ro.solve(prog, "zero", tol=1e-3, time_limit=7, warm_start=start, options={"seed": 3})
    program, options = plugin.backend.seen[0]
    assert program is not prog
    assert program.X is prog.X
    assert (program.lam, program.loss) == (prog.lam, prog.loss)
    assert (options.tol, options.seed) == (1e-3, 3)
    # What is left of the limit.
    assert 0 < options.time_limit <= 7
    assert (options.threads, options.verbose, dict(options.extra)) == (None, False, {})
    np.testing.assert_array_equal(options.warm_start, start)
    assert (sol.backend, sol.stop) == ("zero", StopReason.ITERATION_LIMIT)
    assert sol.certificate.verdict == ro.Verdict.NOT_CERTIFIED
    assert sol.objective == pytest.approx(prog.objective(np.zeros(prog.weights_shape)))
    assert (sol.stats["seed"], sol.stats["tol"]) == (3, 1e-3)
    assert sol.stats["options"] == {"seed": 3, "time_limit": 7, "tol": 1e-3, "verbose": False}
    assert set(sol.stats["seconds"]) == {"build", "load", "solve", "certify"}
    assert {"python", "numpy", "relu-opt"} <= set(sol.stats["versions"])
    json.dumps(dict(sol.stats))


LOOKS = 10


class SlowToLoad(Zero):
    """Takes ten looks at the clock, and says how long it took to load, or what cannot be."""

    def __init__(self, said):
        super().__init__()
        self.said = said

    def solve(self, program, options):
        for _ in range(LOOKS):
            time.perf_counter()
        return replace(super().solve(program, options), stats={"load_seconds": self.said})


def test_time_of_loading_stands_apart_from_solving(install, prog, clock):
    install(Plugin(SlowToLoad(LOOKS - 1.0)))
    seconds = ro.solve(prog, "zero").stats["seconds"]
    assert seconds["load"] == LOOKS - 1
    assert seconds["solve"] >= 1


@pytest.mark.parametrize(("said", "loading"), [(-1.0, False), ("long", False), (1e9, True)])
def test_no_time_is_made_up(install, prog, clock, said, loading):
    install(Plugin(SlowToLoad(said)))
    seconds = ro.solve(prog, "zero").stats["seconds"]
    assert min(seconds.values()) >= 0
    assert (seconds["load"] >= LOOKS) == loading
    assert seconds["load"] + seconds["solve"] < 2 * LOOKS


def test_an_honest_optimum_is_certified(install, prog):
    optimal = ro.solve(prog, "native")

    class Honest:
        def solve(self, program, options):
            known = optimal.certificate.multipliers
            return RawSolution(
                StopReason.CONVERGED, optimal.weights, optimal.nu, known, stats={"steps": 5}
            )

    install(Plugin(Honest()))
    sol = ro.solve(prog, "zero")
    assert sol.certificate.verdict == ro.Verdict.CERTIFIED
    assert sol.stats["backend_stats"] == {"steps": 5}


def test_a_backend_sees_data_of_size_one_and_observers_the_users_units(install, registry, prog):
    big = ro.ConvexProgram(prog.X * 2.0**40, prog.y * 2.0**-31, prog.lam * 2.0**9, prog.patterns)
    start = ro.solve(prog, "native", tol=1e-3)

    class Telling(Zero):
        def solve(self, program, options):
            super().solve(program, options)
            options.progress(ProgressEvent("solve", 1, 0.0, 0.5, 0.25, 1.0))
            return RawSolution(StopReason.CONVERGED, start.weights, start.nu, None, "", 2.0)

    heard = []

    class Observer:
        @hookimpl
        def relu_opt_progress(self, event):
            if event.objective is not None:
                heard.append((event.objective, event.bound, event.rel_gap))

    registry.add("observer", "observer-dist", Observer)
    plugin = install(Plugin(Telling(), features=frozenset({Feature.WARM_START})))
    sol = ro.solve(big, "zero", tol=1e-3, warm_start=2.0**-71 * start.weights)
    seen, options = plugin.backend.seen[0]
    assert np.array_equal(seen.X, prog.X)
    assert np.array_equal(seen.y, prog.y)
    assert seen.lam == prog.lam
    assert np.array_equal(options.warm_start, start.weights)
    assert heard == [(2.0**-63, 2.0**-64, 1.0)]
    assert np.array_equal(sol.weights, 2.0**-71 * start.weights)
    assert sol.stats["claimed_objective"] == 2.0**-61
    assert sol.objective == pytest.approx(2.0**-62 * start.objective, rel=1e-14)
    assert sol.certificate.verdict == ro.Verdict.CERTIFIED


def test_a_backend_is_loaded_when_it_is_used(install, prog):
    loads = []
    backend = Zero()
    install(Plugin(load=lambda: loads.append(1) or backend))
    ro.backends()
    assert not loads
    ro.solve(prog, "zero")
    assert loads == [1]


def test_a_backend_of_conic_programs_gets_one(install, prog):
    from relu_opt_cvxpy.backend import CvxpyBackend

    class Conic(Zero):
        def solve(self, program, options):
            super().solve(program, options)
            return CvxpyBackend().solve(program, options)

    plugin = install(
        Plugin(Conic(), takes=frozenset({ConicProgram}), features=frozenset({Feature.SOC}))
    )
    sol = ro.solve(prog, "zero", tol=1e-7)
    assert isinstance(plugin.backend.seen[0][0], ConicProgram)
    assert sol.certificate.verdict == ro.Verdict.CERTIFIED
    best = ro.solve(prog, "native")
    assert sol.objective == pytest.approx(best.objective, rel=1e-6)
    assert sol.stats["claimed_objective"] == pytest.approx(best.objective, rel=1e-5)


# -- choice ------------------------------------------------------------------------------


def test_auto_prefers_the_built_in_order(install, prog):
    install(Plugin(name="aaa"))
    assert routes.choose_backend("auto", prog).name == "native"
    assert routes.AUTO_ORDER == ("native", "clarabel", "highs", "cvxpy", "pyomo")


def test_auto_takes_what_is_ready_capable_and_free(registry, prog):
    registry._backends.clear()
    takes_conic = frozenset({ConicProgram})
    for name, changes in {
        "a": {"free": False},
        "b": {"probe": lambda: Availability(State.NOT_INSTALLED, "no")},
        "c": {"probe": lambda: Availability(State.UNKNOWN)},
        "d": {"takes": takes_conic},
        "e": {"takes": frozenset()},
    }.items():
        plugin = Plugin(name=name, **changes)
        registry.add(name, name, lambda plugin=plugin: plugin)
    with pytest.raises(BackendUnavailable, match=r"No backend is ready.*b: no") as caught:
        routes.choose_backend("auto", prog)
    assert caught.value.fields["backend"] == "auto"
    good = Plugin(name="f", takes=takes_conic, features=frozenset({Feature.SOC}))
    registry.add("f", "f", lambda: good)
    assert routes.choose_backend("auto", prog) is good.info
    assert routes.choose_backend("a", prog).name == "a"


def test_no_backend_at_all(registry, prog):
    registry._backends.clear()
    with pytest.raises(BackendUnavailable, match="none is registered"):
        ro.solve(prog)


def test_a_named_backend_is_never_replaced(install, prog):
    gone = Availability(State.NOT_INSTALLED, "zerolib is not installed")
    install(Plugin(probe=lambda: gone, install_hint="pip install zerolib"))
    with pytest.raises(BackendUnavailable, match=r"not installed.*Fix: pip install zerolib\.") as e:
        ro.solve(prog, "zero")
    assert e.value.fields == {
        "backend": "zero",
        "state": State.NOT_INSTALLED,
        "reason": "zerolib is not installed",
    }


@pytest.mark.parametrize(
    ("state", "usable"),
    [
        (State.READY, True),
        (State.UNKNOWN, True),
        (State.NOT_INSTALLED, False),
        (State.BROKEN, False),
        (State.NO_LICENCE, False),
    ],
)
def test_availability(install, prog, state, usable):
    install(Plugin(probe=lambda: Availability(state, "why")))
    assert status_of("zero").availability.state is state
    if usable:
        assert ro.solve(prog, "zero").backend == "zero"
    else:
        with pytest.raises(BackendUnavailable, match=state.value):
            ro.solve(prog, "zero")


def test_a_probe_that_raises_is_a_broken_backend(install, prog):
    install(Plugin(probe=lambda: 1 / 0))
    assert status_of("zero").availability.state is State.BROKEN
    with pytest.raises(BackendUnavailable, match="probe raised ZeroDivisionError"):
        ro.solve(prog, "zero")
    assert ro.solve(prog).backend == "native"


@pytest.mark.parametrize("wrong", [None, "ready", State.READY])
def test_a_probe_that_returns_something_else_is_a_broken_backend(install, prog, wrong):
    install(Plugin(probe=lambda: wrong))
    assert status_of("zero").availability.state is State.BROKEN
    with pytest.raises(BackendUnavailable):
        ro.solve(prog, "zero")
    assert ro.solve(prog).backend == "native"


def test_unknown_backend_names_the_near_match(registry, prog):
    with pytest.raises(UnknownBackend, match=r"'natvie'\. Did you mean 'native'\?") as caught:
        ro.solve(prog, "natvie")
    assert caught.value.fields["backend"] == "natvie"
    assert caught.value.fields["known"] == sorted(BUILT_IN)


@pytest.mark.parametrize(
    ("takes", "features", "loss", "fits"),
    [
        ({ConvexProgram}, set(), "logistic", True),
        ({ConicProgram}, {Feature.SOC}, "squared", True),
        ({ConicProgram}, {Feature.SOC, Feature.EXP}, "logistic", True),
        ({ConicProgram}, {Feature.SOC}, "logistic", False),
        ({ConicProgram}, set(), "squared", False),
        (set(), set(Feature), "squared", False),
    ],
)
def test_unsupported_programs(install, make_program, takes, features, loss, fits):
    prog = make_program(loss=loss)
    plugin = install(Plugin(takes=frozenset(takes), features=frozenset(features)))
    assert (routes.route_or_none(plugin.info, prog) is not None) is fits
    if not fits:
        with pytest.raises(UnsupportedProgram, match="cannot take this ConvexProgram: it") as e:
            ro.solve(prog, "zero")
        wanted = {Feature.SOC} | ({Feature.EXP} if loss == "logistic" else set())
        lacking = sorted(f.name for f in wanted - features) if takes else []
        assert e.value.fields == {
            "backend": "zero",
            "program": "ConvexProgram",
            "lacking": lacking,
        }
        assert not plugin.backend.seen


# -- options -----------------------------------------------------------------------------

OWN = (
    OptionSpec("max_iter", int, 10, "iterations", least=1),
    OptionSpec("step", float, 0.5, "step length", least=0.0),
    OptionSpec("shift", float, 0.0, "a shift of any sign"),
    OptionSpec("fast", bool, False, "skip checks"),
    OptionSpec("method", str, "cg", "inner solver", choices=("cg", "lu")),
    OptionSpec("limit", float, None, "optional limit", least=0.0),
    OptionSpec("offset", int, 0, "of any sign"),
    OptionSpec("ratio", float, 2.0, "above one", least=1.0),
    OptionSpec("depth", int, 5, "more than two", least=3),
)


def test_defaults_and_given_options(install, prog):
    plugin = install(Plugin(options=OWN))
    given = {"max_iter": np.int64(3), "method": "lu", "step": 1, "offset": -7, "depth": 3}
    ro.solve(prog, "zero", options=given)
    extra = plugin.backend.seen[0][1].extra
    assert extra == {
        "max_iter": 3,
        "step": 1.0,
        "shift": 0.0,
        "fast": False,
        "method": "lu",
        "limit": None,
        "offset": -7,
        "ratio": 2.0,
        "depth": 3,
    }


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("max_itr", 3, "no option 'max_itr'. Did you mean 'max_iter'"),
        ("tolerance", 3, "no option 'tolerance'"),
        ("max_iter", 0, "'max_iter' of backend 'zero': max_iter is 0, .* at least 1"),
        ("max_iter", 2.5, "max_iter is 2.5"),
        ("max_iter", True, "max_iter is True"),
        ("max_iter", None, "max_iter is None"),
        ("step", 0, "step is 0.0, and a number greater than zero"),
        ("step", "0.5", "step is '0.5', and a number is needed"),
        ("step", np.nan, "step is nan"),
        ("shift", np.inf, "shift is inf"),
        ("ratio", 1.0, "ratio is 1.0, and a number greater than 1 is needed"),
        ("ratio", -3, "ratio is -3.0"),
        ("depth", 2, "depth is 2, and an integer of at least 3"),
        ("offset", 0.5, "offset is 0.5"),
        ("fast", 1, "fast is 1, and a bool is needed"),
        ("method", "cgs", "'method' of backend 'zero' is 'cgs'. Did you mean 'cg'"),
        ("method", 3, "method is 3, and a str is needed"),
        ("tol", 0, "tol is 0.0, and a number above 0 and below 1"),
        ("tol", 1.5, "tol is 1.5, and a number above 0 and below 1"),
        ("tol", -1, "tol is -1.0"),
        ("tol", None, "tol is None"),
        ("threads", 0, "threads is 0, and an integer of at least 1"),
        ("seed", -1, "seed is -1, and an integer of at least 0"),
        ("verbose", "yes", "verbose is 'yes', and a bool is needed"),
    ],
)
def test_unusable_options(install, prog, name, value, message):
    plugin = install(Plugin(options=OWN))
    with pytest.raises(OptionError, match=message) as caught:
        ro.solve(prog, "zero", options={name: value})
    assert caught.value.fields["backend"] == "zero"
    assert caught.value.fields["option"] == name
    assert not plugin.backend.seen


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"tol": 0}, "tol"),
        ({"tol": -1e-8}, "tol"),
        ({"tol": np.nan}, "tol"),
        ({"tol": "1e-8"}, "tol"),
        ({"time_limit": 0}, "time_limit"),
        ({"time_limit": -5}, "time_limit"),
        ({"backend": ""}, "backend"),
        ({"backend": 3}, "backend"),
    ],
)
def test_unusable_arguments(prog, changes, option):
    with pytest.raises(OptionError, match=option) as caught:
        ro.solve(prog, **changes)
    assert caught.value.fields["option"] == option


def test_what_a_backend_cannot_do_is_refused(install, prog):
    install(Plugin())
    with pytest.raises(OptionError, match="cannot start from a given point") as caught:
        ro.solve(prog, "zero", warm_start=np.zeros(prog.weights_shape))
    assert caught.value.fields["option"] == "warm_start"
    with pytest.raises(OptionError, match="cannot stop at a time limit") as caught:
        ro.solve(prog, "zero", time_limit=5)
    assert caught.value.fields["option"] == "time_limit"


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (np.zeros((1, 2)), "weights has shape"),
        (ro.ReLUNetwork([[1.0, 2.0, 3.0]], [1.0]), "features|columns"),
        (ro.ReLUNetwork([[1.0, 2.0]], [1.0], gates=[[1.0, 0.0]]), "program is of ReLU networks"),
    ],
)
def test_a_start_that_does_not_fit(prog, start, message):
    with pytest.raises(DataError, match=message):
        ro.solve(prog, "native", warm_start=start)


@pytest.mark.parametrize("kind", ["solution", "network", "weights", "list"])
def test_every_kind_of_start(install, prog, kind):
    plugin = install(Plugin(features=frozenset({Feature.WARM_START})))
    sol = ro.solve(prog, "native")
    start = {
        "solution": sol,
        "network": sol.network,
        "weights": sol.weights,
        "list": sol.weights.tolist(),
    }[kind]
    ro.solve(prog, "zero", warm_start=start)
    np.testing.assert_allclose(plugin.backend.seen[0][1].warm_start, sol.weights, atol=1e-12)


def test_settings_reach_the_backend_in_their_order(install, prog, monkeypatch, tmp_path):
    plugin = install(Plugin(options=OWN))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "relu-opt.toml").write_text(
        'backend = "zero"\ntol = 1e-3\nseed = 5\n[options.zero]\nmax_iter = 77\nstep = 9.0\n'
        "[options.other]\nnot_mine = 1\n"
    )
    monkeypatch.setenv("RELU_OPT_SEED", "6")
    ro.solve(prog, options={"step": 2.0})
    options = plugin.backend.seen[0][1]
    assert (options.tol, options.seed) == (1e-3, 6)
    assert (options.extra["max_iter"], options.extra["step"]) == (77, 2.0)
    ro.solve(prog, tol=1e-2)
    assert plugin.backend.seen[1][1].tol == 1e-2
    monkeypatch.setenv("RELU_OPT_BACKEND", "native")
    assert ro.solve(prog).backend == "native"
    assert ro.solve(prog, "zero").backend == "zero"
    monkeypatch.setenv("RELU_OPT_TOL", "-1")
    with pytest.raises(ConfigError, match="RELU_OPT_TOL is '-1'"):
        ro.solve(prog)


# -- plugins that fail -------------------------------------------------------------------


def check_the_rest_works(prog):
    assert ro.solve(prog, "native").backend == "native"
    assert status_of("native").availability.state is State.READY


@pytest.mark.parametrize("kind", [ImportError, RuntimeError, SyntaxError, KeyError])
def test_a_plugin_that_raises_on_load(registry, prog, caplog, kind):
    def load():
        raise kind("broken inside")

    registry.add("bad", "bad-dist", load)
    assert "'bad' of 'bad-dist' failed to load" in caplog.text
    status = status_of("bad")
    assert (status.distribution, status.info) == ("bad-dist", None)
    assert status.availability.state is State.BROKEN
    assert "broken inside" in status.availability.reason
    with pytest.raises(PluginLoadError, match="broken inside") as caught:
        ro.solve(prog, "bad")
    assert caught.value.fields == {"plugin": "bad", "distribution": "bad-dist"}
    assert isinstance(caught.value.__cause__, kind)
    check_the_rest_works(prog)


class RaisesWhenAsked:
    @hookimpl
    def relu_opt_backends(self):
        raise LookupError("no table")


class GivesSomethingElse:
    @hookimpl
    def relu_opt_backends(self):
        return ["zero"]


class GivesNothing:
    @hookimpl
    def relu_opt_backends(self):
        return None


class MisspelledHook:
    @hookimpl
    def relu_opt_backend(self):
        return []


class WrongArgument:
    @hookimpl
    def relu_opt_solve(self, backend, problem, options):
        return None


@pytest.mark.parametrize(
    ("plugin", "reason"),
    [
        (RaisesWhenAsked(), "LookupError: 'no table'|LookupError: no table"),
        (GivesSomethingElse(), "'zero', which is not a BackendInfo"),
        (GivesNothing(), "NoneType"),
        (MisspelledHook(), "unknown hook 'relu_opt_backend'"),
        (WrongArgument(), "problem"),
        (Plugin(api_version=0), "written for plugin API 0, and this relu_opt has API 1"),
        (Plugin(api_version=2), "written for plugin API 2, and this relu_opt has API 1"),
    ],
)
def test_a_plugin_that_breaks_the_contract(registry, prog, plugin, reason):
    registry.add("bad", "bad-dist", lambda: plugin)
    with pytest.raises(PluginLoadError, match=reason):
        registry.find("bad")
    assert plugin not in registry.manager.get_plugins()
    assert "zero" not in {status.name for status in ro.backends()}
    check_the_rest_works(prog)
    # Nor does it stand in the way of the next one.
    good = Plugin(name="good")
    registry.add("good", "good-dist", lambda: good)
    assert ro.solve(prog, "good").backend == "good"


def test_one_name_twice_names_both_distributions(registry, prog):
    for distribution in ("first", "second"):
        plugin = Plugin()
        registry.add(distribution, distribution, lambda plugin=plugin: plugin)
    with pytest.raises(PluginConflict, match="by 'first' and by 'second'") as caught:
        ro.solve(prog, "zero")
    assert caught.value.fields == {"name": "zero", "distributions": ("first", "second")}
    status = status_of("zero")
    assert "first" in status.distribution
    assert "second" in status.distribution
    assert isinstance(status.error, PluginConflict)
    check_the_rest_works(prog)
    third = Plugin()
    registry.add("third", "third", lambda: third)
    with pytest.raises(PluginConflict, match="third"):
        ro.solve(prog, "zero")


def test_a_built_in_name_cannot_be_taken(registry, prog):
    impostor = Plugin(name="native")
    registry.add("impostor", "impostor-dist", lambda: impostor)
    with pytest.raises(PluginConflict, match="'relu-opt' and by 'impostor-dist'"):
        ro.solve(prog, "native")
    # `auto` does not fall for it either.
    assert ro.solve(prog).backend == "cvxpy"
    assert not impostor.backend.seen


@pytest.mark.parametrize("first", ["sound", "failed"])
def test_a_failed_plugin_with_the_name_of_a_sound_backend(registry, prog, first):
    """Its name is an entry point's: the backend works, or the clash names both."""

    def load():
        raise ImportError("no")

    plugin = Plugin()
    entries = [("zero", "failed-dist", load), ("fine", "fine-dist", lambda: plugin)]
    for entry in entries if first == "failed" else entries[::-1]:
        registry.add(*entry)
    try:
        assert ro.solve(prog, "zero").backend == "zero"
    except PluginConflict as error:
        assert set(error.fields["distributions"]) == {"failed-dist", "fine-dist"}  # noqa: PT017


@pytest.mark.parametrize("names", [("zero", "other"), ("zero", "zero")])
def test_two_entry_points_of_one_name(registry, prog, names):
    """Two distributions may choose one entry-point name; neither loses its backend by it."""
    plugins = [Plugin(name=name) for name in names]
    for plugin, distribution in zip(plugins, ("first", "second"), strict=True):
        registry.add("entry", distribution, lambda plugin=plugin: plugin)
    if names[0] != names[1]:
        for name in names:
            assert ro.solve(prog, name).backend == name
    else:
        with pytest.raises(PluginConflict, match="by 'first' and by 'second'"):
            ro.solve(prog, "zero")
    check_the_rest_works(prog)


def test_an_entry_point_with_the_name_of_a_built_in_one(registry, prog):
    plugin = Plugin()
    registry.add("native", "stranger", lambda: plugin)
    assert ro.solve(prog, "native").backend == "native"
    assert ro.solve(prog, "zero").backend == "zero"


# -- hooks -------------------------------------------------------------------------------


class Watcher:
    """Wraps every solve."""

    def __init__(self, change=None):
        self.seen, self.change = [], change

    @hookimpl(wrapper=True)
    def relu_opt_solve(self, backend, program, options):
        raw = yield
        self.seen.append((backend.name, type(program).__name__, options.tol))
        return raw if self.change is None else self.change(raw)


def test_a_wrapper_sees_every_solve(registry, install, prog):
    install(Plugin(takes=frozenset({ConicProgram}), features=frozenset({Feature.SOC})))
    watcher = Watcher()
    registry.add("watcher", "watcher-dist", lambda: watcher)
    ro.solve(prog, "native", tol=1e-6)
    with pytest.raises(ro.errors.SolveFailed, match="returned no answer: iteration limit"):
        ro.solve(prog, "zero")
    ro.solve(prog, "cvxpy")
    assert watcher.seen == [
        ("native", "ConvexProgram", 1e-6),
        ("zero", "ConicProgram", 1e-8),
        ("cvxpy", "ConvexProgram", 1e-8),
    ]


def test_a_wrapper_may_answer_itself_and_is_checked_too(registry, prog):
    optimal = ro.solve(prog, "native")

    class Cache:
        @hookimpl(tryfirst=True)
        def relu_opt_solve(self, backend, program, options):
            return RawSolution(StopReason.CONVERGED, optimal.weights, raw_status="from a cache")

    registry.add("cache", "cache-dist", Cache)
    sol = ro.solve(prog, "native")
    assert sol.stats["raw_status"] == "from a cache"
    assert sol.certificate.verdict == ro.Verdict.CERTIFIED

    spoiler = Watcher(lambda raw: replace(raw, x=-raw.x))
    registry.add("spoiler", "spoiler-dist", lambda: spoiler)
    with contextlib.suppress(ContractViolation):
        assert ro.solve(prog, "native").certificate.verdict == ro.Verdict.NOT_CERTIFIED


def test_a_hook_that_declines_leaves_the_solve_to_the_core(registry, prog):
    class Declines:
        @hookimpl
        def relu_opt_solve(self, backend, program, options):
            return None

    registry.add("declines", "declines-dist", Declines)
    assert ro.solve(prog, "native").certificate.verdict == ro.Verdict.CERTIFIED


def test_observers_that_raise_are_logged_and_change_nothing(registry, install, prog, caplog):
    class Rude:
        @hookimpl
        def relu_opt_progress(self, event):
            raise RuntimeError("rude progress")

        @hookimpl
        def relu_opt_solved(self, program, solution):
            raise RuntimeError("rude end")

    class Polite:
        def __init__(self):
            self.events, self.solved = [], []

        @hookimpl
        def relu_opt_progress(self, event):
            self.events.append(event)

        @hookimpl
        def relu_opt_solved(self, program, solution):
            self.solved.append((program, solution))

    polite = Polite()
    registry.add("polite", "polite-dist", lambda: polite)
    registry.add("rude", "rude-dist", Rude)
    install(Plugin())
    with caplog.at_level(logging.ERROR):
        sol = ro.solve(prog, "zero")
    assert re.search(r"Observer relu_opt_progress of plugin \S*rude failed", caplog.text)
    assert "rude progress" in caplog.text
    assert "rude end" in caplog.text
    assert polite.events == [ProgressEvent("solve", 1, 0.0)]
    assert polite.solved == [(prog, sol)]
    before = ro.solve(prog, "native")
    assert before.certificate.verdict == ro.Verdict.CERTIFIED


def test_observers_see_how_far_it_is(registry, prog):
    events = []
    with observe(events.append):
        sol = ro.solve(prog, "native")
    count = len(events)
    assert count
    assert all(isinstance(event, ProgressEvent) for event in events)
    assert events[-1].rel_gap == pytest.approx(sol.rel_gap, abs=1e-8)
    assert [event.elapsed for event in events] == sorted(event.elapsed for event in events)
    ro.solve(prog, "native")
    assert len(events) == count


def test_observing_ends_with_an_exception_too(registry, prog):
    events = []
    with pytest.raises(ZeroDivisionError), observe(events.append):
        raise ZeroDivisionError
    ro.solve(prog, "native")
    assert not events


# -- types -------------------------------------------------------------------------------


def test_every_stop_reason_has_advice():
    for reason in StopReason:
        assert reason.advice.rstrip(")").endswith(".")
        assert len(reason.advice) > 20


def test_options_have_neutral_defaults():
    options = SolveOptions()
    assert options.progress(ProgressEvent("solve", 0, 0.0)) is None
    assert (options.tol, options.warm_start, dict(options.extra)) == (1e-8, None, {})
    assert ConeMultipliers(*[np.array([])] * 4).values.size == 0


def test_what_is_built_in(registry):
    statuses = ro.backends()
    assert [status.name for status in statuses] == sorted(BUILT_IN)
    assert {status.distribution for status in statuses} == {"relu-opt"}
    assert all(status.error is None for status in statuses)
    native = {status.name: status.info for status in statuses}["native"]
    assert ConvexProgram in native.takes
    assert {Feature.WARM_START, Feature.TIME_LIMIT} <= native.features


# -- in processes of their own -----------------------------------------------------------


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
        timeout=600,
    )


HEAVY = [
    "cvxpy",
    "clarabel",
    "highspy",
    "daqp",
    "mosek",
    "pyomo",
    "matplotlib",
    "sklearn",
    "pyarrow",
    "pandas",
    "torch",
    "onnx",
    "onnxruntime",
    "scs",
    "osqp",
    "typer",
    "rich",
]


def test_importing_loads_no_solver_and_no_library_of_pictures():
    code = f"""
import sys, relu_opt
early = [name for name in {HEAVY} if name in sys.modules]
statuses = relu_opt.backends()
late = [name for name in {HEAVY} if name in sys.modules]
plugins = [name for name in sys.modules if name.startswith("relu_opt_")]
print(early, late)
"""
    found = python(code)
    assert found.stderr == ""
    # Whether MOSEK has a licence is for MOSEK to say: its probe asks.
    assert found.stdout.strip() in ("[] []", "[] ['mosek']")


def test_importing_loads_no_more_than_it_needs():
    """That is what makes it quick: it takes 0.1 s beside what numpy and scipy take."""
    code = """
import sys
import numpy, scipy.linalg, scipy.optimize, scipy.sparse, scipy.special
before = set(sys.modules)
import relu_opt
names = {name.split(".")[0] for name in set(sys.modules) - before}
print(*sorted(names - set(sys.stdlib_module_names)))
"""
    allowed = {"numpy", "scipy", "pluggy", "relu_opt", "threadpoolctl"}
    found = set(python(code).stdout.split())
    assert "relu_opt" in found
    assert found <= allowed


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        ("native", ["native"]),
        ("cvxpy", ["cvxpy"]),
        ("cvxpy, native", ["cvxpy", "native"]),
        ("", []),
        ("nothing", []),
    ],
)
def test_loading_can_be_limited(chosen, names):
    code = """
import sys, relu_opt
print([s.name for s in relu_opt.backends()])
print(sorted(n for n in sys.modules if n in ("relu_opt_native", "relu_opt_cvxpy")))
"""
    found = python(code, RELU_OPT_PLUGINS=chosen)
    modules = [f"relu_opt_{name}" for name in names]
    assert found.stdout.splitlines() == [repr(names), repr(modules)], found.stderr


def test_a_backend_that_is_not_loaded_is_unknown():
    code = """
import relu_opt as ro
X = [[1.0], [2.0]]
prog = ro.ConvexProgram(X, [1.0, 2.0], 0.1, ro.sample_patterns(X, 3))
try:
    ro.solve(prog, "cvxpy")
except ro.errors.UnknownBackend as error:
    print(error.fields["known"])
print(ro.solve(prog).backend)
"""
    found = python(code, RELU_OPT_PLUGINS="native")
    assert found.stdout.splitlines() == ["['native']", "native"], found.stderr


@pytest.mark.parametrize("options", [3, "threads", ["threads"], 1j, {1}])
def test_options_are_a_mapping(options):
    X = np.eye(3)
    program = ro.ConvexProgram(X, [1.0, 2.0, 3.0], 0.1, ro.sample_patterns(X, 4))
    with pytest.raises(OptionError, match="mapping"):
        ro.solve(program, options=options)
    with pytest.raises(OptionError, match="mapping"):
        ro.solution_path(program, options=options)
