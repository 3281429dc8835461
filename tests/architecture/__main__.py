"""Print the map of a package: `python -m tests.architecture [FOLDER] [--picture FILE]`.

FOLDER is that of a package, `relu_opt` here if there is none; an older tree can be compared.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .imports import House


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    here = Path(__file__).parents[2] / "relu_opt"
    parser.add_argument("folder", nargs="?", type=Path, default=here)
    parser.add_argument("--picture", type=Path, help="also draw it, into a PNG, SVG or PDF file")
    arguments = parser.parse_args()
    house = House.of(arguments.folder)
    floors, circles, back = house.floors(), house.circles(), house.back()
    for height in reversed(range(len(floors))):
        print(f"floor {height:2d}  {' '.join(floors[height])}")
    print(f"\n{len(house.modules)} modules, {sum(house.modules.values())} lines")
    print(f"{sum(map(len, floors))} rooms on {len(floors)} floors")
    print(f"{len(house.arrows(late=False))} arrows between rooms")
    print(f"{len(circles)} circles of rooms: {circles}")
    print(f"{len(house.circles(rooms=False))} circles of modules: {house.circles(rooms=False)}")
    print(f"{len(back)} arrows back up:", *back, sep="\n  ")
    if arguments.picture is not None:
        from .picture import draw

        draw(house, arguments.picture)
    print(f"{len(house.loose)} loose modules: {' '.join(house.loose)}")


if __name__ == "__main__":
    main()
