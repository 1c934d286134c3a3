"""What an error means in HTTP: one table, and RFC 9457 problems made from it.

Nothing that a caller sent is repeated: messages for fields are our own, and pointers hold only names that look like
names of fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from service import errors as e
from service.errors import JSON, BadValue, FabricError, FieldError

FIELD_ERRORS_MAX: Final = 100
MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:identity-fabric:problem:"


class MethodNotAllowed(FabricError):
    """The path exists, for other methods."""

    code = "method_not_allowed"
    says = "This path does not take this method."

    def __init__(self, allow: str = "") -> None:
        super().__init__()
        self.allow = allow


class Meaning(NamedTuple):
    """Status and title of a problem."""

    status: int
    title: str


TABLE: Final[Mapping[type[FabricError], Meaning]] = {
    FabricError: Meaning(500, "Internal error"),
    e.Malformed: Meaning(400, "Malformed request"),
    e.NotAuthenticated: Meaning(401, "Not authenticated"),
    e.NotAllowed: Meaning(403, "Not allowed"),
    e.Unknown: Meaning(404, "Not found"),
    MethodNotAllowed: Meaning(405, "Method not allowed"),
    e.Conflict: Meaning(409, "Conflict"),
    e.Erased: Meaning(410, "Erased"),
    e.TooLarge: Meaning(413, "Too large"),
    e.UnsupportedMedia: Meaning(415, "Unsupported media type"),
    e.Invalid: Meaning(422, "Invalid request"),
    e.IdempotencyKeyReused: Meaning(422, "Idempotency key reused"),
    e.RateLimited: Meaning(429, "Too many requests"),
    e.NotNow: Meaning(503, "Not available now"),
}


def meaning_of(kind: type[FabricError]) -> Meaning:
    """Status and title for a class of errors: its own row, or that of its nearest ancestor."""
    return next(TABLE[c] for c in kind.__mro__ if c in TABLE)


def problem(error: FabricError, request_id: str) -> dict[str, JSON]:
    """The problem as JSON: type, title, status, detail, code, request_id; `errors` and extras where there are any."""
    status, title = meaning_of(type(error))
    body: dict[str, JSON] = {
        "type": TYPE_PREFIX + error.code,
        "title": title,
        "status": status,
        "detail": error.detail,
        "code": error.code,
        "request_id": request_id,
    }
    if error.errors or isinstance(error, e.Invalid):
        body["errors"] = [{"pointer": f.pointer, "message": f.message} for f in error.errors]
    return {**error.extra, **body} if error.extra else body


def problem_headers(error: FabricError) -> dict[str, str]:
    """Content-Type, and Retry-After, WWW-Authenticate or Allow where the error calls for it."""
    headers = {"content-type": MEDIA_TYPE}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(error.retry_after_s)
    if isinstance(error, e.NotAuthenticated):
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, MethodNotAllowed) and error.allow:
        headers["allow"] = error.allow
    return headers


def problem_response(error: FabricError, request_id: str) -> Response:
    """The whole answer."""
    body = orjson.dumps(problem(error, request_id))
    return Response(body, status_code=meaning_of(type(error)).status, headers=problem_headers(error))


# ---- other people's exceptions


def error_from(exception: BaseException) -> FabricError:
    """Any exception as one of ours. What is not known to be the caller's fault is `Internal`, without details."""
    if isinstance(exception, FabricError):
        return exception
    if isinstance(exception, HTTPException):
        # The framework wraps what goes wrong while it reads a body; ours, inside, says more.
        if isinstance(exception.__cause__, FabricError):
            return exception.__cause__
        return _from_status(exception.status_code, exception.headers or {})
    if isinstance(exception, RequestValidationError):
        # `loc` begins with where the value was: body, query, path, header.
        if any(item.get("type") == "json_invalid" for item in exception.errors()):
            return e.MalformedJson()
        found = [{**item, "loc": tuple(item.get("loc", ()))[1:]} for item in exception.errors()]
        return e.Invalid(errors=field_errors(found, exception.body))
    return e.Internal()


def _from_status(status: int, headers: Mapping[str, str]) -> FabricError:
    if status == 405:
        return MethodNotAllowed(next((v for k, v in headers.items() if k.lower() == "allow"), ""))
    return _FROM_STATUS.get(status, e.Malformed if 400 <= status < 500 else e.Internal)()


_FROM_STATUS: Final[Mapping[int, Callable[[], FabricError]]] = {
    401: e.NotAuthenticated,
    403: e.NotAllowed,
    404: e.Unknown,
    409: e.Conflict,
    413: e.TooLarge,
    415: e.UnsupportedMedia,
    422: e.Invalid,
    429: e.RateLimited,
    503: e.NotNow,
}


# ---- fields


def pointer(parts: Iterable[str | int]) -> str:
    """An RFC 6901 pointer: ("a", 0, "x/y") gives `/a/0/x~1y`."""
    return "".join("/" + str(p).replace("~", "~0").replace("/", "~1") for p in parts)


def invalid(error: ValidationError, body: object = None, names: Collection[str] = ()) -> e.Invalid:
    """What pydantic refused, as ours. `body` is what was validated; it shows which parts of a place are union tags.

    `names`: keys of it that may be repeated, whatever they look like.
    """
    return e.Invalid(errors=field_errors(error.errors(include_url=False), body, names))


def field_errors(
    found: Sequence[Mapping[str, Any]], body: object = None, names: Collection[str] = ()
) -> tuple[FieldError, ...]:
    """Pydantic's errors as pointers and our own messages, 100 at most, each once. No input is repeated."""
    return tuple(dict.fromkeys(_field_error(item, body, names) for item in found[:FIELD_ERRORS_MAX]))


def _field_error(item: Mapping[str, Any], body: object, names: Collection[str]) -> FieldError:
    kind, context = str(item.get("type", "")), item.get("ctx") or {}
    place = _place(tuple(item.get("loc", ())), kind, item.get("input"), body)
    if kind.startswith("union_tag_"):
        place = (*place, str(context.get("discriminator", "")).strip("'"))
    shown: list[str | int] = []
    for part in place:
        if isinstance(part, str) and part not in names and not _looks_like_a_name(part):
            return FieldError(pointer(shown), "has a field that " + _message(kind, context))
        shown.append(part)
    return FieldError(pointer(shown), _message(kind, context))


_NAME = re.compile(r"\*|[A-Za-z_][A-Za-z0-9_-]{0,39}")
_NUMBERS = re.compile(r"[0-9]{5}")


def _looks_like_a_name(part: str) -> bool:
    """Whether a key of the caller's JSON may be repeated: a short word, not an address, a digest or a number."""
    return _NAME.fullmatch(part) is not None and _NUMBERS.search(part) is None


_NOWHERE: Final = object()


def _place(loc: tuple[str | int, ...], kind: str, given: object, body: object) -> tuple[str | int, ...]:
    """`loc` without the tags of unions, which pydantic puts between the names of fields.

    The reading that leaves out the fewest parts and still leads to the very object that was refused is the right one;
    where none does (a validator changed the value first), parts that are not in the body are left out.
    """
    if body is None:
        return tuple(p for p in loc if isinstance(p, int) or "[" not in p)
    target = loc[:-1] if kind == "missing" else loc
    tail = loc[len(target) :]
    reading = _reading(target, given, body, skipped_max=4)
    if reading is not None:
        return reading + tail
    kept: list[str | int] = []
    here = body
    for part in target:
        there = _step(here, part)
        if there is not _NOWHERE:
            kept.append(part)
            here = there
    return tuple(kept) + tail


def _reading(loc: tuple[str | int, ...], given: object, here: object, skipped_max: int) -> tuple[str | int, ...] | None:
    """A shortest-skip path through `here` to the object `given`, or None."""
    for skipped in range(skipped_max + 1):
        found = _walk(loc, given, here, skipped)
        if found is not None:
            return found
    return None


def _walk(loc: tuple[str | int, ...], given: object, here: object, skips: int) -> tuple[str | int, ...] | None:
    if not loc:
        return () if here is given and skips == 0 else None
    there = _step(here, loc[0])
    if there is not _NOWHERE:
        rest = _walk(loc[1:], given, there, skips)
        if rest is not None:
            return (loc[0], *rest)
    if skips and isinstance(loc[0], str):
        return _walk(loc[1:], given, here, skips - 1)
    return None


def _step(here: object, part: str | int) -> object:
    if isinstance(here, dict):
        return here.get(part, _NOWHERE)
    if isinstance(here, list) and isinstance(part, int) and -len(here) <= part < len(here):
        return here[part]
    return _NOWHERE


# `context` comes from the schema in all of these, never from what was sent.
_MESSAGES: Final[Mapping[str, str]] = {
    "missing": "is required",
    "union_tag_not_found": "is required",
    "extra_forbidden": "is not a known field",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "union_tag_invalid": "must be one of {expected_tags}",
    "greater_than": "must be over {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be under {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "finite_number": "must be a finite number",
    "too_short": "must have at least {min_length} items",
    "too_long": "must have at most {max_length} items",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "does not match the expected pattern",
    "string_type": "must be a string",
    "string_unicode": "must be valid Unicode",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dataclass_type": "must be an object",
    "invalid_key": "must be a string",
    "none_required": "must be null",
    "timezone_naive": "must be a time with its zone",
    "timezone_aware": "must be a time with its zone",
    "json_invalid": "is not valid JSON",
    "unknown_purpose": "is not a purpose of the policy",
    "unknown_regulation": "is not a regulation of the policy",
    "unknown_namespace": "is not a namespace of the policy",
    "unknown_retention": "is not a retention of the policy",
    "not_a_condition": "is not a condition in CEL over what may be named there",
    "not_a_duration": "must be an ISO 8601 duration such as P90D or PT24H",
    "not_a_pattern": "is not a regular expression",
}
_MESSAGES_BY_PREFIX: Final = (
    ("datetime_", "must be an RFC 3339 time"),
    ("date_", "must be a date, YYYY-MM-DD"),
    ("time_delta_", "must be an ISO 8601 duration"),
    ("url_", "must be a URL"),
    ("uuid_", "must be a UUID"),
)


def _message(kind: str, context: Mapping[str, Any]) -> str:
    raised = context.get("error")
    if isinstance(raised, BadValue):
        return str(raised)
    template = _MESSAGES.get(kind)
    if template is None:
        template = next((text for prefix, text in _MESSAGES_BY_PREFIX if kind.startswith(prefix)), "is not valid")
    return template.format_map(_Shown(context))


class _Shown(dict[str, Any]):
    """Context whose missing names show as an ellipsis."""

    def __missing__(self, key: str) -> str:
        return "…"
