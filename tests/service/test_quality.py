"""Quality of events over HTTP."""

from __future__ import annotations

import secrets

from tests.service.instances import Api, fresh
from tests.service.test_record import event, post


async def test_what_came_is_told_by_source_and_type(api: Api) -> None:
    source = f"shop-{secrets.token_hex(4)}"
    good = [event(fresh("cookie_id"), source=source) for _ in range(3)]
    bad = event(fresh("cookie_id"), source=source)
    del bad["time"]
    await post(api, *good, bad, good[0])
    found = (await api.get("/v1/quality")).json
    (stream,) = [s for s in found["streams"] if (s["source"], s["type"]) == (source, "page_view")]
    assert (stream["received"], stream["accepted"], stream["duplicates"], stream["quarantined"]) == (5, 3, 1, 1)
    assert stream["fields"] == [{"field": "url", "type": "string", "events": 3}] and stream["no_consent"] == 3
    assert stream["violation_share"] == 0.2 and sum(stream["violations"].values()) == 1 and stream["late"] == 3
    assert (
        await api.get("/v1/quality", **{"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"})
    ).status == 422
    text = (await api.get("/metrics")).body.decode()
    assert f'fabric_events_total{{source="{source}",status="accepted",type="page_view"}} 3.0' in text
