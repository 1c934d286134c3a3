"""A model's figures as pictures: how true its confidence is, and what a threshold brings. SVG as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import log10

from service.matching.model import Model

WIDTH, HEIGHT, MARGIN = 480, 320, 48  # px
_INK, _FAINT, _FIRST, _SECOND = "#333", "#ccc", "#1f6feb", "#d1570a"
_ODDS_MAX = 4.0  # decimal log-odds at the ends of the axis of confidence

Point = tuple[float, float]  # both from 0 to 1, from the lower left


def calibration_svg(model: Model) -> str:
    """What was predicted against what was so, by bins; a circle's area grows with its pairs. On the line it is true."""
    bins = model.calibration.bins
    most = max((one.pairs for one in bins), default=1)
    parts = [_line([(0, 0), (1, 1)], _FAINT)]
    for one in bins:
        radius = 3 + 9 * (one.pairs / most) ** 0.5
        parts.append(_circle((one.predicted, one.observed), radius, f"{one.pairs} pairs"))
    title = f"{model.full_name}: calibration error {model.calibration.error:.3f}"
    ticks = [(i / 5, f"{i / 5:g}") for i in range(6)]
    return _framed(title, "confidence", "share of one person", ticks, ticks, parts)


def thresholds_svg(model: Model) -> str:
    """Precision and recall of links by the threshold, which is spread by its odds."""
    rows = model.thresholds
    parts = []
    for name, color, values in (
        ("precision", _FIRST, [row.precision for row in rows]),
        ("recall", _SECOND, [row.recall for row in rows]),
    ):
        points = [(_by_odds(row.confidence), value) for row, value in zip(rows, values, strict=True)]
        parts += [_line(points, color), *(_circle(point, 2.5, f"{name} {point[1]:.3f}", color) for point in points)]
        if points:
            parts.append(_text(points[len(points) // 2], name, color, dy=-8))
    across = [(_by_odds(value), f"{value:g}") for value in (0.5, 0.7, 0.9, 0.97, 0.99, 0.999)]
    up = [(i / 5, f"{i / 5:g}") for i in range(6)]
    return _framed(f"{model.full_name}: links from a confidence up", "threshold", "", across, up, parts)


def _by_odds(confidence: float) -> float:
    odds = log10(confidence / (1 - confidence))
    return min(1.0, max(0.0, odds / (_ODDS_MAX - 1)))


def _x(value: float) -> float:
    return round(MARGIN + value * (WIDTH - 2 * MARGIN), 1)


def _y(value: float) -> float:
    return round(HEIGHT - MARGIN - value * (HEIGHT - 2 * MARGIN), 1)


def _line(points: Sequence[Point], color: str) -> str:
    path = " ".join(f"{_x(x)},{_y(y)}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5"/>'


def _circle(at: Point, radius: float, title: str, color: str = _FIRST) -> str:
    place = f'cx="{_x(at[0])}" cy="{_y(at[1])}" r="{radius:.1f}"'
    return f'<circle {place} fill="{color}" fill-opacity="0.6"><title>{title}</title></circle>'


def _text(at: Point, text: str, color: str = _INK, dy: int = 0, anchor: str = "middle") -> str:
    return f'<text x="{_x(at[0])}" y="{_y(at[1]) + dy}" fill="{color}" text-anchor="{anchor}">{text}</text>'


def _framed(
    title: str,
    across: str,
    up: str,
    ticks_across: Iterable[tuple[float, str]],
    ticks_up: Iterable[tuple[float, str]],
    parts: Iterable[str],
) -> str:
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11" role="img">',
        f"<title>{title}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text((0.5, 1.0), title, dy=-18),
        _line([(0, 1), (0, 0), (1, 0)], _INK),
        _text((0.5, 0.0), across, dy=36),
        _text((0.0, 1.0), up, dy=-6, anchor="start"),
        *(_text((at, 0.0), label, dy=16) for at, label in ticks_across),
        *(_text((0.0, at), f"{label}&#160;", dy=4, anchor="end") for at, label in ticks_up),
        *parts,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"
