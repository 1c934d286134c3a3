"""Holds every answer against `/openapi.json`: path, method, status, media type, and the body down to its last field.

Stricter than the document itself in one respect: a field that is not documented is an error, unless its schema says
`additionalProperties`. A keyword that this reader does not know is an error too, so that nothing passes unread.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

Schema = dict[str, Any]

_SILENT = {"title", "description", "default", "examples", "deprecated", "format"}
_KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


class Undocumented(AssertionError):
    """An answer is not what the document says."""


class Document:
    """An OpenAPI document, and which of its answers have been seen."""

    def __init__(self, openapi: Schema) -> None:
        self.openapi = openapi
        self.seen: set[tuple[str, str, int]] = set()
        self._paths = [
            (re.compile(re.sub(r"\\{[^}]+\\}", "[^/]+", re.escape(path))), path)
            for path in sorted(openapi["paths"], key=lambda path: (path.count("{"), path))
        ]

    def operations(self) -> Iterator[tuple[str, str, Schema]]:
        """Method in upper case, path template, operation."""
        for path, methods in self.openapi["paths"].items():
            for method, operation in methods.items():
                yield method.upper(), path, operation

    def template_of(self, path: str) -> str | None:
        """The documented path that takes this one."""
        return next((template for pattern, template in self._paths if pattern.fullmatch(path)), None)

    def check(self, method: str, path: str, status: int, media_type: str, body: bytes) -> None:
        """Raises Undocumented unless the document tells of this answer."""
        template = self.template_of(path)
        operation = self.openapi["paths"].get(template, {}).get(method.lower()) if template else None
        kind = media_type.partition(";")[0].strip()
        if operation is None:
            if status not in (404, 405) and not (path in ("/openapi.json", "/docs") and status == 200):
                raise Undocumented(f"{method} {template or 'unknown path'}: {status}, and is not documented")
            if status in (404, 405) and method != "HEAD":
                self._problem(kind, status, body)
            return
        where = f"{method} {template} {status}"
        answer = operation["responses"].get(str(status))
        if answer is None:
            raise Undocumented(f"{where}: this status is not documented")
        self.seen.add((method, str(template), status))
        content = answer.get("content", {})
        if kind not in content:
            raise Undocumented(f"{where}: answered as {kind}, documented are {sorted(content)}")
        if kind in ("application/json", "application/problem+json"):
            self.valid(content[kind]["schema"], json.loads(body), where)
        if kind == "application/problem+json":
            self._problem(kind, status, body)

    def _problem(self, kind: str, status: int, body: bytes) -> None:
        if kind != "application/problem+json":
            raise Undocumented(f"a {status} is answered as {kind}")
        found = json.loads(body)
        self.valid({"$ref": "#/components/schemas/ProblemOut"}, found, f"problem {status}")
        if found["status"] != status or not re.fullmatch("[a-z][a-z0-9_]*", found["code"]) or not found["request_id"]:
            raise Undocumented(f"a {status} has another status, no code or no request id in it")

    # ---- schemas

    def valid(self, schema: Schema, value: object, at: str) -> None:
        """Raises Undocumented, naming the place and never the value, unless the value fits the schema."""
        if "$ref" in schema:
            name = schema["$ref"].removeprefix("#/components/schemas/")
            return self.valid(self.openapi["components"]["schemas"][name], value, at)
        for keyword in schema:
            if keyword not in _SILENT and not hasattr(self, f"_{keyword}"):
                raise Undocumented(f"{at}: this reader does not know the keyword {keyword}")
        for keyword, says in schema.items():
            if keyword not in _SILENT:
                getattr(self, f"_{keyword}")(schema, says, value, at)
        if schema.get("format") == "date-time" and isinstance(value, str):
            if not value.endswith("Z"):
                raise Undocumented(f"{at}: is not a time in UTC")
            datetime.fromisoformat(value)
        return None

    def _type(self, _: Schema, says: str, value: object, at: str) -> None:
        fits = isinstance(value, _KINDS[says]) and not (isinstance(value, bool) and says in ("integer", "number"))
        if not fits:
            raise Undocumented(f"{at}: is {type(value).__name__}, documented is {says}")

    def _anyOf(self, _: Schema, says: list[Schema], value: object, at: str) -> None:
        reasons = []
        for option in says:
            try:
                return self.valid(option, value, at)
            except Undocumented as error:
                reasons.append(str(error))
        raise Undocumented(f"{at}: fits none of: {'; '.join(reasons)}")

    def _enum(self, _: Schema, says: list[object], value: object, at: str) -> None:
        if value not in says:
            raise Undocumented(f"{at}: is none of {says}")

    def _const(self, _: Schema, says: object, value: object, at: str) -> None:
        if value != says:
            raise Undocumented(f"{at}: is not {says}")

    def _required(self, _: Schema, says: list[str], value: object, at: str) -> None:
        missing = [name for name in says if isinstance(value, dict) and name not in value]
        if missing:
            raise Undocumented(f"{at}: has no {missing}")

    def _properties(self, schema: Schema, says: dict[str, Schema], value: object, at: str) -> None:
        if not isinstance(value, dict):
            return
        for name, item in value.items():
            if name in says:
                self.valid(says[name], item, f"{at}/{name}")
            elif not schema.get("additionalProperties"):
                raise Undocumented(f"{at}: has a field {name} that is not documented")

    def _additionalProperties(self, schema: Schema, says: Schema | bool, value: object, at: str) -> None:
        if isinstance(says, dict) and isinstance(value, dict):
            for name, item in value.items():
                if name not in schema.get("properties", {}):
                    self.valid(says, item, f"{at}/*")

    def _propertyNames(self, _: Schema, says: Schema, value: object, at: str) -> None:
        if isinstance(value, dict):
            for name in value:
                self.valid(says, name, f"{at}/*")

    def _items(self, _: Schema, says: Schema, value: object, at: str) -> None:
        if isinstance(value, list):
            for item in value:
                self.valid(says, item, f"{at}/[]")

    def _minItems(self, _: Schema, says: int, value: object, at: str) -> None:
        if isinstance(value, list) and len(value) < says:
            raise Undocumented(f"{at}: has fewer than {says} items")

    def _maxItems(self, _: Schema, says: int, value: object, at: str) -> None:
        if isinstance(value, list) and len(value) > says:
            raise Undocumented(f"{at}: has more than {says} items")

    def _minimum(self, _: Schema, says: float, value: object, at: str) -> None:
        if isinstance(value, int | float) and value < says:
            raise Undocumented(f"{at}: is under {says}")

    def _maximum(self, _: Schema, says: float, value: object, at: str) -> None:
        if isinstance(value, int | float) and value > says:
            raise Undocumented(f"{at}: is over {says}")

    def _pattern(self, _: Schema, says: str, value: object, at: str) -> None:
        if isinstance(value, str) and not re.search(says, value):
            raise Undocumented(f"{at}: does not match {says}")
