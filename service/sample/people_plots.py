"""`python -m service.sample.people_plots [folder]`: the pictures of people/1 that docs/matching.md shows."""

from __future__ import annotations

import sys
from pathlib import Path

from service.matching.model import Model, built_in
from service.matching.plots import calibration_svg, thresholds_svg

FOLDER = Path("docs/images")


def pictures(model: Model) -> dict[str, str]:
    """Name of the file → SVG."""
    return {"people-1-calibration.svg": calibration_svg(model), "people-1-thresholds.svg": thresholds_svg(model)}


def main(folder: Path) -> None:
    """Write them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures(built_in()).items():
        (folder / name).write_text(picture)
        sys.stdout.write(f"{folder / name}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
