"""The part of docs/events.md that is made from the schemas. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from service.events.builtin import BUILTIN, COMMON

BEGIN: Final = "<!-- made from the schemas: begin -->"
END: Final = "<!-- made from the schemas: end -->"


def _kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type", "any")
    words = kind if isinstance(kind, str) else " or ".join(kind)
    return f"{words}, {schema['format']}" if "format" in schema else words


def _limits(schema: Mapping[str, Any]) -> str:
    names = {
        "maxLength": "at most {} characters",
        "minimum": "at least {}",
        "maximum": "at most {}",
        "maxItems": "at most {} items",
        "maxProperties": "at most {} fields",
        "pattern": "`{}`",
    }
    return ", ".join(text.format(schema[name]) for name, text in names.items() if name in schema)


def _rows(schema: Mapping[str, Any]) -> Iterator[str]:
    required = schema.get("required", [])
    yield "| field | type | | |"
    yield "|---|---|---|---|"
    for name, field in schema.get("properties", {}).items():
        needed = "required" if name in required else ""
        limits = _limits(field).replace("|", "\\|")
        says = " ".join(part for part in (field.get("description", ""), f"({limits})" if limits else "") if part)
        yield f"| `{name}` | {_kind(field)} | {needed} | {says} |"


def schemas_as_markdown() -> str:
    """What every built-in schema says, between the marks that stand in the page."""
    lines = [BEGIN, "", "### What all types have in `data`", "", *_rows(COMMON), "", "### Types", ""]
    for name, document in sorted(BUILTIN.items()):
        lines += [f"#### {name}", "", document["description"], ""]
        also = [field for field in document["required"] if field != "identifiers"]
        if also:
            lines += ["Required in `data`: " + ", ".join(f"`{field}`" for field in also) + ".", ""]
        lines += [*_rows(document["properties"]["properties"]), ""]
    return "\n".join([*lines, END])
