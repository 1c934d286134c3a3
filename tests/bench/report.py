"""The result for a person, and for a program."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import sleep

import orjson
from rich.console import Console
from rich.table import Table

from tests.bench.figures import Row, missed
from tests.bench.stage import Stage

_PACKAGES = ("uvicorn", "uvloop", "httptools", "fastapi", "starlette", "redis", "hiredis", "neo4j", "neo4j-rust-ext")


def cores_busy(seconds: float = 1.0) -> float | None:
    """How many cores others keep busy, measured while this process does nothing; None where it can't be told."""
    if not Path("/proc/stat").exists():
        return None
    busy, total = _ticks()
    sleep(seconds)
    busy_then, total_then = _ticks()
    return (busy_then - busy) / max(1, total_then - total) * (os.cpu_count() or 1)


def _ticks() -> tuple[int, int]:
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(fields) - fields[3] - fields[4], sum(fields)


async def machine(stage: Stage) -> dict[str, object]:
    """What it ran on."""
    server = await stage.redis.info("server")
    name = server.get("server_name", "redis")
    return {
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {package: version(package) for package in _PACKAGES},
        str(name): server.get(f"{name}_version", server.get("redis_version")),
    }


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _spread(row: Row) -> str:
    """The median ratio, with the least and the greatest of the rounds."""
    if row.ratio is None:
        return ""
    return f"{row.ratio:.2f} x ({min(row.ratios):.2f} to {max(row.ratios):.2f})"


def _line(row: Row) -> tuple[str, str, str, str, str, str, str]:
    ours = f"{_number(median(row.ours))} {row.unit}" if row.ours else ""
    baseline = f"{_number(median(row.baseline))} {row.unit}" if row.baseline else ""
    return row.name, ours, row.against, baseline, _spread(row), row.target, row.verdict


def show(console: Console, rows: Sequence[Row], where: dict[str, object]) -> None:
    """Print the table; without a terminal as plain lines."""
    columns = ("measured", "ours", "against", "baseline", "ratio", "asked for", "verdict")
    if console.is_terminal:
        table = Table(*columns)
        for row in rows:
            style = "bold red" if row.verdict == "MISSED" else None
            table.add_row(*_line(row), style=style)
        console.print(table)
    else:
        lines = [columns, *(_line(row) for row in rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(columns))]
        for line in lines:
            text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            console.print(text, soft_wrap=True, highlight=False, markup=False)
    for name, value in where.items():
        shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        console.print(f"{name}: {shown}", soft_wrap=True, highlight=False, markup=False)
    short = missed(rows)
    for row in short:
        told = _spread(row) or f"{_number(median(row.ours))} {row.unit}"
        text = f"falls short: {row.name} against {row.against or 'its limit'}: {told}, asked for {row.target}"
        console.print(text, soft_wrap=True, highlight=False, markup=False)
    if not short:
        console.print("every row that is judged holds")


def write(path: Path, rows: Sequence[Row], where: dict[str, object]) -> None:
    """For a program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": where, "rows": [row.as_json() for row in rows], "missed": [row.name for row in missed(rows)]}
    path.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
