"""What the consents of a profile's identifiers add up to, for one purpose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from service.model.evidence import ConsentRecord
from service.model.policy import Policy
from service.model.profile import Profile

State = Literal["granted", "denied", "withdrawn", "expired", "unknown"]
_STRICTNESS = {"withdrawn": 4, "denied": 3, "expired": 2, "unknown": 1, "granted": 0}


@dataclass(frozen=True, slots=True)
class Effective:
    """The state that counts, the record it comes from, and whether it permits."""

    state: State
    permits: bool
    regulation: str | None = None
    basis: str | None = None
    source: str | None = None
    at: int | None = None
    expires_at: int | None = None
    unreadable: bool = False


def _unset(purpose: str, regulation: str | None, policy: Policy) -> Effective:
    known = policy.purposes.get(purpose)
    says = policy.regulations.get(regulation or "", {}).get(purpose) or (known.unset if known else "denied")
    permits = says == "granted"
    return Effective("unknown", permits, regulation or None, known.basis if known and permits else None)


def _of_record(record: ConsentRecord, policy: Policy, now: int) -> Effective:
    state: State = record.state
    if state == "granted" and not _lasts(record, now):
        state = "expired"
    known = policy.purposes.get(record.purpose)
    basis = record.basis or (known.basis if known else None) or ("consent" if state == "granted" else None)
    return Effective(
        state,
        state == "granted",
        record.regulation or None,
        basis,
        record.source,
        record.at,
        record.expires_at,
        record.unreadable,
    )


def _stricter(found: Effective) -> tuple[bool, int, int]:
    return (
        not found.permits,
        _STRICTNESS[found.state] if not found.permits else found.state == "granted",
        found.at or 0,
    )


def _weight(record: ConsentRecord) -> tuple[int, int, float, str, str, str]:
    """Which of two records counts: the newer, then the stricter, where both grant the one that ends first.

    The rest only so that it never depends on arrival.
    """
    lasts = float("inf") if record.expires_at is None else record.expires_at
    return (record.at, _STRICTNESS[record.state], -lasts, record.source or "", record.basis or "", record.notice or "")


def newest(records: Iterable[ConsentRecord], purpose: str, regulation: str) -> ConsentRecord | None:
    """What one identifier says last on a purpose under a regulation; a record that names none speaks for all."""
    own = [r for r in records if r.via is None and r.purpose == purpose and r.regulation in (regulation, "")]
    return max(own, key=_weight, default=None)


def inherited(records: Iterable[ConsentRecord], purpose: str, regulation: str) -> list[ConsentRecord]:
    """What one identifier inherited and nobody with it has ended by a newer grant: for each link what came last."""
    last: dict[str, ConsentRecord] = {}
    for record in records:
        if record.via is None or record.purpose != purpose or record.regulation not in (regulation, ""):
            continue
        known = last.get(record.via)
        if known is None or _weight(known) < _weight(record):
            last[record.via] = record
    return [record for record in last.values() if record.state != "granted"]


def effective(
    consents: Iterable[Sequence[ConsentRecord]], purpose: str, regulation: str | None, policy: Policy, now: int
) -> Effective:
    """The strictest of what identifiers say about `purpose`; `consents` has each one's records.

    Asked under one `regulation`, what is said under it counts, else its own `unset`. Asked under none, the strictest
    over the regulations that the records name, whatever purpose they are about; with none the purpose's `unset`.
    Identifiers without a record have no say. What is inherited speaks beside them, but where each speaks for itself.
    """
    consents = [records for records in consents if records]
    named = {record.regulation for records in consents for record in records} - {""}
    found = []
    for name in (regulation,) if regulation is not None else sorted(named) or ("",):
        said = [newest(records, purpose, name) for records in consents]
        if policy.combine == "strictest":
            said += [heir for records in consents for heir in inherited(records, purpose, name)]
        own = [_of_record(record, policy, now) for record in said if record is not None]
        found.append(max(own, key=_stricter) if own else _unset(purpose, name, policy))
    return max(found, key=_stricter)


def consents_of(profile: Profile, policy: Policy, now: int) -> dict[str, Effective]:
    """Purpose → what counts for the profile, for every purpose of the policy and every one that a record names."""
    consents = [member.consents for member in profile.members if member.consents]
    purposes = dict.fromkeys([*policy.purposes, *(record.purpose for records in consents for record in records)])
    return {purpose: effective(consents, purpose, None, policy, now) for purpose in purposes}


def usable(profile: Profile, purpose: str, policy: Policy, now: int, regulation: str | None = None) -> frozenset[int]:
    """Indexes of the members that may be used for `purpose`: all or none where consent combines to the strictest."""
    everyone = range(len(profile.members))
    if policy.combine == "per_identifier":
        own = (effective([member.consents], purpose, regulation, policy, now) for member in profile.members)
        return frozenset(i for i, found in zip(everyone, own, strict=True) if found.permits)
    consents = [member.consents for member in profile.members]
    return frozenset(everyone) if effective(consents, purpose, regulation, policy, now).permits else frozenset()


def _on_linking(records: Sequence[ConsentRecord], policy: Policy) -> list[ConsentRecord]:
    """What an identifier says last on the linking purpose, once for every regulation that it names."""
    purpose = policy.linking_purpose
    own = [record for record in records if record.purpose == purpose]
    said = (newest(own, purpose, name) for name in {record.regulation for record in own} - {""} or {""})
    return [record for record in said if record is not None]


def linking_permitted(records: Sequence[ConsentRecord], policy: Policy, now: int) -> bool:
    """Whether an identifier may be linked: its own records on the linking purpose, in every regulation they name."""
    said = _on_linking(records, policy)
    if not said:
        return _unset(policy.linking_purpose, None, policy).permits
    return all(record.state == "granted" and _lasts(record, now) for record in said)


def linking_until(records: Sequence[ConsentRecord], policy: Policy) -> int | None:
    """When (ms) the first of the grants runs out that let an identifier be linked, None where none does."""
    ends = (record.expires_at for record in _on_linking(records, policy) if record.state == "granted")
    return min((at for at in ends if at is not None), default=None)


def _lasts(grant: ConsentRecord, now: int) -> bool:
    return grant.expires_at is None or grant.expires_at > now


def with_record(records: Sequence[ConsentRecord], record: ConsentRecord) -> tuple[ConsentRecord, ...]:
    """The records with one more: per purpose and regulation the newer `at` wins, the stricter at equal times (of two
    grants the one that ends first).

    What is inherited stands beside what was said, once for each link that it came by.
    """
    same = [r for r in records if _place(r) == _place(record)]
    rest = [r for r in records if _place(r) != _place(record)]
    winner = max((*same, record), key=_weight)
    return tuple(sorted((*rest, winner), key=_place))


def _place(record: ConsentRecord) -> tuple[str, str, bool, str]:
    return (record.purpose, record.regulation, record.via is not None, record.via or "")
