"""After a change of policy: profiles become what they would be had all their evidence come under the new one.

One small turn after another, through the one write path; how far it has come stands at the head of the graph, so that
any instance goes on where another was killed. Each turn works out anew what was stored under the old policy (a link's
activity, whether an identifier may be linked, what bridges nothing), touches what may come out otherwise, and lets
`settle` say what follows. What is resolved meanwhile for another reason is resolved under the new policy as well; a
pair of profiles that is looked at before its links were is looked at again with them, since each flip touches both.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace

from service.commands.desk import DeskWanted, Stretch
from service.commands.steps import SETTLE, Step
from service.commands.world import Wanted, World
from service.control.linking import permitted
from service.control.policy_scope import LINKS, RECORDS
from service.model.changes import PassReceipt, ResolveAnew
from service.model.evidence import Link
from service.model.identifiers import IdentifierKey, LinkId
from service.model.policy_versions import Pass


def _judged(world: World, link: Link) -> Link:
    """The link as it counts under this policy, now."""
    if link.assumed:
        link = replace(link, confidence=world.policy.confidence_of_source(link.source))
    return world.judged(link)


def _links(world: World, ids: Sequence[str]) -> Generator[Wanted, None, None]:
    yield Wanted(links={LinkId(link_id) for link_id in ids})
    links = [world.links[LinkId(link_id)] for link_id in ids if link_id in world.links]
    yield Wanted(identifiers={end for link in links for end in link.pair})
    changed = []
    for link in links:
        judged = _judged(world, link)
        waits = judged.inactive in (None, "link_not_permitted")
        came = (judged.inactive, judged.confidence) != (link.inactive, link.confidence)
        if came or (waits and judged.due != link.due):
            changed.append(judged)
    yield Wanted(pairs={link.pair for link in changed})
    for link in changed:
        world.set_link(link)


def _identifiers(world: World, keys: Sequence[str]) -> Generator[Wanted, None, None]:
    found = [IdentifierKey(key) for key in keys]
    yield Wanted(identifiers=set(found), around=True)
    flipped = []
    for key in found:
        state = world.state(key)
        permit = permitted(state, world.policy, world.now)
        if permit != state:
            world.change(permit)
            world.dossiers.dirty.add(key)
            flipped.append(key)
    if flipped:
        yield Wanted(links_of=set(flipped))
        for key in flipped:
            for link_id in sorted(world.links_at.get(key, ())):
                world.set_link(world.links[link_id])
    for key in found:
        if world.bar(key) != world.stored_bars.get(key):
            world.change(world.state(key)._replace())  # a new one, so that the bar is written with it
        if world.state(key).first_seen is not None and not world.is_household(key):
            world.touched.add(key)


def _records(world: World, keys: Sequence[str]) -> Generator[Wanted, None, None]:
    """Have records compared anew, and what they say of profiles looked at again."""
    found = {IdentifierKey(key) for key in keys}
    yield Wanted(identifiers=found, around=True, dossiers=found)
    world.dossiers.dirty |= found
    world.touched |= {key for key in found if world.state(key).first_seen is not None}


def resolve_anew(world: World, change: ResolveAnew) -> Step:
    """The next stretch of the pass. Where it is over, nothing."""
    running = world.desk.desk.running
    if running.is_over:
        return PassReceipt(running)
    stage = running.stages[running.stage]
    after = running.after or ("" if stage in (LINKS, RECORDS) else stage)
    yield Wanted(desk=DeskWanted(stretch=Stretch(stage, after, change.limit)))
    stretch = world.desk.found.stretch
    if stage == LINKS:
        yield from _links(world, stretch)
    elif stage == RECORDS:
        yield from _records(world, stretch)
    else:
        yield from _identifiers(world, stretch)
    world.desk.advance(_advanced(running, stretch, change.limit))
    yield SETTLE
    running = world.desk.desk.running
    return PassReceipt(running, running.is_over)


def _advanced(running: Pass, stretch: Sequence[str], limit: int) -> Pass:
    done = min(running.total, running.done + len(stretch))
    if len(stretch) >= limit:
        return replace(running, after=stretch[-1], done=done)
    over = running.stage + 1 >= len(running.stages)
    return replace(running, stage=running.stage + 1, after="", done=running.total if over else done)
