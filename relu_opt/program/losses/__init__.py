"""The losses, one module a family, and the registry by name."""

from relu_opt.program.losses.base import Loss, check_labels
from relu_opt.program.losses.margins import Hinge, Logistic, SquaredHinge
from relu_opt.program.losses.poisson import Poisson
from relu_opt.program.losses.quantile import Quantile
from relu_opt.program.losses.registry import (
    LOSSES,
    check_saved,
    get_loss,
    is_known,
    make_loss,
    register_loss,
)
from relu_opt.program.losses.residual import Huber, Squared

__all__ = [
    "LOSSES",
    "Hinge",
    "Huber",
    "Logistic",
    "Loss",
    "Poisson",
    "Quantile",
    "Squared",
    "SquaredHinge",
    "check_labels",
    "check_saved",
    "get_loss",
    "is_known",
    "make_loss",
    "register_loss",
]
