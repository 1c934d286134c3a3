"""What status codes mean wherever a receiver does not say more."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from service.adapters.delivery.shapes import ItemResult, Request, Response

_SECONDS: Final = re.compile(r"\d{1,9}(\.\d{1,3})?", re.ASCII)
_AGAIN: Final = frozenset({408, 425, 429})
_SETUP: Final = frozenset({401, 403, 404})
RETRY_AFTER_S_MAX: Final = 86_400.0


def seconds_in(text: str | None) -> float | None:
    """Seconds of a Retry-After; a date is not read, and counts as nothing said."""
    if text is None or not _SECONDS.fullmatch(text.strip()):
        return None
    return min(float(text), RETRY_AFTER_S_MAX)


def json_of(body: bytes) -> Any:
    """The body as JSON, None where it is none."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def by_status(response: Response, *, retry_after: str = "retry-after") -> ItemResult:
    """Delivered, to be tried again, a matter of setup, or refused for good."""
    status = response.status
    asked = seconds_in(response.headers.get(retry_after) or response.headers.get("retry-after"))
    if 200 <= status < 300:
        return ItemResult("delivered")
    if status in _SETUP:
        return ItemResult("setup_failed", f"http_{status}")
    if status == 429 or (status == 503 and asked is not None):
        return ItemResult("throttled", f"http_{status}", asked)
    if status in _AGAIN or (status >= 500 and status != 501):
        return ItemResult("retry", f"http_{status}", asked)
    return ItemResult("dead", f"http_{status}")


def for_all(request: Request, result: ItemResult) -> Sequence[ItemResult]:
    """The same for every item."""
    return [result] * len(request.items)


def needs(settings: Mapping[str, Any], *names: str, may: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """What is wrong with settings that are texts: missing, not a text, or not known."""
    for name in names:
        value = settings.get(name)
        if not isinstance(value, str) or not value:
            yield f"/{name}", "is needed, as text"
    for name in settings:
        if name not in names and name not in may:
            yield f"/{name}", "is not a setting of this adapter"
    for name in may:
        if settings.get(name) is not None and not isinstance(settings[name], str):
            yield f"/{name}", "must be text"


def base_of(settings: Mapping[str, Any], own: str) -> str:
    """The receiver's address: `base_url` where it is set."""
    return str(settings.get("base_url") or own).rstrip("/")
