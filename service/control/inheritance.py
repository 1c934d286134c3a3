"""Refusals outlive the link that carried them. Pure.

While two identifiers are one person, one's refusal is a no for both. When the link between them ends by itself, by
withdrawn linking or by erasure, the refusals recorded until then stay in force on both sides as inherited records,
until somebody there grants anew. A retraction or a steward's word says that they never were one person, and ends them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Final, NamedTuple

from service.control.effective_consent import inherited, newest, with_record
from service.model.evidence import ConsentRecord
from service.model.identifiers import IdentifierKey, ProfileId
from service.model.policy import Policy

SOURCE: Final = "inherited"
ERASED: Final = ""
"""The link of a refusal that came by one that is no more, or by a steward's word."""

Consents = Mapping[IdentifierKey, Sequence[ConsentRecord]]
_STRICTNESS: Final = {"withdrawn": 1, "denied": 0}


class Ended(NamedTuple):
    """A link between members of one profile that has no say from `at` (ms) on. `via`: its id, or ERASED."""

    a: IdentifierKey
    b: IdentifierKey
    via: str
    profile: ProfileId
    at: int


class Heir(NamedTuple):
    """A record to be added to an identifier."""

    key: IdentifierKey
    record: ConsentRecord


def refusals(of: Iterable[IdentifierKey], consents: Consents, linking_purpose: str) -> dict[tuple[str, str], str]:
    """(purpose, regulation) → the strictest refusal in force among some of the identifiers of one profile."""
    said = [consents.get(key, ()) for key in of]
    places = {(r.purpose, r.regulation) for records in said for r in records if r.purpose != linking_purpose}
    found: dict[tuple[str, str], str] = {}
    for purpose, regulation in sorted(places):
        records = [newest(own, purpose, regulation) for own in said]
        records += [heir for own in said for heir in inherited(own, purpose, regulation)]
        states = [r.state for r in records if r is not None and r.regulation == regulation and r.state != "granted"]
        if states:
            found[purpose, regulation] = max(states, key=lambda state: _STRICTNESS[state])
    return found


def heirs(
    ended: Sequence[Ended], consents: Consents, sides: Sequence[Set[IdentifierKey]], policy: Policy, now: int
) -> list[Heir]:
    """What the parts that one profile came apart into inherit from each other.

    `consents`: of all its former members, erased ones too; `sides`: who of them are together now. Each side keeps its
    refusals at the ends of the links that ended, or at its first member where it has none.
    """
    if policy.combine != "strictest":
        return []
    at = max((one.at for one in ended), default=now)
    found: list[Heir] = []
    for side in sides:
        beyond = refusals(sorted(consents.keys() - side), consents, policy.linking_purpose)
        bearers = [
            (end, one.via, one.at)
            for one in ended
            for end, other in ((one.a, one.b), (one.b, one.a))
            if end in side and other not in side
        ]
        for key, via, since in bearers or [(min(side), ERASED, at)]:
            for (purpose, regulation), state in beyond.items():
                found.append(Heir(key, _record(purpose, regulation, state, via, since, now)))
    return found


def _record(purpose: str, regulation: str, state: str, via: str, at: int, now: int) -> ConsentRecord:
    refused = "withdrawn" if state == "withdrawn" else "denied"
    return ConsentRecord(purpose, regulation, refused, at, SOURCE, received_at=now, via=via)  # type: ignore[arg-type]


def with_heirs(consents: Sequence[ConsentRecord], records: Iterable[ConsentRecord]) -> tuple[ConsentRecord, ...]:
    """Consent records with inherited ones added."""
    kept = tuple(consents)
    for record in records:
        kept = with_record(kept, record)
    return kept


def granted_anew(consents: Sequence[ConsentRecord], grant: ConsentRecord) -> tuple[ConsentRecord, ...]:
    """Consent records after somebody of the same profile granted: what was inherited before that for the purpose ends,
    under the regulation of the grant. Where a refusal was for all of them, the grant is noted beside it.
    """
    kept = tuple(consents)
    for via in sorted(
        {r.via for r in consents if r.via is not None and r.purpose == grant.purpose and r.at < grant.at}
    ):
        noted = ConsentRecord(grant.purpose, grant.regulation, "granted", grant.at, SOURCE, via=via)
        kept = with_record(kept, noted)
        about = [r for r in kept if r.via == via and r.purpose == grant.purpose]
        if not any(inherited(about, grant.purpose, r.regulation) for r in about):
            kept = tuple(r for r in kept if r not in about)
    return kept


def without_heirs(consents: Sequence[ConsentRecord], vias: Set[str]) -> tuple[ConsentRecord, ...]:
    """Consent records without what was inherited by some links."""
    return tuple(record for record in consents if record.via is None or record.via not in vias)
