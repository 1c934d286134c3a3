"""GA4's Measurement Protocol. Its answers prove nothing: what is wrong is dropped without a word."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import orjson

from service.adapters.delivery.answers import base_of, by_status, for_all, needs
from service.adapters.delivery.shapes import API, Built, Item, ItemResult, Manifest, Request, Response

BASE: Final = "https://www.google-analytics.com"
EVENTS: Final = {
    "checkout": "purchase",
    "page_view": "page_view",
    "product_view": "view_item",
    "add_to_cart": "add_to_cart",
    "lead_submit": "generate_lead",
    "subscription_start": "subscription_start",
    "identify": "login",
}
EVENTS_MAX: Final = 25
BYTES_MAX: Final = 130_000
_TEXT_MAX: Final = 100


class Ga4:
    """`settings`: `measurement_id`, `base_url`. `cookie_id` is the client id. The secret is an API secret."""

    api = API
    manifest = Manifest(
        "ga4",
        "1",
        EVENTS_MAX,
        max_age="PT72H",
        replay="counted_twice",
        hosts=("www.google-analytics.com", "region1.google-analytics.com"),
        verified=False,
    )

    def wrong_with(self, settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """It needs `measurement_id`."""
        return needs(settings, "measurement_id", may=("base_url",))

    def urls(self, settings: Mapping[str, Any]) -> Mapping[str, str]:
        """Google's, or `base_url`."""
        return {"base_url": base_of(settings, BASE)}

    def build(self, settings: Mapping[str, Any], items: Sequence[Item]) -> Built:
        """A request for each client, since the client stands outside the list of events."""
        clients: dict[str, list[int]] = {}
        refused: dict[int, str] = {}
        for index, item in enumerate(items):
            client = item.named("cookie_id")
            if client is None:
                refused[index] = "identifier_missing"
            else:
                clients.setdefault(client.value, []).append(index)
        url = f"{base_of(settings, BASE)}/mp/collect?measurement_id={quote(str(settings['measurement_id']), safe='')}"
        requests = tuple(
            self._request(url, client, indices[start : start + EVENTS_MAX], items)
            for client, indices in clients.items()
            for start in range(0, len(indices), EVENTS_MAX)
        )
        return Built(requests, refused)

    @staticmethod
    def _request(url: str, client: str, indices: Sequence[int], items: Sequence[Item]) -> Request:
        events = [event_of(items[index]) for index in indices]
        body = {"client_id": client, "timestamp_micros": items[indices[0]].event_time * 1000, "events": events}
        fields = tuple(tuple(sorted({"client_id", *event["params"]})) for event in events)
        headers = (("content-type", "application/json"),)
        return Request("POST", url, headers, orjson.dumps(body), tuple(indices), fields, "query:api_secret")

    def interpret(self, request: Request, response: Response) -> Sequence[ItemResult]:
        """A 204 says that it came, not that it counts."""
        found = by_status(response)
        return for_all(request, ItemResult("accepted_unverified") if found.result == "delivered" else found)


def event_of(item: Item) -> dict[str, Any]:
    """One event in GA4's shape. Texts are cut at the length that it keeps; of lists only `items` is kept."""
    params: dict[str, Any] = {}
    for name, value in item.properties.items():
        if isinstance(value, bool | int | float):
            params[name] = value
        elif isinstance(value, str):
            params[name] = value[:_TEXT_MAX]
        elif name == "items" and isinstance(value, list):
            params[name] = value
    if item.event_type == "checkout":
        params.setdefault("transaction_id", item.event_id)
    return {
        "name": EVENTS.get(item.event_type, item.event_type),
        "timestamp_micros": item.event_time * 1000,
        "params": params,
    }
