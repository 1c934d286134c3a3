"""The fallback rules, one by one: what is kept where not everything may be, clocks, gaps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from service.control.policy_document import compile_policy
from service.events.fallback import MISSING_MAX, after_mark, reduced, refuses, timed
from service.model.events import EventConsent, EventRules, RecordEvent, SenderMark, SenderState
from service.model.evidence import ConsentRecord
from tests.unit.test_event_reading import DOCUMENT, NOW, codes, event, reading, taken

RULES = EventRules("analytics", denied_properties=frozenset({"currency"}))
POLICY = compile_policy(DOCUMENT, 1)


def said(state: Any, purpose: str = "analytics", regulation: str = "GDPR", at: int = 1) -> ConsentRecord:
    return ConsentRecord(purpose, regulation, state, at)


@pytest.mark.parametrize(
    ("own", "stored", "refused"),
    [
        ((), [], False),
        ((("analytics", "granted"),), [], False),
        ((("analytics", "denied"),), [], True),
        ((("analytics", "withdrawn"),), [], True),
        ((("advertising", "denied"),), [], False),
        ((), [[said("denied")]], True),
        ((), [[said("granted")]], False),
        ((("analytics", "granted"),), [[said("withdrawn", at=5)]], True),
        ((), [[said("granted")], [said("denied")]], True),
        ((), [[said("denied", "advertising")]], False),
    ],
)
def test_partial_consent_is_what_the_event_says_or_what_counts_for_its_person(
    own: Any, stored: Any, refused: bool
) -> None:
    assert refuses(EventConsent(own, "GDPR"), stored, POLICY, RULES, NOW) is refused


def test_without_a_purpose_nothing_is_refused() -> None:
    assert not refuses(EventConsent((("analytics", "denied"),)), [], POLICY, EventRules(), NOW)


def test_the_aggregate_names_nobody_and_keeps_only_what_is_listed() -> None:
    change = taken(
        event(data={"traits": {"plan": "x"}, "properties": {"currency": "EUR", "url": "https://example.com"}})
    )
    found = reduced(replace(change.event, extensions='{"traceparent":"x"}'), RULES)
    assert (found.identifiers, found.granularity, found.traits, found.extensions) == ((), "aggregate", "{}", "{}")
    assert orjson.loads(found.properties) == {"currency": "EUR"}
    assert "reduced" in found.flags
    assert found.key == change.event.key
    assert found.digest == change.event.digest


def test_an_anonymous_session_is_a_session() -> None:
    change = taken(event(data={"identifiers": [{"namespace": "session_id", "value": "s"}]}))
    assert (change.event.granularity, change.links) == ("session", ())


def test_cookieless_traffic_is_a_session_of_the_day_and_else_nobodys() -> None:
    def of(ip: str, at: str = "2026-11-24T09:59:00Z", **policy: Any) -> RecordEvent:
        signals = {"ip": ip, "user_agent": "Mozilla/5.0"} if ip else {}
        return taken(event(time=at, data={"identifiers": [], "signals": signals}), reading(**policy))

    first, again, other = of("203.0.113.7"), of("203.0.113.7"), of("203.0.113.8")
    assert first.event.granularity == "session"
    assert "cookieless" in first.event.flags
    assert first.event.identifiers == again.event.identifiers != other.event.identifiers
    assert first.event.identifiers != of("203.0.113.7", "2026-11-23T09:59:00Z").event.identifiers
    for nobody in (of(""), of("203.0.113.7", events={"cookieless": "aggregate"})):
        assert (nobody.event.identifiers, nobody.event.granularity) == ((), "aggregate")
    empty = event(data={"identifiers": []})
    assert codes(empty, reading(events={"cookieless": "quarantine"})) == {"/data/identifiers": "no_identifier"}


MINUTE, HOUR = 60_000, 3_600_000


@pytest.mark.parametrize(
    ("sent", "clock", "at", "flags"),
    [
        (NOW - MINUTE, None, NOW - MINUTE, ()),
        (NOW + MINUTE, None, NOW + MINUTE, ()),
        (NOW + HOUR, None, NOW, ("skewed",)),
        (NOW - 2 * HOUR, None, NOW - 2 * HOUR, ("late",)),
        (NOW + HOUR, NOW + HOUR, NOW, ("skew_corrected",)),
        (NOW - 3 * HOUR, NOW - 3 * HOUR, NOW, ("skew_corrected",)),
        (NOW - 3 * HOUR, NOW - HOUR, NOW - 2 * HOUR, ("skew_corrected", "late")),
        (NOW - 2 * HOUR, NOW + MINUTE, NOW - 2 * HOUR, ("late",)),
        (NOW + 3 * HOUR, NOW + HOUR, NOW, ("skewed",)),
    ],
)
def test_clocks(sent: int, clock: int | None, at: int, flags: tuple[str, ...]) -> None:
    assert timed(sent, NOW, clock, RULES) == (at, flags)


def test_what_is_ahead_may_be_refused_instead() -> None:
    ahead, strict = event(time="2026-11-24T12:00:00Z"), reading(events={"skew": {"ahead": "quarantine"}})
    assert codes(ahead, strict) == {"/time": "ahead"}
    assert "skewed" in taken(ahead).event.flags
    assert "skew_corrected" in taken({**ahead, "sentat": "2026-11-24T12:00:30Z"}, strict).event.flags


@given(st.permutations(list(range(30))), st.sets(st.integers(0, 29), max_size=20))
def test_what_is_missing_is_what_did_not_come_in_any_order(order: list[int], lost: set[int]) -> None:
    came = [number for number in order if number not in lost]
    state: SenderState | None = None
    for number in came:
        state, _ = after_mark(state, "web", SenderMark("", number), NOW)
    if state is None:
        return
    missing = {n for first, last in state.missing for n in range(first, last + 1)}
    assert missing == {n for n in range(came[0], state.highest) if n in lost}


def test_a_gap_is_found_filled_and_bounded() -> None:
    state, filled = after_mark(None, "web", SenderMark("a", 5), NOW)
    state, _ = after_mark(state, "web", SenderMark("a", 9), NOW + 1)
    assert (state.missing, state.highest, filled) == (((6, 8),), 9, False)
    state, filled = after_mark(state, "web", SenderMark("a", 7), NOW)
    assert (state.missing, filled, state.seen_at) == (((6, 6), (8, 8)), True, NOW + 1)
    assert not after_mark(state, "web", SenderMark("a", 7), NOW)[1]
    for number in range(11, 11 + 2 * MISSING_MAX + 20, 2):
        state, _ = after_mark(state, "web", SenderMark("a", number), NOW)
    assert len(state.missing) == MISSING_MAX
    assert sum(b - a + 1 for a, b in state.missing) + state.lost == 2 + MISSING_MAX + 10
    assert after_mark(state, "web", SenderMark("a", None), NOW + 5)[0].seen_at == NOW + 5


def test_a_source_that_is_expected_is_noted_without_numbers() -> None:
    assert taken(event()).mark is None
    assert taken(event(), reading(events={"heartbeats": {"web": "PT5M"}})).mark == SenderMark("", None)
    assert taken(event(sequence="12", senderid="a")).mark == SenderMark("a", 12)
    assert taken(event(sequence="00-ff")).mark is None


@pytest.mark.parametrize(
    ("section", "place"),
    [
        ({"purpose": "no_such"}, ("events", "purpose")),
        ({"retention": "no_such"}, ("events", "retention")),
        ({"late_after": "soon"}, ("events", "late_after")),
        ({"denied": {"granularity": "person"}}, ("events", "denied", "granularity")),
        ({"cookieless": "always"}, ("events", "cookieless")),
        ({"nickname": 1}, ("events", "nickname")),
    ],
)
def test_rules_that_are_none_are_refused_with_their_place(section: Any, place: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        compile_policy({**DOCUMENT, "events": section}, 1)
    assert [error["loc"] for error in caught.value.errors()] == [place]
