"""A picture of a certificate: the bounds, and each optimality condition beside its limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from relu_opt.plotting.figures import BLUE, GREY, RED, new_axes, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from relu_opt.proof.certificate import NetworkCertificate

# Where the bars begin; smaller values have none.
LEAST = 1e-17


def plot_certificate(certificate: NetworkCertificate, axes: Axes | None = None) -> Axes:
    """The gap and the residuals of the optimality conditions as bars, each with its limit.

    Parameters
    ----------
    certificate : NetworkCertificate
    axes : matplotlib axes, optional
    """
    axes = new_axes(axes, (6.4, 2.9))
    conditions = certificate.conditions
    values = np.array([each.value for each in conditions])
    known = np.isfinite(values)
    drawn = np.where(known, np.clip(values, LEAST, None), LEAST)
    place = np.arange(len(conditions))
    colours = [BLUE if each.fulfilled else RED for each in conditions]
    axes.barh(place, drawn - LEAST, left=LEAST, height=0.55, color=colours)
    limits = np.array([each.limit for each in conditions])
    axes.vlines(limits, place - 0.4, place + 0.4, color="black", lw=1.5)
    above: dict[str, Any] = {"xytext": (0, 2), "textcoords": "offset points", "fontsize": 8}
    axes.annotate("limit", (limits[0], -0.4), ha="center", va="bottom", **above)
    top = max(1.0, 10 * float(drawn.max()))
    for k, each in enumerate(conditions):
        text = short(each.value) if known[k] else "unknown"
        axes.text(
            1.0, k, text, transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=9
        )
    axes.set_xscale("log")
    axes.set(
        xlim=(LEAST, top),
        ylim=(len(conditions) - 0.4, -0.9),
        yticks=place,
        yticklabels=[each.name for each in conditions],
    )
    axes.tick_params(axis="y", length=0)
    axes.set_title(certificate.verdict.value.replace("_", " "), loc="left", fontsize=11)
    bounds = f"objective {certificate.objective:.10g}\nlower bound {certificate.lower_bound:.10g}"
    axes.set_title(bounds, loc="right", fontsize=8, color=GREY, family="monospace")
    return axes
