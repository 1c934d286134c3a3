"""Evidence as an export has it, into a graph that was empty: the profiles and ids follow from it as they did before.

Identifiers come first, then everything that stewards and people said, then links; profiles follow with the links, so
that nobody is shown one that was never there. What remains alone is resolved at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace

from service.commands.observe import is_refused
from service.commands.steps import SETTLE, Step
from service.commands.steward import set_hand
from service.commands.world import Wanted, World
from service.control.effective_consent import with_record
from service.control.linking import permitted
from service.control.traits import with_traits
from service.model.changes import KeptConsent, KeptId, KeptIdentifier, Restore, RestoreReceipt, Revocation
from service.model.evidence import Assertion, Link
from service.model.identifiers import IdentifierKey


def _spoken_of(assertion: Assertion) -> set[IdentifierKey]:
    left, right = assertion.sides
    return {*assertion.named, *assertion.seniors, *left, *right}


def wanted_by_restoring(change: Restore) -> Wanted:
    """What the piece of evidence is about."""
    match change.kept:
        case Link() as link:
            return Wanted(identifiers=set(link.pair), pairs={link.pair}, around=True)
        case Assertion() as assertion:
            return Wanted(identifiers=_spoken_of(assertion), assertions={assertion.assertion_id})
        case KeptId() as kept:
            return Wanted(ids={kept.profile_id})
        case Revocation() as revocation:
            return Wanted(identifiers={revocation.identifier})
        case KeptIdentifier() | KeptConsent() as kept:
            return Wanted(identifiers={kept.key})


def _identifier(world: World, kept: KeptIdentifier) -> bool:
    """What is known of it already, refusals of a journal, is kept beside what the export has."""
    state = world.state(kept.key)
    consents = state.consents
    for record in kept.consents:
        if record not in consents:
            consents = with_record(consents, record)
    restored = state._replace(
        first_seen=_bound(min, state.first_seen, kept.first_seen),
        last_seen=_bound(max, state.last_seen, kept.last_seen),
        sources=tuple(sorted({*state.sources, *kept.sources})),
        consents=consents,
        traits=with_traits(state.traits, kept.traits),
    )
    restored = permitted(restored, world.policy, world.now)
    added = restored != state
    if added:
        world.change(restored)
    if restored.first_seen is not None and state.profile is None:
        world.touched.add(kept.key)
        world.restructured.add(kept.key)
    return added


def _bound(which: Callable[[int, int], int], a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else which(a, b)


def _link(world: World, link: Link) -> bool:
    if link.link_id in world.links or is_refused(world, link):
        return False
    world.set_link(replace(link, inactive=None))
    return True


def _assertion(world: World, assertion: Assertion) -> Generator[Wanted, None, bool]:
    if assertion.assertion_id in world.assertions:
        return False
    world.set_assertion(assertion)
    if assertion.hand is not None and not assertion.undone:
        yield from set_hand(world, assertion.hand, in_force_now=True)
    return True


def _id(world: World, kept: KeptId) -> bool:
    if kept.profile_id in world.born:
        return False
    world.born[kept.profile_id] = kept.born
    world.changed_ids.add(kept.profile_id)
    return True


def restore(world: World, change: Restore) -> Step:
    """Take one piece in. What is there already stays as it is, so that it may be sent again."""
    before = set(world.touched)
    match change.kept:
        case Link() as link:
            added = _link(world, link)
        case Assertion() as assertion:
            added = yield from _assertion(world, assertion)
        case KeptId() as kept:
            added = _id(world, kept)
        case Revocation() as revocation:
            world.revocations.append(revocation)
            added = True
        case KeptConsent() as consent:
            world.recorded.append((consent.key, consent.record))
            added = True
        case KeptIdentifier() as identifier:
            added = _identifier(world, identifier)
    if not change.resolves:
        world.touched.intersection_update(before)
    yield SETTLE
    return RestoreReceipt(added)
