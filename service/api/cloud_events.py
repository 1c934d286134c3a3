"""CloudEvents over HTTP: structured, batched and binary mode (HTTP protocol binding 1.0), and the batch of this API."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote

from starlette.requests import Request

from service.api.asgi import call_of
from service.api.reading import Sent, items_of
from service.api.schemas import BATCH_MAX
from service.errors import Invalid, Malformed, TooManyItems

BATCH: Final = "application/cloudevents-batch+json"
STRUCTURED: Final = "application/cloudevents+json"
_PREFIX: Final = b"ce-"


def events_in(request: Request, sent: Sent) -> list[Any]:
    """The events of a request, whichever way they came. Raises Invalid, Malformed, TooManyItems."""
    headers = call_of(request.scope).headers
    kind = headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
    content = sent.content
    if kind == BATCH:
        if not isinstance(content, list):
            raise Invalid.at("", "must be a list")
        return _bounded(content)
    if kind != STRUCTURED and any(name.startswith(_PREFIX) for name in headers):
        return [_binary(headers, content)]
    items = items_of(content, "events")
    return [content] if items is None else items


def _bounded(events: list[Any]) -> list[Any]:
    if len(events) > BATCH_MAX:
        raise TooManyItems(BATCH_MAX)
    return events


def _binary(headers: dict[bytes, bytes], data: object) -> dict[str, Any]:
    """Attributes from headers, percent-encoded where they are not printable ASCII; the body is the data."""
    event: dict[str, Any] = {}
    for name, value in headers.items():
        if name.startswith(_PREFIX):
            try:
                event[name[len(_PREFIX) :].decode("ascii")] = unquote(value.decode("ascii"), errors="strict")
            except UnicodeDecodeError:
                raise Malformed("A ce- header is neither ASCII nor percent-encoded UTF-8.") from None
    event["data"] = data
    return event
