"""Records: taken in, sent again, withdrawn. What follows from them is worked out when what they touch is settled."""

from __future__ import annotations

from typing import Literal

from service.commands.matching import matches_of
from service.commands.steps import SETTLE, Step
from service.commands.world import Wanted, World
from service.errors import Erased, MatchingOff, UnknownRecord
from service.model.identifiers import IdentifierKey
from service.model.records import ObserveRecord, RecordMatch, RecordReceipt, WithdrawRecord


def wanted_by_record(change: ObserveRecord | WithdrawRecord) -> Wanted:
    """The identifier with its profile and its records."""
    return Wanted(identifiers={change.identifier}, around=True, dossiers={change.identifier})


def observe_record(world: World, change: ObserveRecord) -> Step:
    """Take a record in; of one source's the newest counts, in any order of arrival. Raises Erased, MatchingOff."""
    key, record = change.identifier, change.record
    if world.policy.matching is None:
        raise MatchingOff()
    state = world.state(key)
    if state.refuses(record.observed_at):
        raise Erased("This evidence is about a person who has been erased.")
    dossier = world.dossiers.kept[key]
    known = dossier.of(record.source)
    again = known is not None and known.weight == record.weight
    duplicate = again and known is not None and known.encoding == record.encoding  # else it is under another key
    if known is None or record.weight > known.weight or (again and not duplicate):
        world.dossiers.change(dossier.with_record(record))
    first = record.observed_at if state.first_seen is None else min(state.first_seen, record.observed_at)
    last = record.observed_at if state.last_seen is None else max(state.last_seen, record.observed_at)
    sources = tuple(sorted({*state.sources, record.source}))
    if (first, last, sources) != (state.first_seen, state.last_seen, state.sources):
        world.change(state._replace(first_seen=first, last_seen=last, sources=sources))
        world.restructured.add(key)
    if not duplicate:
        world.touched.add(key)
    if key in world.stored_states:
        yield Wanted(matched={key})
    yield SETTLE
    return _receipt(world, key, "duplicate" if duplicate else "accepted")


def withdraw_record(world: World, change: WithdrawRecord) -> Step:
    """Take a record back as if it had never been there. Raises UnknownRecord."""
    dossier = world.dossiers.kept[change.identifier]
    if dossier.of(change.source) is None:
        raise UnknownRecord()
    world.dossiers.change(dossier.without(change.source))
    if world.state(change.identifier).first_seen is not None:
        world.touched.add(change.identifier)
    yield SETTLE
    return _receipt(world, change.identifier, "withdrawn")


def _receipt(world: World, key: IdentifierKey, status: Literal["accepted", "duplicate", "withdrawn"]) -> RecordReceipt:
    found = []
    for link in matches_of(world, key):
        reason = link.inactive or world.withheld.get(link.link_id)
        found.append(RecordMatch(link.b if link.a == key else link.a, link.confidence, reason, link.link_id))
    found.sort(key=lambda match: (-match.confidence, match.identifier))
    return RecordReceipt(key, status, world.state(key).profile, tuple(found))
