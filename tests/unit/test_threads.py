"""docs/threads.md names files that exist, and every thread that a scenario guards against."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "threads.md").read_text()
SCENARIOS = sorted((ROOT / "tests" / "scenarios").glob("s[0-9]*.json"))


def test_every_file_that_is_named_exists() -> None:
    named = set(re.findall(r"`(tests/[^`*]+)`", PAGE))
    assert len(named) > 15
    assert not [path for path in named if not (ROOT / path).exists()]


def test_every_row_names_a_guard() -> None:
    rows = [line.split("|") for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line][1:]
    assert rows and all("`tests/" in row[3] for row in rows)


def test_every_thread_that_a_scenario_guards_against_is_in_the_table_with_it() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    for path in SCENARIOS:
        for guarded in json.loads(path.read_text())["guards"]:
            for project, number in re.findall(r"([\w.-]+)(?: PR)? ?#(\d+)", guarded):
                assert any(project in row and f"#{number}" in row for row in rows), (path.name, project, number)
