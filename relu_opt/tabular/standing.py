"""How a model's own network stands on the data at hand: whether these are what it was trained on.

What is asked of a model's optimum is answered for the program on the data that are given. On other
data that is the optimum of a new training, and not the model.
"""

from __future__ import annotations

from dataclasses import dataclass

from relu_opt.program.convex import ConvexProgram
from relu_opt.proof.record import fingerprint
from relu_opt.proof.verdict import relative_gap
from relu_opt.tabular.model import Model

# A network is no farther from the optimum than it was trained to, up to this factor for rounding.
ROUNDED, LEAST = 1.01, 1e-8


@dataclass(frozen=True)
class Standing:
    """A model's own network on data.

    Attributes
    ----------
    same_data : bool or None
        Whether the model was trained on these; None for a model that does not say.
    objective : float
        Of its network on these data.
    rel_gap : float
        At most how far that is above the optimum there, relative to it.
    trained_to : float or None
        The same on the data that it was trained on, as the model says.
    """

    same_data: bool | None
    objective: float
    rel_gap: float
    trained_to: float | None

    @property
    def is_own(self) -> bool:
        """Whether the data are the model's own, or its network is as good on them."""
        if self.same_data is None:
            return self.rel_gap <= ROUNDED * max(self.trained_to or 0.0, LEAST)
        return self.same_data

    @property
    def note(self) -> str:
        """What is to be said of it: empty if the data are the model's own."""
        if self.is_own:
            return ""
        return (
            "These are not the data that the model was trained on. Its own network has the "
            f"objective {self.objective:.6g} on them, with a relative gap of {self.rel_gap:.1e}. "
            "What is said of an optimum is of a new training on these data, with the model's "
            "patterns, strength and preparation."
        )


def standing(model: Model, program: ConvexProgram, lower: float) -> Standing:
    """How a model's network stands in its program on some data.

    Parameters
    ----------
    model : Model
    program : ConvexProgram
        What `model.program` made of the data.
    lower : float
        A lower bound of its optimum.
    """
    known, trained_to = (model.provenance.get(name) for name in ("fingerprint", "rel_gap"))
    objective = model.network.objective(
        program.X, program.y, program.lam, program.loss, program.sample_weight
    )
    return Standing(
        None if known is None else known == fingerprint(program.X, program.y),
        objective,
        relative_gap(objective, lower),
        float(trained_to) if isinstance(trained_to, int | float) else None,
    )
