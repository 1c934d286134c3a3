"""What a new version of a schema changes, and which part of its number must rise for that (SchemaVer: MODEL-REVISION-
ADDITION).

ADDITION: everything that fitted still fits, and only what is optional was added. REVISION: some of what was sent before
may not fit any more (a tighter bound, a value less, a wider type that readers do not expect). MODEL: a new required
field, another type, a field taken away. Where the rules can't tell, the stricter holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from typing import Any, Final, NamedTuple

from service.events.validation import looks_like_a_name

DEPTH_MAX: Final = 24


class Level(IntEnum):
    """Which part of a version must rise."""

    ADDITION = 0
    REVISION = 1
    MODEL = 2

    @property
    def label(self) -> str:
        """In lower case."""
        return self.name.lower()


class SchemaVersion(NamedTuple):
    """MODEL-REVISION-ADDITION."""

    model: int
    revision: int
    addition: int

    def __str__(self) -> str:
        return f"{self.model}-{self.revision}-{self.addition}"


class SchemaChange(NamedTuple):
    """One change: where in the new document, what, and what it demands."""

    level: Level
    pointer: str
    message: str


def parse_version(text: str) -> SchemaVersion:
    """`1-0-0`. Raises ValueError for anything else."""
    parts = text.split("-")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) <= 4 for part in parts):
        raise ValueError("not MODEL-REVISION-ADDITION")
    version = SchemaVersion(*map(int, parts))
    if version.model < 1 or str(version) != text:
        raise ValueError("not MODEL-REVISION-ADDITION")
    return version


_SILENT: Final = frozenset(
    {"title", "description", "default", "examples", "$comment", "$id", "$schema", "deprecated", "readOnly", "writeOnly"}
)
_UPPER: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_LOWER: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_KNOWN: Final = frozenset(
    {"type", "required", "properties", "additionalProperties", "items", "enum", "$ref", "$defs", "definitions"}
    | set(_UPPER)
    | set(_LOWER)
)
Schema = Any


def changes_between(old: Schema, new: Schema) -> list[SchemaChange]:
    """Everything that the new document changes, the gravest first."""
    found = _Comparison(old, new).between(old, new, "", 0)
    return sorted(found, key=lambda change: (-change.level, change.pointer))


def level_of(changes: list[SchemaChange]) -> Level:
    """What all changes together demand."""
    return max((change.level for change in changes), default=Level.ADDITION)


def refusals(old: Schema, old_version: SchemaVersion, new: Schema, new_version: SchemaVersion) -> list[SchemaChange]:
    """The changes that the new version's number does not allow. It must be above the old one."""
    if new_version.model > old_version.model:
        return []
    allowed = Level.REVISION if new_version.revision > old_version.revision else Level.ADDITION
    return [change for change in changes_between(old, new) if change.level > allowed]


class _Comparison:
    """Two documents with their own local references."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old, self._new = old, new

    def between(self, old: Schema, new: Schema, place: str, depth: int) -> Iterator[SchemaChange]:
        old, new = _resolved(old, self._old), _resolved(new, self._new)
        if old == new:
            return
        if depth > DEPTH_MAX:
            yield SchemaChange(Level.MODEL, place, "is nested too deep to compare")
            return
        if not isinstance(old, Mapping) or not isinstance(new, Mapping):
            yield from _of_booleans(old, new, place)
            return
        yield from _of_types(old, new, place)
        yield from _of_required(old, new, place)
        yield from _of_enum(old, new, place)
        yield from _of_bounds(old, new, place)
        yield from _of_others(old, new, place)
        yield from self._of_properties(old, new, place, depth)
        yield from self._of_additional(old, new, place, depth)
        if "items" in old or "items" in new:
            yield from self.between(old.get("items", True), new.get("items", True), f"{place}/items", depth + 1)

    def _of_properties(
        self, old: Mapping[str, Any], new: Mapping[str, Any], place: str, depth: int
    ) -> Iterator[SchemaChange]:
        before, now = old.get("properties", {}), new.get("properties", {})
        for name in before:
            at = f"{place}/properties/{name}" if looks_like_a_name(name) else f"{place}/properties"
            if name in now:
                yield from self.between(before[name], now[name], at, depth + 1)
            elif new.get("additionalProperties", True) is False:
                yield SchemaChange(Level.MODEL, at, "was taken away, and is refused now")
            else:
                yield SchemaChange(Level.REVISION, at, "was taken away")

    def _of_additional(
        self, old: Mapping[str, Any], new: Mapping[str, Any], place: str, depth: int
    ) -> Iterator[SchemaChange]:
        before, now = old.get("additionalProperties", True), new.get("additionalProperties", True)
        if before != now:
            found = list(self.between(before, now, f"{place}/additionalProperties", depth + 1))
            yield from (change._replace(level=max(change.level, Level.REVISION)) for change in found)


def _resolved(schema: Schema, root: Schema) -> Schema:
    """What a local reference leads to."""
    for _ in range(DEPTH_MAX):
        if not isinstance(schema, Mapping) or not isinstance(schema.get("$ref"), str):
            return schema
        reference = schema["$ref"]
        if not reference.startswith("#"):
            return schema
        at: Any = root
        for part in reference.lstrip("#").split("/")[1:]:
            at = at.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(at, Mapping) else None
        rest = {name: value for name, value in schema.items() if name != "$ref"}
        if not isinstance(at, Mapping):
            return at
        schema = {**at, **rest}
    return schema


def _of_booleans(old: Schema, new: Schema, place: str) -> Iterator[SchemaChange]:
    """`true` takes everything, `false` nothing."""
    if new is True or new == {} or old is False:
        return
    yield SchemaChange(Level.MODEL if new is False else Level.REVISION, place, "takes less than before")


def _types(schema: Mapping[str, Any]) -> frozenset[str] | None:
    kind = schema.get("type")
    if kind is None:
        return None
    return frozenset([kind] if isinstance(kind, str) else kind)


def _of_types(old: Mapping[str, Any], new: Mapping[str, Any], place: str) -> Iterator[SchemaChange]:
    before, now = _types(old), _types(new)
    if before == now or now is None:
        return
    if before is None:
        yield SchemaChange(Level.REVISION, f"{place}/type", "has a type now")
        return
    wide = now | ({"integer"} if "number" in now else set())
    if not before <= wide:
        yield SchemaChange(Level.MODEL, f"{place}/type", "is of another type")
    else:
        yield SchemaChange(Level.REVISION, f"{place}/type", "may be of one more type")


def _of_required(old: Mapping[str, Any], new: Mapping[str, Any], place: str) -> Iterator[SchemaChange]:
    for name in new.get("required", []):
        if name not in old.get("required", []):
            at = f"{place}/properties/{name}" if looks_like_a_name(name) else place
            yield SchemaChange(Level.MODEL, at, "is required now")


def _of_enum(old: Mapping[str, Any], new: Mapping[str, Any], place: str) -> Iterator[SchemaChange]:
    before, now = old.get("enum"), new.get("enum")
    if now is None or before == now:
        return
    if before is None or any(value not in now for value in before):
        yield SchemaChange(Level.REVISION, f"{place}/enum", "lists fewer values")


def _tighter(old: Any, new: Any, tighter: Callable[[Any, Any], bool]) -> bool:
    return new is not None and (old is None or tighter(new, old))


def _of_bounds(old: Mapping[str, Any], new: Mapping[str, Any], place: str) -> Iterator[SchemaChange]:
    for name in _UPPER:
        if _tighter(old.get(name), new.get(name), lambda now, before: bool(now < before)):
            yield SchemaChange(Level.REVISION, f"{place}/{name}", "is tighter")
    for name in _LOWER:
        if _tighter(old.get(name), new.get(name), lambda now, before: bool(now > before)):
            yield SchemaChange(Level.REVISION, f"{place}/{name}", "is tighter")


def _of_others(old: Mapping[str, Any], new: Mapping[str, Any], place: str) -> Iterator[SchemaChange]:
    """Every other keyword: taking it away lets more through, anything else may let less through."""
    for name in new:
        if name in _KNOWN or name in _SILENT or name.startswith("x-"):
            continue
        if old.get(name) != new[name]:
            yield SchemaChange(Level.REVISION, f"{place}/{name}", "is another rule")
