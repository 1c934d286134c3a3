"""Whether files still hold certain bytes: the proof that nothing of somebody erased is left below the data folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_AT_ONCE: Final = 1 << 20
_LENGTH_MIN: Final = 16


def needle(key: str) -> bytes:
    """What to look for: the value of an identifier, of a short one with its namespace, which others begin with too."""
    value = key.partition(":")[2]
    return (value if len(value) >= _LENGTH_MIN else key).encode()


def files_with(folder: Path, needles: Sequence[bytes]) -> dict[bytes, list[Path]]:
    """The regular files below `folder` that hold each of some byte strings; what goes away meanwhile is passed over."""
    found: dict[bytes, list[Path]] = {text: [] for text in needles}
    overlap = max(map(len, needles), default=1) - 1
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            for text in _in_file(path, needles, overlap):
                found[text].append(path)
    return found


def _in_file(path: Path, needles: Sequence[bytes], overlap: int) -> set[bytes]:
    seen: set[bytes] = set()
    if path.is_symlink() or not path.is_file():
        return seen
    try:
        with path.open("rb") as file:
            tail = b""
            while chunk := file.read(_AT_ONCE):
                window = tail + chunk
                seen.update(text for text in needles if text in window)
                tail = window[-overlap:] if overlap else b""
    except OSError:
        return seen
    return seen
