"""The Newton model of column generation where doubles are short."""

from __future__ import annotations

import numpy as np
import pytest

from relu_opt.solving.column_generation.newton import _whitening


def test_turns_beside_which_the_identity_is_rounding():
    """K = I + TTᵀ has no Cholesky factor in doubles then; of rank one vᵀK⁻¹v is known."""
    whiten = _whitening(1e9 * np.ones((4, 3)))
    across, along = np.array([1.0, -1.0, 0.0, 0.0]), np.ones(4)
    assert np.sum(whiten(across) ** 2) == pytest.approx(2.0, rel=1e-4)
    assert np.sum(whiten(along) ** 2) == pytest.approx(4 / (1 + 12e18), rel=1e-4)
