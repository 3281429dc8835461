"""`python -m tests.adversary`: attack certificates and files for a while, and count."""

from __future__ import annotations

import argparse
import resource
import sys

from .campaign import GROUPS, Tally, failed, in_parallel, replay

VERDICTS = (
    "certified",
    "not_certified",
    "inconclusive",
    "invalid",
    "refused",
    "read",
    "global",
    "attained",
    "infeasible, proved",
    "infeasible, claimed",
    "unbounded, proved",
    "unbounded, claimed",
    "missed",
    "error",
)
# Bytes of address space: a file that asks for more is refused, or a failure.
MEMORY = 16 * 2**30


def table(counts: dict[tuple[str, str, str], int], group: str) -> list[str]:
    """Rows of counts by verdict, one a name."""
    names = sorted({name for each, name, _ in counts if each == group})
    heads = [v for v in VERDICTS if any(counts.get((group, name, v)) for name in names)]
    lines = [f"{group:28s}" + "".join(f"{head:>20s}" for head in heads)]
    for name in names:
        cells = (counts.get((group, name, head), 0) for head in heads)
        lines.append(f"{name:28.28s}" + "".join(f"{cell:20d}" for cell in cells))
    return lines


def shown(tally: Tally) -> str:
    """The counts and the failures as text."""
    lines: list[str] = []
    for title, counts in (("by kind", tally.verdicts), ("by way", tally.ways)):
        for group in GROUPS:
            if any(each == group for each, _, _ in counts):
                lines += ["", f"-- {title} --", *table(dict(counts), group)]
    lines += ["", *(failed(*each) for each in tally.failures)]
    right = sum(k for (g, _, v), k in tally.verdicts.items() if g == "backend" and v == "certified")
    missed = sum(k for (g, _, v), k in tally.verdicts.items() if g == "backend" and v == "missed")
    if right + missed:
        share = 100 * right / (right + missed)
        lines.append(
            f"right answers of backends certified: {right} of {right + missed}, {share:.2f} %"
        )
    totals = [f"{tally.total(group)} {group}" for group in GROUPS]
    errors = sum(trial.verdict == "error" for _, trial in tally.failures)
    false = len(tally.failures) - errors
    return "\n".join([*lines, f"{', '.join(totals)}: {false} false, {errors} errors"])


def main() -> int:
    """Run what the arguments say; 0 if nothing failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.adversary", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default 60)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--programs", action="store_true", help="standard programs alone")
    parser.add_argument("--replay", nargs="+", metavar="CODE", help="trials to repeat")
    chosen = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    if chosen.replay:
        tally = Tally()
        for code in chosen.replay:
            tally.merge(replay(code))
    else:
        tally = in_parallel(chosen.seconds, chosen.seed, chosen.jobs, chosen.programs)
    print(shown(tally))
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
