"""Pictures of neural collapse: how the classes of a network lie to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from relu_opt.plotting.figures import BLUE, RED, literal, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from relu_opt.train.deep.collapse import NeuralCollapse

# Classes up to which each cosine is written into its square.
WRITTEN = 12


def plot_collapse(collapse: NeuralCollapse, axes: Axes | None = None) -> Axes:
    """The cosines between class means about their centre, a square a pair.

    Of a simplex all squares off the diagonal have one colour, that of −1/(K − 1).

    Parameters
    ----------
    collapse : NeuralCollapse
    axes : matplotlib axes, optional
    """
    axes = new_axes(axes, (4.4, 4.2))
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("cosines", [RED, "white", BLUE])
    K = len(collapse.classes)
    axes.imshow(collapse.cosines, cmap=colours, vmin=-1, vmax=1)
    if K <= WRITTEN:
        for i, j in np.ndindex(K, K):
            value = collapse.cosines[i, j]
            dark = abs(value) > 0.75
            axes.text(
                j,
                i,
                "none" if np.isnan(value) else f"{value:.3f}",
                ha="center",
                va="center",
                fontsize=9,
                color="white" if dark else "black",
            )
    names = [
        literal(f"{label} ({count})")
        for label, count in zip(collapse.classes, collapse.counts, strict=True)
    ]
    axes.set_xticks(range(K), names, fontsize=8)
    axes.set_yticks(range(K), names, fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("class (samples)")
    axes.set_title(f"a simplex has {-1 / (K - 1):.3f} off the diagonal", loc="left", fontsize=9)
    return axes
