"""What would be sent: built like what is sent, shown without secrets, and never sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.adapters.delivery.shapes import Item
from service.commands.intents import Happened, basis_of
from service.delivery.secrets import shown
from service.delivery.sending import item_of
from service.delivery.surroundings import Installed
from service.errors import Conflict
from service.model.delivery import Delivery, DeliveryRule


class PreviewBuilder:
    """See `service.commands.delivery_parts.Previews`. It has no way to send."""

    def __init__(self, around: Installed) -> None:
        self._around = around

    def manifest(self, adapter: str) -> Mapping[str, Any] | None:
        """What an adapter's receiver can do; None for one that is not installed."""
        found = self._around.adapter(adapter)
        return None if found is None else found.manifest.as_json()

    def requests(self, rule: DeliveryRule, event: Happened, decision: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The requests for an event, without secrets. Raises Conflict where the adapter is not installed."""
        adapter = self._around.adapter(rule.adapter)
        if adapter is None:
            raise Conflict("The adapter of this destination is not installed here.")
        if decision["outcome"] == "withhold" or not (decision["identifiers"] or decision["granularity"] == "aggregate"):
            return []
        return [shown(request) for request in adapter.build(rule.settings, [_item(event, decision)]).requests]


def _item(event: Happened, decision: Mapping[str, Any]) -> Item:
    made = Delivery(
        "dlv_preview",
        "",
        event.source,
        event.event_id,
        "send",
        "new",
        "pending",
        event.at,
        0,
        0,
        event.at,
        event.type,
        basis=basis_of(event),
    )
    return item_of(made, decision)
