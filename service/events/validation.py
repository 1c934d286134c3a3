"""Schemas compiled once, and what is wrong with the data of an event. No error repeats anything that was sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import jsonschema_rs

from service.events.builtin import BUILTIN, COMMON, Schema
from service.model.events import EventError

ERRORS_MAX: Final = 20
SCHEMA_BYTES_MAX: Final = 262_144

_NAME = re.compile(r"\*|[A-Za-z_][A-Za-z0-9_-]{0,39}")
_NUMBERS = re.compile(r"[0-9]{5}")
_MESSAGES: Final[Mapping[str, tuple[str, str]]] = {
    "type": ("is of another type", "type_mismatch"),
    "required": ("is missing", "required_missing"),
    "additionalProperties": ("is not a field of the schema", "unknown_field"),
    "unevaluatedProperties": ("is not a field of the schema", "unknown_field"),
    "enum": ("is not one of the values that the schema lists", "not_listed"),
    "const": ("is not the value that the schema demands", "not_listed"),
    "pattern": ("does not match the pattern of the schema", "pattern"),
    "format": ("does not have the format of the schema", "format"),
    "maxLength": ("is too long", "limit"),
    "minLength": ("is too short", "limit"),
    "maxItems": ("has too many items", "limit"),
    "minItems": ("has too few items", "limit"),
    "maxProperties": ("has too many fields", "limit"),
    "maximum": ("is too large", "limit"),
    "minimum": ("is too small", "limit"),
    "exclusiveMaximum": ("is too large", "limit"),
    "exclusiveMinimum": ("is too small", "limit"),
    "propertyNames": ("has a field whose name does not fit", "unknown_field"),
}


def looks_like_a_name(part: str) -> bool:
    """Whether a key of the sender's JSON may be repeated: a short word, not an address, a digest or a number."""
    return _NAME.fullmatch(part) is not None and _NUMBERS.search(part) is None


def pointer_of(parts: Iterable[str | int]) -> str:
    """An RFC 6901 pointer, up to the first part that may not be repeated."""
    shown = ""
    for part in parts:
        if isinstance(part, str) and not looks_like_a_name(part):
            break
        shown += f"/{part}"
    return shown


class NotASchema(ValueError):
    """A document that is no JSON Schema, or one that can't be used here. The text says why."""


class Compiled:
    """One version of a schema, ready to check data with; what all types have in common is checked beside it."""

    __slots__ = ("_validators", "document")

    def __init__(self, document: Schema, *, builtin: bool = False) -> None:
        """Raises NotASchema."""
        self.document = document
        try:
            jsonschema_rs.meta.validate(document)
            own = _validator(document)
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
            raise NotASchema("is not a JSON Schema (2020-12) that stands by itself") from error
        self._validators = (own,) if builtin else (_COMMON, own)

    def is_valid(self, data: object) -> bool:
        """Whether data fits."""
        return all(validator.is_valid(data) for validator in self._validators)

    def errors_of(self, data: object) -> list[EventError]:
        """What is wrong with the data of an event, with pointers from `/data` on; each place once."""
        found: dict[tuple[str, str], EventError] = {}
        for validator in self._validators:
            for error in validator.iter_errors(data):
                for one in _errors(error):
                    found.setdefault((one.pointer, one.code), one)
                if len(found) >= ERRORS_MAX:
                    break
        return list(found.values())


def _validator(document: Schema) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(document, validate_formats=True, offline=True)


_COMMON: Final = _validator(COMMON)


def _errors(error: Any) -> list[EventError]:
    kind = error.kind.name
    message, code = _MESSAGES.get(kind, ("does not fit the schema", "invalid"))
    place = ["data", *error.instance_path]
    if kind in ("additionalProperties", "unevaluatedProperties"):
        return [EventError(pointer_of([*place, name]), message, code) for name in error.kind.unexpected[:ERRORS_MAX]]
    if kind == "required":
        return [EventError(pointer_of([*place, error.kind.property]), message, code)]
    return [EventError(pointer_of(place), message, code)]


def compiled_builtin() -> dict[str, Compiled]:
    """The built-in schemas by name, `page_view/1-0-0`."""
    return {name: Compiled(document, builtin=True) for name, document in BUILTIN.items()}
