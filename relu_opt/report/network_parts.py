"""The parts of a report about networks: this one, all optimal ones, narrower ones, derivatives."""

from __future__ import annotations

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.report import pictures
from relu_opt.report.evidence import CLOSE, Evidence, SetFacts
from relu_opt.report.markup import facts, figure, fold, sentence, table, tag

# Neurons that are listed at once, weights of each that are named, and samples of leverages.
NEURONS, WEIGHTS, LEADING, MOST = 12, 4, 8, 500


def network_part(evidence: Evidence) -> list[object]:
    """The neurons by size, with their largest weights, and how well they predict together."""
    network = evidence.certificate.network
    axes, words = pictures.function(evidence)
    content: list[object] = [
        facts(
            [
                ("neurons", len(network)),
                ("different directions", len(network.merge())),
                ("output constant", f"{network.intercept:.5g}"),
                *error_words(evidence),
            ]
        ),
        figure(pictures.embedded(axes), words),
    ]
    if not len(network):
        return [*content, tag("p", "The network has no neurons: it predicts a constant.")]
    head = ("sign", "size", "share", "largest weights of its direction")
    rows = neuron_rows(evidence)
    content += [
        tag(
            "p",
            "A neuron switches on where its direction points. Its sign says whether it then "
            "raises or lowers the output, and its size ‖w‖ how steeply. Weights are per deviation "
            "of a feature, of directions of length 1.",
        ),
        table(head, rows[:NEURONS], (0, 3)),
    ]
    if rows[NEURONS:]:
        content.append(
            fold(f"{len(rows) - NEURONS} more neurons", table(head, rows[NEURONS:], (0, 3)))
        )
    return content


def error_words(evidence: Evidence) -> list[tuple[str, str]]:
    """How well the network predicts the data of the report."""
    errors, rows = evidence.errors, len(evidence.table)
    if "error_rate" in errors:
        wrong = round(errors["error_rate"] * rows)
        return [
            ("error on these data", f"{100 * errors['error_rate']:.2f}% ({wrong:,} of {rows:,})")
        ]
    return [
        ("RMSE on these data", f"{errors['rmse']:.5g}"),
        ("R² on these data", f"{errors['r2']:.4f}"),
    ]


def neuron_rows(evidence: Evidence) -> list[tuple[str, str, str, str]]:
    """Sign, size, share of all sizes and largest weights of each neuron, the largest first."""
    network = evidence.certificate.network
    sizes = np.linalg.norm(network.hidden, axis=1) * np.abs(network.output)
    units = network.hidden / np.linalg.norm(network.hidden, axis=1, keepdims=True)
    order = np.argsort(-sizes, kind="stable")[:MOST]
    names = column_names(evidence)
    return [
        (
            "+" if network.output[j] > 0 else "−",
            f"{sizes[j]:.4g}",
            f"{100 * sizes[j] / sizes.sum():.1f}%",
            largest_weights(units[j], names),
        )
        for j in order
    ]


def column_names(evidence: Evidence) -> list[str]:
    """The names of the columns that the network takes."""
    prepared = evidence.model.preprocessing
    return [*prepared.features, *(["the bias"] if prepared.bias else [])]


def largest_weights(unit: FloatArray, names: list[str]) -> str:
    """The largest entries of a direction with their features."""
    order = np.argsort(-np.abs(unit), kind="stable")[:WEIGHTS]
    signed = [f"{unit[k]:+.2f} {names[k]}".replace("-", "−", 1) for k in order if unit[k]]
    return ", ".join(signed) + (", …" if np.count_nonzero(unit) > WEIGHTS else "")


def set_part(evidence: Evidence) -> list[object]:
    """Whether the optimal network is unique, and how else it could be."""
    known = evidence.all_optimal
    if known is None:
        return [tag("p", f"It is not known. {evidence.missing['all optimal networks']}")]
    found, narrowest = known.found, known.narrowest
    proved = "proved" if narrowest.proved else f"not proved; at least {narrowest.lower_bound}"
    on = int((known.ranges.upper > 0).sum())
    inside = f"yes, to {CLOSE:g}" if known.membership else f"no: {known.membership.reason}"
    content: list[object] = [
        tag("p", found.reason),
        facts(
            [
                ("optimal objective", f"{known.solution.objective:.12g}"),
                ("holds this network", inside),
                ("dimension", found.network_dim),
                ("neurons that can be on", on),
                ("neurons that must be on", int(known.ranges.always_on.sum())),
                ("fewest neurons", f"{narrowest.neurons} ({proved})"),
                ("blocks in doubt", len(found.doubtful)),
            ]
        ),
    ]
    if not found.is_unique:
        words = "Sizes that two neurons can have together in an optimal network."
        content += [
            figure(pictures.embedded(pictures.polytope(known)), words),
            *range_table(evidence, known),
        ]
    if known.near is not None:
        words = (
            f"Predictions at the first {len(known.near)} rows, over all networks whose objective "
            f"is within {evidence.eps:g} of the optimum, as a share."
        )
        drawn = pictures.ranges(evidence, known, known.near)
        content.append(figure(pictures.embedded(drawn), words))
    return content


def range_table(evidence: Evidence, known: SetFacts) -> list[object]:
    """The sizes that each neuron may have over all optimal networks."""
    found, names = known.found, column_names(evidence)
    lam = found.program.lam
    units = found.directions / lam
    rows = [
        (
            j,
            "+" if sign > 0 else "−",
            f"{low:.4g}",
            f"{high:.4g}",
            largest_weights(units[j], names),
        )
        for j, (sign, low, high) in enumerate(
            zip(found.signs, lam * known.ranges.lower, lam * known.ranges.upper, strict=True)
        )
    ][:MOST]
    head = ("neuron", "sign", "smallest size", "largest size", "largest weights of its direction")
    content: list[object] = [table(head, rows[:NEURONS], (1, 4))]
    if rows[NEURONS:]:
        rest = table(head, rows[NEURONS:], (1, 4))
        content.append(fold(f"{len(rows) - NEURONS} more neurons", rest))
    return content


def pruning_part(evidence: Evidence) -> list[object]:
    """How narrow it can be, and what that costs."""
    path = evidence.pruning
    if path is None:
        return [tag("p", evidence.missing["pruning"])]
    program = evidence.program
    first, exact = path.widths[0], path.widths[path.exact_steps]
    free = (
        "No neuron can go without a change of the predictions on these data."
        if not path.exact_steps
        else f"{first - exact} of {first} neurons can go without a change of the predictions on "
        "these data."
    )
    axes = pictures.pruning(path, program)
    scores, score = path.scores(program.X, program.y), axes.get_ylabel()
    rows = [
        (width, f"{value:.6g}", f"{gap:.1e}", f"{mark:.4f}")
        for width, value, gap, mark in zip(
            path.widths, path.objectives, path.rel_gaps, scores, strict=True
        )
    ]
    head = ("neurons", "objective", "relative gap", score)
    return [
        tag("p", f"{free} Beyond that, each step takes the one that the others best make up for."),
        figure(
            pictures.embedded(axes),
            f"{score[:1].upper()}{score[1:]} on these data against neurons; the circle is where "
            "predictions begin to change.",
        ),
        fold("The steps as a table", table(head, rows[:MOST], ())),
    ]


def sensitivity_part(evidence: Evidence) -> list[object]:
    """How the optimal network moves when lam or the targets do."""
    moves = evidence.moves
    if moves is None:
        return [tag("p", f"It is not known. {evidence.missing['sensitivity']}")]
    if not moves.differentiable:
        return [tag("p", f"{moves.reason} So there are no numbers.")]
    leverages = moves.leverages
    order = np.argsort(-leverages, kind="stable")[:LEADING]
    target = evidence.table.numbers(evidence.target)
    predicted = evidence.model.predict(evidence.table)
    rows = [
        (k, f"{leverages[k]:.4f}", f"{target[k]:.5g}", f"{predicted[k]:.5g}")
        for k in order.tolist()
    ]
    return [
        tag("p", sentence(moves.reason)),
        facts(
            [
                ("degrees of freedom", f"{moves.dof:.5g}"),
                ("neurons", len(moves.network)),
                ("objective per unit of lam", f"{moves.objective_d_lam:.6g}"),
                ("largest leverage", f"{leverages.max():.4f}"),
                ("mean leverage", f"{leverages.mean():.4f}"),
            ]
        ),
        tag(
            "p",
            "The leverage of a row is how far its own prediction moves with its target. These "
            "rows move theirs most (rows count from 0):",
        ),
        table(("row", "leverage", "target", "prediction"), rows, ()),
    ]
