"""Google's Data Manager API: events are taken in, and what became of them is asked for later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from service.adapters.delivery.answers import base_of, by_status, for_all, needs
from service.adapters.delivery.shapes import API, Built, Dedup, Item, ItemResult, Manifest, Request, Response
from service.model.times import rfc3339

BASE: Final = "https://datamanager.googleapis.com"
IDENTIFIERS_MAX: Final = 10
_DIGESTS: Final = {"email_sha256": ("emailAddress", "email_google"), "phone_sha256": ("phoneNumber", "phone_e164")}


class GoogleDataManager:
    """`settings`: `operating_account`, `product_destination_id`, `base_url`. The secret is an OAuth access token."""

    api = API
    manifest = Manifest(
        "google_data_manager",
        "1",
        2_000,
        Dedup("transactionId"),
        max_age="P90D",
        removal="audience_members",
        replay="deduplicated",
        hosts=("datamanager.googleapis.com",),
        verified=False,
    )

    def wrong_with(self, settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """It needs the account and the destination within it."""
        return needs(settings, "operating_account", "product_destination_id", may=("base_url", "account_type"))

    def urls(self, settings: Mapping[str, Any]) -> Mapping[str, str]:
        """Google's, or `base_url`."""
        return {"base_url": base_of(settings, BASE)}

    def build(self, settings: Mapping[str, Any], items: Sequence[Item]) -> Built:
        """One request for what is sent, one for who is removed."""
        refused = {index: "identifier_missing" for index, item in enumerate(items) if not identifiers_of(item)}
        requests = []
        for action in ("send", "remove"):
            chosen = [i for i, item in enumerate(items) if item.action == action and i not in refused]
            if chosen:
                requests.append(self._request(settings, action, chosen, items))
        return Built(tuple(requests), refused)

    @staticmethod
    def _request(settings: Mapping[str, Any], action: str, chosen: Sequence[int], items: Sequence[Item]) -> Request:
        where = {
            "operatingAccount": {
                "accountType": settings.get("account_type") or "GOOGLE_ADS",
                "accountId": settings["operating_account"],
            },
            "productDestinationId": settings["product_destination_id"],
        }
        body: dict[str, Any] = {"destinations": [where], "encoding": "HEX"}
        if action == "send":
            body["events"] = [event_of(items[index]) for index in chosen]
            path = "events:ingest"
        else:
            body["audienceMembers"] = [
                {"userData": {"userIdentifiers": identifiers_of(items[index])}} for index in chosen
            ]
            path = "audienceMembers:remove"
        fields = tuple(tuple(sorted({f for one in identifiers_of(items[i]) for f in one})) for i in chosen)
        url = f"{base_of(settings, BASE)}/v1/{path}"
        headers = (("content-type", "application/json"),)
        return Request("POST", url, headers, orjson.dumps(body), tuple(chosen), fields, "bearer")

    def interpret(self, request: Request, response: Response) -> Sequence[ItemResult]:
        """A success says that it is looked at; what is wrong with one refuses the request."""
        found = by_status(response)
        if found.result == "delivered":
            found = ItemResult("accepted_unverified")
        elif found.result == "dead" and len(request.items) > 1:
            found = ItemResult("split", found.reason)
        return for_all(request, found)


def identifiers_of(item: Item) -> list[dict[str, str]]:
    """Digests in the forms that Google hashes: no dots of Gmail, phones with `+`."""
    found = []
    for name in item.names:
        if name.namespace in _DIGESTS:
            field, form = _DIGESTS[name.namespace]
            found.append({field: name.form(form)})
    return found[:IDENTIFIERS_MAX]


def event_of(item: Item) -> dict[str, Any]:
    """One event in Google's shape."""
    event: dict[str, Any] = {
        "transactionId": item.event_id,
        "eventTimestamp": rfc3339(item.event_time),
        "eventSource": "WEB",
        "userData": {"userIdentifiers": identifiers_of(item)},
    }
    if isinstance(item.properties.get("value"), int | float):
        event["conversionValue"] = item.properties["value"]
    if isinstance(item.properties.get("currency"), str):
        event["currency"] = item.properties["currency"]
    return event
