"""Erasure: an identifier goes for good, and a keyed tombstone stays.

The evidence about it is taken out of the world, so that the profiles follow from the rest as they always do; the graph
then blanks whatever it recorded of the past that names the identifier (`service.graph.erasing`).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from service.commands.inherit import parts_from_all
from service.commands.matching import emptied
from service.commands.steps import SETTLE, Step
from service.commands.steward import set_hand
from service.commands.world import Erasure, Wanted, World
from service.model.changes import Revocation, RevocationReceipt, Revoke
from service.model.evidence import Assertion
from service.model.identifiers import IdentifierKey
from service.model.state import Tomb


def wanted_by_erasure(change: Revoke) -> Wanted:
    """The identifier with its profile and all its live links."""
    return Wanted(identifiers={change.identifier}, links_of={change.identifier}, around=True)


def _base(world: World, key: IdentifierKey) -> Generator[Wanted, None, int]:
    """The first counter of birth ids after all that were handed out."""
    counter = world.state(key).base
    while True:
        born = world.births(key, counter)
        yield Wanted(ids={born})
        if born not in world.born and not world.hands[born]:
            return max(counter, world.state(key).base + 1)
        counter += 1


def without(assertion: Assertion, key: IdentifierKey) -> Assertion:
    """The assertion about the others that it names."""
    left, right = assertion.sides
    return replace(
        assertion,
        seniors=tuple(senior for senior in assertion.seniors if senior != key),
        named=assertion.named - {key},
        sides=(left - {key}, right - {key}),
        hand=None if assertion.hand is not None and assertion.hand.to == key else assertion.hand,
        reason="",
    )


def _unsay(world: World, key: IdentifierKey) -> Generator[Wanted, None, None]:
    """Take the identifier out of the assertions in force, and take back what they hand to it."""
    state = world.state(key)
    said = sorted({*state.named, *(assertion for assertion, _ in state.sides)})
    yield Wanted(assertions=set(said))
    for assertion_id in said:
        assertion = world.assertions[assertion_id]
        others = {*assertion.named, *assertion.seniors, *assertion.sides[0], *assertion.sides[1]} - {key}
        yield Wanted(identifiers=set(others))
        if assertion.hand is not None and assertion.hand.to == key:
            yield from set_hand(world, assertion.hand, in_force_now=False)
        world.set_assertion(without(assertion, key))
        known = {other for other in others if world.state(other).first_seen is not None}
        world.touched |= known
        world.restructured |= known


def erase(world: World, change: Revoke, actor: str, new_id: str) -> Step:
    """Take a person's identifier out, with its links and all that was said of it. Erased again, it stays erased."""
    key = change.identifier
    at = max(change.at or world.now, world.now)
    before = world.state(key)
    if before.dead:
        tomb = Tomb(at, before.base)
        world.states[key] = before._replace(erased_at=at, consents=())
        world.erasures.append(Erasure(key, tomb))
    else:
        if before.profile is not None:
            yield Wanted(profiles={before.profile})
        parts_from_all(world, key)
        yield from _unsay(world, key)
        yield from emptied(world, key)
        tomb = Tomb(at, (yield from _base(world, key)))
        world.forget(key, tomb)
    profiles = () if before.profile is None else (before.profile,)
    world.revocations.append(
        Revocation(
            new_id,
            key,
            change.scope,
            (),
            change.regulation,
            change.source,
            at,
            world.now,
            "",
            actor,
            profiles,
            nameless=True,
        )
    )
    yield SETTLE
    return RevocationReceipt(new_id, profiles)
