"""The built-in backends against the public conformance kit."""

from __future__ import annotations

import pytest

from relu_opt.testing import PROGRAMS, BackendConformance


def of(*families):
    """The programs of some families."""
    return {name: case for name, case in PROGRAMS.items() if case.family in families}


class Patient(BackendConformance):
    """A limit is to be a result; how late it comes is the machine's."""

    time_slack = patience = 600.0


class TestNative(Patient):
    backend = "native"


class TestHighs(Patient):
    backend = "highs"


class TestClarabel(Patient):
    backend = "clarabel"


class TestCvxpy(Patient):
    backend = "cvxpy"


@pytest.mark.slow
class TestCvxpyWithScs(Patient):
    """A first-order method."""

    backend = "cvxpy"
    options = {"solver": "SCS"}  # noqa: RUF012
    excludes = dict.fromkeys(
        [*of("milp"), "large_milp"], "SCS takes no integers; TestCvxpy has HiGHS for them"
    )


class TestPyomo(Patient):
    backend = "pyomo"
    programs = {name: case for name, case in PROGRAMS.items() if name not in of("net")}  # noqa: RUF012
    excludes = dict.fromkeys(
        of("socp"), "HiGHS takes no second-order cones; TestPyomoWithScip does"
    )


@pytest.mark.slow
class TestPyomoWithNetworks(Patient):
    """Its models are many, made in Python, and the master programs of column generation."""

    backend = "pyomo"
    programs = of("net")
    excludes = {"net_hinge": "HiGHS takes no second-order cones, and SCIP has no duals for it"}  # noqa: RUF012


class TestPyomoWithScip(Patient):
    """What HiGHS does not take."""

    backend = "pyomo"
    options = {"solver": "scip_direct"}  # noqa: RUF012
    programs = of("milp", "conic", "socp")
    excludes = dict.fromkeys(
        ["test_duals_signs", "test_duals_optimal"], "SCIP has no duals of what it branches on"
    )


class TestMosek(Patient):
    backend = "mosek"
