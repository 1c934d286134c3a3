"""Rules of the code that no linter knows: where time and chance come from."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SERVICE = Path(__file__).parents[2] / "service"
MODULES = sorted(set(SERVICE.rglob("*.py")) - {SERVICE / "clock.py", SERVICE / "client" / "clock.py"})
FORBIDDEN_NAMES = {"now", "utcnow", "today", "uuid1", "uuid4", "time", "time_ns"}
FORBIDDEN_MODULES = {"random", "secrets", "uuid"}


def _offences(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name in FORBIDDEN_MODULES]
        elif isinstance(node, ast.ImportFrom):
            if node.module in FORBIDDEN_MODULES:
                found.append(node.module)
            if node.module == "time":
                found += [alias.name for alias in node.names if alias.name in FORBIDDEN_NAMES]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            owned = isinstance(owner, ast.Name) and owner.id in ("datetime", "date", "time", "uuid", "random")
            if owned and node.func.attr in FORBIDDEN_NAMES:
                found.append(node.func.attr)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SERVICE)))
def test_only_the_clock_reads_time_and_draws_chance(path: Path) -> None:

    assert _offences(ast.parse(path.read_text())) == []


def test_the_rule_finds_what_it_forbids() -> None:
    source = (
        "import random\nfrom time import time\nfrom datetime import datetime\ndatetime.now()\nimport uuid\nuuid.uuid4()"
    )
    assert sorted(_offences(ast.parse(source))) == ["now", "random", "time", "uuid", "uuid4"]
