"""The CloudEvents envelope of one event, read strictly: what each attribute must be, and what is wrong with it."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from service.events.validation import looks_like_a_name
from service.model.events import EventError, SenderMark
from service.model.times import parse_rfc3339

SPEC_VERSION: Final = "1.0"
ATTRIBUTE_MAX: Final = 512
EXTENSION_MAX: Final = 1_024
EXTENSIONS_MAX: Final = 50
SEQUENCE_MAX: Final = 2**53

_OURS: Final = frozenset({"specversion", "id", "source", "type", "time", "dataschema", "data"})
_EXTENSION = re.compile(r"[a-z0-9]{1,64}")
_SHOWN = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_DATASCHEMA = re.compile(r"([a-z][a-z0-9_]{0,63})/([1-9]\d{0,3}-\d{1,4}-\d{1,4})", re.ASCII)
_JSON = re.compile(r"application/(?:json|[a-z0-9!#$&^_.-]+\+json)(?:\s*;.*)?", re.IGNORECASE)
_DIGITS = re.compile(r"\d{1,16}", re.ASCII)


class Envelope(NamedTuple):
    """An envelope that holds. `sent_at`: `time` in ms; `clock`: what the sender's clock showed when it sent (ms)."""

    source: str
    event_id: str
    type: str
    schema: str
    sent_at: int
    data: dict[str, Any]
    extensions: dict[str, Any]
    mark: SenderMark | None
    clock: int | None

    @property
    def version(self) -> str:
        """The version of the schema."""
        return self.schema.rpartition("/")[2]


def text_of(item: dict[str, Any], name: str, longest: int = ATTRIBUTE_MAX) -> str | None:
    """An attribute that is printable text of at most so many characters, None for anything else."""
    value = item.get(name)
    if isinstance(value, str) and 0 < len(value) <= longest and _SHOWN.fullmatch(value):
        return value
    return None


def _time_of(value: object) -> int | None:
    if isinstance(value, str):
        try:
            return parse_rfc3339(value)
        except (ValueError, OverflowError):
            pass
    return None


def _missing(item: dict[str, Any], name: str, message: str) -> EventError:
    return EventError(
        f"/{name}", message if name in item else "is missing", "envelope" if name in item else "required_missing"
    )


def _wrong_extensions(item: dict[str, Any]) -> list[EventError]:
    errors: list[EventError] = []
    for name, value in item.items():
        if name in _OURS:
            continue
        shown = f"/{name}" if looks_like_a_name(name) else ""
        if not _EXTENSION.fullmatch(name) or not isinstance(value, str | int | bool | None):
            errors.append(EventError(shown, "is not a field of an event", "unknown_field"))
        elif isinstance(value, str) and not (len(value) <= EXTENSION_MAX and (not value or _SHOWN.fullmatch(value))):
            errors.append(EventError(shown, f"must be printable and have at most {EXTENSION_MAX} characters", "limit"))
    if len(item) > EXTENSIONS_MAX:
        errors.append(EventError("", f"has more than {EXTENSIONS_MAX} attributes", "limit"))
    kind = item.get("datacontenttype")
    if kind is not None and not (isinstance(kind, str) and _JSON.fullmatch(kind)):
        errors.append(EventError("/datacontenttype", "must be JSON", "envelope"))
    return errors


def read_envelope(item: object) -> Envelope | list[EventError]:
    """The envelope of an event, or everything that is wrong with it."""
    if not isinstance(item, dict):
        return [EventError("", "must be an object", "type_mismatch")]
    errors = _wrong_extensions(item) if len(item) != len(_OURS) or item.keys() != _OURS else []
    if item.get("specversion") != SPEC_VERSION:
        errors.append(_missing(item, "specversion", "must be 1.0"))
    words: list[str] = []
    for name in ("source", "id", "type"):
        value = text_of(item, name)
        if value is None:
            errors.append(_missing(item, name, f"must be 1 to {ATTRIBUTE_MAX} printable characters"))
        words.append(value or "")
    at = _time_of(item.get("time"))
    if at is None:
        errors.append(_missing(item, "time", "must be an RFC 3339 time such as 2026-11-24T10:00:00Z"))
    schema = item.get("dataschema")
    known = _DATASCHEMA.fullmatch(schema) if isinstance(schema, str) else None
    if known is None:
        errors.append(_missing(item, "dataschema", "must be a type and a version such as page_view/1-0-0"))
    elif words[2] and known[1] != words[2]:
        errors.append(EventError("/dataschema", "is of another type than the event", "envelope"))
    data = item.get("data")
    if not isinstance(data, dict):
        errors.append(_missing(item, "data", "must be an object"))
    if errors or at is None or known is None or not isinstance(data, dict):
        return errors
    extensions = {name: value for name, value in item.items() if name not in _OURS} if len(item) > len(_OURS) else {}
    mark, clock = (_mark_of(extensions), _time_of(extensions.get("sentat"))) if extensions else (None, None)
    return Envelope(words[0], words[1], words[2], known[0], at, data, extensions, mark, clock)


def _mark_of(extensions: dict[str, Any]) -> SenderMark | None:
    """`sequence` (an extension of CloudEvents), counted within the source, or within `senderid` where it is sent."""
    value = extensions.get("sequence")
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < SEQUENCE_MAX:
        return None
    sender = extensions.get("senderid")
    return SenderMark(sender if isinstance(sender, str) else "", value)
