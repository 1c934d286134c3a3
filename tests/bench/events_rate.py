"""What is measured of events: batches of 1,000 through validation, graph and outbox; and validation by itself."""

from __future__ import annotations

import random
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import jsonschema

from service.events.builtin import BUILTIN
from service.events.validation import compiled_builtin
from tests.bench.figures import Row
from tests.bench.people import Sent, World, rfc3339
from tests.bench.stage import Stage

BATCH = 1_000
KINDS = ("page_view", "product_view", "add_to_cart", "checkout", "identify")
_PROPERTIES: dict[str, dict[str, Any]] = {
    "page_view": {"url": "https://shop.example.com/a/page", "title": "A page", "referrer": "https://example.com/"},
    "product_view": {"product_id": "p-1", "price": 10.5, "currency": "EUR"},
    "add_to_cart": {"product_id": "p-1", "quantity": 1, "price": 10.5, "currency": "EUR"},
    "checkout": {"order_id": "o-1", "value": 31.5, "currency": "EUR", "items": [{"product_id": "p-1", "quantity": 3}]},
    "identify": {"method": "password"},
}


def event_of(sent: Sent, number: int) -> dict[str, Any]:
    """The event in which a source saw the two identifiers of a link; every fifth says something of consent."""
    kind = KINDS[number % len(KINDS)]
    data: dict[str, Any] = {
        "identifiers": [{"namespace": namespace, "value": value} for namespace, value in (sent.a, sent.b)],
        "properties": _PROPERTIES[kind],
        "retention": "events-default",
    }
    if kind == "page_view":
        data |= {"consent": {"advertising": "granted"}, "regulation": "GDPR"}
    return {
        "specversion": "1.0",
        "id": f"{random.getrandbits(96):024x}",
        "source": sent.source,
        "type": kind,
        "time": rfc3339(sent.observed_at),
        "dataschema": f"{kind}/1-0-0",
        "data": data,
    }


def _taken(stage: Stage, path: str, content: dict[str, Any], word: bytes) -> float:
    """A batch's seconds. Raises RuntimeError where not all of it was taken."""
    client = stage.client()
    began = perf_counter()
    answer = client.ask("POST", path, content)
    took = perf_counter() - began
    if answer.count(word) != BATCH:
        raise RuntimeError(f"{BATCH - answer.count(word)} items of {path} were not taken")
    return took


def ingest(stage: Stage, world: World, batches: int) -> list[Row]:
    """Events of two new identifiers each, beside links of two new identifiers each, in turn."""
    row = Row("events in batches of 1,000", "links in batches of 1,000", "1/s", at_least=0.5)
    for number in range(batches + 1):
        events = [event_of(sent, at) for at, sent in enumerate(world.strangers(BATCH))]
        links = [sent.request for sent in world.strangers(BATCH)]
        ours = _taken(stage, "/v1/events", {"events": events}, b'"accepted"')
        theirs = _taken(stage, "/v1/links", {"links": links}, b'"linked"')
        if number:  # the first one warms up
            row.add(BATCH / ours, BATCH / theirs)
    return [row]


def validation(world: World, rounds: int) -> list[Row]:
    """Data of 1,000 events against their schemas, beside `jsonschema.validate` as its documentation has it."""
    row = Row("validation of events", "jsonschema.validate", "1/s", at_least=20)
    compiled = compiled_builtin()
    events = [event_of(sent, at) for at, sent in enumerate(world.strangers(BATCH))]
    few = events[:50]
    for _ in range(rounds):
        row.add(
            _rate(events, lambda event: compiled[event["dataschema"]].is_valid(event["data"])),
            _rate(few, lambda event: jsonschema.validate(event["data"], BUILTIN[event["dataschema"]]) is None),
        )
    return [row]


def _rate(events: Sequence[dict[str, Any]], check: Any) -> float:
    began = perf_counter()
    if not all(check(event) for event in events):
        raise RuntimeError("an event of the bench does not fit its schema")
    return len(events) / (perf_counter() - began)
