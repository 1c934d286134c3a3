"""What a destination is given: the matrix, the reasons, and what is left to give."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.control.decide import decide, decision_json
from service.control.policy_document import compile_policy
from service.model.decision import Decision
from service.model.evidence import ConsentRecord
from service.model.identifiers import IdentifierKey, ProfileId
from service.model.policy import Policy
from service.model.profile import Member, Profile
from service.model.traits import Trait

ROOT = Path(__file__).parents[2]
DOCUMENT = orjson.loads((ROOT / "service" / "policies" / "default.json").read_bytes())
MATRIX: list[dict[str, str]] = orjson.loads((ROOT / "tests" / "scenarios" / "decisions_matrix.json").read_bytes())[
    "cells"
]
NOW = 1_000_000
CRM, MAIL, PHONE, DEVICE, SESSION = (
    IdentifierKey(f"{name}:{name[0] * 4}")
    for name in ("crm_id", "email_sha256", "phone_sha256", "device_id", "session_id")
)


def rules(**destinations: dict[str, Any]) -> Policy:
    """The built-in policy with more destinations."""
    return compile_policy({**DOCUMENT, "destinations": {**DOCUMENT["destinations"], **destinations}}, 3)


POLICY = rules()


def says(state: str, purpose: str = "advertising", regulation: str = "GDPR", **more: Any) -> ConsentRecord:
    return ConsentRecord(purpose, regulation, state, more.pop("at", 10), "cmp", **more)  # type: ignore[arg-type]


def person(**consents: list[ConsentRecord]) -> Profile:
    """Customer number, e-mail and session, all linked to the first."""
    keys = {"crm": CRM, "mail": MAIL, "session": SESSION}
    members = tuple(
        Member(
            key, 1, 2, ("web",), tuple(consents.get(name, ())), (Trait("plan", "web", "gold", 2),) * (name == "mail")
        )
        for name, key in keys.items()
    )
    return Profile(ProfileId("prf_1"), members, ((0, 1, 0.95), (0, 2, 0.95)))


def asked(profile: Profile | None, destination: str = "meta_ads", key: IdentifierKey = MAIL, **more: Any) -> Decision:
    return decide(
        profile, key, destination, more.get("purpose"), more.get("regulation"), more.get("policy", POLICY), NOW
    )


def keys_of(decision: Decision) -> list[IdentifierKey]:
    return [given.key for given in decision.identifiers]


@pytest.mark.parametrize("cell", MATRIX, ids=lambda cell: "-".join(list(cell.values())[:4]))
def test_the_matrix(cell: dict[str, str]) -> None:
    policy = replace(POLICY, combine=cell["combine"])  # type: ignore[arg-type]
    purpose, state = policy.destinations[cell["destination"]].purpose, cell["state"]
    other = "email_marketing" if purpose == "personalization" else "personalization"
    record = {
        "missing": says("denied", other, cell["regulation"]),
        "expired": says("granted", purpose, cell["regulation"], expires_at=NOW),
    }.get(state) or says(state, purpose, cell["regulation"])
    found = asked(person(mail=[record]), cell["destination"], policy=policy)
    assert (found.outcome, found.granularity, found.reasons) == (
        cell["outcome"],
        cell["granularity"],
        (cell["reason"],),
    )
    assert found.purpose == purpose
    assert found.consent.state == ("unknown" if state == "missing" else state)
    assert found.consent.regulation == cell["regulation"]
    if cell["outcome"] != "allow":
        assert set(keys_of(found)) <= {SESSION}
        assert not found.traits


def test_each_granularity_gives_no_more_than_its_kinds() -> None:
    policy = rules(**{
        granularity: {"purpose": "analytics", "namespaces": ["*"], "granularity": granularity}
        for granularity in ("person", "pseudonymous", "session", "aggregate", "none")
    })  # fmt: skip
    profile = person()
    found = {name: asked(profile, name, policy=policy) for name in policy.destinations if name in _KEYS_AT}
    assert {name: set(keys_of(decision)) for name, decision in found.items()} == _KEYS_AT
    assert {name for name, decision in found.items() if decision.traits} == {"person", "pseudonymous"}
    assert {decision.outcome for decision in found.values()} == {"allow"}


_KEYS_AT = {
    "person": {CRM, MAIL, SESSION},
    "pseudonymous": {SESSION},
    "session": {SESSION},
    "aggregate": set(),
    "none": set(),
}


# ---- what is not known


def test_nobody_known_no_such_destination_no_such_purpose() -> None:
    allowed = person(mail=[says("granted")])
    assert asked(None).reasons == ("unknown_identifier",)
    assert asked(allowed, key=PHONE).reasons == ("unknown_identifier",)
    assert asked(allowed, "nowhere").reasons == ("destination_not_in_policy",)
    assert asked(allowed, purpose="resale").reasons == ("purpose_not_in_policy",)
    assert asked(allowed, purpose="analytics").reasons == ("purpose_not_in_policy",)
    assert asked(allowed, purpose="advertising").outcome == "allow"
    for found in (asked(None), asked(allowed, "nowhere"), asked(allowed, purpose="resale")):
        assert (found.outcome, found.granularity, found.identifiers) == ("withhold", "none", ())
        assert found.valid_until == NOW + POLICY.decision_max_age_ms
    assert asked(allowed, purpose="resale").purpose is None


def test_a_regulation_that_the_policy_does_not_know_permits_nothing() -> None:
    assert asked(person(), "warehouse").outcome == "allow"
    assert asked(person(), "warehouse", regulation="LEX").outcome == "limit"
    assert asked(person(mail=[says("granted")]), regulation="LEX").reasons == ("consent_missing",)


def test_asked_under_one_regulation_the_other_is_not_heard() -> None:
    both = person(mail=[says("granted"), says("withdrawn", regulation="CCPA")])
    assert [asked(both, regulation=name).outcome for name in ("GDPR", "CCPA", None)] == [
        "allow",
        "withhold",
        "withhold",
    ]
    assert asked(both).consent.regulation == "CCPA"


# ---- who is heard


def test_one_refusal_counts_for_all_and_a_conflict_is_named() -> None:
    found = asked(person(mail=[says("granted")], session=[says("withdrawn")]))
    assert found.reasons == ("consent_withdrawn", "consent_conflict")
    assert asked(person(session=[says("denied")])).reasons == ("consent_denied",)


def test_per_identifier_the_refused_are_left_out_and_not_stepped_over() -> None:
    policy = replace(POLICY, combine="per_identifier")
    granted = [says("granted")]
    assert keys_of(asked(person(crm=granted, mail=granted), policy=policy)) == [MAIL]
    refused = person(crm=granted, mail=[says("withdrawn")])
    assert asked(refused, key=CRM, policy=policy).reasons == ("consent_withdrawn",)
    assert asked(refused, key=MAIL, policy=policy).reasons == ("consent_withdrawn",)
    beyond = person(crm=[says("denied")], mail=granted, session=granted)
    assert asked(beyond, key=SESSION, policy=policy).reasons == ("namespace_not_allowed",)


# ---- what is left


def test_confidence_and_namespaces_of_the_destination() -> None:
    granted = [says("granted")]
    members = (Member(DEVICE, 1, 1, (), ()), Member(MAIL, 1, 1, (), tuple(granted)), Member(PHONE, 1, 1, ()))
    weak = Profile(ProfileId("prf_1"), members, ((0, 1, 0.8), (0, 2, 0.95)))
    assert keys_of(asked(weak, key=DEVICE)) == [PHONE]
    assert asked(replace(weak, edges=((0, 1, 0.8), (0, 2, 0.8))), key=DEVICE).reasons == ("below_confidence",)
    assert asked(weak, key=MAIL).identifiers[0].confidence == 1.0
    assert asked(Profile(ProfileId("p"), (Member(CRM, 1, 1, (), tuple(granted)),)), key=CRM).reasons == (
        "namespace_not_allowed",
    )
    cut = [*granted, says("withdrawn", "identity_linking")]
    assert asked(Profile(ProfileId("p"), (Member(CRM, 1, 1, (), tuple(cut)),)), key=CRM).reasons == (
        "namespace_not_allowed",
        "link_not_permitted",
    )


def test_the_floor_is_one_session_at_most() -> None:
    other = Member(IdentifierKey("session_id:later"), 1, 9, ())
    profile = person()
    profile = replace(profile, members=(*profile.members, other), edges=(*profile.edges, (0, 3, 0.95)))
    assert keys_of(asked(profile, "site")) == [other.key]
    assert keys_of(asked(profile, "site", SESSION)) == [SESSION]


def test_it_holds_until_the_first_thing_that_can_change_it() -> None:
    latest = NOW + POLICY.decision_max_age_ms
    assert asked(person()).valid_until == latest
    assert asked(replace(person(), due=NOW + 5)).valid_until == NOW + 5
    assert asked(person(crm=[says("granted", expires_at=NOW + 3)])).valid_until == NOW + 3
    assert asked(person(crm=[says("granted", expires_at=latest + 3)])).valid_until == latest


def test_the_shape() -> None:
    shown = decision_json("dec_1", asked(person(mail=[says("granted", basis="consent")])))
    assert shown == {
        "decision_id": "dec_1",
        "outcome": "allow",
        "granularity": "person",
        "identifiers": [{"namespace": "email_sha256", "value": "eeee", "confidence": 1.0}],
        "traits": {"plan": {"value": "gold", "source": "web", "at": "1970-01-01T00:00:00.002Z"}},
        "audiences": [],
        "purpose": "advertising",
        "basis": "consent",
        "consent": {"state": "granted", "regulation": "GDPR", "at": "1970-01-01T00:00:00.010Z", "source": "cmp"},
        "reasons": ["ok"],
        "profile_id": "prf_1",
        "policy_version": 3,
        "decided_at": "1970-01-01T00:16:40.000Z",
        "valid_until": "1970-01-02T00:16:40.000Z",
    }


@pytest.mark.parametrize("cell", [cell for cell in MATRIX if cell["combine"] == "strictest"], ids=str)
def test_the_page_shows_the_matrix(cell: dict[str, str]) -> None:
    lines = (ROOT / "docs" / "decisions-matrix.md").read_text().splitlines()
    rows = [[entry.strip(" `") for entry in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    (row,) = [row for row in rows if row[:2] == [cell["state"], cell["regulation"]]]
    assert row[rows[0].index(cell["destination"])] == f"{cell['outcome']} / {cell['granularity']}"
