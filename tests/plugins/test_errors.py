"""Every error of the contract, reached through the public API: what it says, and its fields."""

from __future__ import annotations

import numpy as np
import pytest

import relu_opt as ro
from relu_opt import errors
from relu_opt.plugins import Availability, BackendInfo, RawSolution, State, StopReason, hookimpl

X = np.array([[1.0, 0.5], [-1.0, 2.0], [0.3, -1.0]])
LP = ro.LinearProgram(c=[1.0], lower=0.0)


def program(**changes):
    arguments = {"X": X, "y": [1.0, 2.0, 0.5], "lam": 0.1, "patterns": ro.sample_patterns(X, 5)}
    return ro.ConvexProgram(**{**arguments, **changes})


class Plugin:
    """A backend `mine` that returns, or raises, what it is given."""

    def __init__(self, answer=None, state=State.READY, reason="", hint=""):
        self.answer, self.state, self.reason, self.hint = answer, state, reason, hint

    def solve(self, program, options):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    @hookimpl
    def relu_opt_backends(self):
        found = Availability(self.state, self.reason)
        takes = frozenset({ro.LinearProgram})
        info = BackendInfo("mine", lambda: self, lambda: found, takes, install_hint=self.hint)
        return [info]


def registered(registry, **what):
    registry.add("mine", "dist", lambda: Plugin(**what))


def config_error(registry, monkeypatch):
    monkeypatch.setenv("RELU_OPT_TOL", "-1")
    ro.solve_program(LP)


def data_error(registry, monkeypatch):
    program(lam=0.0)


def unknown_backend(registry, monkeypatch):
    ro.solve_program(LP, "hihgs")


def backend_unavailable(registry, monkeypatch):
    what = {"state": State.NO_LICENCE, "reason": "no file", "hint": "buy one"}
    registered(registry, **what)
    ro.solve_program(LP, "mine")


def unsupported_program(registry, monkeypatch):
    registered(registry)
    ro.solve(program(), "mine")


def option_error(registry, monkeypatch):
    ro.solve(program(), "native", options={"max_itre": 3})


def solve_failed(registry, monkeypatch):
    registered(registry, answer=RawSolution(StopReason.INFEASIBLE, raw_status="code 3"))
    ro.solve_program(LP, "mine")


def plugin_load_error(registry, monkeypatch):
    def load():
        raise ImportError("libmine.so: cannot open")

    registry.add("mine", "dist", load)
    ro.solve_program(LP, "mine")


def plugin_conflict(registry, monkeypatch):
    registered(registry)
    registry.add("mine", "other-dist", Plugin)
    ro.solve_program(LP, "mine")


def contract_violation(registry, monkeypatch):
    registered(registry, answer=RawSolution(StopReason.CONVERGED, np.zeros(7)))
    ro.solve_program(LP, "mine")


def not_certified(registry, monkeypatch):
    registered(registry, answer=RawSolution(StopReason.CONVERGED, np.ones(1), np.empty(0)))
    ro.solve_program(LP, "mine").require()


# What happened and why, then the fix; and the fields.
def not_differentiable(registry, monkeypatch):
    X = np.array([[1.0, 2.0], [-1.0, 1.0], [0.5, -1.0]])
    prog = ro.ConvexProgram(X, np.ones(3), 1.0, ro.sample_patterns(X, 4, seed=0))
    _ = ro.sensitivity(ro.solve(prog.with_lam(prog.lam_max))).d_lam


SAYS = {
    config_error: (
        errors.ConfigError,
        ("RELU_OPT_TOL is '-1'", "a number above 0 and below 1 is needed"),
        {"source": "RELU_OPT_TOL", "setting": "tol", "value": "-1"},
    ),
    data_error: (
        errors.DataError,
        ("lam is 0.0", "a number greater than zero is needed"),
        {"name": "lam", "value": 0.0},
    ),
    unknown_backend: (
        errors.UnknownBackend,
        ("no backend 'hihgs'", "Did you mean 'highs'?"),
        {"backend": "hihgs"},
    ),
    backend_unavailable: (
        errors.BackendUnavailable,
        ("cannot be used here (no licence): no file", "Fix: buy one"),
        {"backend": "mine", "state": State.NO_LICENCE, "reason": "no file"},
    ),
    unsupported_program: (
        errors.UnsupportedProgram,
        ("cannot take this ConvexProgram: it takes LinearProgram", "Leave backend out"),
        {"backend": "mine", "program": "ConvexProgram", "lacking": []},
    ),
    option_error: (
        errors.OptionError,
        ("has no option 'max_itre'", "Did you mean 'max_iter'?"),
        {"backend": "native", "option": "max_itre"},
    ),
    solve_failed: (
        errors.SolveFailed,
        ("claims that the program is infeasible (code 3)", "shown nothing", "relax one"),
        {
            "backend": "mine",
            "stop": StopReason.INFEASIBLE,
            "raw_status": "code 3",
            "proved": False,
            "ray": None,
        },
    ),
    plugin_load_error: (
        errors.PluginLoadError,
        ("failed to load: ImportError: libmine.so: cannot open", "Repair or uninstall 'dist'"),
        {"plugin": "mine", "distribution": "dist"},
    ),
    plugin_conflict: (
        errors.PluginConflict,
        ("'mine' is registered by 'dist' and by 'other-dist'", "Uninstall one, or limit loading"),
        {"name": "mine", "distributions": ("dist", "other-dist")},
    ),
    contract_violation: (
        errors.ContractViolation,
        ("returned x of shape (7,)", "floats of shape (1,) are needed"),
        {"backend": "mine", "field": "x", "shape": (1,)},
    ),
    not_certified: (
        errors.NotCertified,
        ("The answer of backend 'mine' is not_certified: gap", "Compare with another backend"),
        {"verdict": "not_certified", "tol": 1e-8},
    ),
    not_differentiable: (
        errors.NotDifferentiable,
        ("Not differentiable: a neuron that is off is about to enter.",),
        {"failed": ["off"]},
    ),
}


@pytest.mark.parametrize("reach", SAYS, ids=lambda reach: reach.__name__)
def test_what_an_error_says(registry, monkeypatch, reach):
    kind, parts, fields = SAYS[reach]
    with pytest.raises(errors.ReluOptError) as caught:
        reach(registry, monkeypatch)
    assert type(caught.value) is kind
    for part in parts:
        assert part in caught.value.message
    assert fields.items() <= caught.value.fields.items()


def test_no_error_is_missing_here():
    kinds = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.ReluOptError)
    }
    assert kinds - {errors.ReluOptError} == {kind for kind, _, _ in SAYS.values()}
