"""Which column of a file says what: by the same names, or as a small JSON file maps them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

import orjson

from service.errors import StartRefused

Kind = Literal["links", "consents", "assertions"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

LINK_FIELDS: Final = (
    "a_namespace",
    "a_value",
    "b_namespace",
    "b_value",
    "method",
    "confidence",
    "source",
    "rule",
    "rule_version",
    "observed_at",
    "expires_at",
    "evidence",
)
CONSENT_FIELDS: Final = (
    "namespace",
    "value",
    "scope",
    "purpose",
    "state",
    "regulation",
    "basis",
    "source",
    "at",
    "expires_at",
    "reason",
)
FIELDS: Final[dict[Kind, tuple[str, ...]]] = {"links": LINK_FIELDS, "consents": CONSENT_FIELDS, "assertions": ()}
TIME_FIELDS: Final = frozenset({"observed_at", "expires_at", "at"})
_ENDS: Final[dict[Kind, frozenset[str]]] = {
    "links": frozenset({"a", "b"}),
    "consents": frozenset({"identifier"}),
    "assertions": frozenset(),
}
_KEYS: Final = frozenset({"kind", "columns", "constants", "plain", "delimiter"})


@dataclass(frozen=True, slots=True)
class Columns:
    """`columns`: field → column of the file. `constants`: field → one value for all rows. `plain`: the ends whose
    values are not digests yet.
    """

    kind: Kind = "links"
    columns: dict[str, str] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    plain: frozenset[str] = frozenset()
    delimiter: str = ","

    def chosen(self, present: list[str]) -> dict[str, str]:
        """Field → column, for the columns that the file has. Raises StartRefused where the map names another."""
        missing = sorted(set(self.columns.values()) - set(present))
        if missing:
            raise StartRefused(f"the map names a column that the file does not have: {missing[0]}")
        free = set(present) - set(self.columns.values())
        same = {name: name for name in FIELDS[self.kind] if name in free and name not in self.constants}
        return same | self.columns


def _texts(found: dict[str, Any], name: str) -> dict[str, str]:
    value = found.get(name, {})
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise StartRefused(f"the map's `{name}` must be an object of texts")
    return dict(value)


def load_columns(path: Path | None, kind: str | None) -> Columns:
    """The map in a file, or none. `kind` goes before the file's. Raises StartRefused in one line."""
    found: Any = {}
    if path is not None:
        try:
            found = orjson.loads(path.read_bytes())
        except OSError as error:
            raise StartRefused(f"the map can't be read: {error.strerror}") from None
        except orjson.JSONDecodeError:
            raise StartRefused("the map is not JSON") from None
    if not isinstance(found, dict) or found.keys() - _KEYS:
        raise StartRefused(f"the map must be an object of {', '.join(sorted(_KEYS))}")
    named = kind or found.get("kind", "links")
    if named not in KINDS:
        raise StartRefused(f"--kind is one of {', '.join(KINDS)}")
    columns, constants = _texts(found, "columns"), _texts(found, "constants")
    unknown = sorted((columns.keys() | constants.keys()) - set(FIELDS[named]))
    if unknown:
        raise StartRefused(f"the map names a field that {named} do not have: {unknown[0]}")
    plain = found.get("plain", [])
    if not isinstance(plain, list) or not _ENDS[named].issuperset(plain):
        raise StartRefused(f"the map's `plain` lists ends: {', '.join(sorted(_ENDS[named])) or 'none here'}")
    delimiter = found.get("delimiter", ",")
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in "\"\n\r'":
        raise StartRefused("the map's `delimiter` must be one character")
    return Columns(named, columns, constants, frozenset(plain), delimiter)
