"""The documentation runs: every code block, every command, every example, every link.

The blocks of one page run in order, in one namespace and one temporary folder:

* ```python is executed;
* ```sh whose lines all begin with `relu-opt` goes through the command line; a line that ends
  in `# exits with 1` has to do so;
* ```toml whose first line is a comment with a file name is written to that file;
* ```text right after one of the first two is what it prints. White space does not matter,
  `...` stands for anything, and numbers may differ as `close` says.

A page that says `<!-- needs: LIBRARY -->` is skipped where there is no such library.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from public import public_names

import relu_opt
from relu_opt.cli import main
from relu_opt.cli.demo import write_data

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))
# Examples that draw into a folder.
DRAW = (
    "classification_pictures.py",
    "closed_form_pictures.py",
    "concept_pictures.py",
    "deep_pictures.py",
    "gallery.py",
    "global_pictures.py",
    "make_pictures.py",
    "optimal_polytope.py",
    "path_pictures.py",
    "vector_pictures.py",
)
# What takes long: the pictures of the documentation, a cluster, and the longest pages.
SLOW = {*DRAW, "custom_backend.py", "dask_cluster.py"}
SLOW |= {"backends.md", "estimators.md", "more-machines.md", "optimal-sets.md", "path.md"}
SLOW |= {"pictures.md", "report.md"}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS = re.compile(r"^<!-- needs: (\w+) -->$", re.MULTILINE)
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[-+]?\d+)?")
# Gaps and violations below this are rounding, and every machine rounds in its own way.
NOISE = 1e-6


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the number of its first line."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    content = page.read_text(encoding="utf-8")
    return [
        Block(found[1], found[2], content.count("\n", 0, found.start()) + 2)
        for found in BLOCK.finditer(content)
    ]


def run_python(page: Path, block: Block, namespace: dict[str, object]) -> None:
    # Empty lines first, so that a traceback names the line of the page.
    code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
    exec(code, namespace)


def commands(block: Block) -> list[str]:
    return [line for line in block.text.splitlines() if line.strip()]


def is_ours(block: Block) -> bool:
    return block.language == "sh" and all(line.startswith("relu-opt") for line in commands(block))


def run_commands(page: Path, block: Block) -> None:
    for line in commands(block):
        arguments = shlex.split(line, comments=True)[1:]
        if arguments == ["demo"]:
            # Its data are what the commands after it need; the tests of the command run the rest.
            Path("relu-opt-demo").mkdir()
            write_data(Path("relu-opt-demo/train.csv"), Path("relu-opt-demo/test.csv"))
            continue
        wanted = int(re.search(r"# exits with (\d+)|$", line)[1] or 0)
        assert main(arguments) == wanted, f"{page}, line {block.line}: {line}"


def close(expected: str, found: str, before: str) -> bool:
    """Whether two numbers are the same up to rounding; `before` is the text that leads to them.

    Integers are the same, but a count of neurons may differ by three: faint ones come and go.
    Other numbers agree to two units of the last digit shown, or to a part in a million.
    """
    if expected == found:
        return True
    if expected.isdigit():
        near = found.isdigit() and abs(int(expected) - int(found)) <= 3
        return near and "neurons" in before
    wanted, got = float(expected), float(found)
    digits, _, exponent = expected.partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))
    return abs(wanted - got) <= max(2 * unit, 1e-6 * abs(wanted)) or max(wanted, got) < NOISE


def agree(expected: str, found: str) -> bool:
    """Whether a text is what was printed."""
    pattern, at = "", 0
    for number in NUMBER.finditer(expected):
        pattern += text_pattern(expected[at : number.start()]) + f"({NUMBER.pattern})"
        at = number.end()
    pattern += text_pattern(expected[at:])
    match = re.fullmatch(rf"\s*{pattern}\s*", found, re.DOTALL)
    if match is None:
        return False
    wanted = list(NUMBER.finditer(expected))
    return all(
        close(number[0], match[k], expected[max(0, number.start() - 20) : number.start()])
        for k, number in enumerate(wanted, 1)
    )


def text_pattern(text: str) -> str:
    """A pattern for text without numbers."""
    words = [r"\s+" if word.isspace() else re.escape(word) for word in re.split(r"(\s+)", text)]
    return "".join(words).replace(re.escape("..."), ".*?")


def write_toml(block: Block) -> None:
    tomllib.loads(block.text)
    first = re.match(r"# ([\w.-]+\.toml)\n", block.text)
    if first:
        Path(first[1]).write_text(block.text, encoding="utf-8")


@pytest.fixture
def folder(tmp_path, monkeypatch, registry):
    """An empty working folder; what a page does to plugins and environment is forgotten."""
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    yield tmp_path
    os.environ.clear()
    os.environ.update(before)


def some_slow(files: list[Path]) -> list[object]:
    """The files as parameters, the slow ones marked."""
    return [
        pytest.param(file, marks=[pytest.mark.slow] if file.name in SLOW else []) for file in files
    ]


@pytest.mark.parametrize("page", some_slow(PAGES), ids=lambda page: page.name)
@pytest.mark.usefixtures("folder")
def test_page_runs(page):
    for library in NEEDS.findall(page.read_text(encoding="utf-8")):
        pytest.importorskip(library)
    namespace: dict[str, object] = {"__name__": "__page__"}
    found = blocks(page)
    printed = ""
    for before, block in pairwise([Block("", "", 0), *found]):
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            if block.language == "python":
                run_python(page, block, namespace)
            elif is_ours(block):
                run_commands(page, block)
            elif block.language == "toml":
                write_toml(block)
        if block.language == "text" and (before.language == "python" or is_ours(before)):
            assert agree(block.text, printed), (
                f"{page.name}, line {block.line}: the page says\n{block.text}\n"
                f"and the block before it prints\n{printed}"
            )
        printed = output.getvalue()


@pytest.mark.parametrize("script", some_slow(EXAMPLES), ids=lambda script: script.name)
def test_example_runs(script, tmp_path):
    arguments = [str(tmp_path)] if script.name in DRAW else []
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), *arguments],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert not done.stderr


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    content = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", content):
        if not target.startswith(("http://", "https://")):
            name, _, heading = target.partition("#")
            other = page.parent / name if name else page
            assert other.exists(), f"{page.name} leads to {target}"
            if heading:
                assert heading in anchors(other), f"{page.name} leads to {target}"


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_reference_is_that_of_the_code(tmp_path, monkeypatch):
    page = ROOT / "docs" / "reference.md"
    monkeypatch.syspath_prepend(ROOT / "docs" / "site")
    import reference

    written = tmp_path / "reference.md"
    written.write_text(page.read_text(encoding="utf-8"), encoding="utf-8")
    reference.write(written)
    anew = written.read_text(encoding="utf-8")
    assert anew == page.read_text(encoding="utf-8"), "run python docs/site/reference.py"
    names = {name for each in reference.sections() for name in each.names}
    assert names == {name.rpartition(".")[2] for name in public_names()}


def test_the_page_of_errors_names_them_all():
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    kinds = [kind for kind in vars(relu_opt.errors).values() if isinstance(kind, type)]
    names = [kind.__name__ for kind in kinds if issubclass(kind, (Exception, Warning))]
    assert len(names) > 10
    assert [name for name in names if f"`{name}`" not in page and f".{name}`" not in page] == []


@pytest.mark.parametrize(
    ("page", "folder"),
    [("plugins.md", "example_third_party"), ("hooks/relu_opt_solve.md", "example_wrapper")],
)
def test_the_plugins_in_the_docs_are_those_of_the_repository(page, folder):
    shown = {block.text for block in blocks(ROOT / "docs" / page)}
    for file in (ROOT / "plugins" / folder).glob("*.py"):
        assert file.read_text(encoding="utf-8") in shown, file
    if folder == "example_third_party":
        project = ROOT / "plugins" / folder / "pyproject.toml"
        assert project.read_text(encoding="utf-8") in shown


def test_contributing_names_modules_that_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:relu_opt|plugins|tests|docs)/[\w/.]*)`", text)
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    ("expected", "found", "same"),
    [
        ("gap 1.2e-10, x", "gap 3.4e-14,\n  x\n", True),
        ("objective 0.2875", "objective 0.2876", True),
        ("objective 0.2875", "objective 0.2885", False),
        ("objective=0.287507738414", "objective=0.287508738414", False),
        ("neurons=11", "neurons=13", True),
        ("11 rows", "13 rows", False),
        ("took ... s", "took 3.2 s", True),
        ("certified", "not certified", False),
    ],
)
def test_agree(expected, found, same):
    assert agree(expected, found) is same
