"""How far to go along a step."""

from __future__ import annotations

import math

import pytest

from relu_opt.program.line_search import by_halves, crossing


@pytest.mark.parametrize(
    ("slope", "there"),
    [
        (lambda t: t - 2.0, 1.0),
        (lambda t: t + 0.5, 0.0),
        (lambda t: 1.0, 0.0),
        (lambda t: t - 3.0, 1.0),
        (lambda t: t - 0.3, 0.3),
        (lambda t: t - 0.25, 0.25),
        (lambda t: math.exp(t) - 1.5, math.log(1.5)),
        (lambda t: -1.0 if t < 0.7 else 3.0, 0.7),
    ],
)
def test_a_convex_function_is_least_where_its_slope_crosses_zero(slope, there):
    assert crossing(slope) == pytest.approx(there, abs=1e-10)


def test_steps_are_halved_until_one_is_good():
    tried = []

    def attempt(share):
        tried.append(share)
        return "good" if share < 0.3 else None

    assert by_halves(attempt, 10) == "good"
    assert tried == [1.0, 0.5, 0.25]
    assert by_halves(attempt, 2) is None
