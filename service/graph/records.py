"""Rows of the graph ↔ the model. Column orders are those of `queries`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, cast

import orjson

from service.commands.plan import Stay, StoredId, StoredLink, StoredProfile
from service.model.changes import DecisionReceipt, Revocation
from service.model.evidence import Assertion, ConsentRecord, Hand, Link, Reason
from service.model.identifiers import AssertionId, IdentifierKey, LinkId, ProfileId
from service.model.profile import Member, Profile
from service.model.state import IdentifierState, Tomb
from service.model.traits import Trait

Row = dict[str, Any]


def consents_to_list(consents: Sequence[ConsentRecord]) -> list[list[object]]:
    """Consent records as plain lists, for JSON; the signal stays with the record's own node."""
    return [[*_always(c), *_rarely(c)] for c in consents]


def _always(c: ConsentRecord) -> list[object]:
    return [
        c.purpose, c.regulation, c.state, c.at, c.source, c.basis, c.expires_at, c.received_at, c.consent_id, c.notice
    ]  # fmt: skip


def _rarely(record: ConsentRecord) -> list[object]:
    """What most records do not have, in the order of the fields, as far as there is something."""
    found: list[object] = [record.method, record.unreadable, record.via]
    while found and not found[-1]:
        found.pop()
    return found


def _shown(record: ConsentRecord) -> list[object]:
    """A consent record as a view needs it."""
    (row,) = consents_to_list((replace(record, consent_id="", notice=None, method=None),))
    return row if len(row) > 10 else row[:8]


def consents_of_list(rows: Sequence[Sequence[Any]]) -> tuple[ConsentRecord, ...]:
    """The inverse of `consents_to_list`."""
    return tuple(ConsentRecord(*row) for row in rows)


def traits_of_list(rows: Sequence[Sequence[Any]]) -> tuple[Trait, ...]:
    """Traits from plain lists."""
    return tuple(Trait(*row) for row in rows)


def state_of(row: Sequence[Any]) -> tuple[IdentifierState, Reason | None]:
    """An identifier as stored, and the bar stored with it."""
    (
        key,
        first,
        last,
        sources,
        neighbours,
        linking,
        sides,
        named,
        holds,
        handed,
        consents,
        erased,
        base,
        bar,
        until,
        lasting,
        traits,
        linking_until,
        profile,
    ) = row
    parsed = []
    for side in sides or ():
        assertion, _, number = side.rpartition(":")
        parsed.append((AssertionId(assertion), int(number)))
    state = IdentifierState(
        IdentifierKey(key),
        first,
        last,
        tuple(sources or ()),
        orjson.loads(neighbours) if neighbours else {},
        linking is not False,
        tuple(parsed),
        tuple(named or ()),
        holds,
        tuple(handed or ()),
        consents_of_list(orjson.loads(consents)) if consents else (),
        profile,
        until,
        orjson.loads(lasting) if lasting else {},
        traits_of_list(orjson.loads(traits)) if traits else (),
        erased_at=erased,
        base=base or 0,
        linking_until=linking_until,
    )
    return state, bar


def tomb_of(row: Sequence[Any]) -> Tomb:
    """What is left of an erased identifier: `[at, base, consents]`."""
    at, base, consents = row
    return Tomb(at, base, consents_of_list(orjson.loads(consents)) if consents else ())


def row_of_tomb(tombstone: str, tomb: Tomb) -> Row:
    """Properties of a tombstone."""
    consents = orjson.dumps(consents_to_list(tomb.consents)).decode() if tomb.consents else None
    return {"id": tombstone, "at": tomb.at, "base": tomb.base, "consents": consents}


def row_of_state(state: IdentifierState, bar: Reason | None, *, whole: bool) -> Row:
    """Properties of an identifier. Not `whole` (a new node): empty ones are left out."""
    namespace = state.key[: state.key.index(":")]
    row: Row = {
        "key": state.key,
        "namespace": namespace,
        "first_seen": state.first_seen,
        "last_seen": state.last_seen,
        "sources": list(state.sources) or None,
        "neighbours": orjson.dumps(state.neighbours).decode() if state.neighbours else None,
        "linking": None if state.linking else False,
        "linking_until": state.linking_until,
        "sides": [f"{assertion}:{side}" for assertion, side in state.sides] or None,
        "named": list(state.named) or None,
        "holds": state.holds,
        "handed": list(state.handed) or None,
        "consents": orjson.dumps(consents_to_list(state.consents)).decode() if state.consents else None,
        "traits": orjson.dumps([list(t) for t in state.traits]).decode() if state.traits else None,
        "erased_at": state.erased_at,
        "base": state.base or None,
        "bar": bar,
        "barred_until": state.barred_until,
        "lasting": orjson.dumps(state.lasting).decode() if state.lasting else None,
    }
    return row if whole else {name: value for name, value in row.items() if value is not None}


def link_of(row: Sequence[Any]) -> tuple[Link, Reason | None]:
    """A link as stored, and why it is withheld."""
    link, withheld, _ = reviewed_link_of(row)
    return link, withheld


def reviewed_link_of(row: Sequence[Any]) -> tuple[Link, Reason | None, float | None]:
    """A link as stored, why it is withheld, and what a steward's decision on it is worth (None: none is wanted)."""
    (link_id, method, confidence, source, rule, rule_version, observed, first, expires, evidence, due, inactive,
     retracted, reviewed, withheld, review, assumed, a, b) = row  # fmt: skip
    link = Link(
        LinkId(link_id), IdentifierKey(a), IdentifierKey(b), method, confidence, source, rule, rule_version, observed,
        first, expires, evidence, due, inactive, retracted, reviewed, bool(assumed),
    )  # fmt: skip
    return link, withheld, review


def row_of_link(stored: StoredLink, *, whole: bool) -> Row:
    """`{"a", "b", "link": properties}`. Only a link that can still expire, or waits for a steward, has its due time."""
    link = stored.link
    waits = link.inactive is None or link.inactive == "link_not_permitted" or stored.review is not None
    row: Row = {
        "id": link.link_id,
        "method": link.method,
        "confidence": link.confidence,
        "source": link.source,
        "rule": link.rule,
        "rule_version": link.rule_version,
        "observed_at": link.observed_at,
        "first_observed_at": link.first_observed_at,
        "expires_at": link.expires_at,
        "evidence": link.evidence,
        "due": link.due if waits else None,
        "inactive": link.inactive,
        "retracted_at": link.retracted_at,
        "reviewed": link.reviewed,
        "withheld": stored.withheld,
        "review": stored.review,
        "assumed": link.assumed or None,
    }
    if not whole:
        row = {name: value for name, value in row.items() if value is not None}
    return {"a": link.a, "b": link.b, "link": row}


def view_of(profile: Profile) -> str:
    """A profile as the one JSON text that its node carries."""
    members = []
    for m in profile.members:
        row: list[Any] = [m.key, m.first_seen, m.last_seen, m.sources]
        if m.consents or m.traits:
            row.append([_shown(c) for c in m.consents])
        if m.traits:
            row.append([list(t) for t in m.traits])
        members.append(row)
    view: Row = {"m": members, "e": profile.edges, "at": profile.resolved_at}
    if profile.households:
        view["h"] = profile.households
    if profile.policy_version:
        view["p"] = profile.policy_version
    if profile.audiences:
        view["a"] = profile.audiences
    return orjson.dumps(view).decode()


def profile_of(profile_id: str, stamp: int, view: str, due: int | None = None) -> Profile:
    """The inverse of `view_of`. `due` is kept beside the view, since a neighbour's change can lower it."""
    row = orjson.loads(view)
    members = tuple(
        Member(
            m[0],
            m[1],
            m[2],
            tuple(m[3]),
            consents_of_list(m[4]) if len(m) > 4 else (),
            traits_of_list(m[5]) if len(m) > 5 else (),
        )
        for m in row["m"]
    )
    edges = tuple((i, j, c) for i, j, c in row["e"])
    households = tuple(row.get("h", ()))
    return Profile(
        ProfileId(profile_id),
        members,
        edges,
        households,
        row["at"],
        stamp,
        due,
        row.get("p", 0),
        tuple(row.get("a", ())),
    )


def row_of_profile(stored: StoredProfile, stamp: int) -> Row:
    """Properties of a profile; one without members shows nothing."""
    profile = stored.profile
    return {
        "id": stored.profile_id,
        "born": stored.born,
        "view": None if profile is None else view_of(profile),
        "due": None if profile is None else profile.due,
        "since": stored.since,
        "stamp": stamp,
        "audiences": list(profile.audiences) or None if profile is not None else None,
    }


def rows_of_passed(profiles: Sequence[StoredProfile]) -> list[Row]:
    """Versions that came and went within one turn."""
    return [
        {"id": stored.profile_id, "since": since, "until": until, "view": view_of(profile)}
        for stored in profiles
        for profile, since, until in stored.passed
    ]


def row_of_stay(stay: Stay) -> Row:
    """An identifier's time in a profile."""
    return {"key": stay.key, "profile": stay.profile_id, "since": stay.since, "until": stay.until}


def hands_of(profile_id: str, rows: Sequence[str] | None) -> tuple[Hand, ...]:
    """Hands in force on an id, stored as `at|identifier`."""
    hands = []
    for row in rows or ():
        at, _, to = row.partition("|")
        hands.append(Hand(int(at), ProfileId(profile_id), IdentifierKey(to)))
    return tuple(hands)


def row_of_id(stored: StoredId) -> Row:
    """Who holds a profile id."""
    hands = [f"{hand.at}|{hand.to}" for hand in stored.hands]
    return {"id": stored.profile_id, "born": stored.born, "holder": stored.holder, "hands": hands or None}


def assertion_of(row: Row) -> Assertion:
    """A steward's assertion as stored."""
    hand = None
    if row["hand_id"] is not None:
        hand = Hand(row["at"], ProfileId(row["hand_id"]), IdentifierKey(row["hand_to"]))
    return Assertion(
        AssertionId(row["id"]),
        row["kind"],
        row["at"],
        row["at_ms"],
        tuple(row["seniors"] or ()),
        frozenset(row["named"] or ()),
        (frozenset(row["left"] or ()), frozenset(row["right"] or ())),
        hand,
        row["reason"] or "",
        row["actor"] or "",
        bool(row["undone"]),
    )


def row_of_assertion(assertion: Assertion) -> Row:
    """`{"assertion": properties, "about": identifier keys}`."""
    left, right = assertion.sides
    properties: Row = {
        "id": assertion.assertion_id,
        "kind": assertion.kind,
        "at": assertion.at,
        "at_ms": assertion.at_ms,
        "seniors": list(assertion.seniors),
        "named": sorted(assertion.named),
        "left": sorted(left),
        "right": sorted(right),
        "hand_id": assertion.hand.profile_id if assertion.hand else None,
        "hand_to": assertion.hand.to if assertion.hand else None,
        "reason": assertion.reason,
        "actor": assertion.actor,
        "undone": assertion.undone,
    }
    return {"assertion": properties, "about": sorted({*assertion.named, *left, *right})}


def row_of_consent(key: IdentifierKey, record: ConsentRecord) -> Row:
    """A consent record as a node of its own: the history behind what the identifier carries."""
    return {"key": key, "consent": asdict(record) | {"unreadable": record.unreadable or None}}


def row_of_decision(receipt: DecisionReceipt) -> Row:
    """A decision as a node. `profile` finds those of a person who is to be erased."""
    return {
        "id": receipt.decision_id,
        "at": receipt.decision.decided_at,
        "profile": receipt.decision.profile_id,
        "body": receipt.body,
    }


def row_of_revocation(revocation: Revocation) -> Row:
    """A revocation as a node."""
    row = asdict(revocation)
    row["id"] = row.pop("revocation_id")
    row["nameless"] = revocation.nameless or None
    del row["cached"]
    return {"key": revocation.identifier, "revocation": row}


def revocation_of(row: Row) -> Revocation:
    """The inverse of `row_of_revocation`."""
    return Revocation(
        row["id"],
        cast(IdentifierKey, row["identifier"]),
        row["scope"],
        tuple(row["purposes"]),
        row.get("regulation"),
        row["source"],
        row["at"],
        row["received_at"],
        row["reason"],
        row["actor"],
        tuple(row.get("profiles") or ()),
        bool(row.get("nameless")),
        row.get("seq"),
        row.get("gone_at"),
        row.get("record_gone_at"),
    )
