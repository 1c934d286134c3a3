"""Renders the chart: the few words of Go templates that it uses, and an error for any other.

It stands in for `helm template` where there is no helm; what it does not know it refuses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_TAG = re.compile(r"(\{\{-?)\s*(.*?)\s*(-?\}\})", re.DOTALL)


def render(text: str, values: Mapping[str, Any], release: str) -> str:
    """The text with `.Values.…`, `.Release.Name`, `if`, `range $k, $v :=`, `toJson` and `end`. Raises ValueError."""
    tokens: list[tuple[str, str]] = []
    at = 0
    for found in _TAG.finditer(text):
        before = text[at : found.start()]
        tokens.append(("text", before.rstrip(" \n") if found[1] == "{{-" else before))
        tokens.append(("tag", found[2]))
        at = found.end()
    tokens.append(("text", text[at:]))
    out, rest = _block(tokens, {"Values": values, "Release": {"Name": release}}, {})
    if rest:
        raise ValueError("an end too many")
    return out


def _block(tokens: list[tuple[str, str]], scope: Mapping[str, Any], names: dict[str, Any]) -> tuple[str, list[Any]]:
    out = ""
    while tokens:
        (kind, what), tokens = tokens[0], tokens[1:]
        if kind == "text":
            out += what
        elif what == "end":
            return out, [("end", ""), *tokens]
        elif what.startswith("if "):
            inner, tokens = _inner(tokens, scope, names)
            out += inner if _value(what[3:], scope, names) else ""
        elif what.startswith("range "):
            found = re.fullmatch(r"range (\$\w+), (\$\w+) := (\S+)", what)
            if not found:
                raise ValueError(f"not known: {what}")
            after = tokens
            for key, value in _value(found[3], scope, names).items():
                inner, after = _inner(tokens, scope, names | {found[1]: key, found[2]: value})
                out += inner
            tokens = after
        else:
            shown = _value(what, scope, names)
            out += shown if isinstance(shown, str) else json.dumps(shown)
    return out, []


def _inner(tokens: list[tuple[str, str]], scope: Mapping[str, Any], names: dict[str, Any]) -> tuple[str, list[Any]]:
    inner, rest = _block(tokens, scope, names)
    if not rest or rest[0][0] != "end":
        raise ValueError("no end")
    return inner, rest[1:]


def _value(expression: str, scope: Mapping[str, Any], names: Mapping[str, Any]) -> Any:
    path, _, pipe = (part.strip() for part in expression.partition("|"))
    if path.startswith("$"):
        found: Any = names[path]
    elif re.fullmatch(r"(\.\w+)+", path):
        found = scope
        for name in path[1:].split("."):
            found = found[name]
    else:
        raise ValueError(f"not known: {expression}")
    if pipe not in ("", "toJson"):
        raise ValueError(f"not known: {pipe}")
    return json.dumps(found) if pipe else found
