"""Schemas of events are published once and never changed."""

from __future__ import annotations

from service.commands.capture import CaptureWanted
from service.commands.steps import SETTLE, Step
from service.commands.world import Wanted, World
from service.errors import SchemaExists
from service.model.events import RegisterSchema, SchemaReceipt


def schema_name(kind: str, version: str) -> str:
    """What a version of a schema is known by, and what `dataschema` of an event says."""
    return f"{kind}/{version}"


def wanted_by_schema(change: RegisterSchema) -> Wanted:
    """Whether this version exists."""
    return Wanted(capture=CaptureWanted(schemas={schema_name(change.type, change.version)}))


def register_schema(world: World, change: RegisterSchema) -> Step:
    """Publish a version. Raises SchemaExists where it has other content; published again as it is, nothing changes."""
    name = schema_name(change.type, change.version)
    known = world.capture.schemas.get(name)
    if known is not None and known != change.document:
        raise SchemaExists()
    if known is None:
        world.capture.publish(name, change.document)
    yield SETTLE
    return SchemaReceipt(change.type, change.version, known is None)
