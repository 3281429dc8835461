"""The house stays one that can be read at a glance."""

from __future__ import annotations

import subprocess
import sys
import warnings
from importlib import import_module
from pathlib import Path

import pytest
from public import families, public_names

import relu_opt as ro
from relu_opt._moved import MOVED, NAMES

from .imports import House

ROOT = Path(__file__).parents[2]
MOST_LOOSE = 8
BESIDE_ROOMS = {"adversary", "architecture", "backends", "benchmarks", "docs", "ground", "paper"}
NAMES_OF_0_1, PUBLIC = (
    (Path(__file__).parent / file).read_text().split()
    for file in ("names_of_0_1.txt", "public_names.txt")
)


@pytest.fixture(scope="module")
def house():
    return House.of(ROOT / "relu_opt")


def test_rooms_and_modules_form_no_circles(house):
    assert house.circles() == []
    assert house.circles(rooms=False) == []


def test_no_late_import_runs_back_up(house):
    assert house.back() == []


def test_few_modules_stand_loose_at_the_top(house):
    assert len(house.loose) <= MOST_LOOSE


def test_the_recheck_is_the_ground_floor(house):
    uses = {b for a, b in house.arrows(late=False) | house.arrows(late=True) if a == "verify"}
    assert uses == set()


def test_tests_stand_in_the_folders_of_what_they_test():
    """But the report: it is tested through its command."""
    mirrored = folders_of(ROOT / "tests") - BESIDE_ROOMS
    assert mirrored | {"report"} == folders_of(ROOT / "relu_opt")


def folders_of(package):
    """Its rooms, those of `train` one by one."""
    rooms = {path.parent.relative_to(package).parts for path in package.rglob("*.py")}
    return {"/".join(parts[: 1 + (parts[0] == "train")]) for parts in rooms if parts} - {"train"}


def test_no_public_function_is_a_module_too(house):
    """But `verify`, a folder that stands alone."""
    top = {name.split(".")[0] for name in house.modules}
    assert top & set(ro.__all__) - set(families()) == {"verify"}
    for family in families().values():
        below = family.__name__.removeprefix("relu_opt.")
        assert [name for name in family.__all__ if f"{below}.{name}" in house.modules] == []


def test_the_map_is_printed_and_drawn(tmp_path):
    picture = tmp_path / "map.png"
    command = [sys.executable, "-m", "tests.architecture", "--picture", str(picture)]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "0 circles of rooms" in shown
    assert "0 arrows back up" in shown
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_circles_and_arrows_back_are_found(tmp_path):
    package = tmp_path / "shop"
    (package / "till").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "till" / "__init__.py").touch()
    (package / "till" / "coins.py").write_text("from shop.door import bell\n")
    (package / "door.py").write_text("import shop.till.coins\nbell = 1\n")
    (package / "shelf.py").write_text("from shop import door\n\ndef f():\n    import shop.sign\n")
    (package / "sign.py").write_text("from shop import shelf\n")
    found = House.of(package)
    assert found.circles() == [["door", "till"]]
    assert found.circles(rooms=False) == [["door", "till.coins"]]
    assert found.back() == ["shelf:4 imports sign"]
    assert found.loose == ["door", "shelf", "sign"]
    assert found.floors()[-1] == ["sign"]


def test_the_public_names_are_these():
    """A name that comes or goes is meant: then it comes to, or goes from, this list too."""
    assert sorted(public_names()) == sorted(PUBLIC)


def test_every_public_name_is_at_home():
    """Whatever was imported before, a function is no module of the same name."""
    import relu_opt.verify.entry  # noqa: F401 - in a folder with the name of a function

    modules = set(families())
    for name in ro.__all__:
        assert name in modules or callable(getattr(ro, name)), name
    assert set(ro.__all__) <= set(dir(ro))
    with pytest.raises(AttributeError, match="no attribute 'solv'"):
        ro.solv  # noqa: B018


def test_every_public_name_of_0_1_still_works():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert [name for name in NAMES_OF_0_1 if not hasattr(ro, name)] == []


@pytest.mark.parametrize(("name", "family"), NAMES.items())
def test_names_of_before_say_where_they_are(name, family):
    with pytest.warns(DeprecationWarning, match=rf"relu_opt\.{family}\.{name}\b") as record:
        found = getattr(ro, name)
    assert record[0].filename == __file__
    assert found is getattr(getattr(ro, family), name)


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_documented_modules_of_before_answer(old, new):
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{new}") as record:
        found = import_module(old)
    assert len(record) == 1
    assert found is import_module(new)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert import_module(old) is found
    assert found.__spec__.name == new
