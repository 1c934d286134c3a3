"""Consent: what a person allows, and withdraws. It is evidence like any other."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from service.commands.inherit import end_inherited, parts_from_all
from service.commands.steps import SETTLE, Step
from service.commands.world import Wanted, World
from service.control.effective_consent import with_record
from service.control.linking import permitted
from service.model.changes import ConsentReceipt, RecordConsent, Revocation, RevocationReceipt, Revoke
from service.model.evidence import ConsentRecord
from service.model.identifiers import IdentifierKey
from service.model.policy import Policy


def wanted_by_revocation(change: Revoke) -> Wanted:
    """The identifier."""
    return Wanted(identifiers={change.identifier})


def _purposes(change: Revoke, policy: Policy) -> tuple[str, ...]:
    if change.scope == "linking":
        return (policy.linking_purpose,)
    if "*" in change.purposes:
        return tuple(dict.fromkeys((*policy.purposes, policy.linking_purpose)))
    return change.purposes


def record_consents(world: World, key: IdentifierKey, records: list[ConsentRecord]) -> Generator[Wanted, None, None]:
    """Put consent records into the evidence; where they change whether `key` may be linked, its links follow.

    Of somebody erased counts what is dated after that; a grant among it begins a new person.
    """
    state = world.state(key)
    if state.erased_at is not None:
        records = [record for record in records if record.at > (state.erased_at or 0)]
    dead = state.dead and not any(record.state == "granted" for record in records)
    consents = state.consents
    for record in records:
        consents = with_record(consents, record)
        if not dead:
            world.recorded.append((key, record))
    if dead:
        world.change(state._replace(consents=consents))
        return
    permit = permitted(state._replace(consents=consents, dead=False), world.policy, world.now)
    world.change(permit)
    yield from end_inherited(world, key, [record for record in records if record.state == "granted"])
    if (permit.linking, permit.linking_until) != (state.linking, state.linking_until):
        yield from _followed(world, key, was=state.linking)
    world.touched.add(key)
    world.restructured.add(key)  # what may be done with the profile is part of how it looked


def _followed(world: World, key: IdentifierKey, *, was: bool) -> Generator[Wanted, None, None]:
    """Let the links of an identifier follow what its consents say of linking now; `was`: whether it was permitted."""
    if was and not world.state(key).linking:
        parts_from_all(world, key)
    if not was and world.state(key).linking:
        world.dossiers.dirty.add(key)  # records came meanwhile that its own were not compared with
    yield Wanted(links_of={key})
    for link_id in sorted(world.links_at.get(key, ())):
        world.set_link(world.links[link_id])


def run_out(world: World, keys: Sequence[IdentifierKey]) -> Generator[Wanted, None, None]:
    """Let identifiers go whose grant of linking has run out; they must be loaded."""
    for key in keys:
        state = world.state(key)
        world.change(permitted(state, world.policy, world.now))
        yield from _followed(world, key, was=state.linking)
        world.touched.add(key)
        world.restructured.add(key)


def wanted_by_consent(change: RecordConsent) -> Wanted:
    """The identifier."""
    return Wanted(identifiers={change.identifier})


def record_consent(world: World, change: RecordConsent, new_id: Callable[[str], str]) -> Step:
    """Note what a person said. The newest counts, in whatever order it arrives; at equal times the stricter."""
    records = [
        ConsentRecord(
            purpose,
            change.regulation or "",
            state,
            change.at if change.at is not None else world.now,
            change.source or None,
            change.basis,
            change.expires_at,
            world.now,
            new_id("con"),
            change.notice,
            method=change.method,
            unreadable=change.unreadable,
            signal=change.signal,
        )
        for purpose, state in change.states
    ]
    yield from record_consents(world, change.identifier, records)
    yield SETTLE
    ids = tuple(record.consent_id for record in records)
    return ConsentReceipt(ids, world.state(change.identifier).profile)


def revoke(world: World, change: Revoke, actor: str, new_id: str) -> Step:
    """Withdraw consent. In force for identifiers not seen yet as well, from their first appearance."""
    at = change.at if change.at is not None else world.now
    purposes = _purposes(change, world.policy)
    withdrawn = [
        ConsentRecord(purpose, change.regulation or "", "withdrawn", at, change.source or None, received_at=world.now)
        for purpose in purposes
    ]
    before, dead = world.state(change.identifier).profile, world.state(change.identifier).dead
    yield from record_consents(world, change.identifier, withdrawn)
    settled = yield SETTLE
    assert settled is not None
    now = world.state(change.identifier).profile
    profiles = tuple(sorted({pid for pid in (before, now) if pid is not None}))
    world.revocations.append(
        Revocation(
            new_id,
            change.identifier,
            change.scope,
            purposes,
            change.regulation,
            change.source,
            at,
            world.now,
            "" if dead else change.reason,
            actor,
            profiles,
            nameless=dead,
        )
    )
    return RevocationReceipt(new_id, profiles)
