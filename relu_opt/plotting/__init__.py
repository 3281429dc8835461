"""Pictures of results; matplotlib is imported when one is drawn.

Every function takes `axes` (those of a new figure by default, which no window shows) and returns
them; `save_figure` writes their figure.
"""

from relu_opt.plotting.collapse import plot_collapse
from relu_opt.plotting.convergence import plot_convergence, plot_gap
from relu_opt.plotting.figures import (
    check_picture,
    need_matplotlib,
    new_axes,
    save_figure,
)
from relu_opt.plotting.networks import plot_fit, plot_regions
from relu_opt.plotting.paths import plot_overview, plot_path, plot_validation
from relu_opt.plotting.proofs import plot_certificate
from relu_opt.plotting.sets import plot_polytope, plot_prediction_range
from relu_opt.plotting.splines import plot_spline

__all__ = [
    "check_picture",
    "need_matplotlib",
    "new_axes",
    "plot_certificate",
    "plot_collapse",
    "plot_convergence",
    "plot_fit",
    "plot_gap",
    "plot_overview",
    "plot_path",
    "plot_polytope",
    "plot_prediction_range",
    "plot_regions",
    "plot_spline",
    "plot_validation",
    "save_figure",
]
