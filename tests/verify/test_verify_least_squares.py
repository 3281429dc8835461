"""Nonnegative least squares of the re-check, against scipy's and the conditions of optimality."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import nnls

from relu_opt.verify.least_squares import nonnegative


@pytest.mark.parametrize("seed", range(60))
def test_as_near_as_scipy(seed):
    rng = np.random.default_rng(seed)
    rows, columns = int(rng.integers(1, 7)), int(rng.integers(1, 15))
    A, b = rng.normal(size=(rows, columns)), rng.normal(size=rows)
    if seed % 3 == 0:
        A = np.rint(2 * A)
    if seed % 5 == 0:
        A[:, columns // 2 :] = A[:, : columns - columns // 2]
    x, (_, least) = nonnegative(A, b), nnls(A, b)
    assert (x >= 0).all()
    assert np.linalg.norm(A @ x - b) <= least + 1e-6
    slope = A.T @ (A @ x - b)
    size = np.linalg.norm(A, axis=0).max() * np.linalg.norm(b)
    assert slope.min() >= -1e-5 * size
    assert abs(slope @ x) <= 1e-5 * size * (1 + x.max())


@pytest.mark.parametrize("A", [np.zeros((3, 2)), np.full((3, 2), 1e-200), np.empty((3, 0))])
def test_what_has_no_squares_gives_nothing(A):
    np.testing.assert_array_equal(nonnegative(A, np.ones(3)), np.zeros(A.shape[1]))
