"""Decisions against a short reference, and what holds for all of them, over random people and destinations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any, cast

import orjson
from hypothesis import given
from hypothesis import strategies as st

from service.control.answer import answer
from service.control.decide import decide
from service.control.effective_consent import with_record
from service.control.policy_document import compile_policy
from service.model.decision import Decision
from service.model.evidence import ConsentRecord
from service.model.identifiers import IdentifierKey, ProfileId, namespace_of
from service.model.policy import Destination, Policy
from service.model.profile import Member, Profile
from service.model.traits import Trait
from tests.properties.profiles import tried

DOCUMENT = orjson.loads((Path(__file__).parents[2] / "service" / "policies" / "default.json").read_bytes())
PURPOSES = ("advertising", "analytics", "personalization")
REGULATIONS = ("GDPR", "CCPA", "")
NAMESPACES = ("crm_id", "email_sha256", "device_id", "session_id")
EVERYTHING = "everything"
NOW = 1_000
RANK = {"withhold": 0, "limit": 1, "allow": 2}
COARSE = ("person", "pseudonymous", "session", "aggregate", "none")

records = st.builds(
    ConsentRecord,
    st.sampled_from(PURPOSES),
    st.sampled_from(REGULATIONS),
    st.sampled_from(("granted", "granted", "denied", "withdrawn")),
    st.integers(1, 4),
    st.just("cmp"),
    st.none(),
    st.sampled_from((None, None, NOW - 1, NOW + 5)),
)


@st.composite
def people(draw: st.DrawFn) -> Profile:
    """A profile of up to four identifiers that hang together."""
    count = draw(st.integers(1, 4))
    members = []
    for i in range(count):
        consents: tuple[ConsentRecord, ...] = ()
        for record in draw(st.lists(records, max_size=3)):
            consents = with_record(consents, record)
        key = IdentifierKey(f"{draw(st.sampled_from(NAMESPACES))}:{i}")
        members.append(Member(key, 1, draw(st.integers(1, 3)), (), consents, (Trait("plan", "web", "gold", i),)))
    sure = st.sampled_from((0.6, 0.8, 0.95, 1.0))
    edges = [(draw(st.integers(0, i - 1)), i, draw(sure)) for i in range(1, count)]
    if count > 2 and draw(st.booleans()):
        edges.append((0, count - 1, draw(sure)))
    due = draw(st.sampled_from((None, NOW + 7)))
    return Profile(ProfileId("prf_1"), tuple(members), tuple(edges), due=due)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """The built-in policy with one destination `drawn`, one for each purpose that takes everything, and a combine."""
    drawn = Destination(
        "drawn",
        draw(st.sampled_from(PURPOSES)),
        draw(st.sampled_from((frozenset(("*",)), frozenset(("email_sha256",)), frozenset(("crm_id", "session_id"))))),
        draw(st.sampled_from(cast(Any, COARSE))),
        draw(st.sampled_from((0.0, 0.7, 0.9))),
        draw(st.sampled_from(cast(Any, (None, *COARSE)))),
    )
    whole = {f"{EVERYTHING}_{purpose}": Destination("", purpose, frozenset(("*",)), "person") for purpose in PURPOSES}
    return replace(
        compile_policy(DOCUMENT, 1),
        destinations={"drawn": drawn, **whole},
        combine=draw(st.sampled_from(cast(Any, ("strictest", "per_identifier")))),
    )


asked_under = st.sampled_from((None, "GDPR", "CCPA"))


def decided(profile: Profile, asked: int, policy: Policy, regulation: str | None, name: str = "drawn") -> Decision:
    return decide(profile, profile.members[asked].key, name, None, regulation, policy, NOW)


# ---- the reference: written from the contract, every path tried, nothing shared with the code


def says(records: Iterable[ConsentRecord], purpose: str, regulation: str) -> str | None:
    """What one identifier says last; of equally old ones the stricter."""
    found = [r for r in records if r.purpose == purpose and r.regulation in ("", regulation)]
    if not found:
        return None
    last = max(found, key=lambda r: (r.at, ("granted", "denied", "withdrawn").index(r.state)))
    if last.state == "granted" and last.expires_at is not None and last.expires_at <= NOW:
        return "expired"
    return last.state


def permits(members: Iterable[Member], purpose: str, regulation: str | None, policy: Policy) -> bool:
    """No identifier refuses under any regulation that counts; where none speaks, `unset` is granted."""
    members = [m for m in members if m.consents]
    named = {r.regulation for m in members for r in m.consents} - {""}
    for name in [regulation] if regulation else named or {""}:
        said = {says(m.consents, purpose, name) for m in members} - {None}
        unset = policy.regulations.get(name, {}).get(purpose, policy.purposes[purpose].unset)
        if (said or {unset}) != {"granted"}:
            return False
    return True


def sure(profile: Profile, a: int, b: int, allowed: set[int]) -> float:
    """The best product over all paths that step on nobody else."""
    if not {a, b} <= allowed:
        return -1.0
    links = {frozenset((i, j)): c for i, j, c in profile.edges}
    best = 1.0 if a == b else -1.0
    between = allowed - {a, b}
    for length in range(len(between) + 1):
        for way in permutations(between, length):
            product = 1.0
            for step in zip((a, *way), (*way, b), strict=True):
                product *= links.get(frozenset(step), -99.0) if product > 0 else 1.0
            best = max(best, product)
    return round(best, 12)


def reference(
    profile: Profile, asked: int, policy: Policy, regulation: str | None
) -> tuple[str, str, dict[str, float]]:
    """Outcome, granularity and identifiers."""
    rule, members = policy.destinations["drawn"], profile.members
    everyone = set(range(len(members)))
    if policy.combine == "strictest":
        allowed = everyone if permits(members, rule.purpose, regulation, policy) else set()
    else:
        allowed = {i for i in everyone if permits([members[i]], rule.purpose, regulation, policy)}
    kind = {"crm_id": 0, "email_sha256": 0, "device_id": 1, "session_id": 2}

    def fits(i: int, granularity: str) -> bool:
        name = namespace_of(members[i].key)
        return kind[name] >= COARSE.index(granularity) and bool({"*", name} & rule.namespaces)

    given = {
        members[i].key: confidence
        for i in everyone
        if fits(i, rule.granularity)
        and (confidence := sure(profile, asked, i, allowed)) >= max(rule.min_confidence, 0.0)
    }
    if asked in allowed and (given or rule.granularity not in ("person", "session")):
        return "allow", rule.granularity, cast(dict[str, float], given)
    floor = rule.otherwise
    if floor is None or COARSE.index(floor) <= COARSE.index(rule.granularity):
        return "withhold", "none", {}
    near = [i for i in everyone if fits(i, floor) and sure(profile, asked, i, everyone) >= rule.min_confidence]
    one = asked if fits(asked, floor) else None
    if one is None and floor == "session":
        one = max(near, key=lambda i: (members[i].last_seen, members[i].key), default=None)
    may = everyone if policy.combine == "strictest" else allowed
    if one is None or (confidence := sure(profile, asked, one, may)) < max(rule.min_confidence, 0.0):
        return "limit", floor, {}
    return "limit", floor, {members[one].key: confidence}


@tried(300, 10_000)
@given(people(), policies(), asked_under, st.data())
def test_decisions_are_those_of_the_reference(
    profile: Profile, policy: Policy, regulation: str | None, data: st.DataObject
) -> None:
    asked = data.draw(st.integers(0, len(profile.members) - 1))
    found = decided(profile, asked, policy, regulation)
    given_keys = {given.key: given.confidence for given in found.identifiers}
    assert (found.outcome, found.granularity, given_keys) == reference(profile, asked, policy, regulation)


@tried(300, 10_000)
@given(people(), policies(), asked_under, st.data())
def test_whatever_is_decided_gives_no_more_than_it_says(
    profile: Profile, policy: Policy, regulation: str | None, data: st.DataObject
) -> None:
    found = decided(profile, data.draw(st.integers(0, len(profile.members) - 1)), policy, regulation)
    assert (found.outcome == "allow") == ("ok" in found.reasons) == (found.reasons == ("ok",))
    assert found.reasons
    if found.outcome == "withhold":
        assert found.granularity == "none"
    if found.granularity in ("aggregate", "none"):
        assert not found.identifiers
        assert not found.traits
    if found.outcome != "allow":
        assert len(found.identifiers) <= 1
        assert not found.traits
    assert NOW < found.valid_until <= NOW + policy.decision_max_age_ms


@tried(300, 10_000)
@given(people(), policies(), st.sampled_from(PURPOSES), st.data())
def test_a_look_up_for_a_purpose_shows_something_where_a_decision_does_not_withhold(
    profile: Profile, policy: Policy, purpose: str, data: st.DataObject
) -> None:
    asked = data.draw(st.integers(0, len(profile.members) - 1))
    found = decided(profile, asked, policy, None, f"{EVERYTHING}_{purpose}")
    shown = answer(profile, profile.members[asked].key, policy, NOW, purpose=purpose)
    names = {f"{row['namespace']}:{row['value']}" for row in cast(list[dict[str, str]], shown["identifiers"])}
    assert {given.key for given in found.identifiers} == names
    assert bool(names) == (found.outcome != "withhold")
    if found.outcome == "withhold":
        assert not shown["traits"]


@tried(300, 10_000)
@given(people(), policies(), asked_under, st.data())
def test_refusing_more_never_permits_more(
    profile: Profile, policy: Policy, regulation: str | None, data: st.DataObject
) -> None:
    """A refusal of another purpose under a regulation that the person never named is news about which law applies,
    not only a refusal (contract: the strictest over those that the consents name), so it is not drawn here.
    """
    asked = data.draw(st.integers(0, len(profile.members) - 1))
    whose = data.draw(st.integers(0, len(profile.members) - 1))
    member, purpose = profile.members[whose], data.draw(st.sampled_from(PURPOSES))
    own = purpose == policy.destinations["drawn"].purpose
    names = REGULATIONS if own else ("", *(r.regulation for r in member.consents))
    refusal = ConsentRecord(
        purpose,
        data.draw(st.sampled_from(names)),
        data.draw(st.sampled_from(("denied", "withdrawn"))),
        data.draw(st.integers(1, 5)),
        "cmp",
    )
    stricter = replace(member, consents=with_record(member.consents, refusal))
    after = replace(profile, members=(*profile.members[:whose], stricter, *profile.members[whose + 1 :]))
    loose, tight = (decided(p, asked, policy, regulation) for p in (profile, after))
    assert RANK[tight.outcome] <= RANK[loose.outcome]
    before = {given.key: given.confidence for given in loose.identifiers}
    assert all(given.confidence <= before.get(given.key, -1.0) for given in tight.identifiers)
    assert not tight.traits or loose.traits
