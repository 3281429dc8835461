"""Write the names of docs/reference.md anew, from signatures and docstrings.

    python docs/site/reference.py

What stands between the two marks of the page is made here; the rest is written by hand.
"""

from __future__ import annotations

import enum
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType, UnionType
from typing import NamedTuple

import relu_opt
from relu_opt.verify.renamed import renamed

PAGE = Path(__file__).resolve().parents[1] / "reference.md"
MARKS = ("<!-- made by docs/site/reference.py -->\n", "<!-- written by hand -->\n")
# The package's own names, in the order in which they are read.
OWN = {
    "Patterns": "sample_patterns enumerate_patterns Patterns",
    "Problems": "ConvexProgram Leaky LinearProgram QuadraticProgram ConicProgram ReLUNetwork",
    "Solving": (
        "solve Solution train_globally solve_program ProgramSolution cross_check CrossCheck "
        "backends show_progress"
    ),
    "Proofs": "certify certify_network Certificate Verdict verify Verification load",
    "All optimal networks, and what moves them": (
        "optimal_set OptimalSet prune PruningPath sensitivity Sensitivity"
    ),
    "Regularisation paths": "solution_path SolutionPath cross_validate PathCV",
    "For scikit-learn": "ReLURegressor ReLUClassifier ReLURegressorCV ReLUClassifierCV",
}
# The families, and the pages that say more.
FAMILIES = {
    "losses": "losses.md",
    "program": "patterns.md",
    "proof": "certificates.md",
    "progress": "pictures.md",
    "all_patterns": "global.md",
    "one_input": "splines.md",
    "several_outputs": "vector-outputs.md",
    "formulas": "closed-forms.md",
    "interpolation": "sparsity.md",
    "deep": "deep.md",
    "estimators": "estimators.md",
    "tabular": "file-formats.md",
    "export": "export.md",
    "plotting": "pictures.md",
    "report": "report.md",
    "plugins": "plugins.md",
    "testing": "plugins.md#is-it-right-the-conformance-kit",
    "errors": "errors.md",
}


class Section(NamedTuple):
    """A heading, what is said below it, and the names in its table."""

    title: str
    text: str
    module: ModuleType
    names: list[str]


def sections() -> Iterator[Section]:
    """The package's own names, group by group, and what is in the families beside them."""
    shown: set[str] = set()
    for title, names in OWN.items():
        shown.update(names.split())
        yield Section(title, "", relu_opt, names.split())
    if missing := set(relu_opt.__all__) - shown - set(FAMILIES):
        raise ValueError(f"docs/site/reference.py has no place for {sorted(missing)}.")
    for family, page in FAMILIES.items():
        module = getattr(relu_opt, family)
        new = [name for name in module.__all__ if name not in shown]
        shown.update(new)
        yield Section(f"`ro.{family}`", f"{sentence(module)} [More]({page}).", module, new)


def names_page() -> str:
    """What stands between the marks."""
    parts = []
    for title, text, module, names in sections():
        rows = [row(name, getattr(module, name)) for name in names]
        parts += [f"### {title}", text, "\n".join(["| name | |", "|---|---|", *rows])]
    return "\n\n".join(filter(None, parts)) + "\n\n"


def row(name: str, value: object) -> str:
    """A name with its signature, a sentence, and what it has."""
    if inspect.isroutine(value):
        call, text = signature(value), sentence(value)
    elif not isinstance(value, type):
        call, text = "", constant(value)
    elif issubclass(value, enum.Enum):
        call, text = "", f"{sentence(value)} {listed(each.name for each in value)}"
    else:
        # What the library makes needs no signature.
        call = signature(value) if "Parameters\n---" in (inspect.getdoc(value) or "") else ""
        given = inspect.signature(value).parameters if call else {}
        text = f"{sentence(value)} {listed(f'.{each}' for each in members(value, given))}"
    cells = (cell.strip().replace("|", "\\|") for cell in (f"`{name}{call}`", text))
    return f"| {' | '.join(cells)} |"


def sentence(value: object) -> str:
    """The first sentence of a docstring, on one line."""
    first = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())
    return re.split(r"(?<=[.!?])\s+(?=[A-Z`])", first)[0]


def listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def constant(value: object) -> str:
    if isinstance(value, UnionType):
        return listed(each.__name__ for each in value.__args__)
    return str(value) if isinstance(value, int) else f"A {type(value).__name__}."


def signature(value: Callable[..., object]) -> str:
    """Names and defaults, without types; large numbers as they are written in Python."""
    parameters = inspect.signature(value).parameters.values()
    shown = [each.replace(annotation=each.empty) for each in parameters]
    text = re.sub(r"<[^>]*> at \w+>", "...", str(inspect.Signature(shown)).replace("'", '"'))
    return re.sub(r"\b\d{5,}\b", lambda found: f"{int(found[0]):_}", text)


def members(kind: type, but: Iterable[str]) -> list[str]:
    """Public fields, properties and methods, without old names and what a public base has."""
    bases = [base for base in kind.__mro__ if base.__module__.startswith("relu_opt")]
    public = {name for family in FAMILIES for name in getattr(relu_opt, family).__all__}
    known = {name for base in bases[1:] if base.__name__ in public for name in dir(base)}
    names = dict.fromkeys(
        name
        for base in reversed(bases)
        for name in (*vars(base).get("__annotations__", {}), *vars(base))
        if not name.startswith(("_", "set_", "test_", "pytest_"))
    )
    gone = {name for name in names if isinstance(inspect.getattr_static(kind, name, None), renamed)}
    return [name for name in names if name not in known | gone | set(but)]


def write(page: Path) -> None:
    """Replace what stands between the marks."""
    before, _, rest = page.read_text(encoding="utf-8").partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    text = f"{before}{MARKS[0]}\n{names_page()}{MARKS[1]}{after}"
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(PAGE)
