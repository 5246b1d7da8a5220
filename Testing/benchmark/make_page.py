"""Figures in BENCHMARKS.md and README, and the pictures: made of the lines under `results` alone.

    python Testing/benchmark/make_page.py            write them
    python Testing/benchmark/make_page.py --text     leave the pictures as they are
    python Testing/benchmark/make_page.py --check    only say whether the texts hold those figures

In both texts a part between `<!-- figures: NAME -->` and `<!-- end of figures -->` is written anew.
"""

import argparse
import sys

from page.blocks import renewed
from report import ROOT

TEXTS = (ROOT / "BENCHMARKS.md", ROOT / "README.md")
PICTURES = ROOT / "Resources" / "Benchmarks"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--text", action="store_true")
    options = parser.parse_args()
    before = {path: path.read_text(encoding="utf-8") for path in TEXTS}
    texts = {path: renewed(text) for path, text in before.items()}
    if options.check:
        stale = [path.name for path in texts if before[path] != texts[path]]
        for name in stale:
            print(f"{name} does not have the figures of the lines: run make_page.py")
        return 1 if stale else 0
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    if not options.text:
        from page.pictures import draw_all

        draw_all(PICTURES)
    return 0


if __name__ == "__main__":
    sys.exit(main())
