"""From a row to the change it asks for, by the rules of the API.

A link whose labels were found good before costs no more than its two identifiers and its times; whatever is in doubt is
read as the API reads it, which also says what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import orjson

from service.commands.terms import Terms
from service.control.normalise import VALUE_LENGTH_MAX, Refused, normalise
from service.errors import FabricError, FieldError
from service.model.changes import Change, ObserveLink
from service.model.times import parse_rfc3339, rfc3339
from service.volume.columns import Columns

Errors = tuple[FieldError, ...]
ReadItem = Callable[[object, Terms], Any]
ReadJson = Callable[[bytes], object]
_AHEAD_MS_MAX: Final = 24 * 3_600_000
_SHAPES_MAX: Final = 10_000


class Numbered(NamedTuple):
    """A change and the row that asks for it."""

    row: int
    change: Change


class Refusal(NamedTuple):
    """A row that can't be taken, and why; its values are not repeated."""

    row: int
    errors: Errors


def _of_text(value: Any) -> Any:
    """A number where the text is one; what it is not, the API's rules refuse."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _time(value: Any) -> Any:
    return rfc3339(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _json(value: Any) -> Any:
    try:
        return orjson.loads(value) if isinstance(value, str) else value
    except orjson.JSONDecodeError:
        return value


def _plain(value: Any) -> bool:
    return not isinstance(value, dict | list)


def _without_none(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if value is not None}


class LinkRows:
    """Reads links. `opened_at`: ms; a link without a time counts as observed when the import began."""

    def __init__(self, columns: Columns, terms: Terms, read_item: ReadItem, opened_at: int) -> None:
        self._plain = tuple(end in columns.plain for end in ("a", "b"))
        self._terms = terms
        self._read_item = read_item
        self._opened_at = opened_at
        self._shapes: dict[tuple[Any, ...], tuple[float, bool]] = {}

    def flat(self, row: Sequence[Any]) -> ObserveLink | Errors:
        """A row of columns, in the order of LINK_FIELDS."""
        (a_namespace, a_value, b_namespace, b_value, method, confidence, source, rule, version, observed, expires,
         evidence) = row  # fmt: skip
        shape = (a_namespace, b_namespace, method, confidence, type(confidence), source, rule, version)
        sound = evidence is None and type(a_value) is str and type(b_value) is str and all(map(_plain, shape))
        if sound and (known := self._shapes.get(shape)) is not None:
            link = self._quick(row, *known)
            if link is not None:
                return link
        item = _without_none(
            {
                "a": self._end(a_namespace, a_value, 0),
                "b": self._end(b_namespace, b_value, 1),
                "method": method,
                "confidence": _of_text(confidence),
                "source": source,
                "rule": rule,
                "rule_version": version,
                "observed_at": _time(observed),
                "expires_at": _time(expires),
                "evidence": _json(evidence),
            }
        )
        read = self.item(item)
        if sound and isinstance(read, ObserveLink) and len(self._shapes) < _SHAPES_MAX:
            self._shapes[shape] = read.confidence, read.assumed
        return read

    def item(self, item: object) -> ObserveLink | Errors:
        """An item as the API takes it."""
        read: ObserveLink | Errors = self._read_item(item, self._terms)
        if isinstance(read, ObserveLink) and read.observed_at is None:
            return self._dated(read)
        return read

    def _dated(self, link: ObserveLink) -> ObserveLink:
        return ObserveLink(
            link.link_id, link.a, link.b, link.method, link.confidence, link.source, link.rule, link.rule_version,
            self._opened_at, link.expires_at, link.evidence, link.assumed,
        )  # fmt: skip

    def _end(self, namespace: Any, value: Any, index: int) -> dict[str, Any]:
        return _without_none({"namespace": namespace, "value": value, "plain": True if self._plain[index] else None})

    def _quick(self, row: Sequence[Any], confidence: float, assumed: bool) -> ObserveLink | None:
        """The link of a row whose labels are known to be good; None where anything else is in doubt."""
        a_namespace, a_value, b_namespace, b_value, method, _, source, rule, version, observed, expires, _ = row
        if len(a_value) > VALUE_LENGTH_MAX or len(b_value) > VALUE_LENGTH_MAX:
            return None
        policy = self._terms.policy()
        try:
            a = normalise(a_namespace, a_value, policy, plain=self._plain[0]).key
            b = normalise(b_namespace, b_value, policy, plain=self._plain[1]).key
            at = self._opened_at if observed is None else _ms(observed)
            until = None if expires is None else _ms(expires)
        except (Refused, ValueError):
            return None
        if a == b or at > self._terms.now_ms() + _AHEAD_MS_MAX:
            return None
        link_id = self._terms.link_ids(source, rule, method, a, b)
        return ObserveLink(link_id, a, b, method, confidence, source, rule, version, at, until, assumed=assumed)


def _ms(value: str | int) -> int:
    return parse_rfc3339(value) if isinstance(value, str) else parse_rfc3339(rfc3339(value))


class ConsentRows:
    """Reads consent records, one purpose a row, and revocations: rows that name a `scope`."""

    def __init__(self, columns: Columns, terms: Terms, read_item: ReadItem, opened_at: int) -> None:
        self._plain = "identifier" in columns.plain
        self._terms = terms
        self._read_item = read_item
        self._opened_at = opened_at

    def flat(self, row: Sequence[Any]) -> Change | Errors:
        """A row of columns, in the order of CONSENT_FIELDS."""
        namespace, value, scope, purpose, state, regulation, basis, source, at, expires, reason = row
        identifier = {"namespace": namespace, "value": value, "plain": True if self._plain else None}
        item = {
            "identifier": _without_none(identifier),
            "regulation": regulation,
            "source": source,
            "at": _time(at) or rfc3339(self._opened_at),
        }
        if scope is not None:
            item |= {"scope": scope, "purposes": None if purpose is None else [purpose], "reason": reason}
        else:
            item |= {"purposes": {purpose: state}, "basis": basis, "expires_at": _time(expires), "reason": reason}
        return self.item(_without_none(item))

    def item(self, item: object) -> Change | Errors:
        """An item as the API takes it."""
        if isinstance(item, dict) and "at" not in item:
            item = {**item, "at": rfc3339(self._opened_at)}
        read: Change | Errors = self._read_item(item, self._terms)
        return read


class ItemReader:
    """Reads the rows of one file in their order."""

    def __init__(self, rows: LinkRows | ConsentRows, fields: Sequence[str], read_json: ReadJson | None) -> None:
        self._rows = rows
        self._fields = fields
        self._read_json = read_json

    def read(self, row: Any) -> Change | Errors | None:
        """The change that a row asks for, what is wrong with it, or None for an empty line."""
        if self._read_json is None:
            return self._rows.flat(row)
        if row is None or not row.strip():
            return None
        try:
            item = self._read_json(row.encode())
        except (FabricError, UnicodeError):
            return (FieldError("", "is not JSON as the service reads it"),)
        if isinstance(item, dict) and item and item.keys() <= set(self._fields) and "purposes" not in item:
            return self._rows.flat([item.get(name) for name in self._fields])
        return self._rows.item(item)
