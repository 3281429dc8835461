"""The built-in backends against the public conformance kit."""

from __future__ import annotations

from relu_opt.testing import PROGRAMS, BackendConformance


def of(*families):
    """The names of the programs of some families."""
    return [name for name, case in PROGRAMS.items() if case.family in families]


class TestNative(BackendConformance):
    backend = "native"


class TestHighs(BackendConformance):
    backend = "highs"


class TestClarabel(BackendConformance):
    backend = "clarabel"


class TestCvxpy(BackendConformance):
    backend = "cvxpy"


class TestCvxpyWithScs(BackendConformance):
    """A first-order solver: the tolerance is what limits it."""

    backend = "cvxpy"
    tol = 1e-5
    options = {"solver": "SCS"}  # noqa: RUF012


class TestPyomo(BackendConformance):
    backend = "pyomo"
    excludes = dict.fromkeys(  # noqa: RUF012
        of("socp"), "HiGHS, the default solver, takes no second-order cones: see TestPyomoWithScip"
    )


class TestPyomoWithScip(BackendConformance):
    backend = "pyomo"
    options = {"solver": "scip_direct"}  # noqa: RUF012


class TestMosek(BackendConformance):
    backend = "mosek"
