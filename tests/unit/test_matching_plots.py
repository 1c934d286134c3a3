"""The pictures in the documents are those of the model that is built in."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from service.matching.model import built_in
from service.sample.people_plots import pictures

DOCS = Path(__file__).parents[2] / "docs"


def test_documents_show_the_figures_of_the_built_in_model() -> None:
    page = (DOCS / "matching.md").read_text()
    for name, picture in pictures(built_in()).items():
        assert (DOCS / "images" / name).read_text() == picture, "python -m service.sample.people_plots draws it again"
        assert f"images/{name}" in page
        assert ElementTree.fromstring(picture).tag.endswith("svg")
