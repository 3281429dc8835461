"""The losses, one module a family, and the registry by name."""

from relu_opt.program.losses.base import Loss
from relu_opt.program.losses.base import check_labels as check_labels
from relu_opt.program.losses.margins import Hinge, Logistic, SquaredHinge
from relu_opt.program.losses.poisson import Poisson
from relu_opt.program.losses.quantile import Quantile
from relu_opt.program.losses.registry import LOSSES as LOSSES
from relu_opt.program.losses.registry import check_saved as check_saved
from relu_opt.program.losses.registry import get_loss as get_loss
from relu_opt.program.losses.registry import is_known as is_known
from relu_opt.program.losses.registry import make_loss as make_loss
from relu_opt.program.losses.registry import register_loss
from relu_opt.program.losses.residual import Huber, Squared

__all__ = [
    "Hinge",
    "Huber",
    "Logistic",
    "Loss",
    "Poisson",
    "Quantile",
    "Squared",
    "SquaredHinge",
    "register_loss",
]
