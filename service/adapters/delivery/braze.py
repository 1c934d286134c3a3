"""Braze: `/users/track`, where a 201 may hold errors of single items, and `/users/delete`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from service.adapters.delivery.answers import base_of, by_status, for_all, json_of, needs
from service.adapters.delivery.shapes import API, Built, Item, ItemResult, Manifest, Request, Response
from service.model.times import rfc3339

BASE: Final = "https://rest.iad-01.braze.com"
HOSTS: Final = (
    *(f"rest.iad-{number:02d}.braze.com" for number in range(1, 9)),
    "rest.fra-01.braze.eu",
    "rest.fra-02.braze.eu",
)
DELETES_MAX: Final = 50
_ALIASES: Final = ("email_sha256", "phone_sha256", "login_id", "device_id", "cookie_id")
_RETRY_AFTER: Final = "x-ratelimit-retry-after"


class Braze:
    """`settings`: `base_url` (default: US-01). `crm_id` is the external id. The secret is a REST API key."""

    api = API
    manifest = Manifest("braze", "1", 75, removal="users_delete", replay="counted_twice", hosts=HOSTS)

    def wrong_with(self, settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Nothing is needed."""
        return needs(settings, may=("base_url",))

    def urls(self, settings: Mapping[str, Any]) -> Mapping[str, str]:
        """Braze's, or `base_url`."""
        return {"base_url": base_of(settings, BASE)}

    def build(self, settings: Mapping[str, Any], items: Sequence[Item]) -> Built:
        """One request for all events, one for up to 50 removals."""
        base, refused = base_of(settings, BASE), dict[int, str]()
        requests: list[Request] = []
        for action in ("send", "remove"):
            found = [(i, who) for i, item in enumerate(items) if item.action == action and (who := whom(item))]
            size = self.manifest.batch if action == "send" else DELETES_MAX
            for start in range(0, len(found), size):
                part = found[start : start + size]
                requests.append(self._request(base, action, [(i, items[i], who) for i, who in part]))
        for index, item in enumerate(items):
            if whom(item) is None:
                refused[index] = "identifier_missing"
        return Built(tuple(requests), refused)

    @staticmethod
    def _request(base: str, action: str, part: Sequence[tuple[int, Item, Mapping[str, Any]]]) -> Request:
        body: dict[str, Any] = {}
        if action == "send":
            body["events"] = [event_of(item, who) for _, item, who in part]
        else:
            body["external_ids"] = [who["external_id"] for _, _, who in part if "external_id" in who]
            body["user_aliases"] = [who["user_alias"] for _, _, who in part if "user_alias" in who]
            body = {name: value for name, value in body.items() if value}
        fields = tuple(tuple(sorted({*who, *item.properties})) for _, item, who in part)
        return Request(
            "POST",
            f"{base}/users/track" if action == "send" else f"{base}/users/delete",
            (("content-type", "application/json"),),
            orjson.dumps(body),
            tuple(index for index, _, _ in part),
            fields,
            "bearer",
        )

    def interpret(self, request: Request, response: Response) -> Sequence[ItemResult]:
        """Errors within a success are of the items that they name by index."""
        found = by_status(response, retry_after=_RETRY_AFTER)
        if found.result == "dead" and len(request.items) > 1:
            return for_all(request, ItemResult("split", found.reason))
        if found.result != "delivered":
            return for_all(request, found)
        results = [found] * len(request.items)
        content = json_of(response.body)
        errors = content.get("errors", []) if isinstance(content, dict) else []
        for error in errors if isinstance(errors, list) else []:
            if not isinstance(error, dict) or error.get("input_array") not in ("events", None):
                continue
            index = error.get("index")
            if isinstance(index, int) and 0 <= index < len(results):
                results[index] = ItemResult("dead", "item_refused")
        return results


def whom(item: Item) -> dict[str, Any] | None:
    """How Braze is told who it is, None where it can't be."""
    crm = item.named("crm_id")
    if crm is not None:
        return {"external_id": crm.value}
    for namespace in _ALIASES:
        name = item.named(namespace)
        if name is not None:
            return {"user_alias": {"alias_label": namespace, "alias_name": name.value}}
    return None


def event_of(item: Item, who: Mapping[str, Any]) -> dict[str, Any]:
    """One custom event in Braze's shape."""
    return {**who, "name": item.event_type, "time": rfc3339(item.event_time), "properties": dict(item.properties)}
