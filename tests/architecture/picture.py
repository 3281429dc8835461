"""The map as a picture: a box for each room, on the floor that its imports give it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt

from relu_opt.plotting import save_figure

from .imports import House, room_of

FOLDER_COLOUR, LOOSE_COLOUR, LINE = "#dbe6f1", "#f1ece0", "#5b6b7a"
BOX, EDGE, GAP = 1.6, 0.6, 0.12


def draw(house: House, path: Path) -> None:
    """Write the picture; the height of a box is the same for all, its text says how many lines."""
    floors = house.floors()
    lines = Counter[str]()
    for name, count in house.modules.items():
        lines[room_of(name)] += count
    width = EDGE + BOX * max(map(len, floors))
    figure = plt.figure(figsize=(width, 0.52 * len(floors) + 0.2))
    axes = figure.add_axes((0, 0, 1, 1))
    for height, rooms in enumerate(floors):
        for place, room in enumerate(rooms):
            left = EDGE + place * BOX
            loose = room in house.loose or room.startswith("_")
            box = plt.Rectangle(
                (left, height + GAP / 2),
                BOX - GAP,
                1 - GAP,
                facecolor=LOOSE_COLOUR if loose else FOLDER_COLOUR,
                edgecolor=LINE,
                linewidth=0.8,
            )
            axes.add_patch(box)
            middle = left + (BOX - GAP) / 2
            axes.text(middle, height + 0.6, room, ha="center", va="center", fontsize=8.5)
            axes.text(
                middle, height + 0.3, f"{lines[room]:,}", ha="center", va="center", fontsize=6
            )
        axes.text(
            EDGE / 2, height + 0.5, str(height), ha="center", va="center", fontsize=8, color=LINE
        )
    axes.set(xlim=(0, width), ylim=(-0.05, len(floors) + 0.05))
    axes.axis("off")
    save_figure(axes, path)
