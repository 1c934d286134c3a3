"""Old versions of events, brought forward when they are read. What is recorded stays as it was said.

A schema says in `x-upcast` how data of an earlier version becomes its own: `{"from": "1-0-0", "steps": [{"rename":
["/properties/size", "/properties/length"]}, {"default": ["/properties/unit", "cm"]}, {"drop": "/properties/old"},
{"cast": ["/properties/length", "number"]}]}`. Within one MODEL data fits the newest version as it is.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Final

from service.events.compatibility import SchemaVersion, parse_version
from service.model.events import EventError

UPCAST: Final = "x-upcast"
STEPS_MAX: Final = 50
Data = dict[str, Any]
_MISSING: Final = object()


def _path(pointer: object) -> list[str] | None:
    """The parts of a pointer into `properties` or `traits`, None for anything else."""
    if not isinstance(pointer, str) or not pointer.startswith(("/properties/", "/traits/")):
        return None
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/")]
    return parts if all(parts) else None


def _taken(data: Data, path: list[str], *, out: bool) -> Any:
    at: Any = data
    for part in path[:-1]:
        at = at.get(part) if isinstance(at, dict) else None
    if not isinstance(at, dict) or path[-1] not in at:
        return _MISSING
    return at.pop(path[-1]) if out else at[path[-1]]


def _put(data: Data, path: list[str], value: Any) -> None:
    at = data
    for part in path[:-1]:
        at = at.setdefault(part, {})
        if not isinstance(at, dict):
            return
    at[path[-1]] = value


def _cast(value: Any, kind: str) -> Any:
    try:
        if kind == "string":
            return value if isinstance(value, str) else str(value)
        return int(value) if kind == "integer" else float(value)
    except (TypeError, ValueError):
        return value


_KINDS: Final = ("string", "number", "integer")


def _step(data: Data, step: Mapping[str, Any]) -> None:
    ((what, how),) = step.items()
    if what == "rename":
        source, target = _path(how[0]), _path(how[1])
        value = _taken(data, source or [""], out=True)
        if value is not _MISSING:
            _put(data, target or [""], value)
    elif what == "drop":
        _taken(data, _path(how) or [""], out=True)
    else:
        path = _path(how[0]) or [""]
        value = _taken(data, path, out=False)
        if what == "default" and value is _MISSING:
            _put(data, path, how[1])
        elif what == "cast" and value is not _MISSING:
            _put(data, path, _cast(value, how[1]))


def wrong_upcast(document: Mapping[str, Any], versions: Mapping[SchemaVersion, Any]) -> Iterator[EventError]:
    """What is wrong with the upcast of a schema, given the versions that there are before it."""
    upcast = document.get(UPCAST)
    if upcast is None:
        return
    if not isinstance(upcast, dict) or upcast.keys() != {"from", "steps"} or not isinstance(upcast["steps"], list):
        yield EventError(f"/{UPCAST}", "must hold `from` and `steps`")
        return
    try:
        known = parse_version(upcast["from"]) in versions
    except (ValueError, AttributeError):
        known = False
    if not known:
        yield EventError(f"/{UPCAST}/from", "is not an earlier version")
    for index, step in enumerate(upcast["steps"][: STEPS_MAX + 1]):
        if index == STEPS_MAX or not _is_step(step):
            yield EventError(f"/{UPCAST}/steps/{index}", "is not a step: rename, default, drop or cast")


def _is_step(step: object) -> bool:
    if not isinstance(step, dict) or len(step) != 1:
        return False
    ((what, how),) = step.items()
    if what == "drop":
        return _path(how) is not None
    if what not in ("rename", "default", "cast") or not isinstance(how, list) or len(how) != 2 or not _path(how[0]):
        return False
    return what == "default" or (_path(how[1]) is not None if what == "rename" else how[1] in _KINDS)


def forward(documents: Mapping[SchemaVersion, Mapping[str, Any]], version: str, data: Data) -> tuple[str, Data]:
    """Data of one version as data of the newest that it can be brought to. `documents`: those of its type.

    Never loses what it can't place: a model without an upcast from here is where it ends. `data` stays as it is.
    """
    at = parse_version(version)
    found = copy.deepcopy(data)
    while True:
        at = max((known for known in documents if known.model == at.model and known >= at), default=at)
        following = [known for known in sorted(documents) if known > at and _leads(documents[known], at)]
        if not following:
            return str(at), found
        at = following[0]
        for step in documents[at][UPCAST]["steps"]:
            _step(found, step)


def _leads(document: Mapping[str, Any], at: SchemaVersion) -> bool:
    """Whether an upcast begins at the version `at`, or at one of the same model, which fits it as it is."""
    upcast = document.get(UPCAST)
    return isinstance(upcast, dict) and parse_version(upcast["from"]).model == at.model
