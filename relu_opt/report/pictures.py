"""The pictures of a report, as SVG inside the page."""

from __future__ import annotations

import base64
import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.export.folded import fold
from relu_opt.plotting import (
    plot_certificate,
    plot_fit,
    plot_overview,
    plot_polytope,
    plot_prediction_range,
    plot_regions,
)
from relu_opt.plotting.figures import BLUE, GREY, RED, literal, new_axes
from relu_opt.program.network import ReLUNetwork
from relu_opt.report.evidence import Evidence, SetFacts
from relu_opt.tabular.model import Model

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from relu_opt.path.solution_path import SolutionPath
    from relu_opt.program.convex import ConvexProgram
    from relu_opt.pruning.pruning_path import PruningPath
    from relu_opt.sets.answers import PredictionRange

# Points of a cloud, evenly over the rows.
CLOUD = 800


def embedded(axes: Axes) -> str:
    """The figure of the axes as the address of an SVG image that needs no other file."""
    import matplotlib as mpl

    figure = axes.get_figure(root=True)
    assert figure is not None  # noqa: S101 - axes belong to one
    stream = io.StringIO()
    # Words stay words: the reader's fonts have letters that matplotlib's own lack.
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": "relu_opt"}
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    content = base64.b64encode(text[text.index("<svg") :].encode()).decode()
    return f"data:image/svg+xml;base64,{content}"


def certificate(evidence: Evidence) -> Axes:
    """The gap and the residuals beside their limits."""
    return plot_certificate(evidence.certificate)


def function(evidence: Evidence) -> tuple[Axes, str]:
    """What the network computes, and words for it: as a function where it can be drawn as one."""
    model, table = evidence.model, evidence.table
    names = model.preprocessing.features
    classes = model.preprocessing.classes
    data = table.matrix(names)
    if len(names) == 1 and classes is None:
        axes = plot_fit(in_units(model), data[:, 0], table.numbers(evidence.target))
        axes.set(xlabel=literal(names[0]), ylabel=literal(evidence.target))
        return axes, "The data, and the network exactly: its pieces and where they meet."
    if len(names) == 2 and classes is not None:
        axes = plot_regions(in_units(model), data, evidence.program.y)
        axes.set(xlabel=literal(names[0]), ylabel=literal(names[1]))
        low, high = classes
        return axes, f"Where the network says {low:g} (−1) and {high:g} (+1), with its neurons."
    if classes is None:
        return _cloud(evidence), "Predictions against the targets; on the line they are equal."
    return _outputs(evidence), "Outputs of the network by true class; it decides at zero."


def in_units(model: Model) -> ReLUNetwork:
    """The network on raw features and a constant 1, with outputs in the target's units."""
    folded = fold(model.network, model.preprocessing)

    def planes(weights: FloatArray, bias: FloatArray | None) -> FloatArray:
        constant = np.zeros(len(weights)) if bias is None else bias
        moved = constant if folded.centre is None else constant - weights @ folded.centre
        return np.column_stack([weights, moved])

    gates = folded.gates
    return ReLUNetwork(
        planes(folded.hidden, folded.bias),
        folded.output,
        folded.constant,
        None if gates is None else planes(gates, folded.gate_bias),
        folded.slope,
    )


def _cloud(evidence: Evidence) -> Axes:
    truth = evidence.table.numbers(evidence.target)
    predicted = evidence.model.predict(evidence.table)
    chosen = _spread(len(truth))
    axes = new_axes(None, (4.8, 4.2))
    axes.plot(truth[chosen], predicted[chosen], "o", color=BLUE, ms=4, alpha=0.6, mew=0)
    ends = [min(truth.min(), predicted.min()), max(truth.max(), predicted.max())]
    axes.plot(ends, ends, color=GREY, lw=1, zorder=0)
    name = literal(evidence.target)
    axes.set(xlabel=f"{name}, true", ylabel=f"{name}, predicted")
    return axes


def _outputs(evidence: Evidence) -> Axes:
    outputs, labels = evidence.model.network.predict(evidence.program.X), evidence.program.y
    low, high = evidence.model.preprocessing.classes or (-1.0, 1.0)
    axes = new_axes(None, (6.0, 3.2))
    places = np.histogram_bin_edges(outputs, bins=30)
    for label, colour, name in ((-1.0, RED, low), (1.0, BLUE, high)):
        chosen = outputs[labels == label]
        axes.hist(chosen, places.tolist(), color=colour, alpha=0.65, label=f"true class {name:g}")
    axes.axvline(0.0, color="black", lw=1)
    axes.set(xlabel="output of the network", ylabel="rows")
    axes.legend(frameon=False, fontsize=9)
    return axes


def _spread(count: int) -> slice:
    return slice(None, None, max(1, -(-count // CLOUD)))


def polytope(facts: SetFacts) -> Axes:
    """All optimal networks, by the sizes of two neurons."""
    marks = {"smallest norm": facts.found.min_norm(), "narrowest": facts.narrowest.network}
    return plot_polytope(facts.found, marks=marks)


def ranges(evidence: Evidence, facts: SetFacts, near: PredictionRange) -> Axes:
    """Predictions of all nearly optimal networks at the first rows."""
    prepared = evidence.model.preprocessing
    exact = facts.found.prediction_range(evidence.program.X[: len(near)])
    layers = [(f"within {evidence.eps:g} of the objective", near), ("optimal networks", exact)]
    axes = plot_prediction_range(layers, scale=prepared.target_scale, centre=prepared.target_centre)
    axes.set_ylabel("output" if prepared.classes is not None else literal(evidence.target))
    return axes


def pruning(path: PruningPath, program: ConvexProgram) -> Axes:
    """Score on the training data against neurons."""
    axes: Axes = path.plot(None, program.X, program.y)
    axes.legend().remove()
    return axes


def path(followed: SolutionPath, lam: float) -> Axes:
    """Norms, neurons, objective and gap over λ, with the model's λ marked."""
    axes = plot_overview(followed)
    for panel in axes.figure.axes:
        panel.axvline(lam, color=GREY, lw=1, ls="--", zorder=0)
    return axes
