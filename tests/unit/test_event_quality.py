"""Quality of events: what is counted, and drift that was put there on purpose is found and named."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from service.events.quality import drift_of, fields_of, stream_of, tally_of
from service.model.events import CanonicalEvent, EventError, EventReceipt, Quarantined, QuarantineEvent, RecordEvent
from service.model.identifiers import IdentifierKey
from service.model.quality import Drift, Stream, Tally
from service.telemetry import METRICS

NOW = 1_790_000_000_000
ACCEPTED = EventReceipt("accepted")
RULES = Path(__file__).parents[2] / "deploy" / "alerts" / "quality.yml"


def event(properties: dict[str, Any], **more: Any) -> RecordEvent:
    text = orjson.dumps(properties).decode()
    names = (IdentifierKey("cookie_id:c"),)
    made = CanonicalEvent("shop", "e", "page_view", "1-0-0", NOW - 2_000, NOW, names, "d", properties=text, **more)
    return RecordEvent(made, "")


def counted(*properties: dict[str, Any]) -> Tally:
    tally = Tally()
    for one in properties:
        tally.add(tally_of(event(one), ACCEPTED, NOW + 500))
    return tally


def test_what_is_counted() -> None:
    tally = counted({"url": "x", "n": 1}, {"url": None})
    assert (tally.received, tally.accepted, tally.no_consent, tally.no_identifier) == (2, 2, 2, 0)
    assert (tally.lag_ms, tally.lag_ms_max, tally.record_ms) == (4_000, 2_000, 1_000)
    assert dict(tally.fields) == {"url string": 1, "n number": 1, "url null": 1}
    flagged = tally_of(event({}, flags=("late", "cookieless", "skewed")), ACCEPTED, NOW)
    assert (flagged.late, flagged.no_identifier, flagged.skewed) == (1, 1, 1)
    assert tally_of(event({}), EventReceipt("duplicate"), NOW) == Tally(received=1, duplicates=1)
    errors = (EventError("/a", "x", "type"), EventError("/b", "x", "type"), EventError("/c", "x", "required"))
    kept = QuarantineEvent(Quarantined("qua", "shop", None, None, None, NOW, errors))
    wrong = tally_of(kept, EventReceipt("quarantined", errors=errors), NOW)
    assert wrong.quarantined == 1 and dict(wrong.violations) == {"type": 1, "required": 1}
    assert stream_of(kept) == Stream("shop", "*") and stream_of(event({})) == Stream("shop", "page_view")


def test_names_that_could_be_values_are_not_told() -> None:
    assert fields_of('{"anna@example.com": 1, "url": "x", "4915112345678": 2}') == ["* number", "url string"]


def test_a_renamed_field_is_found_and_named() -> None:
    """The seeded drift: from one hour to the next a source calls `product_id` `productId`."""
    draw = random.Random(7)

    def hour(name: str) -> Tally:
        return counted(
            *({name: "p", "price": 1.5} | ({"coupon": "c"} if draw.random() < 0.2 else {}) for _ in range(300))
        )

    before, same, renamed = hour("product_id"), hour("product_id"), hour("productId")
    assert list(drift_of(same, before)) == []
    assert list(drift_of(renamed, before)) == [Drift("renamed_field", "product_id", "productId", 1.0, 1.0)]


def test_other_drift_is_told_apart() -> None:
    before = counted(*[{"a": 1, "b": "x"}] * 50)
    assert list(drift_of(counted(*[{"a": "1", "b": "x"}] * 50), before)) == [Drift("type_changed", "a", "string", 1, 1)]
    assert list(drift_of(counted(*[{"b": "x"}] * 50), before)) == [Drift("missing_field", "a", None, 0, 1)]
    more = [*[{"a": 1, "b": "x"}] * 30, *[{"a": 1, "b": "x", "c": True}] * 20]
    assert list(drift_of(counted(*more), before)) == [Drift("new_field", "c", "boolean", 0.4, 0)]
    assert list(drift_of(counted(*[{"z": 1}] * 5), before)) == [], "too few to say"
    wrong = counted(*[{"a": 1, "b": "x"}] * 50)
    for _ in range(20):
        receipt = EventReceipt("quarantined", errors=(EventError("/data/properties/a", "x", "required"),))
        wrong.add(tally_of(event({}), receipt, NOW))
    assert [(d.kind, d.field) for d in drift_of(wrong, before)] == [("violations", "required")]


@pytest.mark.parametrize(
    "rule", yaml.safe_load(RULES.read_text())["groups"][0]["rules"], ids=lambda rule: rule["alert"]
)
def test_alerts_speak_of_metrics_that_there_are(rule: dict[str, Any]) -> None:
    known = METRICS.render().decode()
    for name in re.findall(r"fabric_[a-z_]+", rule["expr"]):
        assert f"# HELP {name.removesuffix('_bucket')} " in known, name
    assert rule["annotations"]["summary"] and rule["labels"]["severity"] in ("info", "warning", "critical")
