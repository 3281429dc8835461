"""Losses by name: those of the library, and those that plugins or users register."""

from __future__ import annotations

from relu_opt.above import above
from relu_opt.arrays import as_number
from relu_opt.errors import DataError, did_you_mean
from relu_opt.program.losses.base import Loss
from relu_opt.program.losses.margins import Hinge, Logistic, SquaredHinge
from relu_opt.program.losses.poisson import Poisson
from relu_opt.program.losses.quantile import Quantile
from relu_opt.program.losses.residual import Huber, Squared
from relu_opt.verify.losses import register as register_verifier

LOSSES: dict[str, type[Loss]] = {
    loss.name: loss for loss in (Squared, Logistic, SquaredHinge, Hinge, Huber, Poisson, Quantile)
}


def register_loss(loss: type[Loss]) -> type[Loss]:
    """Make a loss of your own known by its name: to strings, files, and the command line.

    Plugins register theirs with the hook `relu_opt_losses`. It may be used as a decorator.

    Parameters
    ----------
    loss : type
        A subclass of `Loss` with a `name` that is not taken, and a `verifier`, so that what is
        saved of it can be re-checked.

    Raises
    ------
    DataError
        If it is no such class. Nothing is trained with a loss whose files could not be read.
    """
    if not (isinstance(loss, type) and issubclass(loss, Loss)):
        raise DataError(f"loss is {loss!r}, and a subclass of relu_opt.losses.Loss is needed.")
    name = vars(loss).get("name")
    if not (isinstance(name, str) and name.isidentifier()):
        raise DataError(
            f"{loss.__name__}.name is {name!r}, and a name of letters, digits and underscores is "
            "needed.",
            name=name,
        )
    known = LOSSES.get(name)
    if known is not None and known is not loss:
        raise DataError(
            f"The loss {name!r} is registered already, by {known.__module__}. Choose another name.",
            name=name,
        )
    if loss.verifier is None:
        raise DataError(
            f"The loss {name!r} has no verifier, so that no one could re-check its certificates. "
            "Set its attribute `verifier` to a subclass of relu_opt.verify.losses.Loss.",
            name=name,
        )
    register_verifier(loss.verifier)
    LOSSES[name] = loss
    return loss


def is_known(name: str) -> bool:
    """Whether the library or an installed plugin has a loss of this name."""
    if name not in LOSSES:
        above("plugins.manager.registry")()  # plugins register theirs when they are loaded
    return name in LOSSES


def find_loss(name: str) -> type[Loss]:
    """The loss of this name, of the library or of an installed plugin.

    Raises
    ------
    DataError
        If there is none.
    """
    if not is_known(name):
        raise DataError(f"Unknown loss {name!r}. {did_you_mean(name, LOSSES)}", loss=name)
    return LOSSES[name]


def get_loss(loss: str | Loss) -> Loss:
    """The loss of this name; a loss object is returned as it is.

    Raises
    ------
    DataError
        If no loss has this name.
    """
    if isinstance(loss, Loss):
        return loss
    if not isinstance(loss, str):
        raise DataError(f"loss is {loss!r}, and a name or a loss object is needed.", loss=loss)
    return find_loss(loss)()


def check_saved(loss: object) -> None:
    """Refuse to write what no file can say: a loss that is none of `LOSSES`.

    Raises
    ------
    DataError
    """
    if type(loss) not in LOSSES.values():
        raise DataError(
            f"The loss {type(loss).__name__} is your own: a file could only name it, and neither "
            "load nor verify would know it. Keep the result in memory, save its network "
            "(result.network.save), register the loss (relu_opt.losses.register_loss), or train "
            f"with one of {', '.join(LOSSES)}.",
            loss=type(loss).__name__,
        )


def make_loss(name: str, parameters: dict[str, float]) -> Loss:
    """Rebuild a loss from what a file says of it.

    Raises
    ------
    DataError
        If the name or its parameters are unknown.
    """
    try:
        return find_loss(name)(**{key: as_number(each, key) for key, each in parameters.items()})
    except TypeError as error:
        raise DataError(
            f"Loss {name!r} does not take the parameters {sorted(parameters)}.", loss=name
        ) from error
