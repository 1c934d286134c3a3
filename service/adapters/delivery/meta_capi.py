"""Meta's Conversions API: up to 1,000 events a request, none older than seven days."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from service.adapters.delivery.answers import base_of, by_status, for_all, json_of, needs
from service.adapters.delivery.shapes import API, Built, Dedup, Item, ItemResult, Manifest, Request, Response

BASE: Final = "https://graph.facebook.com"
VERSION: Final = "v25.0"
EVENTS: Final = {
    "checkout": "Purchase",
    "page_view": "PageView",
    "product_view": "ViewContent",
    "add_to_cart": "AddToCart",
    "lead_submit": "Lead",
    "subscription_start": "Subscribe",
    "identify": "CompleteRegistration",
}
SOURCES: Final = frozenset(
    {
        "email",
        "website",
        "app",
        "phone_call",
        "chat",
        "physical_store",
        "system_generated",
        "business_messaging",
        "other",
    }
)
_DIGESTS: Final = {"email_sha256": ("em", "email"), "phone_sha256": ("ph", "phone_digits")}
_PLAIN: Final = {
    "fbp": "fbp",
    "fbc": "fbc",
    "client_ip_address": "client_ip_address",
    "user_agent": "client_user_agent",
}
_CUSTOM: Final = ("value", "currency", "order_id", "content_ids", "contents", "content_type", "num_items")
_AGAIN: Final = frozenset({1, 2, 341, 368})
_THROTTLED: Final = frozenset({4, 17, 32, 613, 80003, 80004})
_SETUP: Final = frozenset({10, 102, 190, 200, 294})
_TOO_OLD: Final = 2804003


class MetaCapi:
    """`settings`: `dataset`, `base_url`. The secret is an access token."""

    api = API
    manifest = Manifest(
        "meta_capi",
        "1",
        1_000,
        Dedup("event_id and event_name", "PT48H"),
        max_age="P7D",
        replay="deduplicated",
        hosts=("graph.facebook.com",),
    )

    def wrong_with(self, settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """It needs `dataset`."""
        return needs(settings, "dataset", may=("base_url", "test_event_code"))

    def urls(self, settings: Mapping[str, Any]) -> Mapping[str, str]:
        """Meta's, or `base_url`."""
        return {"base_url": base_of(settings, BASE)}

    def build(self, settings: Mapping[str, Any], items: Sequence[Item]) -> Built:
        """One request for all; who has no identifier that Meta takes is left out."""
        refused = {index: "identifier_missing" for index, item in enumerate(items) if not user_data(item)}
        chosen = [index for index in range(len(items)) if index not in refused]
        if not chosen:
            return Built((), refused)
        events = [event_of(items[index]) for index in chosen]
        body: dict[str, Any] = {"data": events}
        if settings.get("test_event_code"):
            body["test_event_code"] = settings["test_event_code"]
        fields = tuple(tuple(sorted({*e["user_data"], *e.get("custom_data", {})})) for e in events)
        request = Request(
            "POST",
            f"{base_of(settings, BASE)}/{VERSION}/{settings['dataset']}/events",
            (("content-type", "application/json"),),
            orjson.dumps(body),
            tuple(chosen),
            fields,
            "bearer",
        )
        return Built((request,), refused)

    def interpret(self, request: Request, response: Response) -> Sequence[ItemResult]:
        """A request is taken or refused as a whole; one refused for one of many is taken apart."""
        found = by_status(response)
        if found.result == "delivered":
            return for_all(request, found)
        content = json_of(response.body)
        error = content.get("error") if isinstance(content, dict) else None
        detail: Mapping[str, Any] = error if isinstance(error, dict) else {}
        code, sub = detail.get("code"), detail.get("error_subcode")
        reason = f"meta_{code}" if isinstance(code, int) else found.reason
        if code in _SETUP:
            found = ItemResult("setup_failed", reason)
        elif code in _THROTTLED:
            found = ItemResult("throttled", reason, found.retry_after_s)
        elif code in _AGAIN:
            found = ItemResult("retry", reason, found.retry_after_s)
        elif found.result == "dead" and len(request.items) > 1:
            found = ItemResult("split", reason)
        elif sub == _TOO_OLD:
            found = ItemResult("expired", reason)
        return for_all(request, ItemResult(found.result, reason, found.retry_after_s))


def user_data(item: Item) -> dict[str, Any]:
    """Whom Meta is to match: digests of what the decision gives."""
    found: dict[str, Any] = {}
    for name in item.names:
        if name.namespace in _DIGESTS:
            field, form = _DIGESTS[name.namespace]
            found.setdefault(field, []).append(name.form(form))
        elif name.namespace == "crm_id":
            found.setdefault("external_id", []).append(name.value)
    return found


def event_of(item: Item) -> dict[str, Any]:
    """One event in Meta's shape; times in seconds."""
    properties = item.properties
    matched = user_data(item)
    for ours, theirs in _PLAIN.items():
        if isinstance(properties.get(ours), str):
            matched[theirs] = properties[ours]
    url = properties.get("url")
    event: dict[str, Any] = {
        "event_name": EVENTS.get(item.event_type, item.event_type),
        "event_time": item.event_time // 1000,
        "event_id": item.event_id,
        "user_data": matched,
    }
    stated = properties.get("action_source")
    on_web = isinstance(url, str) and "client_user_agent" in matched
    event["action_source"] = "website" if on_web else "other"
    if stated in SOURCES and (stated != "website" or on_web):
        event["action_source"] = stated
    if isinstance(url, str):
        event["event_source_url"] = url
    custom = {name: properties[name] for name in _CUSTOM if properties.get(name) is not None}
    if custom:
        event["custom_data"] = custom
    return event
