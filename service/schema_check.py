"""For a team's CI: whether a new version of a schema changes no more than its number allows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from service.events.compatibility import Level, SchemaVersion, changes_between, level_of, parse_version
from service.events.validation import Compiled, NotASchema

Say = Callable[[str], None]


class NotASchemaFile(ValueError):
    """A file that can't be checked; the text says why in one line."""


def read_schema(path: Path) -> tuple[Any, SchemaVersion | None]:
    """The document of a file, and its version: a schema, or a body of `POST /v1/schemas`. Raises NotASchemaFile."""
    try:
        content = orjson.loads(path.read_bytes())
        wrapped = isinstance(content, dict) and {"schema", "version"} <= content.keys()
        document = content["schema"] if wrapped else content
        version = parse_version(content["version"]) if wrapped else _version_in(document)
        Compiled(document)
    except OSError as error:
        raise NotASchemaFile(f"{path.name} can't be read: {error.strerror}") from None
    except (NotASchema, ValueError, TypeError, AttributeError) as error:
        raise NotASchemaFile(f"{path.name}: {error}") from None
    return document, version


def _version_in(document: Any) -> SchemaVersion | None:
    """From the end of `$id`, where it has one such as `…/page_view/1-0-0`."""
    try:
        return parse_version(str(document.get("$id", "")).rpartition("/")[2])
    except ValueError:
        return None


def check_schemas(old_path: Path, new_path: Path, allowed: Level | None, say: Say) -> int:
    """Say what changes and what that takes; 0 where it is allowed. Raises NotASchemaFile.

    `allowed`: the gravest change that is; None: what the versions of the two say, else additions only.
    """
    (old, was), (new, now) = read_schema(old_path), read_schema(new_path)
    changes = changes_between(old, new)
    for change in changes:
        say(f"{change.level.label:9} {change.pointer or '/'} {change.message}")
    needed = level_of(changes)
    if allowed is None:
        allowed = Level.ADDITION
        if was is not None and now is not None:
            if now <= was:
                say(f"{now} is not above {was}")
                return 1
            rises = (now.model > was.model, now.revision > was.revision)
            allowed = Level.MODEL if rises[0] else Level.REVISION if rises[1] else Level.ADDITION
    verdict = "fits" if needed <= allowed else "does not fit"
    say(f"needs a new {needed.label}, which {verdict} a new {allowed.label}")
    return 0 if needed <= allowed else 1
