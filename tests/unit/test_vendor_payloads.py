"""Vendors' documented payloads become the same changes as `standard`; the policy says what their names mean."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.vendor_webhooks import changes_of_vendor, delivered_by
from service.control.policy_document import compile_policy
from service.control.vendor_mapping import State, states_meant
from service.errors import FabricError, Invalid
from service.model.capture import WebhookMapping
from service.model.changes import Change, RecordConsent
from service.model.times import parse_rfc3339

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests/fixtures/webhooks"
DEFAULT = orjson.loads((ROOT / "service/policies/default.json").read_bytes())
AT = parse_rfc3339("2026-11-24T09:58:00Z")
NOW = parse_rfc3339("2026-11-24T10:00:00Z")
Json = dict[str, Any]

WEBHOOKS: Json = {
    "didomi": {
        "identifiers": {"organization_user_id": {"namespace": "email_sha256", "plain": True}, "user_id": None},
        "purposes": {"geolocation_data": ["personalization"], "cookies": ["advertising"], "newsletter": []},
        "regulations": {"gdpr": "GDPR", "cpra": "CCPA"},
    },
    "ketch": {
        "identifiers": {"account_id": {"namespace": "crm_id"}},
        "purposes": {"advertising": ["advertising"], "data_sales": [], "email_mktg": ["email_marketing"]},
        "regulations": {"gdpr": "GDPR"},
    },
    "segment": {
        "identifiers": {"userId": {"namespace": "login_id"}, "anonymousId": {"namespace": "cookie_id"}},
        "purposes": {
            "Advertising": ["advertising"],
            "DataSharing": ["advertising"],
            "Analytics": ["analytics"],
            "Functional": [],
        },
        "regulation": "GDPR",
    },
    "usercentrics": {
        "identifiers": {"controllerId": {"namespace": "cookie_id"}},
        "purposes": {"HkocEodjb7": ["analytics"], "ocv9HNX_g": ["advertising"]},
        "regulation": "GDPR",
    },
    "onetrust": {
        "identifiers": {
            "dataSubjectEmail": {"namespace": "email_sha256", "plain": True},
            "dataSubjectGuid": None,
            "Email": {"namespace": "email_sha256", "plain": True},
        },
        "purposes": {
            "3e900659-de89-4184-bb1a-0bca2e822b39": ["email_marketing"],
            "5d134aee-0356-4a45-94a6-9f00769531d4": ["advertising"],
        },
        "regulation": "GDPR",
    },
}
POLICY = compile_policy({**DEFAULT, "webhooks": WEBHOOKS}, 1)


def fixture(name: str) -> Json:
    found: Json = orjson.loads((FIXTURES / f"{name}.json").read_bytes())
    return found


def changes(provider: str, body: object) -> list[Change]:
    return changes_of_vendor(provider, delivered_by(provider, body), POLICY, NOW)


def wrong(provider: str, body: object) -> list[str]:
    """Where a body is wrong."""
    with pytest.raises(Invalid) as refused:
        changes(provider, body)
    assert "secret-value" not in str(refused.value.errors)
    return [error.pointer for error in refused.value.errors]


def email(address: str) -> str:
    return "email_sha256:" + hashlib.sha256(address.casefold().encode()).hexdigest()


def record(key: str, states: dict[str, str], provider: str, at: int | None, **more: Any) -> RecordConsent:
    given = {"regulation": "GDPR", "method": "webhook"} | more
    return RecordConsent(key, tuple(states.items()), source=f"webhook:{provider}", at=at, **given)  # type: ignore[arg-type]


def test_didomi_says_what_it_holds_and_nothing_of_what_was_not_chosen() -> None:
    states = {"advertising": "denied", "personalization": "granted"}
    expected = record(email("user@example.org"), states, "didomi", AT)
    assert changes("didomi", fixture("didomi_event_created")) == [expected]


def test_didomi_updates_count_from_their_own_time() -> None:
    created = fixture("didomi_event_created")
    entity = created["parameters"]["entity"] | {"updated_at": "2026-11-24T09:59:00Z"}
    body = {"type": "event.updated", "regulation": "gdpr", "parameters": {"old_entity": {}, "new_entity": entity}}
    [change] = changes("didomi", body)
    assert isinstance(change, RecordConsent) and change.at == AT + 60_000
    assert wrong("didomi", {"type": "event.updated", "parameters": {"entity": entity}}) == ["/parameters/new_entity"]


@pytest.mark.parametrize("kind", ["user.created", "user.updated", "user.deleted", "event.deleted"])
def test_didomi_users_and_deleted_events_say_nothing(kind: str) -> None:
    assert changes("didomi", fixture("didomi_user_updated") | {"type": kind}) == []


def test_didomi_keeps_regulations_apart() -> None:
    body = fixture("didomi_event_created") | {"regulation": "cpra"}
    [change] = changes("didomi", body)
    assert isinstance(change, RecordConsent) and change.regulation == "CCPA"
    assert wrong("didomi", body | {"regulation": "secret-value"}) == ["/regulation"]


def test_ketch() -> None:
    at = 1_795_514_280_000
    assert changes("ketch", fixture("ketch_consent_request")) == [
        record("crm_id:123", {"advertising": "granted"}, "ketch", at, basis="consent"),
        record("crm_id:123", {"email_marketing": "denied"}, "ketch", at),
    ]
    assert delivered_by("ketch", fixture("ketch_consent_request")).message_id == "22880925-aac5-42f9-a653-cb6921d361ff"


def test_ketch_time_as_printed_in_its_documentation_lies_ahead() -> None:
    body = fixture("ketch_consent_request")
    body["request"]["collectedAt"] = 12_345_984_398
    assert wrong("ketch", body) == ["/request/collectedAt"]
    for format_, place in (("md5", ["/request/identities/0"]), ("sha512", ["/request/identities/0/identityFormat"])):
        body = fixture("ketch_consent_request")
        body["request"]["identities"][0]["identityFormat"] = format_
        assert wrong("ketch", body) == place


def test_segment_needs_every_category_of_a_purpose() -> None:
    body = fixture("segment_consent_updated")
    states = {"advertising": "denied", "analytics": "denied"}
    expected = [record(key, states, "segment", AT) for key in ("login_id:user-17", "cookie_id:023f8a4b-anon")]
    assert changes("segment", body) == expected
    preferences = body["context"]["consent"]["categoryPreferences"]
    preferences |= {"DataSharing": True}
    assert {s for c in changes("segment", body) if isinstance(c, RecordConsent) for s in c.states} == {
        ("advertising", "granted"),
        ("analytics", "denied"),
    }
    del preferences["DataSharing"]
    assert {s for c in changes("segment", body) if isinstance(c, RecordConsent) for s in c.states} == {
        ("analytics", "denied")
    }


def test_segment_without_preferences_refuses_everything_and_other_events_say_nothing() -> None:
    body = fixture("segment_consent_updated")
    body["context"]["consent"]["categoryPreferences"] = {}
    [first, _] = changes("segment", body)
    assert isinstance(first, RecordConsent)
    assert first.states == (("advertising", "denied"), ("analytics", "denied"))
    assert changes("segment", fixture("segment_page")) == []
    assert wrong("segment", [fixture("segment_page")]) == [""]


def test_usercentrics_counts_from_its_arrival() -> None:
    states = {"advertising": "denied", "analytics": "granted"}
    expected = record("cookie_id:a7e8a0d2cb1cde8a", states, "usercentrics", None)
    assert changes("usercentrics", fixture("usercentrics_updated_consent")) == [expected]


def test_onetrust_gives_every_purpose_its_own_time() -> None:
    key = email("intgDsTestWithoutBatch@otprivacy.com")
    found = changes("onetrust", fixture("onetrust_3010"))
    assert found == [
        record(key, {"advertising": "withdrawn"}, "onetrust", 1_795_514_260_000),
        record(key, {"email_marketing": "granted"}, "onetrust", 1_543_832_130_000),
    ]
    body = fixture("onetrust_3010")
    fields = body["payload"]["profiles"][0]["profileFields"]
    del fields["ConsentDate"]
    assert wrong("onetrust", body) == ["/payload/profiles/0/profileFields/ConsentDate"]
    fields |= {"TransactionStatus": "secret-value"}
    assert wrong("onetrust", body) == ["/payload/profiles/0/profileFields/TransactionStatus"]


@pytest.mark.parametrize(
    ("word", "state"),
    [("PENDING", "denied"), ("EXPIRED", "denied"), ("HARD_OPT_OUT", "withdrawn"), ("NO_CHOICE", "denied")],
)
def test_onetrust_permits_only_by_what_is_given(word: str, state: str) -> None:
    body = fixture("onetrust_receipt")
    body["purposes"][0]["TransactionType"] = word
    expected = record(email("intgDsTest@otprivacy.com"), {"email_marketing": state}, "onetrust", AT)
    assert changes("onetrust", body) == [expected]
    body["purposes"][0]["TransactionType"] = "ALWAYS_ACTIVE"
    assert changes("onetrust", body) == []


@pytest.mark.parametrize(
    ("provider", "name", "path", "place"),
    [
        ("didomi", "didomi_event_created", ("parameters", "entity", "user"), "/parameters/entity/user"),
        ("ketch", "ketch_consent_request", ("request", "identities"), "/request/identities"),
        ("segment", "segment_consent_updated", ("timestamp",), "/timestamp"),
        ("usercentrics", "usercentrics_updated_consent", ("consents",), "/consents"),
        ("onetrust", "onetrust_3010", ("payload",), "/payload"),
    ],
)
@pytest.mark.parametrize("value", ["secret-value", None, 1, [], {"secret-value": 1}])
def test_what_is_not_as_documented_is_refused_with_its_place(
    provider: str, name: str, path: tuple[str, ...], place: str, value: object
) -> None:
    body = fixture(name)
    inner: Any = body
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    assert all(found.startswith(place) or found == "" for found in wrong(provider, body))


@pytest.mark.parametrize("provider", sorted(WEBHOOKS))
def test_names_that_the_policy_does_not_list_are_refused(provider: str) -> None:
    name = {"didomi": "didomi_event_created", "ketch": "ketch_consent_request", "segment": "segment_consent_updated"}
    body = fixture(name.get(provider, {"onetrust": "onetrust_3010"}.get(provider, "usercentrics_updated_consent")))
    for part in ("identifiers", "purposes"):
        narrowed = copy.deepcopy(WEBHOOKS)
        narrowed[provider][part] = {"nothing-of-this": None if part == "identifiers" else []}
        policy = compile_policy({**DEFAULT, "webhooks": narrowed}, 1)
        with pytest.raises(Invalid):
            changes_of_vendor(provider, delivered_by(provider, body), policy, NOW)
    with pytest.raises(Invalid, match="not valid"):
        changes_of_vendor(provider, delivered_by(provider, body), compile_policy(DEFAULT, 1), NOW)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(p.stem for p in FIXTURES.glob("*.json"))), st.data())
def test_whatever_a_payload_holds_it_is_read_or_refused(name: str, data: st.DataObject) -> None:
    body = fixture(name)
    paths: list[tuple[Any, Any]] = []
    stack: list[Any] = [body]
    while stack:
        here = stack.pop()
        items = here.items() if isinstance(here, dict) else enumerate(here)
        for key, value in items:
            paths.append((here, key))
            if isinstance(value, dict | list):
                stack.append(value)
    for holder, key in data.draw(st.lists(st.sampled_from(paths), min_size=1, max_size=3)):
        holder[key] = data.draw(_JSON)
    try:
        changes(name.partition("_")[0], body)
    except FabricError as error:
        assert isinstance(error, Invalid)


_SAID = st.dictionaries(
    st.sampled_from("abcd"),
    st.tuples(st.sampled_from(["granted", "denied", "withdrawn"]), st.none() | st.integers(0, 9), st.none()),
)


@given(_SAID, st.dictionaries(st.sampled_from("abcd"), st.sets(st.sampled_from("XY")).map(tuple), min_size=4))
def test_refusing_more_at_a_vendor_never_permits_more_here(
    said: dict[str, State], purposes: dict[str, tuple[str, ...]]
) -> None:
    mapping = WebhookMapping({}, purposes, {}, None)
    before = {m.purpose for m in states_meant(said, mapping) if m.state == "granted"}
    for name in said:
        stricter: dict[str, State] = said | {name: ("denied", None, None)}
        after = {m.purpose for m in states_meant(stricter, mapping) if m.state == "granted"}
        assert after <= before
        assert not after & set(purposes.get(name, ()))
