"""JSON as the service accepts it: strictly, so that no two readers can understand one body differently.

Refused are duplicate keys, NaN and infinities, integers beyond 64 bits, lone surrogates, a byte order mark, and nesting
beyond a limit. The standard library's C scanner with hooks is fast enough (368 kB of links in about 5 ms) and the only
parser of those at hand that reports duplicate keys and whole integers.
"""

from __future__ import annotations

import re
from json import JSONDecoder
from math import isinf
from typing import Any, Final, NoReturn

from service.errors import BodyTooLarge, MalformedJson, UnsupportedMedia

DEPTH_MAX: Final = 32
INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1

_MEDIA = re.compile(r"application/(?:json|[a-z0-9!#$&^_.-]+\+json)", re.IGNORECASE)
_CHARSET = re.compile(r"\s*charset\s*=\s*\"?([^\";\s]*)\"?\s*", re.IGNORECASE)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(raw: bytes, content_type: str | None, *, limit_bytes: int, max_depth: int = DEPTH_MAX) -> object:
    """The value that `raw` holds.

    `content_type` is the header as sent. Raises UnsupportedMedia, BodyTooLarge or MalformedJson, which say what is
    wrong and never repeat any of the body.
    """
    require_json(content_type)
    if len(raw) > limit_bytes:
        raise BodyTooLarge(limit_bytes)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedJson("The body is not valid UTF-8.") from None
    try:
        value: object = _DECODER.decode(text)
    except MalformedJson as refused:
        raise refused from None
    except RecursionError:
        raise _too_deep(max_depth) from None
    except ValueError:
        raise MalformedJson from None
    # Each level costs one opening bracket, so small bodies need no walk.
    if text.count("[") + text.count("{") > max_depth:
        _check_depth(value, max_depth)
    if _SURROGATE.search(text):
        _check_text(value)
    return value


def require_json(content_type: str | None) -> None:
    """Raises UnsupportedMedia unless the header says application/json or application/*+json, in UTF-8 if it says so."""
    if content_type == "application/json":
        return
    kind, *parameters = (content_type or "").split(";")
    if not _MEDIA.fullmatch(kind.strip()):
        raise UnsupportedMedia
    for parameter in parameters:
        charset = _CHARSET.fullmatch(parameter)
        if charset and charset[1].lower() not in ("utf-8", "utf8"):
            raise UnsupportedMedia


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedJson("An object of the body has the same key twice.")
    return found


def _integer(digits: str) -> int:
    # 20 characters hold every 64-bit integer with its sign; longer ones are not even converted.
    number = int(digits) if len(digits) <= 20 else INT_MAX + 1
    if not INT_MIN <= number <= INT_MAX:
        raise MalformedJson("A number of the body does not fit in 64 bits.")
    return number


def _float(digits: str) -> float:
    number = float(digits)
    if isinf(number):
        raise MalformedJson("A number of the body is too large.")
    return number


def _constant(_name: str) -> NoReturn:
    raise MalformedJson("NaN and infinities are not JSON.")


_DECODER: Final = JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)


def _too_deep(max_depth: int) -> MalformedJson:
    return MalformedJson(f"The body is nested deeper than {max_depth} levels.")


def _check_depth(value: object, max_depth: int) -> None:
    """Level by level, without recursion: raises MalformedJson when there are more levels of containers than that."""
    level: list[Any] = [value] if isinstance(value, dict | list) else []
    for _ in range(max_depth):
        below: list[Any] = []
        for container in level:
            items = container.values() if type(container) is dict else container
            below += [item for item in items if type(item) is dict or type(item) is list]
        if not below:
            return
        level = below
    raise _too_deep(max_depth)


def _check_text(value: object) -> None:
    """Raises MalformedJson for a lone surrogate in any key or string. Called only if the text has such escapes."""
    stack: list[Any] = [value]
    try:
        while stack:
            item = stack.pop()
            if isinstance(item, str):
                item.encode("utf-8")
            elif isinstance(item, dict):
                stack += item.keys()
                stack += item.values()
            elif isinstance(item, list):
                stack += item
    except UnicodeEncodeError:
        raise MalformedJson("A string of the body holds half a surrogate pair.") from None
