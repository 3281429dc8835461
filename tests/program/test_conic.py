"""Cone distances, the yardstick of every conic answer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csc_array

from relu_opt.errors import DataError
from relu_opt.program.conic import Cones, ConicProgram, cone_distance, symmetric, triangle

ALL = Cones(zero=1, nonnegative=2, second_order=(3, 1), exponential=2)
MEMBER = np.array([0.0, 1.0, 0.0, 5.0, 3.0, 4.0, 0.0, 1.0, 1.0, np.e, -2.0, 0.0, 0.0])
# Free on the zero cone; (−1, 0, 1) lies inside the dual exponential cone, (0, 2, 0) on its face.
DUAL_MEMBER = np.array([-9.0, 1.0, 0.0, 5.0, 3.0, 4.0, 0.0, -1.0, 0.0, 1.0, 0.0, 2.0, 0.0])


def exponential(u: float, v: float, w: float, dual: bool = False) -> float:
    return cone_distance(np.array([u, v, w]), Cones(exponential=1), dual)


def test_members_have_distance_zero():
    assert cone_distance(MEMBER, ALL, dual=False) == 0.0
    assert cone_distance(DUAL_MEMBER, ALL, dual=True) == 0.0


@pytest.mark.parametrize(
    ("row", "step", "primal", "dual"),
    [
        (0, 0.25, 0.25, 0.0),  # the zero cone, whose dual is everything
        (0, -0.25, 0.25, 0.0),
        (2, -0.25, 0.25, 0.25),  # nonnegative
        (3, -0.25, 0.25, 0.25),  # the bound of a norm
        (6, -0.25, 0.25, 0.25),  # a second-order cone of one row
    ],
)
def test_a_step_out_of_a_cone_is_its_distance(row, step, primal, dual):
    for member, expected, in_dual in ((MEMBER, primal, False), (DUAL_MEMBER, dual, True)):
        moved = member.copy()
        moved[row] += step
        assert cone_distance(moved, ALL, in_dual) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("row", range(13))
def test_nan_is_never_a_member(row):
    for member, dual in ((MEMBER, False), (DUAL_MEMBER, True)):
        point = member.copy()
        point[row] = np.nan
        assert np.isnan(cone_distance(point, ALL, dual))


def test_exponential_boundary_and_outside():
    assert exponential(2.0, 1.0, np.exp(2.0)) == pytest.approx(0.0, abs=1e-14)
    assert exponential(0.0, 1.0, 0.75) == pytest.approx(0.25)
    assert exponential(-1.0, 0.0, 0.0) == 0.0
    assert exponential(0.5, 0.0, 3.0) == 0.5
    assert exponential(-1.0, -0.5, 3.0) == 0.5


def test_dual_exponential_boundary_and_outside():
    assert exponential(-1.0, 1.0, np.exp(-2.0), dual=True) == pytest.approx(0.0, abs=1e-15)
    assert exponential(-1.0, 1.0, np.exp(-2.0) - 0.1, dual=True) == pytest.approx(0.1)
    assert exponential(0.0, 1.0, 1.0, dual=True) == 0.0
    assert exponential(0.5, 1.0, 1.0, dual=True) == 0.5


@pytest.mark.parametrize("dual", [False, True])
def test_rounding_next_to_a_face_is_a_small_distance(dual):
    """e^(u/v) overflows there, and the point is next to the cone all the same."""
    near = (-1e-12, -1e-9, 0.0) if dual else (1e-9, 1e-12, 1.0)
    assert exponential(*near, dual=dual) <= 1e-9


def test_exponential_cone_and_its_dual_have_nonnegative_products():
    rng = np.random.default_rng(0)
    points = rng.standard_normal((4000, 3)) * 10.0 ** rng.integers(-3, 2, (4000, 1))
    inside = [s for s in points if exponential(*s) == 0.0]
    dual = [s for s in points if exponential(*s, dual=True) == 0.0]
    assert len(inside) > 100
    assert len(dual) > 100
    assert (np.array(inside) @ np.array(dual).T).min() >= 0.0


def test_distance_bounds_the_step_into_the_exponential_cone():
    """No sampled member lies within less than a distance of zero, and the bound is reached."""
    rng = np.random.default_rng(1)
    for u, v, w in rng.standard_normal((200, 3)):
        distance = exponential(u, v, w)
        candidates = [(u, v, w + distance), (u - distance, v, w), (min(u, 0), 0.0, max(w, 0))]
        steps = [np.abs(np.subtract(c, (u, v, w))).max() for c in candidates]
        reached = [
            exponential(*candidate) <= 1e-12 and step <= distance * (1 + 1e-12)
            for candidate, step in zip(candidates, steps, strict=True)
        ]
        assert any(reached)


def test_residuals_of_a_linear_program():
    # min x subject to x = 2 and x ≥ 1.
    program = ConicProgram(
        np.array([1.0]),
        csc_array([[1.0], [-1.0]]),
        np.array([2.0, -1.0]),
        Cones(zero=1, nonnegative=1),
        offset=3.0,
    )
    x, z = np.array([2.0]), np.array([-1.0, 0.0])
    assert program.residuals(x, z) == (0.0, 0.0)
    assert program.objective(x) == program.dual_objective(z) == 5.0
    assert program.residuals(x + 0.5, z) == (0.5, 0.0)
    assert program.residuals(x, np.array([-1.5, 0.0])) == (0.0, 0.5)
    assert program.residuals(x, np.array([-1.5, -0.5])) == (0.0, 0.5)
    assert np.isnan(program.residuals(x, np.array([np.nan, 0.0]))[1])


def test_programs_that_do_not_fit_together_are_refused():
    A, b, c = csc_array(np.eye(2)), np.zeros(2), np.zeros(2)
    with pytest.raises(DataError, match="cones have 3 rows"):
        ConicProgram(c, A, b, Cones(nonnegative=3))
    with pytest.raises(DataError, match=r"A has shape \(2, 2\)"):
        ConicProgram(np.zeros(3), A, b, Cones(nonnegative=2))
    with pytest.raises(DataError, match="b holds NaN"):
        ConicProgram(c, A, np.array([0.0, np.nan]), Cones(nonnegative=2))
    with pytest.raises(DataError, match="c holds infinite"):
        ConicProgram(np.array([0.0, np.inf]), A, b, Cones(nonnegative=2))
    with pytest.raises(DataError, match="A holds NaN"):
        ConicProgram(c, np.full((2, 2), np.inf), b, Cones(nonnegative=2))


def test_a_conic_program_keeps_its_own_arrays():
    A, b, c = csc_array(np.eye(2)), np.zeros(2), np.ones(2)
    program = ConicProgram(c, A, b, Cones(nonnegative=2))
    A.data[0] = b[0] = c[0] = 7.0
    assert (program.A.data[0], program.b[0], program.c[0]) == (1.0, 0.0, 1.0)
    for array in (program.A.data, program.b, program.c):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 7.0


@pytest.mark.parametrize("wrong", [{"zero": -1}, {"second_order": (0,)}, {"semidefinite": (1.5,)}])
def test_cones_of_no_size_are_refused(wrong):
    with pytest.raises(DataError, match=next(iter(wrong))):
        Cones(**wrong)


def test_a_triangle_keeps_inner_products_and_comes_back():
    rng = np.random.default_rng(0)
    for order in (1, 2, 3, 5):
        S, T = (M + M.T for M in rng.standard_normal((2, order, order)))
        assert triangle(S).shape == (Cones(semidefinite=(order,)).rows,)
        assert triangle(S) @ triangle(T) == pytest.approx(np.trace(S @ T))
        np.testing.assert_allclose(symmetric(triangle(S)), S, atol=1e-14)
    first = triangle(np.array([[1.0, 2.0, 4.0], [2.0, 3.0, 5.0], [4.0, 5.0, 6.0]]))
    root = np.sqrt(2.0)
    np.testing.assert_allclose(first, [1, 2 * root, 3, 4 * root, 5 * root, 6])


@pytest.mark.parametrize("dual", [False, True])
def test_distance_from_semidefinite_cones_is_the_most_negative_eigenvalue(dual):
    cones = Cones(second_order=(2,), semidefinite=(2, 1))
    inside, outside = np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([[0.0, 2.0], [2.0, 0.0]])
    head = np.array([1.0, -1.0])
    assert cone_distance(np.r_[head, triangle(inside), 0.0], cones, dual) == 0.0
    assert cone_distance(np.r_[head, triangle(outside), 0.0], cones, dual) == pytest.approx(2.0)
    assert cone_distance(np.r_[head, triangle(inside), -3.0], cones, dual) == pytest.approx(3.0)
