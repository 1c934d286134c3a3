"""Until when an identifier that bridges nothing surely goes on to bridge nothing: what its neighbours' answers rest on.

Links end, and one that was shared is shared no longer: those at its other links change at that moment. Its links may be
very many, so they are not followed to find out. Kept beside it is a promise instead: `barred_until`, a time (ms) before
which time alone can't lift the bar, and `lasting`, how many distinct neighbours have links until then, by namespace.
More neighbours never break the promise; each one less lowers `lasting`, and only where those would not be enough to
hold the bar is the promise worked out anew, from the due times of all its links.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Final

from service.commands.world import FOREVER, Wanted, World
from service.model.identifiers import IdentifierKey, ProfileId
from service.resolution.ranking import bar_of

_EXACT_MAX: Final = 64  # so many links may end before the bar is lifted, and the promise still is the very moment


def barred(world: World, key: IdentifierKey) -> bool:
    """Whether an identifier bridges nothing because of how many it is linked to."""
    return world.bar(key) in ("shared_identifier", "contested")


def promises_at(world: World, key: IdentifierKey) -> Iterator[int]:
    """The promises (ms) of identifiers that bridge nothing and have a link with `key`."""
    for link_id in world.links_at.get(key, ()):
        link = world.links[link_id]
        other = link.b if link.a == key else link.a
        if link.inactive is None and (until := world.state(other).barred_until) is not None and barred(world, other):
            yield until


def _still_barred(world: World, key: IdentifierKey, neighbours: Mapping[str, int]) -> bool:
    standing = world.state(key).standing._replace(neighbours=neighbours)
    return bar_of(standing, world.policy) in ("shared_identifier", "contested")


def _stale(world: World, keys: Iterable[IdentifierKey]) -> list[IdentifierKey]:
    """Those of the identifiers, and of those linked to them, whose promise is missing, broken or over."""
    found = set()
    for key in keys:
        state = world.state(key)
        if not barred(world, key):
            if state.barred_until is not None:
                world.change(state._replace(barred_until=None, lasting={}))
        elif state.barred_until is None or not _still_barred(world, key, state.lasting):
            found.add(key)
        ends = (end for link_id in world.links_at.get(key, ()) for end in world.links[link_id].pair)
        for end in ends:
            until = world.state(end).barred_until
            if until is not None and until <= world.now and barred(world, end):
                found.add(end)
    return sorted(found)


def _neighbours(world: World, key: IdentifierKey) -> dict[IdentifierKey, tuple[int, ProfileId | None]]:
    """Distinct identifiers at active links, each with the time (ms) at which the last link to it ends."""
    links = {
        link_id: (other, FOREVER if due is None else due, profile)
        for link_id, other, due, profile in world.ends_of.get(key, ())
        if not world.state(other).dead
    }
    for link_id in world.links_at.get(key, ()):
        link = world.links[link_id]
        other = link.b if link.a == key else link.a
        due = FOREVER if link.due is None else link.due
        if link.inactive is None:
            links[link_id] = (other, due, world.state(other).profile)
        else:
            links.pop(link_id, None)
    found: dict[IdentifierKey, tuple[int, ProfileId | None]] = {}
    for other, due, profile in links.values():
        if not world.is_household(other) and due >= found.get(other, (0,))[0]:
            found[other] = (due, profile)
    return found


def _promise(world: World, key: IdentifierKey, ends: Mapping[IdentifierKey, int]) -> None:
    """Work the promise out: the moment itself where few links end before it, else one with room before it."""
    dues = sorted(ends.values())
    left = Counter(other[: other.index(":")] for other in ends)
    lifted = FOREVER
    for ended, other in enumerate(sorted(ends, key=lambda end: ends[end])):
        left[other[: other.index(":")]] -= 1
        if ends[other] == FOREVER or not _still_barred(world, key, left):
            lifted = ends[other] if ended < _EXACT_MAX or ends[other] == FOREVER else dues[ended // 2]
            break
    lasting = Counter(other[: other.index(":")] for other, due in ends.items() if due >= lifted)
    world.change(world.state(key)._replace(barred_until=lifted, lasting=dict(lasting)))


def keep_promises(world: World, keys: Iterable[IdentifierKey]) -> Generator[Wanted, None, None]:
    """Work promises out anew at and around identifiers whose evidence changed, and tell neighbours of sooner ones."""
    stale = _stale(world, keys)
    if not stale:
        return
    yield Wanted(ends_of={key for key in stale if not world.follows(key)})
    sooner: dict[ProfileId, int] = {}
    for key in stale:
        before, neighbours = world.state(key).barred_until, _neighbours(world, key)
        _promise(world, key, {other: due for other, (due, _) in neighbours.items()})
        until = world.state(key).barred_until
        assert until is not None
        if until < (FOREVER if before is None else before):
            for _, profile in neighbours.values():
                if profile is not None:
                    sooner[profile] = min(until, sooner.get(profile, FOREVER))
    yield Wanted(profiles=set(sooner))
    for profile_id, until in sooner.items():
        world.lower(profile_id, until)
