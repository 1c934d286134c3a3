"""The page that a run writes of itself: `docs/reliability.md`, between two marks."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.faults.run import Result

PAGE = Path("docs/reliability.md")
RECORD = Path("build/faults.json")
BEGIN, END = "<!-- written by make faults -->", "<!-- end -->"


def told(result: Result) -> list[str]:
    """What came out, for whoever watches."""
    lines = [
        f"{result.requests} requests, {result.changes} changes and decisions acknowledged, {result.reads} readings,"
        f" {result.retried} sent again, {result.refused} refused for now, {result.unanswered} without an answer",
        f"faults: {', '.join(f'{kind} {count}' for kind, count in sorted(result.faults.items())) or 'none'}",
        *(f"an instance ended of itself: {line}" for line in result.ended_itself[:5]),
        f"{len(result.violations)} violations; SEED={result.seed}",
    ]
    kinds = Counter(violation.kind for violation in result.violations)
    lines += [f"  {count} of {kind}" for kind, count in kinds.most_common()]
    return lines + [f"  {violation.kind}: {violation.what}" for violation in result.violations[:20]]


def _commit() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run(
        ["git", "status", "--porcelain", "service"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return (found.stdout.strip() or "unknown") + (" with changes" if changed else "")


def _table(rows: Iterable[tuple[str, object]], head: tuple[str, str]) -> list[str]:
    return [f"| {head[0]} | {head[1]} |", "|---|---:|", *(f"| {name} | {value} |" for name, value in rows), ""]


def page_of(result: Result) -> list[str]:
    """The lines between the marks."""
    kinds = Counter(violation.kind for violation in result.violations)
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    facts: list[tuple[str, object]] = [
        ("seed", result.seed),
        ("commit", _commit()),
        ("ended", f"{when} UTC"),
        ("minutes", f"{result.seconds / 60:.1f}"),
        ("cores", os.cpu_count()),
        ("requests", f"{result.requests:,}"),
        ("changes and decisions acknowledged", f"{result.changes:,}"),
        ("of these sent more than once", f"{result.retried:,}"),
        ("readings held against the writes", f"{result.reads:,}"),
        ("refused for now (429, 503)", f"{result.refused:,}"),
        ("without an answer", f"{result.unanswered:,}"),
        ("changes not acknowledged in the end", result.unresolved),
        ("processes started", result.starts),
        ("processes that ended of themselves", len(result.ended_itself)),
        ("faults", sum(result.faults.values())),
        ("**violations**", f"**{len(result.violations)}**"),
    ]
    lines = [
        *_table(facts, ("", "one run of `make faults`")),
        *_table(sorted(result.faults.items()), ("fault", "times")),
    ]
    lines += _table(sorted(result.counts.items()), ("acknowledged change, or reading", "times"))
    if kinds:
        lines += _table(kinds.most_common(), ("violation", "times"))
        lines += [f"- {violation.kind}: {violation.what}" for violation in result.violations[:20]]
    return lines


def write_page(page: Path, result: Result) -> None:
    """Replace what is between the marks, and leave the whole of it in `build/faults.json`."""
    text = page.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text("\n".join([before + BEGIN, "", *page_of(result), END]) + after)
    RECORD.parent.mkdir(exist_ok=True)
    found = {name: getattr(result, name) for name in result.__slots__ if name != "violations"}
    found["violations"] = [[violation.kind, violation.what] for violation in result.violations]
    RECORD.write_text(json.dumps(found, indent=2) + "\n")
