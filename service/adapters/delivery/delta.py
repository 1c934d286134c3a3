"""A Delta table as a destination: one row a delivery, known by its id, so that writing it twice leaves one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from service.adapters.delivery.answers import needs
from service.adapters.delivery.shapes import (
    API,
    Built,
    Dedup,
    Item,
    ItemResult,
    Manifest,
    Request,
    Response,
    TableWrite,
)


class Delta:
    """`settings`: `uri`, a folder or a bucket. No secret."""

    api = API
    manifest = Manifest(
        "delta", "1", 1_000, Dedup("delivery_id"), ordered=True, removal="rows_deleted", replay="deduplicated"
    )

    def wrong_with(self, settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """It needs `uri`."""
        return needs(settings, "uri")

    def urls(self, settings: Mapping[str, Any]) -> Mapping[str, str]:
        """A table is not reached by HTTP."""
        return {}

    def build(self, settings: Mapping[str, Any], items: Sequence[Item]) -> Built:
        """Rows to be added, and rows to be taken out."""
        uri = str(settings["uri"])
        writes = []
        for action in ("send", "remove"):
            chosen = [index for index, item in enumerate(items) if item.action == action]
            if not chosen:
                continue
            rows = tuple(row_of(items[index]) for index in chosen)
            fields = tuple(
                tuple(sorted(name for name, value in row.items() if value not in (None, ""))) for row in rows
            )
            writes.append(TableWrite(uri, rows, tuple(chosen), fields, action == "remove"))
        return Built(tuple(writes))

    def interpret(self, request: Request, response: Response) -> Sequence[ItemResult]:
        """No request is ever made."""
        return [ItemResult("dead", "not_http")] * len(request.items)


def row_of(item: Item) -> dict[str, Any]:
    """One row; times in ms, identifiers and properties as JSON text."""
    names = [{"namespace": name.namespace, "value": name.value} for name in item.names]
    return {
        "delivery_id": item.delivery_id,
        "event_source": item.event_source,
        "event_id": item.event_id,
        "event_type": item.event_type,
        "event_time": item.event_time,
        "profile_id": item.profile_id or "",
        "granularity": item.granularity,
        "identifiers": orjson.dumps(names).decode(),
        "properties": orjson.dumps(dict(item.properties)).decode(),
    }
