"""The losses, written a second time for the re-check, one module a family; and those by name.

A stranger's package tells of its own by an entry point of the group `relu_opt.verifiers`, whose
name is that of the loss and whose object is a subclass of `Loss`. It is looked up when a file names
a loss that is not known here.
"""

from __future__ import annotations

from relu_opt.verify.faults import DataError
from relu_opt.verify.losses.base import Loss
from relu_opt.verify.losses.margins import Hinge, Logistic, SquaredHinge
from relu_opt.verify.losses.mean import DualPoint, MeanLoss, dual_point, mean_loss_above
from relu_opt.verify.losses.poisson import Poisson
from relu_opt.verify.losses.quantile import Quantile
from relu_opt.verify.losses.residual import Huber, Squared

__all__ = [
    "LOSSES",
    "DualPoint",
    "Loss",
    "MeanLoss",
    "dual_point",
    "find",
    "mean_loss_above",
    "register",
]

GROUP = "relu_opt.verifiers"
LOSSES: dict[str, type[Loss]] = {
    each.name: each for each in (Squared, Logistic, SquaredHinge, Hinge, Huber, Poisson, Quantile)
}


def register(loss: type[Loss]) -> None:
    """Make the twin of a loss of your own known to this process.

    Raises
    ------
    DataError
        If it is no subclass of `Loss`, or another one has its name.
    """
    if not (isinstance(loss, type) and issubclass(loss, Loss)):
        raise DataError(f"{loss!r} is no subclass of relu_opt.verify.losses.Loss.")
    if LOSSES.setdefault(loss.name, loss) is not loss:
        raise DataError(
            f"The loss {loss.name!r} has a verifier already. Choose another name.", name=loss.name
        )


def find(name: str) -> type[Loss] | None:
    """The twin of the loss of this name, here or in an installed package.

    Raises
    ------
    DataError
        If an installed package promises one and does not hold it.
    """
    if name not in LOSSES:
        from importlib.metadata import entry_points

        for entry in entry_points(group=GROUP, name=name):
            try:
                register(entry.load())
            except Exception as error:
                raise DataError(
                    f"The verifier of the loss {name!r}, {entry.value}, cannot be loaded: {error}. "
                    "Repair or uninstall its package.",
                    name=name,
                ) from error
    return LOSSES.get(name)
