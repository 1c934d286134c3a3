"""Every route about deliveries and cutover, once, with a table as destination: for the tour of the service."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.service.instances import Api, Json, fresh, named


def lake(uri: str, source: str, **more: object) -> Json:
    """A destination that is a table and takes checkouts of one source."""
    delivery: Json = {"adapter": "delta", "settings": {"uri": uri}, "on": ["checkout"], "mode": "live", "share": 1.0}
    delivery |= {"when": f'event.source == "{source}"', "min_compared": 1, "window": "PT1S", **more}
    return {"purpose": "analytics", "namespaces": ["*"], "granularity": "person", "delivery": delivery}


def checkout(source: str, event_id: str, *keys: str, value: float = 10.0) -> Json:
    """An event."""
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": "checkout",
        "time": "2026-01-01T10:00:00Z",
        "dataschema": "checkout/1-0-0",
        "data": {
            "identifiers": [named(key) for key in keys],
            "properties": {"order_id": event_id, "value": value, "currency": "EUR"},
            "retention": "events-default",
        },
    }


async def tour_of_deliveries(api: Api, folder: Path) -> None:
    """What is documented about deliveries succeeds once; the policy in force is put back."""
    active = (await api.get("/v1/policies/active")).json
    source = fresh().replace(":", "-")
    document = active["policy"] | {
        "destinations": active["policy"]["destinations"] | {"lake": lake(str(folder), source)}
    }
    version = (await api.post("/v1/policies", document)).json["version"]
    assert (await api.post(f"/v1/policies/{version}/activate", {})).status == 200
    sent = checkout(source, "tour-1", fresh())
    assert (await api.post("/v1/events", sent)).results[0]["status"] == "accepted"
    items: list[Json] = []
    for _ in range(200):
        items = (await api.get("/v1/deliveries", event=f"{source}/tour-1")).json["items"]
        if items and items[0]["outcome"] != "pending":
            break
        await asyncio.sleep(0.05)
    assert [item["outcome"] for item in items] == ["delivered"]
    await api.get(f"/v1/deliveries/{items[0]['delivery_id']}")
    await api.get("/v1/destinations")
    for act in ("pause", "resume"):
        assert (await api.post(f"/v1/destinations/lake/{act}", {})).status == 200
    assert (await api.post("/v1/deliveries/preview", {"destination": "lake", "event": sent})).json["requests"]
    record = {"id": "old-1", "event": {"source": source, "id": "tour-2"}, "at": "2026-01-01T10:00:00Z"}
    record |= {"action": "send", "identifiers": sent["data"]["identifiers"], "fields": {"value": 1}}
    assert (await api.post("/v1/legacy/lake", {"records": [record]})).results[0]["status"] == "accepted"
    explanation = {"cause": "mapping", "field": "value", "when": "true", "note": "known"}
    assert (await api.post("/v1/reconciliation/lake/explanations", explanation)).status == 200
    assert (await api.get("/v1/reconciliation/lake")).json["compared"] == 1
    assert (await api.post("/v1/cutovers/lake", {"share": 0.5, "reason": "tour", "force": True})).status == 200
    assert (await api.post("/v1/cutovers/lake/rollback", {"reason": "tour"})).json["share"] == 1.0
    assert len((await api.get("/v1/cutovers/lake")).json["items"]) == 2
    proof = (await api.get("/v1/proof")).json
    assert proof["deliveries"]["loss"] == proof["events"]["loss"] == 0
    assert (await api.post(f"/v1/policies/{active['version']}/activate", {})).status == 200
