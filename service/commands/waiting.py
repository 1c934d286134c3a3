"""Links that wait for a steward: what a decision on each is worth, as the profiles of its ends grow and shrink.

The links of an identifier that bridges nothing are not followed, so the worth of one there follows its other end only.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import replace

from service.commands.world import Wanted, World
from service.model.evidence import Link, Reason
from service.model.identifiers import IdentifierKey, ProfileId
from service.resolution.reviews import wants_review, worth_of


def worth_in(world: World, link: Link, reason: Reason | None) -> float | None:
    """What a steward's decision on the link is worth, None where none is wanted. One link speaks for its pair."""
    a, b = world.state(link.a), world.state(link.b)
    if not wants_review(link, reason, a.standing, b.standing, world.policy) or a.profile is None or b.profile is None:
        return None
    rivals = [x for x in world.links_between(link.pair) if x.retracted_at is None and x.inactive != "expired"]
    if max(rivals, key=lambda other: (other.inactive is None, other.confidence, other.link_id)) is not link:
        return None
    sides = [world.members.get(profile, frozenset((key,))) for profile, key in ((a.profile, a.key), (b.profile, b.key))]
    return worth_of(link, sides[0], sides[1], world.policy)


def beyond(world: World, keys: Iterable[IdentifierKey]) -> set[ProfileId]:
    """The profiles that links waiting at some identifiers would join theirs with."""
    waiting = (link_id for key in keys for link_id in world.links_at.get(key, ()) if world.reviews.get(link_id))
    ends = (end for link_id in waiting for end in world.links[link_id].pair)
    return {profile for end in ends if (profile := world.state(end).profile) is not None}


def lapses(world: World, link: Link) -> bool:
    """Whether a link's time is over that waits under its threshold."""
    over = link.due is not None and link.due <= world.now
    return over and link.inactive == "below_confidence" and world.reviews.get(link.link_id) is not None


def lapse(world: World, links: Iterable[Link]) -> Generator[Wanted, None, None]:
    """Let links that wait under their threshold end at their due time. Nobody's profile changes with them; another link
    of the pair may speak for it from now on. Pairs and ends must be loaded.
    """
    over = [world.links[link.link_id] for link in links]
    ends = {end for link in over for end in link.pair}
    yield Wanted(profiles={profile for end in ends if (profile := world.state(end).profile) is not None})
    for link in over:
        world.links[link.link_id] = replace(link, inactive="expired")
    for pair in {link.pair for link in over}:
        for link in world.links_between(pair):
            world.reviews[link.link_id] = worth_in(world, link, world.withheld.get(link.link_id))
