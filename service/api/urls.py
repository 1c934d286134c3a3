"""What stands in URLs: queries read strictly, identifiers checked, personal values refused."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote_to_bytes

from service.api.values import refuse_personal
from service.control.normalise import Refused, normalise
from service.errors import Invalid, Malformed, PurposeRequired
from service.model.identifiers import IdentifierKey
from service.model.policy import Policy

_NAMES: Final = frozenset({b"namespace", b"value", b"purpose", b"min_confidence", b"as_of"})


def _text(raw: bytes) -> str:
    if b"%" in raw or b"+" in raw:
        raw = unquote_to_bytes(raw.replace(b"+", b" "))
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Malformed("The query is not UTF-8.") from None


def query_of(raw: bytes) -> dict[bytes, str]:
    """The query parameters by name. Raises Malformed for one that is not UTF-8, Invalid for unknown or double ones."""
    found: dict[bytes, str] = {}
    for part in raw.split(b"&"):
        if not part:
            continue
        name, _, value = part.partition(b"=")
        if name not in _NAMES:
            raise Invalid.at("", "names a query parameter that this call does not have")
        if name in found:
            raise Invalid.at("/" + name.decode(), "is given twice")
        found[name] = _text(value)
    return found


def confidence_of(text: str | None) -> float:
    """`min_confidence` of a query, 0.0 where it is not given. Raises Invalid."""
    if text is None:
        return 0.0
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise Invalid.at("/min_confidence", "must be a number from 0 to 1")
    return value


def purpose_of(text: str | None, policy: Policy, *, required: bool) -> str:
    """The purpose asked for, '' where none is. Raises PurposeRequired, Invalid for an unknown one."""
    if not text:
        if required:
            raise PurposeRequired()
        return ""
    if text not in policy.purposes:
        raise Invalid.at("/purpose", "is not a purpose of the policy")
    return text


def key_in_url(namespace: str | None, value: str | None, policy: Policy) -> IdentifierKey:
    """The identifier that a query names. Raises Invalid, PersonalValueInUrl."""
    if namespace is None:
        raise Invalid.at("/namespace", "is required")
    if value is None:
        raise Invalid.at("/value", "is required")
    rules = policy.namespaces.get(namespace)
    hashed = rules is not None and rules.hashed
    if hashed or "@" in value:
        refuse_personal(hashed, value)
    try:
        return normalise(namespace, value, policy).key
    except Refused as refused:
        raise Invalid.at(f"/{refused.field}", str(refused)) from None
