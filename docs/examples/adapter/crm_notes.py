"""An adapter for a CRM that takes a note for each customer: two pure functions and a manifest, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from service.adapters.delivery.answers import by_status, for_all, needs
from service.adapters.delivery.shapes import API, Built, Dedup, Item, ItemResult, Manifest, Request, Response


class CrmNotes:
    """`settings`: `base_url`. The secret is a bearer token."""

    api = API
    manifest = Manifest(
        "crm_notes", "1.0.0", 1, Dedup("note id", "P7D"), max_age="P30D", ordered=True, replay="deduplicated"
    )

    def wrong_with(self, settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """It needs the CRM's address."""
        return needs(settings, "base_url")

    def urls(self, settings: Mapping[str, Any]) -> Mapping[str, str]:
        """Where requests go, so that the host is held against EGRESS_ALLOW before the policy is in force."""
        return {"base_url": str(settings["base_url"])}

    def build(self, settings: Mapping[str, Any], items: Sequence[Item]) -> Built:
        """One note an item. Who has no customer number can't have one."""
        requests, refused = [], {}
        for index, item in enumerate(items):
            customer = item.named("crm_id")
            if customer is None:
                refused[index] = "identifier_missing"
                continue
            body = {"id": item.delivery_id, "customer": customer.value, "note": item.event_type}
            url = f"{str(settings['base_url']).rstrip('/')}/notes"
            headers = (("content-type", "application/json"),)
            fields = (tuple(sorted(body)),)
            requests.append(Request("POST", url, headers, json.dumps(body).encode(), (index,), fields, "bearer"))
        return Built(tuple(requests), refused)

    def interpret(self, request: Request, response: Response) -> Sequence[ItemResult]:
        """This CRM says 409 for a note that it has already: it is there, as it should be."""
        return for_all(request, ItemResult("delivered") if response.status == 409 else by_status(response))
