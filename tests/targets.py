"""Targets that any loss takes."""

from __future__ import annotations

import numpy as np

from relu_opt.program.losses import get_loss


def targets_of(loss, y):
    """Targets that a loss takes, made of numbers: signs of labels, counts, or the numbers."""
    loss = get_loss(loss)
    if loss.classifies:
        return np.where(y > 0, 1.0, -1.0)
    return y if loss.scales else np.rint(np.exp(np.clip(y, -3.0, 3.0)))
