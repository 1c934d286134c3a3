"""One event as sent → the change that records it, or what is kept of it in quarantine."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.control.link_ids import link_ids_under
from service.control.policy_document import compile_policy
from service.events.canonical import body_of, event_of, keyed_under
from service.events.masking import holds_address, masked
from service.events.reading import Item, Reading, read_event
from service.events.validation import compiled_builtin
from service.model.events import QuarantineEvent, RecordEvent
from service.model.times import parse_rfc3339

DOCUMENT = orjson.loads((Path(__file__).parents[2] / "service" / "policies" / "default.json").read_bytes())
NOW = parse_rfc3339("2026-11-24T10:00:00Z")
SECRET = b"the key of these tests"
EMAIL = "someone@example.com"


def reading(**sections: Any) -> Reading:
    """The default policy with some sections replaced."""
    policy = compile_policy({**copy.deepcopy(DOCUMENT), **sections}, 1)
    return Reading(
        policy, compiled_builtin(), NOW, link_ids_under(SECRET), keyed_under(SECRET, "c"), keyed_under(SECRET, "a")
    )


READING = reading()


def event(**more: Any) -> dict[str, Any]:
    """A page view of a cookie and a customer."""
    data = {
        "identifiers": [{"namespace": "cookie_id", "value": "c"}, {"namespace": "crm_id", "value": "7"}],
        "properties": {"url": "https://example.com/"},
        "retention": "events-default",
        **more.pop("data", {}),
    }
    return {
        "specversion": "1.0",
        "id": "e",
        "source": "web",
        "type": "page_view",
        "time": "2026-11-24T09:59:00Z",
        "dataschema": "page_view/1-0-0",
        "data": data,
        **more,
    }


def taken(item: object, under: Reading = READING) -> RecordEvent:
    found = read_event(item, under)
    assert isinstance(found, RecordEvent), found
    return found


def kept(item: object, under: Reading = READING) -> QuarantineEvent:
    found = read_event(item, under)
    assert isinstance(found, QuarantineEvent), found
    return found


def codes(item: object, under: Reading = READING) -> dict[str, str]:
    return {error.pointer: error.code for error in kept(item, under).kept.errors}


def test_an_event_is_read_whole_and_its_body_is_read_back() -> None:
    change = taken(event(data={"consent": {"advertising": "granted"}, "regulation": "GDPR", "traits": {"plan": "x"}}))
    assert change.event.identifiers == ("cookie_id:c", "crm_id:7")
    assert len(change.links) == 1
    assert change.traits == (("plan", "x"),)
    assert change.event.granularity == "person"
    assert set(change.event.purposes) == {"identity_linking", "analytics", "advertising"}
    assert event_of(change.body) == change.event
    assert body_of(event_of(change.body)) == change.body


def test_content_is_not_the_order_of_keys_nor_other_attributes_nor_how_the_time_is_written() -> None:
    first = taken(event())
    again = dict(reversed(event(traceparent="00-1", time="2026-11-24T10:59:00+01:00").items()))
    assert taken(again).event.digest == first.event.digest
    assert taken(event(data={"traits": {"plan": "x"}})).event.digest != first.event.digest


ADDRESS = {"namespace": "email_sha256", "value": EMAIL}
FIRST, THIRD, CONSENT = "/data/identifiers/0/namespace", "/data/identifiers/2/value", "/data/consent/"
Change = Callable[[dict[str, Any]], Any]
WRONG: list[tuple[str, Change, str, str]] = [
    ("a plain address as digest", lambda e: e["data"]["identifiers"].append(ADDRESS), THIRD, "identifier"),
    ("an unknown namespace", lambda e: e["data"]["identifiers"][0].update(namespace="no"), FIRST, "identifier"),
    ("no identifiers", lambda e: e["data"].pop("identifiers"), "/data/identifiers", "required_missing"),
    ("an unknown field", lambda e: e["data"].update(nickname=1), "/data/nickname", "unknown_field"),
    ("a field whose name is a value", lambda e: e["data"].update({EMAIL: 1}), "/data", "unknown_field"),
    ("no consent", lambda e: e["data"].update(consent={"analytics": "yes"}), f"{CONSENT}analytics", "not_listed"),
    ("an unknown purpose", lambda e: e["data"].update(consent={"no": "granted"}), f"{CONSENT}no", "unknown_purpose"),
    ("an unknown regulation", lambda e: e["data"].update(regulation="X"), "/data/regulation", "unknown_regulation"),
    ("an unknown retention", lambda e: e["data"].update(retention="for-ever"), "/data/retention", "unknown_retention"),
    ("an address in a trait", lambda e: e["data"].update(traits={"mail": EMAIL}), "/data/traits", "personal_value"),
    ("a list for an object", lambda e: e["data"].update(properties=[]), "/data/properties", "type_mismatch"),
    ("a control character", lambda e: e["data"]["properties"].update(a="b\0c"), "/data", "invalid"),
    ("too much", lambda e: e["data"]["properties"].update(a="x" * 70_000), "/data", "limit"),
    ("an unknown schema", lambda e: e.update(dataschema="page_view/9-0-0"), "/dataschema", "unknown_schema"),
    ("another type's schema", lambda e: e.update(dataschema="checkout/1-0-0"), "/dataschema", "envelope"),
    ("no time", lambda e: e.pop("time"), "/time", "required_missing"),
    ("a time without zone", lambda e: e.update(time="2026-01-01T00:00:00"), "/time", "envelope"),
    ("another specversion", lambda e: e.update(specversion="0.3"), "/specversion", "envelope"),
    ("an extension with an object", lambda e: e.update(trace={}), "/trace", "unknown_field"),
    ("an attribute that none may be called", lambda e: e.update(Trace="x"), "/Trace", "unknown_field"),
    ("a very long attribute", lambda e: e.update(subject="x" * 2_000), "/subject", "limit"),
    ("data that is not JSON", lambda e: e.update(datacontenttype="text/xml"), "/datacontenttype", "envelope"),
    ("an id that is a number", lambda e: e.update(id=1), "/id", "envelope"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "pointer", "code"), [one[1:] for one in WRONG], ids=[one[0] for one in WRONG])
def test_what_is_wrong_is_named_with_its_place_and_never_repeated(spoil: Change, pointer: str, code: str) -> None:
    item = event()
    spoil(item)
    assert codes(item).get(pointer) == code
    assert EMAIL not in repr(kept(item))


@pytest.mark.parametrize("item", [None, 1, "x", [], True, {}])
def test_what_is_no_event_at_all_is_kept_too(item: object) -> None:
    assert kept(item).kept.quarantine_id.startswith("qua_")


def test_the_same_wrong_event_is_one_in_quarantine() -> None:
    wrong, other = event(type="no_such"), event(type="no_such", id="f")
    assert kept(wrong).kept.quarantine_id == kept(copy.deepcopy(wrong)).kept.quarantine_id
    assert kept(wrong).kept.quarantine_id != kept(other).kept.quarantine_id


def test_quarantine_keeps_identifiers_that_are_some_and_masks_what_may_be_personal() -> None:
    item = event(data={"traits": {"city": "Bern"}, "properties": {"url": f"https://example.com/?m={EMAIL}"}, "x": 1})
    item["data"]["identifiers"] += [
        {"namespace": "email_sha256", "value": EMAIL},
        {"namespace": "email_sha256", "value": EMAIL, "plain": True},
    ]
    found = kept(item).kept
    assert found.body is not None
    assert EMAIL not in found.body
    assert "Bern" not in found.body
    assert len(found.mentions) == 3
    assert orjson.loads(found.body)["data"]["identifiers"][2] == {"namespace": "email_sha256", "value": "[masked]"}


def test_a_plain_value_is_digested_and_an_address_masked() -> None:
    item = event(data={"identifiers": [{"namespace": "email_sha256", "value": EMAIL, "plain": True}]})
    item["data"]["properties"] = {"url": "https://example.com/?m=someone%40example.com"}
    change = taken(item)
    assert "someone" not in repr(change)
    assert change.event.flags == ("masked",)


def test_signals_are_statements_and_an_ip_address_is_digested() -> None:
    signals = {"ip": "203.0.113.7", "gpc": True, "google_consent_mode": {"analytics_storage": "denied"}}
    change = taken(event(data={"consent": {"analytics": "granted"}, "signals": signals}))
    assert "203.0.113.7" not in repr(change)
    assert {s.method for s in change.statements} == {"event", "signal:gpc", "signal:google_consent_mode"}
    assert dict(change.event.consent.states)["analytics"] == "denied", "a refusal before a grant"


def test_households_are_not_linked_with_each_other() -> None:
    names = [("household_id", "1"), ("household_id", "2"), ("crm_id", "7"), ("crm_id", "7")]
    item = event(data={"identifiers": [{"namespace": n, "value": v} for n, v in names]})
    assert {link[1:] for link in taken(item).links} == {
        ("household_id:1", "crm_id:7"),
        ("household_id:2", "crm_id:7"),
    }


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20) | st.just(EMAIL),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.just(EMAIL), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(
    VALUES,
    st.sampled_from(["data", "identifiers", "consent", "traits", "properties", "signals", "extra", "time", "id"]),
)
def test_whatever_is_sent_is_taken_or_kept_and_no_address_is_left(value: Any, where: str) -> None:
    item = event()
    if where in ("time", "id", "data", "extra"):
        item[where] = value
    else:
        item["data"][where] = value
    found: Item = read_event(item, READING)
    shown = repr(found)
    if isinstance(found, RecordEvent):
        assert event_of(found.body) == found.event
        item_id = item["id"] if isinstance(item["id"], str) else ""
        shown = shown.replace(item_id, "") if "@" in item_id else shown
    assert not holds_address(shown)


@given(VALUES)
def test_masking_leaves_nothing_to_mask(value: Any) -> None:
    assert not holds_address(masked(value))
