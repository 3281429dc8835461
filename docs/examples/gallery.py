"""Draw the images of docs/pictures.md by running the page's own blocks of code.

Usage: python docs/examples/gallery.py [folder]
"""

import os
import re
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "pictures.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE.parent / "images"
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    namespace: dict[str, object] = {"__name__": "__page__"}
    text = PAGE.read_text(encoding="utf-8")
    for block in BLOCK.findall(text):
        exec(compile(block, str(PAGE), "exec"), namespace)
    missing = [name for name in re.findall(r"images/(\w+\.png)", text) if not Path(name).exists()]
    if missing:
        raise SystemExit(f"Not drawn: {', '.join(missing)}.")


if __name__ == "__main__":
    main()
