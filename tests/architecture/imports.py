"""Who imports whom in a package: rooms, floors, circles and arrows that run back up.

A room is a folder or a module at the top of the package. Imports at the top of a module are arrows
between rooms; those inside functions, or for type checkers alone, are late. A late import runs
back up if the room that it names needs, at the top of its modules, the room that it stands in.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

Arrows = Mapping[tuple[str, str], list[str]]


@dataclass(frozen=True)
class Import:
    """An import: in which module, of which, and whether at the top of the module."""

    user: str
    used: str
    late: bool
    line: int

    def __str__(self) -> str:
        return f"{self.user}:{self.line} imports {self.used}"


@dataclass(frozen=True)
class House:
    """The modules of a package, by their names below it, and what they import of it."""

    modules: Mapping[str, int]
    imports: tuple[Import, ...]

    @classmethod
    def of(cls, folder: Path) -> House:
        """From the folder of the package."""
        files = {}
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            files[".".join(parts).removesuffix("__init__").rstrip(".")] = path
        texts = {name: path.read_text() for name, path in files.items()}
        imports = [
            each
            for name, text in texts.items()
            for each in _imports(name, ast.parse(text), folder.name, frozenset(files))
        ]
        return cls({name: len(text.splitlines()) for name, text in texts.items()}, tuple(imports))

    @cached_property
    def loose(self) -> list[str]:
        """Modules at the top that are no folders, without private ones."""
        folders = {name.split(".")[0] for name in self.modules if "." in name}
        top = {name for name in self.modules if name and "." not in name}
        return sorted(name for name in top - folders if not name.startswith("_"))

    def arrows(self, late: bool, rooms: bool = True) -> Arrows:
        """Between rooms, or modules: the imports by (who, whom)."""
        found = defaultdict(list)
        for each in self.imports:
            ends = (room_of(each.user), room_of(each.used)) if rooms else (each.user, each.used)
            if each.late == late and ends[0] != ends[1] and all(ends):
                found[ends].append(str(each))
        return dict(found)

    def circles(self, rooms: bool = True) -> list[list[str]]:
        """Rooms, or modules, that reach each other by imports at the top of modules."""
        reach = _reach(self.arrows(late=False, rooms=rooms))
        found = {
            frozenset(b for b in reach if a in reach[b] and b in reach[a]) | {a} for a in reach
        }
        return sorted(sorted(each) for each in found if len(each) > 1)

    def back(self) -> list[str]:
        """Late imports that run back up."""
        reach = _reach(self.arrows(late=False))
        return [
            text
            for (user, used), texts in self.arrows(late=True).items()
            if user in reach.get(used, ())
            for text in texts
        ]

    def floors(self) -> list[list[str]]:
        """Rooms by the length of the longest way down from them; circles count as one room."""
        arrows = self.arrows(late=False)
        reach = _reach(arrows)
        rooms = sorted({room_of(name) for name in self.modules} - {""})
        height: dict[str, int] = {}

        def measure(room: str) -> int:
            if room not in height:
                below = {b for a, b in arrows if a == room and room not in reach.get(b, ())}
                height[room] = 1 + max(map(measure, below), default=-1)
            return height[room]

        floors: dict[int, list[str]] = defaultdict(list)
        for room in rooms:
            floors[measure(room)].append(room)
        return [floors[k] for k in sorted(floors)]


def room_of(module: str) -> str:
    """The folder or module at the top that a module is in."""
    return module.split(".")[0]


def _reach(arrows: Arrows) -> dict[str, set[str]]:
    below: dict[str, set[str]] = defaultdict(set)
    for a, b in arrows:
        below[a].add(b)
    reach = {}
    for start in list(below):
        seen, left = set(), [start]
        while left:
            new = below.get(left.pop(), set()) - seen
            seen |= new
            left.extend(new)
        reach[start] = seen
    return reach


def _imports(name: str, tree: ast.AST, package: str, known: frozenset[str]) -> Iterator[Import]:
    def walk(node: ast.AST, late: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            inside = late or isinstance(child, ast.FunctionDef | ast.Lambda)
            inside |= isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
            for used in _used(child, package, known):
                yield Import(name, used, inside, child.lineno)
            yield from walk(child, inside)

    return walk(tree, False)


def _used(node: ast.AST, package: str, known: frozenset[str]) -> Iterator[str]:
    """The modules below the package that a statement imports."""
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module:
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    found = set()
    for name in names:
        if name.split(".")[0] == package:
            below = name.removeprefix(package).lstrip(".")
            found.add(below if below in known else below.rpartition(".")[0])
    yield from sorted(found)
