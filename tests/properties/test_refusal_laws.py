"""Refusing more never permits more, over random histories; and erasure is the evidence of everybody else."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from hypothesis import event, given
from hypothesis import strategies as st

from service.control.effective_consent import effective
from service.control.inheritance import granted_anew
from service.model.changes import Change, Merge, ObserveLink, RecordConsent, RetractLink, Revoke, Split
from service.model.evidence import ConsentRecord
from service.model.identifiers import IdentifierKey
from service.model.policy import Namespace, Policy, Purpose
from tests.properties.ledger import DAY, Bench
from tests.properties.profiles import tried
from tests.properties.strategies import KEYS, LINKING, START, link_id, policies, reports

PURPOSES = ("ads", "mail")
REGULATIONS = ("GDPR", "CCPA")
PEOPLE = [key for key in KEYS if not key.startswith("home:")]
FEW = [IdentifierKey(key) for key in ("crm:a", "crm:b", "email:a", "login:a", "device:a", "cookie:a")]


def with_purposes(policy: Policy) -> Policy:
    purposes = {name: Purpose(name, "denied") for name in PURPOSES} | dict(policy.purposes)
    return replace(policy, purposes=purposes, regulations={name: {} for name in REGULATIONS})


@st.composite
def links(draw: st.DrawFn) -> ObserveLink:
    """A link between few identifiers. Its times are days from the moment that it is told: observed then or before."""
    a = draw(st.sampled_from(FEW))
    b = draw(st.sampled_from([key for key in FEW if key != a]))
    source, ends = draw(st.sampled_from(("crm", "web"))), draw(st.sampled_from((None, 1, 2, 4)))
    name, sure = link_id(source, "r", "deterministic", a, b), draw(st.sampled_from((0.8, 0.95)))
    ago = draw(st.integers(0, 2))
    return ObserveLink(name, a, b, "deterministic", sure, source, "r", observed_at=-ago, expires_at=ends)


@st.composite
def steps(draw: st.DrawFn) -> Change | int:
    """One step of a history; a number lets so many days go by. Times of consent are set when it is carried out."""
    key = draw(st.sampled_from(FEW))
    kind = draw(st.sampled_from("lllllllccccccrrpsmwweett"))
    if kind == "l":
        return draw(links())
    if kind == "c":
        state = draw(st.sampled_from(("granted", "denied", "withdrawn")))
        name = draw(st.sampled_from((*PURPOSES, *PURPOSES, LINKING)))
        return RecordConsent(key, ((name, state),), draw(st.sampled_from((*REGULATIONS, None))))  # type: ignore[arg-type]
    if kind == "r":
        return RetractLink(draw(links()).link_id)
    if kind == "p":
        return Revoke(
            key, "purposes", (draw(st.sampled_from(("*", *PURPOSES))),), draw(st.sampled_from((None, "GDPR")))
        )
    if kind == "s":
        return Split(draw(st.just("")), (key,), "")  # type: ignore[arg-type]
    if kind == "m":
        return Merge((key, draw(st.sampled_from(FEW))), None, "")  # type: ignore[arg-type]
    if kind == "w":
        return Revoke(key, "linking")
    return Revoke(key, "erase") if kind == "e" else draw(st.integers(1, 4))


def refuses(step: Change | int) -> bool:
    """Whether a step only takes away: a refusal, withdrawn linking, an erasure, or time."""
    if isinstance(step, RecordConsent):
        return all(state != "granted" for _, state in step.states)
    return isinstance(step, Revoke | int)


def refused(bench: Bench) -> set[tuple[IdentifierKey, str, str]]:
    """Who may not be used for what under which regulation, since somebody refused."""
    found = set()
    for profile in bench.ledger.views.values():
        consents = [member.consents for member in profile.members]
        for purpose, regulation in product(PURPOSES, REGULATIONS):
            if effective(consents, purpose, regulation, bench.policy, bench.now).state in ("denied", "withdrawn"):
                found |= {(member.key, purpose, regulation) for member in profile.members}
    return found


def carry_out(bench: Bench, step: Change | int) -> None:
    """A step, with the profiles and times of this moment."""
    within = bench.ledger.within
    if isinstance(step, int):
        bench.advance(step * DAY)
        return
    if isinstance(step, Merge):
        profiles = [within.get(IdentifierKey(key)) for key in step.profiles]
        if None in profiles:
            return
        step = replace(step, profiles=tuple(profiles))  # type: ignore[arg-type]
    elif isinstance(step, Split):
        profile = within.get(step.identifiers[0])
        if profile is None:
            return
        step = replace(step, profile=profile)
    elif isinstance(step, RecordConsent):
        step = replace(step, at=bench.now)
    elif isinstance(step, ObserveLink):
        at = bench.now + (step.observed_at or 0) * DAY
        ends = None if step.expires_at is None else bench.now + step.expires_at * DAY
        step = replace(step, observed_at=at, expires_at=ends)
    bench.turn(step)


@tried(400, 4000)
@given(policies(), st.lists(links(), min_size=2, max_size=7), st.lists(steps(), min_size=2, max_size=16))
def test_refusing_more_never_permits_more(policy: Policy, told: list[ObserveLink], history: list[Change | int]) -> None:
    bench = Bench(with_purposes(policy), START)
    for step in (*told, *history):
        before = refused(bench)
        carry_out(bench, step)
        if refuses(step):
            known = bench.ledger.within.keys()
            freed = {entry for entry in before - refused(bench) if entry[0] in known}
            assert not freed, (step, freed)
            event(f"{type(step).__name__} refuses among {min(len(before), 9)}")


@tried(150, 2000)
@given(policies(), st.lists(steps(), min_size=4, max_size=24))
def test_each_speaking_for_itself_nothing_is_inherited(policy: Policy, history: list[Change | int]) -> None:
    bench = Bench(replace(with_purposes(policy), combine="per_identifier"), START)
    for step in history:
        carry_out(bench, step)
    assert not any(record.via is not None for state in bench.ledger.kept.values() for record in state.consents)


@tried(150, 2000)
@given(policies(ttl=False), st.lists(reports(expires=False), min_size=1, max_size=12), st.sampled_from(PEOPLE))
def test_erasure_leaves_what_the_evidence_about_the_others_says(
    policy: Policy, told: list[ObserveLink], gone: IdentifierKey
) -> None:
    """As if nobody had ever spoken of the erased one; and nothing that is kept names it."""
    bench, other = Bench(with_purposes(policy), START), Bench(with_purposes(policy), START)
    for step in told:
        bench.turn(step)
    bench.turn(Revoke(gone, "erase"))
    for step in told:
        if gone not in (step.a, step.b):
            other.turn(step)
    spoken = {end for step in told if gone not in (step.a, step.b) for end in (step.a, step.b)}
    seen_with_it = {end for step in told for end in (step.a, step.b)} - {gone}
    expected = other.clusters() | {frozenset((key,)) for key in seen_with_it - spoken if not key.startswith("home:")}
    assert bench.clusters() == expected
    ledger = bench.ledger
    kept = {name: getattr(ledger, name) for name in ("kept", "links", "links_at", "within", "members", "views", "born")}
    assert gone not in str(kept)
    assert bench.turn(replace(told[0], a=min(gone, "x:1"), b=max(gone, "x:1")))[0].error is not None  # type: ignore[type-var]


def test_a_new_person_begins_with_fresh_consent_and_another_id() -> None:
    bench = Bench(with_purposes(_strict()), START)
    email, crm = IdentifierKey("email:a"), IdentifierKey("crm:a")
    link = ObserveLink("lnk_1", email, crm, "deterministic", 0.95, "crm", "r", observed_at=START)  # type: ignore[arg-type]
    bench.turn(link)
    bench.turn(Revoke(crm, "erase"))
    bench.turn(RecordConsent(crm, (("ads", "granted"),), None, at=START - 1))
    assert bench.turn(link)[0].error is not None, "an older grant is no fresh consent"
    bench.turn(RecordConsent(crm, (("mail", "denied"),), None, at=bench.now + 5))
    bench.turn(RecordConsent(crm, (("ads", "granted"),), None, at=bench.now + 9))
    assert crm not in bench.ledger.within, "consent alone makes nobody known"
    assert {(r.purpose, r.state) for r in bench.ledger.kept[crm].consents} == {("mail", "denied"), ("ads", "granted")}
    assert bench.turn(link)[0].error is not None, "evidence from before stays refused"
    bench.turn(replace(link, observed_at=bench.now + 20))
    assert bench.profile_of("crm:a") == "prf_crm.a/1"


def _strict() -> Policy:
    spaces = [Namespace("crm", priority=1), Namespace("email", priority=3)]
    return Policy(
        version=1,
        name="plain",
        namespaces={space.name: space for space in spaces},
        linking_purpose=LINKING,
        purposes={LINKING: Purpose(LINKING, "granted")},
    )


def test_what_is_inherited_is_ended_by_a_newer_grant_only() -> None:
    policy = with_purposes(_strict())
    for regulation in ("GDPR", ""):
        kept = ConsentRecord("ads", regulation, "withdrawn", 10, "inherited", via="lnk_1")
        for at, state in ((9, "withdrawn"), (10, "withdrawn"), (11, "granted")):
            grant = ConsentRecord("ads", "GDPR", "granted", at)
            assert effective([[kept], [grant]], "ads", "GDPR", policy, 20).state == "withdrawn", "who joins later"
            found = effective([granted_anew([kept], grant), [grant]], "ads", "GDPR", policy, 20)
            assert found.state == state
        assert granted_anew([kept], ConsentRecord("ads", regulation, "granted", 11)) == ()
        other = effective([granted_anew([kept], grant), [grant]], "ads", "CCPA", policy, 20)
        assert other.state == ("withdrawn" if regulation == "" else "unknown")
