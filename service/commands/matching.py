"""Links that follow from records: which pairs are compared, which of them are links, and which are links no more.

Two identifiers are compared where they stand together in a block of at most `max_candidates` identifiers. That rests on
what is kept alone: a record that makes a block too large ends the links that were found in no other, and one that goes
and makes it small enough brings them back, so links are the same in any order of arrival, and without a record they are
what they would be had it never come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field, replace
from itertools import combinations

from service.commands.inherit import disinherit
from service.commands.world import Wanted, World
from service.model.evidence import Link
from service.model.identifiers import IdentifierKey, Pair, pair_of
from service.model.records import SOURCE, Block, Dossier, Likeness, Matching


@dataclass(slots=True)
class _Compared:
    """What a turn has to look at. `fresh`: blocks that find again; `spent`: those that find nobody any more."""

    keys: set[IdentifierKey]
    fresh: set[Block] = field(default_factory=set)
    spent: set[Block] = field(default_factory=set)
    pairs: set[Pair] = field(default_factory=set)


def matched(world: World) -> Generator[Wanted, None, None]:
    """Compare the identifiers whose records changed with whom they share a block, and put the links right."""
    dossiers = world.dossiers
    if not dossiers.dirty:
        return
    found = _Compared(set(dossiers.dirty))
    dossiers.dirty.clear()
    yield Wanted(dossiers=found.keys)
    matching = world.policy.matching
    likenesses: dict[Pair, Likeness] = {}
    if matching is not None and matching.scorer is not None:
        yield from _candidates(world, matching, found)
        likenesses = dossiers.compare(sorted(found.pairs))
    desired = {pair: like for pair, like in likenesses.items() if matching and like.confidence >= matching.keep_above}
    yield from _put_right(world, matching, found, desired)
    dossiers.judged |= {key: dossiers.kept[key] for key in found.keys}


def _candidates(world: World, matching: Matching, found: _Compared) -> Generator[Wanted, None, None]:
    """Find whom to compare with whom: in every block that the dossiers stand in, or stood in until now."""
    dossiers = world.dossiers
    steps: Counter[Block] = Counter()
    for key in found.keys:
        steps.update(dict.fromkeys(dossiers.kept[key].blocks, 1))
        steps.subtract(dict.fromkeys(dossiers.judged[key].blocks, 1))
    limit = matching.max_candidates
    yield Wanted(blocks={block: limit + max(1, dossiers.leaving(block)) for block in steps})
    for block, step in steps.items():
        size = dossiers.size(block)
        if size <= limit < size - step:
            found.fresh.add(block)
        elif size > limit >= size - step:
            found.spent.add(block)
    close = {block for block in steps if dossiers.size(block) <= limit}
    around = {key for block in close | found.spent for key in dossiers.members(block)}
    yield Wanted(dossiers=around)
    for key in found.keys:
        for block in dossiers.kept[key].blocks & close:
            found.pairs.update(pair_of(key, other) for other in dossiers.members(block) if other != key)
    for block in found.fresh:
        found.pairs.update(pair_of(a, b) for a, b in combinations(dossiers.members(block), 2))
    found.pairs = {pair for pair in found.pairs if not (_rests(world, pair[0]) or _rests(world, pair[1]))}


def _rests(world: World, key: IdentifierKey) -> bool:
    """Whether an identifier may not be linked, so that its records are not compared."""
    state = world.states.get(key)
    return not state.linking if state is not None else key in world.dossiers.resting


def _put_right(
    world: World, matching: Matching | None, found: _Compared, desired: dict[Pair, Likeness]
) -> Generator[Wanted, None, None]:
    """Make the links that follow from the likenesses, and take away those that do not any more."""
    dossiers = world.dossiers
    beside = {key for block in found.spent for key in dossiers.members(block)}
    yield Wanted(matched={key for key in found.keys | beside if not _is_new(world, key)})
    links = {
        link_id: world.links[link_id]
        for key in found.keys | beside
        for link_id in world.links_at.get(key, ())
        if world.links[link_id].source == SOURCE
    }
    over: list[Link] = []
    for link in links.values():
        if link.pair in desired and matching is not None and link.rule == matching.rule:
            continue
        if link.retracted_at is not None or (link.reviewed is not None and not link.confidence):
            continue  # what a steward said of the pair
        if not found.keys.isdisjoint(link.pair):
            if matching is None or not any(_keeps_resting(world, key) for key in link.pair):
                over.append(link)
        elif _shares(world, link, found.spent):
            over.append(link)
    if matching is not None:
        over = yield from _without_block(world, matching, found, over)
    pairs = {*desired, *(link.pair for link in over)}
    known = {pair for pair in pairs if not (_is_new(world, pair[0]) or _is_new(world, pair[1]))}
    yield Wanted(identifiers={end for pair in pairs for end in pair}, pairs=known)
    for link in sorted(over, key=lambda link: link.link_id):
        _end(world, link)
    if matching is not None:
        for pair in sorted(desired):
            _join(world, matching, pair, desired[pair])


def _is_new(world: World, key: IdentifierKey) -> bool:
    """Whether the graph knows nothing of an identifier, so that there are no links of it to be asked for."""
    return key in world.states and key not in world.stored_states


def _keeps_resting(world: World, key: IdentifierKey) -> bool:
    """Whether links of an identifier are left as they are until it may be linked again."""
    return bool(world.dossiers.kept[key].records) and _rests(world, key) if key in world.dossiers.kept else False


def _shares(world: World, link: Link, blocks: set[Block]) -> bool:
    kept = world.dossiers.kept
    if link.a not in kept or link.b not in kept:
        return False  # everybody in these blocks has been loaded
    return not blocks.isdisjoint(kept[link.a].blocks & kept[link.b].blocks)


def _without_block(
    world: World, matching: Matching, found: _Compared, over: list[Link]
) -> Generator[Wanted, None, list[Link]]:
    """Those of the links that no block finds: one of two others than the changed may be found in another block."""
    dossiers = world.dossiers
    beside = [link for link in over if found.keys.isdisjoint(link.pair)]
    shared = {link.link_id: dossiers.kept[link.a].blocks & dossiers.kept[link.b].blocks for link in beside}
    limit = matching.max_candidates
    yield Wanted(blocks={block: limit for blocks in shared.values() for block in blocks})
    held = {link_id for link_id, blocks in shared.items() if any(dossiers.size(block) <= limit for block in blocks)}
    return [link for link in over if link.link_id not in held]


def _join(world: World, matching: Matching, pair: Pair, like: Likeness) -> None:
    """Have the link of a pair as its records say. One that a steward took back returns with a newer record."""
    kept = world.dossiers.kept
    at = max(kept[pair[0]].observed_at, kept[pair[1]].observed_at)
    assert matching.link_ids is not None, "whoever gives it a scorer gives it ids of links"
    link_id = matching.link_ids(SOURCE, matching.rule, "probabilistic", *pair)
    known = world.links.get(link_id)
    link = Link(link_id, *pair, "probabilistic", like.confidence, SOURCE, matching.rule, matching.rule_version, at, at)
    if known is not None:
        if known.retracted_at is not None and known.observed_at >= at:
            return
        told = (known.confidence, known.rule_version, known.observed_at, known.retracted_at)
        if told == (link.confidence, link.rule_version, link.observed_at, None):
            return
    reviewed = next((other.reviewed for other in world.links_between(pair) if other.reviewed), None)
    world.set_link(replace(link, reviewed=reviewed))


def _end(world: World, link: Link) -> None:
    """Take a link away that no records speak for. What a steward said of it stays, on a link of no confidence."""
    disinherit(world, link.pair, link.link_id)
    if link.reviewed is None:
        world.unlink(link)
    else:
        world.set_link(replace(link, confidence=0.0))


def matches_of(world: World, key: IdentifierKey) -> Iterable[Link]:
    """The links that follow from records of an identifier; those that rest for want of consent are left out."""
    matching = world.policy.matching
    if matching is None:
        return
    for link_id in world.links_at.get(key, ()):
        link = world.links[link_id]
        rests = link.inactive == "retracted" or not all(world.state(end).linking for end in link.pair)
        if link.source == SOURCE and not rests and link.confidence >= matching.keep_above:
            yield link


def emptied(world: World, key: IdentifierKey) -> Generator[Wanted, None, None]:
    """Take all records of an identifier away."""
    yield Wanted(dossiers={key})
    if world.dossiers.kept[key].records:
        world.dossiers.change(Dossier(key))
