"""Time the training of splines against n, and draw the pictures of docs/splines.md.

First table: `fit_spline` on noisy samples of a sine at random places, seconds of the whole call
with the proof, and of the independent re-check. Second table: scikit-learn's Lasso on the dense
matrix of `spline_features`, the same problem, with tol=1e-10 and at most 100,000 sweeps; its gap
is to the certified lower bound. Before it, how many of other data sets are certified at the default
tolerance. Last table: penalised biases, over all 2n patterns.

Usage:
    python tests/benchmarks/splines.py [--seed 0] [--largest 100000] [--images docs/images]
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np

import relu_opt as ro
from relu_opt import plotting

SIZES = (100, 1_000, 10_000, 100_000)
LOSSES = ("squared", "huber", "logistic", "squared_hinge", "hinge")


def data(n: int, loss: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A noisy sine, or its signs, at random places in [0, 1]."""
    rng = np.random.default_rng(seed)
    x = rng.random(n)
    y = np.sin(12 * x) + 0.3 * rng.standard_normal(n)
    return x, y if loss in ("squared", "huber") else np.where(y > 0, 1.0, -1.0)


def splines(largest: int, seed: int) -> None:
    """`fit_spline` for each loss and n."""
    print(
        "| loss | n | λ | seconds | rounds | kinks | relative gap | verdict | re-check, seconds |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for loss in LOSSES:
        for n in (size for size in SIZES if size <= largest):
            for lam in (1e-3, 1e-5):
                x, y = data(n, loss, seed)
                began = time.perf_counter()
                fit = ro.one_input.fit_spline(x, y, lam, loss=loss)
                seconds = time.perf_counter() - began
                began = time.perf_counter()
                found = ro.verify(fit.certificate, x, y)
                check = time.perf_counter() - began
                print(
                    f"| {loss} | {n:,} | {lam:g} | {seconds:.2f} | {fit.stats['rounds']} "
                    f"| {len(fit.kinks)} | {fit.rel_gap:.0e} | {found.verdict} | {check:.3f} |",
                    flush=True,
                )


def unseen() -> None:
    """How many of several data sets are certified, by loss: those of the first table are one draw.

    Seeds 1 to 4 of its data with 100 and 1,000 points and two λ each, and 500 log-normal inputs
    with heavy-tailed targets, two λ each.
    """
    print("\n| loss | noisy sine | log-normal x | largest gap | slowest, seconds |")
    print("|---|---|---|---|---|")
    for loss in LOSSES:
        counts, worst, slowest = {"sine": [0, 0], "wide": [0, 0]}, 0.0, 0.0
        for seed in range(1, 5):
            rng = np.random.default_rng(seed)
            x = np.exp(2 * rng.standard_normal(500))
            y = np.log(x) + 0.5 * rng.standard_t(2, 500)
            wide = x, y if loss in ("squared", "huber") else np.where(y > 0, 1.0, -1.0)
            cases = [
                ("sine", data(n, loss, seed), lam) for n in (100, 1_000) for lam in (1e-3, 1e-5)
            ]
            for kind, (x, y), lam in [*cases, ("wide", wide, 1e-2), ("wide", wide, 1e-4)]:
                began = time.perf_counter()
                fit = ro.one_input.fit_spline(x, y, lam, loss=loss)
                slowest = max(slowest, time.perf_counter() - began)
                verdict = ro.verify(fit.certificate, x, y).verdict
                if verdict != fit.verdict:
                    raise SystemExit(f"{loss}, {kind}, seed {seed}: {fit.verdict} is {verdict}.")
                counts[kind][0] += verdict == "certified"
                counts[kind][1] += 1
                worst = max(worst, fit.rel_gap)
        sine, broad = (f"{good} of {all_}" for good, all_ in counts.values())
        print(f"| {loss} | {sine} | {broad} | {worst:.0e} | {slowest:.1f} |", flush=True)


def lasso(seed: int) -> None:
    """The dense Lasso of scikit-learn on the kernel matrix."""
    from sklearn.linear_model import Lasso

    print("\n| n | fit_spline, seconds | Lasso, seconds | Lasso's gap |\n|---|---|---|---|")
    for n in (30, 100, 300):
        x, y = data(n, "squared", seed)
        began = time.perf_counter()
        fit = ro.one_input.fit_spline(x, y, 1e-3)
        ours = time.perf_counter() - began
        model = Lasso(alpha=1e-3, tol=1e-10, max_iter=100_000)
        began = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(ro.one_input.spline_features(x), y)
        theirs = time.perf_counter() - began
        residual = model.predict(ro.one_input.spline_features(x)) - y
        value = 0.5 * np.mean(residual**2) + 1e-3 * np.abs(model.coef_).sum()
        print(
            f"| {n} | {ours:.3f} | {theirs:.3f} | {value / fit.lower_bound - 1:.0e} |", flush=True
        )


def penalised(seed: int) -> None:
    """Penalised hidden biases."""
    print("\n| n | patterns | seconds | relative gap |\n|---|---|---|---|")
    for n in (100, 300, 1_000, 2_000):
        x, y = data(n, "squared", seed)
        began = time.perf_counter()
        fit = ro.one_input.fit_spline(x, y, 1e-3, penalize_bias=True)
        seconds = time.perf_counter() - began
        print(
            f"| {n:,} | {fit.stats['patterns']:,} | {seconds:.2f} | {fit.rel_gap:.0e} |", flush=True
        )


def pictures(folder: Path, seed: int) -> None:
    """The pictures of docs/splines.md."""
    from matplotlib.figure import Figure

    x, y = data(60, "squared", seed)
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, penalize in ((left, False), (right, True)):
        fit = ro.one_input.fit_spline(x, y, 3e-3, penalize_bias=penalize)
        plotting.plot_spline(fit, x, y, axes=axes)
        axes.set(title=f"hidden bias {'penalised' if penalize else 'free'}: {len(fit.kinks)} kinks")
        axes.spines[["top", "right"]].set_visible(False)
    plotting.save_figure(left, folder / "spline.png")
    x, y = data(80, "hinge", seed)
    fit = ro.one_input.fit_spline(x, y, 3e-3, loss="hinge")
    axes = plotting.plot_spline(fit, x, y)
    plotting.save_figure(axes, folder / "spline_classes.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--largest", type=int, default=SIZES[-1])
    parser.add_argument("--images", type=Path, help="draw the pictures there, and time nothing")
    chosen = parser.parse_args()
    if chosen.images is not None:
        pictures(chosen.images, chosen.seed)
        return
    splines(chosen.largest, chosen.seed)
    unseen()
    lasso(chosen.seed)
    penalised(chosen.seed)


if __name__ == "__main__":
    main()
