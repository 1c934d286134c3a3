"""Text that may hold a plain personal value: found, and masked before anything is stored."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

MASK: Final = "[masked]"
_EMAIL = re.compile(
    r"[^\s\"'<>(),:;/?&=#\\|\[\]{}@]+(?:@|%40|\uff20|\ufe6b)[^\s\"'<>(),:;/?&=#\\|\[\]{}@]+\.[^\W_]{2,}", re.I
)
_MAY_BE = re.compile(rb"@|%40|\xef\xbc\xa0|\xef\xb9\xab")
_CONTROL = re.compile(rb"\\u00[01]|\\b|\\f|\x7f")
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def may_hold_address(text: bytes) -> bool:
    """Whether it is worth while to look for an e-mail address in a JSON text."""
    return _MAY_BE.search(text) is not None


def holds_address(value: object) -> bool:
    """Whether there is an e-mail address anywhere in a JSON value, in a key too."""
    return any(_EMAIL.search(text) for text in _texts(value))


def masked(value: Any) -> Any:
    """A JSON value with every e-mail address in it masked, in keys too."""
    if isinstance(value, str):
        return _EMAIL.sub(MASK, value)
    if isinstance(value, dict):
        return {_EMAIL.sub(MASK, key): masked(item) for key, item in value.items()}
    return [masked(item) for item in value] if isinstance(value, list) else value


def masked_text(value: object) -> tuple[str, bool]:
    """A JSON value as text, with e-mail addresses masked, and whether there were any."""
    raw = orjson.dumps(value)
    if not may_hold_address(raw):
        return raw.decode(), False
    shown = orjson.dumps(masked(value))
    return shown.decode(), shown != raw


def holds_control(raw: bytes, value: object) -> bool:
    """Whether a JSON value, `raw` as orjson writes it, has control characters in any text, but tabs and line ends."""
    return _CONTROL.search(raw) is not None and any(_UNSEEN.search(text) for text in _texts(value))


def _texts(value: Any) -> list[str]:
    found: list[str] = []
    stack: list[Any] = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, dict):
            found += item.keys()
            stack += item.values()
        elif isinstance(item, list):
            stack += item
    return found
