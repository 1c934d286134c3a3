"""Signed webhooks after Standard Webhooks: one message an item; its id stays the same over all attempts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from service.adapters.delivery.answers import by_status, for_all, needs
from service.adapters.delivery.shapes import (
    API,
    Built,
    Dedup,
    Item,
    ItemResult,
    Manifest,
    Request,
    Response,
)
from service.model.times import rfc3339

_THROTTLES: Final = frozenset({502, 504})


class Webhook:
    """`settings`: `url`. The secret is one `whsec_…`, or several with blanks between while rotating."""

    api = API
    manifest = Manifest("webhook", "1", 1, Dedup("webhook-id"), ordered=True, removal="message", replay="deduplicated")

    def wrong_with(self, settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """It needs `url`."""
        return needs(settings, "url")

    def urls(self, settings: Mapping[str, Any]) -> Mapping[str, str]:
        """Its own address."""
        return {"url": str(settings.get("url", ""))}

    def build(self, settings: Mapping[str, Any], items: Sequence[Item]) -> Built:
        """One message an item."""
        return Built(tuple(self._message(str(settings["url"]), index, item) for index, item in enumerate(items)))

    def _message(self, url: str, index: int, item: Item) -> Request:
        body: dict[str, Any] = {
            "action": item.action,
            "event": None,
            "identifiers": [{"namespace": name.namespace, "value": name.value} for name in item.names],
        }
        if item.action == "send":
            body["event"] = {
                "source": item.event_source,
                "id": item.event_id,
                "type": item.event_type,
                "time": rfc3339(item.event_time),
                "properties": dict(item.properties),
            }
            body |= {"profile_id": item.profile_id, "traits": dict(item.traits), "audiences": list(item.audiences)}
        fields = tuple(sorted({*(name.namespace for name in item.names), *(k for k, v in body.items() if v)}))
        return Request(
            "POST",
            url,
            (("content-type", "application/json"),),
            orjson.dumps(body),
            (index,),
            (fields,),
            "standard_webhooks",
            item.delivery_id,
        )

    def interpret(self, request: Request, response: Response) -> Sequence[ItemResult]:
        """410 disables the destination; 429, 502 and 504 slow it down; a redirect is a failure."""
        found = by_status(response)
        if response.status == 410:
            found = ItemResult("setup_failed", "http_410")
        elif response.status in _THROTTLES and found.retry_after_s is not None:
            found = ItemResult("throttled", found.reason, found.retry_after_s)
        elif 300 <= response.status < 400:
            found = ItemResult("dead", "redirected")
        return for_all(request, found)
