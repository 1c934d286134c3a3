"""Whether a version of a schema may be published after those that there are. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.events.compatibility import SchemaVersion, parse_version, refusals
from service.events.upcasting import wrong_upcast
from service.events.validation import Compiled
from service.model.events import EventError


def versions_in(known: Mapping[str, Compiled]) -> dict[SchemaVersion, Mapping[str, Any]]:
    """Version → document, of schemas by name that are all of one type."""
    return {parse_version(name.rpartition("/")[2]): found.document for name, found in known.items()}


def wrong_version(
    document: Mapping[str, Any], version: SchemaVersion, known: Mapping[SchemaVersion, Mapping[str, Any]]
) -> list[EventError]:
    """What speaks against a version that is not there yet, with pointers into the document.

    It is held against the newest of its MODEL; a new MODEL may change everything.
    """
    latest = max((one for one in known if one.model == version.model), default=None)
    if latest is not None and version < latest:
        return [EventError("/version", f"is below {latest}, which is published", "version_order")]
    errors = list(wrong_upcast(document, {one: 0 for one in known if one < version}))
    if latest is not None:
        errors += [
            EventError(change.pointer, f"{change.message}, which takes a new {change.level.label}", "incompatible")
            for change in refusals(known[latest], latest, document, version)
        ]
    return errors
