"""Verdicts on links that wait for review. `same` and `different` are assertions about the two ends, like any other."""

from __future__ import annotations

from dataclasses import replace

from service.commands.inherit import disinherit_across
from service.commands.steps import SETTLE, Step, groupings
from service.commands.steward import refuse_different, refuse_too_large
from service.commands.world import Wanted, World
from service.errors import ReviewClosed, UnknownReview
from service.model.changes import Judge, StewardReceipt
from service.model.evidence import Assertion
from service.model.identifiers import AssertionId


def wanted_by_verdict(change: Judge) -> Wanted:
    """The link; its ends and its pair come next."""
    return Wanted(links={change.link_id})


def judge(world: World, change: Judge, actor: str, new_id: AssertionId) -> Step:
    """Give a verdict. Raises UnknownReview, ReviewClosed, AssertedDifferent, ProfileTooLarge."""
    link = world.links.get(change.link_id)
    if link is None or (link.reviewed is None and world.reviews.get(link.link_id) is None):
        raise UnknownReview()
    if link.reviewed is not None and link.reviewed != change.verdict:
        raise ReviewClosed()
    if link.reviewed == change.verdict:
        yield SETTLE
        return StewardReceipt(None, (), (), applied=False)
    yield Wanted(identifiers=set(link.pair), pairs={link.pair})
    profiles = sorted({profile for end in link.pair if (profile := world.state(end).profile) is not None})
    yield Wanted(profiles=set(profiles))
    if change.verdict == "same":
        refuse_different(world, profiles)
        refuse_too_large(world, profiles)
    for other in world.links_between(link.pair):
        world.set_link(replace(other, reviewed=change.verdict))
    assertion_id = None
    if change.verdict != "dismissed":
        assertion_id = new_id
        world.seq += 1
        assertion = Assertion(new_id, change.verdict, world.seq, world.now, reason=change.reason, actor=actor)
        if change.verdict == "same":
            assertion = replace(assertion, seniors=link.pair, named=frozenset(link.pair))
        else:
            assertion = replace(assertion, sides=(frozenset((link.a,)), frozenset((link.b,))))
            yield from disinherit_across(world, assertion)
        world.set_assertion(assertion)
    settled = yield SETTLE
    assert settled is not None
    return StewardReceipt(assertion_id, groupings(settled.before), groupings(settled.after), applied=True)
