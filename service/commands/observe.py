"""Links: observed, sent again, retracted, fallen due."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable
from dataclasses import replace
from itertools import groupby

from service.commands.inherit import disinherit
from service.commands.revoke import run_out
from service.commands.steps import SETTLE, Step
from service.commands.waiting import lapse, lapses
from service.commands.world import Wanted, World
from service.errors import Erased, UnknownLink
from service.model.changes import ExpireDue, LinkReceipt, ObserveLink, RetractLink, SweepReceipt
from service.model.evidence import Link
from service.model.identifiers import IdentifierKey, LinkId, ProfileId, pair_of
from service.model.policy import Policy
from service.resolution.activity import falls_due, updated

DUE_LINKS_MAX = 500


def wanted_by_link(change: ObserveLink) -> Wanted:
    """What has to be loaded before the link can be judged."""
    return Wanted(identifiers={change.a, change.b}, pairs={pair_of(change.a, change.b)}, around=True)


def _link_of(change: ObserveLink, policy: Policy, now: int) -> Link:
    a, b = pair_of(change.a, change.b)
    at = change.observed_at if change.observed_at is not None else now
    return Link(
        change.link_id,
        a,
        b,
        change.method,
        policy.confidence_of_source(change.source) if change.assumed else change.confidence,
        change.source,
        change.rule,
        change.rule_version,
        at,
        at,
        change.expires_at,
        change.evidence,
        assumed=change.assumed,
    )


def note_seen(world: World, key: IdentifierKey, first_at: int, last_at: int, source: str) -> bool:
    """Note that a source saw an identifier (times in ms); whether anything of that is news."""
    state = world.state(key)
    first = first_at if state.first_seen is None else min(state.first_seen, first_at)
    last = last_at if state.last_seen is None else max(state.last_seen, last_at)
    sources = state.sources if source in state.sources else tuple(sorted((*state.sources, source)))
    if (first, last, sources) == (state.first_seen, state.last_seen, state.sources):
        return False
    world.change(state._replace(first_seen=first, last_seen=last, sources=sources))
    return True


def receipt_of(world: World, link_id: LinkId, asked: IdentifierKey, *, duplicate: bool = False) -> LinkReceipt:
    """What the link is after its segment has been settled."""
    link = world.links[link_id]
    reason = link.inactive or world.withheld.get(link_id)
    other = link.b if asked == link.a else link.a
    profile_id = world.state(asked).profile or world.state(other).profile
    if duplicate:
        return LinkReceipt(link_id, "duplicate", reason, profile_id)
    if link.inactive == "retracted":
        return LinkReceipt(link_id, "retracted", reason, profile_id)
    return LinkReceipt(link_id, "withheld" if reason else "linked", reason, profile_id)


def is_refused(world: World, link: Link) -> bool:
    """Whether the link is about somebody erased: without fresh consent since, or observed before that."""
    return any(world.state(end).refuses(link.observed_at) for end in link.pair)


def take_link(world: World, change: ObserveLink) -> bool:
    """Take a link in, or update it where it was sent before; whether that was no news."""
    seen = _link_of(change, world.policy, world.now)
    known = world.links.get(change.link_id)
    link = seen if known is None else updated(known, seen)
    if link is known:
        return True
    for key in link.pair:
        note_seen(world, key, seen.first_observed_at, seen.observed_at, seen.source)
    reviewed = next((other.reviewed for other in world.links_between(link.pair) if other.reviewed), None)
    world.set_link(replace(link, reviewed=reviewed))
    return False


def observe_link(world: World, change: ObserveLink) -> Step:
    """Take a link in, or update it where it was sent before. Raises Erased, and nothing else for what it says."""
    at = change.observed_at if change.observed_at is not None else world.now
    if any(world.state(end).refuses(at) for end in (change.a, change.b)):
        raise Erased("This evidence is about a person who has been erased.")
    duplicate = take_link(world, change)
    yield SETTLE
    return receipt_of(world, change.link_id, change.a, duplicate=duplicate)


def wanted_by_retraction(change: RetractLink) -> Wanted:
    """The link itself; its pair and ends come next."""
    return Wanted(links={change.link_id})


def retract_link(world: World, change: RetractLink) -> Step:
    """Take a link back. Raises UnknownLink. Retracting again changes nothing."""
    link = world.links.get(change.link_id)
    if link is None:
        raise UnknownLink()
    yield Wanted(identifiers=set(link.pair), pairs={link.pair})
    link = world.links[change.link_id]
    applies = link.retracted_at is None
    if applies:
        world.set_link(replace(link, retracted_at=world.now))
        disinherit(world, link.pair, link.link_id)
    yield SETTLE
    return replace(receipt_of(world, change.link_id, link.a), applied=applies)


def flip_due(world: World, keys: Collection[IdentifierKey] = ()) -> Step:
    """Flip links whose time is over, each at its own time, so that recorded intervals end when they were due.

    A turn does so before anything else, up to a limit; where more is due than that, it flips what is due in and around
    the profiles of the identifiers that it is about, `keys`, as well. They stay, withheld as expired, until they are
    observed again.
    """
    now = world.now
    if keys:
        found, over = yield from _due_around(world, keys)
    else:
        yield Wanted(due=DUE_LINKS_MAX)
        found, over = [world.links[link_id] for link_id in world.due], world.run_out
        world.behind = max(len(found), len(over)) >= DUE_LINKS_MAX
    due = sorted(found, key=lambda link: (link.due or 0, link.link_id))
    grants = {key: world.state(key).linking_until or 0 for key in sorted(over)}
    yield Wanted({end for link in due for end in link.pair} | grants.keys(), {link.pair for link in due})
    links_at = {at: list(links) for at, links in groupby(due, key=lambda link: link.due or 0)}
    for at in sorted({*links_at, *grants.values()}):
        world.now = min(at, now)
        yield from run_out(world, [key for key, until in grants.items() if until == at])
        known = [world.links[link.link_id] for link in links_at.get(at, ())]
        weak = [link for link in known if link.inactive == "below_confidence"]
        yield from lapse(world, weak)
        for link in known:
            if link not in weak:
                world.set_link(link)
        if len(weak) < len(known) or at in grants.values():
            yield SETTLE
    world.now = now
    return SweepReceipt(len(due) + len(grants))


def _due_around(
    world: World, keys: Iterable[IdentifierKey]
) -> Generator[Wanted, None, tuple[list[Link], list[IdentifierKey]]]:
    """The links and the grants of linking that are due at some identifiers' profiles and at those next to them."""
    profiles = {profile for key in keys if (profile := world.state(key).profile) is not None}
    yield Wanted(profiles=profiles)
    around = _neighbours(world, profiles) | profiles
    yield Wanted(profiles=around)
    yield from _due_beyond(world, around)
    ids = {link_id for profile in around for key in world.members[profile] for link_id in world.links_at.get(key, ())}
    links = [world.links[link_id] for link_id in ids]
    near = {end for link in links for end in link.pair}.union(*(world.members[profile] for profile in around))
    over = [key for key in near if (world.state(key).linking_until or world.now + 1) <= world.now]
    return [link for link in links if falls_due(link, world.now) or lapses(world, link)], over


def _due_beyond(world: World, profiles: Iterable[ProfileId]) -> Generator[Wanted, None, None]:
    """Load what is due at neighbours that bridge nothing, where that may let them bridge again."""
    ends = {
        e
        for p in profiles
        for key in world.members[p]
        for i in world.links_at.get(key, ())
        for e in world.links[i].pair
    }
    over = {end for end in ends if (until := world.state(end).barred_until) is not None and until <= world.now}
    yield Wanted(ends_of={end for end in over if not world.follows(end)})
    rows = (row for end in over for row in world.ends_of.get(end, ()))
    yield Wanted(links={link_id for link_id, _, due, _ in rows if due is not None and due <= world.now})


def _neighbours(world: World, profiles: Iterable[ProfileId]) -> set[ProfileId]:
    ends = {
        end
        for profile_id in profiles
        for key in world.members[profile_id]
        for link_id in world.links_at.get(key, ())
        for end in world.links[link_id].pair
    }
    return {profile for end in ends if (profile := world.state(end).profile) is not None}


def wanted_by_expiry(change: ExpireDue) -> Wanted:
    """The identifiers that a reader met a due time at."""
    return Wanted(identifiers=set(change.keys))


def expire_due(world: World, change: ExpireDue) -> Step:
    """Work out anew until when profiles hold; what has fallen due around them was flipped before."""
    world.touched.update(key for key in change.keys if world.state(key).profile is not None)
    yield SETTLE
    return SweepReceipt(0)
