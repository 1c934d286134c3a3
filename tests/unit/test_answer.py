"""The answer to a look-up, from one stored profile."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.control.answer import answer, valid_until
from service.model.evidence import ConsentRecord
from service.model.identifiers import IdentifierKey, ProfileId
from service.model.policy import Namespace, Policy, Purpose
from service.model.profile import Member, Profile
from service.model.traits import Trait

NOW = 10_000
POLICY = Policy(
    3,
    "p",
    {
        "crm": Namespace("crm", "person", 1),
        "email": Namespace("email", "person", 3),
        "cookie": Namespace("cookie", "device", 6),
        "home": Namespace("home", "household"),
    },
    purposes={"ads": Purpose("ads", "denied"), "stats": Purpose("stats", "granted")},
)
TOM = IdentifierKey("crm:tom")


GOLD = (Trait("plan", "web", "gold", 7),)


def member(key: str, *records: ConsentRecord) -> Member:
    return Member(IdentifierKey(key), 1_000, 2_000, ("crm", "web"), records, GOLD)


def granted(ends: int | None = None, purpose: str = "ads") -> ConsentRecord:
    return ConsentRecord(purpose, "", "granted", 5, "web", expires_at=ends)


REFUSED = ConsentRecord("ads", "", "denied", 5, "web")


def profile(*members: Member, edges: tuple[tuple[int, int, float], ...] = (), due: int | None = None) -> Profile:
    return Profile(ProfileId("prf_1"), members, edges, (IdentifierKey("home:1"),), 3_000, 7, due)


CHAIN = profile(
    member("crm:tom", granted()),
    member("email:b"),
    member("email:a"),
    member("cookie:x"),
    edges=((0, 1, 0.95), (0, 2, 0.95), (2, 3, 0.95)),
)


def values(found: dict[str, object]) -> list[str]:
    return [f"{row['namespace']}:{row['value']}" for row in found["identifiers"]]  # type: ignore[attr-defined]


def test_has_the_shape_of_the_contract() -> None:
    found = answer(profile(member("crm:tom")), TOM, POLICY, NOW)
    assert found == {
        "profile_id": "prf_1",
        "redirected_from": None,
        "state": "known",
        "asked": {"namespace": "crm", "value": "tom"},
        "identifiers": [
            {
                "namespace": "crm",
                "value": "tom",
                "kind": "person",
                "confidence": 1.0,
                "first_seen": "1970-01-01T00:00:01.000Z",
                "last_seen": "1970-01-01T00:00:02.000Z",
                "sources": ["crm", "web"],
            }
        ],
        "consent": {
            "ads": dict.fromkeys(("regulation", "basis", "source", "at", "expires_at")) | {"state": "unknown"},
            "stats": dict.fromkeys(("regulation", "basis", "source", "at", "expires_at")) | {"state": "unknown"},
        },
        "traits": {"plan": {"value": "gold", "source": "web", "at": "1970-01-01T00:00:00.007Z"}},
        "households": [{"namespace": "home", "value": "1"}],
        "policy_version": 3,
        "resolved_at": "1970-01-01T00:00:03.000Z",
        "valid_until": None,
    }


def test_a_value_may_hold_colons() -> None:
    key = IdentifierKey("crm:urn:x:1")
    assert answer(profile(member(key)), key, POLICY, NOW)["asked"] == {"namespace": "crm", "value": "urn:x:1"}


def test_ordered_by_confidence_then_priority_then_value() -> None:
    assert values(answer(CHAIN, TOM, POLICY, NOW)) == ["crm:tom", "email:a", "email:b", "cookie:x"]
    even = profile(member("cookie:a"), member("email:z"), member("crm:z"), edges=((0, 1, 1.0), (0, 2, 1.0)))
    assert values(answer(even, IdentifierKey("cookie:a"), POLICY, NOW)) == ["crm:z", "email:z", "cookie:a"]


def test_anonymous_is_who_has_no_identifier_of_a_person() -> None:
    device = profile(member("cookie:x"))
    assert answer(device, IdentifierKey("cookie:x"), POLICY, NOW)["state"] == "anonymous"


def test_min_confidence_keeps_those_at_or_above_as_they_are_shown() -> None:
    assert values(answer(CHAIN, TOM, POLICY, NOW, min_confidence=0.95)) == ["crm:tom", "email:a", "email:b"]
    shown = answer(CHAIN, TOM, POLICY, NOW)["identifiers"][3]["confidence"]  # type: ignore[index]
    assert shown == 0.9025
    assert "cookie:x" in values(answer(CHAIN, TOM, POLICY, NOW, min_confidence=shown))
    assert values(answer(CHAIN, TOM, POLICY, NOW, min_confidence=1.0)) == ["crm:tom"]


def test_raising_min_confidence_never_returns_more() -> None:
    terms = [i / 100 for i in range(101)]
    counts = [len(values(answer(CHAIN, TOM, POLICY, NOW, min_confidence=term))) for term in terms]
    assert counts == sorted(counts, reverse=True)


def test_a_purpose_granted_shows_all_and_refused_shows_nothing() -> None:
    assert len(values(answer(CHAIN, TOM, POLICY, NOW, purpose="ads"))) == 4
    refused = replace(CHAIN, members=(*CHAIN.members[:3], member("cookie:x", REFUSED)))
    found = answer(refused, TOM, POLICY, NOW, purpose="ads")
    assert (found["identifiers"], found["traits"], found["households"]) == ([], {}, [])
    assert found["profile_id"] == "prf_1"
    assert len(values(answer(refused, TOM, POLICY, NOW, purpose="stats"))) == 4


def test_per_identifier_leaves_the_refused_out_and_does_not_step_over_them() -> None:
    each = replace(POLICY, combine="per_identifier")
    grants = [member(m.key, granted()) for m in CHAIN.members]
    refused = replace(CHAIN, members=(*grants[:2], member("email:a", REFUSED), grants[3]))
    assert values(answer(refused, TOM, each, NOW, purpose="ads")) == ["crm:tom", "email:b"]


def test_who_is_refused_itself_sees_nothing_also_per_identifier() -> None:
    each = replace(POLICY, combine="per_identifier")
    refused = profile(member("crm:tom", REFUSED), member("email:a", granted()), edges=((0, 1, 1.0),))
    found = answer(refused, TOM, each, NOW, purpose="ads")
    assert (found["identifiers"], found["traits"], found["households"]) == ([], {}, [])


@pytest.mark.parametrize(
    ("due", "ends", "until"),
    [
        (None, None, None),
        (NOW + 5, None, NOW + 5),
        (NOW + 5, NOW + 3, NOW + 3),
        (NOW + 5, NOW - 3, NOW + 5),
        (NOW, NOW, None),
        (None, NOW + 9, NOW + 9),
    ],
)
def test_valid_until_the_first_time_at_which_it_changes_by_itself(
    due: int | None, ends: int | None, until: int | None
) -> None:
    assert valid_until(profile(member("crm:tom", granted(ends)), due=due), NOW) == until


def test_a_refusal_that_ends_changes_nothing() -> None:
    ends = replace(REFUSED, expires_at=NOW + 1)
    assert valid_until(profile(member("crm:tom", ends)), NOW) is None


def test_who_is_no_member_cannot_be_asked_about() -> None:
    with pytest.raises(KeyError):
        answer(CHAIN, IdentifierKey("crm:ann"), POLICY, NOW)
