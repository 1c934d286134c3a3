"""Why two identifiers are or are not one person, and the smallest change that would join them.

Suggestions are tried before they are told: the same steps as for real, in a world that is thrown away.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise

from service.commands.carry_out import Carried, Carrier
from service.commands.ports import Archive, KeptLink, KeptMerge, Turn
from service.commands.steward import against
from service.commands.timely import Timely
from service.commands.world import Wanted, World
from service.errors import FabricError, UnknownIdentifier
from service.model.changes import Merge, ObserveLink, Origin, RetractLink, Undo
from service.model.evidence import Assertion, Link, Reason
from service.model.identifiers import AssertionId, IdentifierKey, ProfileId
from service.model.policy import Policy
from service.model.profile import Profile
from service.resolution.profile_ids import Births
from service.resolution.views import reach

LINKS_MAX = 1_000
SUGGESTED_LINKS_MAX = 3
PROFILES_AWAY_MAX = 40
UNDONE_ROUNDS_MAX = 5
_ORIGIN = Origin("explain")
_UNDO_SAYS = "Undo the assertions that say they are different people."
Change = Undo | Merge | ObserveLink | RetractLink


@dataclass(frozen=True, slots=True)
class Block:
    """A link that does not bridge; `conflicts_with` lists identifiers or assertions in its way.

    `rivals`: links that hold its junior end where it is, where that is why.
    """

    link: Link
    reason: Reason
    conflicts_with: tuple[str, ...]
    rivals: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A change that would join the two, tried and found to do so. `pieces`: how many pieces of evidence it takes."""

    action: str
    ids: tuple[str, ...]
    says: str
    pieces: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """`path`: links from one to the other, steward's merges among them; empty where they are apart."""

    same_profile: bool
    confidence: float | None
    path: tuple[Link | KeptMerge, ...]
    blocked_by: tuple[Block, ...]
    would_join: tuple[Suggestion, ...]


class Explainer:
    """Explains pairs of identifiers. `look` opens a read transaction that loads like a turn and holds no lock."""

    def __init__(
        self,
        look: Callable[[], AbstractAsyncContextManager[Turn]],
        links: Archive,
        timely: Timely,
        policy: Callable[[], Policy],
        births: Births,
        now_ms: Callable[[], int],
    ) -> None:
        self._look = look
        self._links = links
        self._timely = timely
        self._policy = policy
        self._births = births
        self._now_ms = now_ms

    async def explain(self, a: IdentifierKey, b: IdentifierKey) -> Explanation:
        """Why `a` and `b` are or are not one person. Raises UnknownIdentifier, StoreUnavailable."""
        profiles = await self._timely.profiles([a, b])
        if a not in profiles or b not in profiles:
            raise UnknownIdentifier()
        if profiles[a].profile_id == profiles[b].profile_id:
            return await self._together(profiles[a], a, b)
        return await self._apart(profiles[a], profiles[b], a, b)

    @asynccontextmanager
    async def _scratch(self) -> AsyncIterator[Carrier]:
        async with self._look() as turn:
            world = World(self._policy(), self._births, self._now_ms(), 2**53)
            yield Carrier(turn, world, lambda prefix: f"{prefix}_suggested")

    # ---- one profile

    async def _together(self, profile: Profile, a: IdentifierKey, b: IdentifierKey) -> Explanation:
        index = {member.key: i for i, member in enumerate(profile.members)}
        steps = _best_path(profile, index[a], index[b])
        keys = [profile.members[i].key for i in steps]
        kept = await self._links.links_at(keys, LINKS_MAX) if len(keys) > 1 else []
        async with self._scratch() as carrier:
            world = carrier.world
            await carrier.load(Wanted(identifiers=set(keys)))
            await carrier.load(Wanted(assertions={aid for key in keys for aid in world.state(key).named}))
            path = [_strongest(pair, kept, world.assertions.values()) for pair in pairwise(keys)]
        confidence = reach(profile, index[a]).get(index[b], 0.0)
        return Explanation(True, round(confidence, 12), tuple(path), (), ())

    # ---- two profiles

    async def _apart(self, p: Profile, q: Profile, a: IdentifierKey, b: IdentifierKey) -> Explanation:
        between = await self._between(p, q)
        if not between:
            between = await self._along_chain(p, q)
        async with self._scratch() as carrier:
            blocks = [await self._block(carrier, kept) for kept in between]
        found = tuple(block for block in blocks if block is not None)
        return Explanation(False, None, (), found, await self._would_join(p, q, a, b, found))

    async def _between(self, p: Profile, q: Profile) -> list[KeptLink]:
        """Links from one profile into the other; asked from the smaller side, since the other may be a hub."""
        small, large = (p, q) if len(p.members) <= len(q.members) else (q, p)
        keys = [member.key for member in small.members]
        async with self._scratch() as carrier:
            await carrier.load(Wanted(identifiers={*keys, *(member.key for member in large.members)}))
            degrees = [sum(carrier.world.state(key).neighbours.values()) for key in keys]
            others = [sum(carrier.world.state(m.key).neighbours.values()) for m in large.members]
        if sum(degrees) > sum(others):
            small, large = large, small
        return await self._links.links_between([m.key for m in small.members], large.profile_id, LINKS_MAX)

    async def _along_chain(self, p: Profile, q: Profile) -> list[KeptLink]:
        """Links that do not bridge on a shortest way from one profile to another through others."""
        came: dict[ProfileId, tuple[ProfileId, KeptLink] | None] = {p.profile_id: None}
        frontier = [p]
        while frontier and len(came) < PROFILES_AWAY_MAX:
            kept = await self._links.links_at([m.key for one in frontier for m in one.members], LINKS_MAX)
            at = {member.key: one.profile_id for one in frontier for member in one.members}
            fresh: dict[ProfileId, IdentifierKey] = {}
            for found in kept:
                near = found.link.a if found.link.b == found.other else found.link.b
                if found.profile is not None and found.other is not None and found.profile not in came and near in at:
                    came[found.profile] = (at[near], found)
                    fresh[found.profile] = found.other
            if q.profile_id in came:
                return _way_back(came, q.profile_id)
            frontier = list((await self._timely.profiles(list(fresh.values()))).values())
        return []

    async def _block(self, carrier: Carrier, kept: KeptLink) -> Block | None:
        reason = kept.link.inactive or kept.withheld
        if reason is None:
            return None
        world = carrier.world
        await carrier.load(Wanted(identifiers=set(kept.link.pair)))
        profiles = {pid for end in kept.link.pair if (pid := world.state(end).profile) is not None}
        await carrier.load(Wanted(profiles=profiles))
        rivals = _rivals(world, kept.link) if reason == "namespace_limit" else ()
        return Block(kept.link, reason, _conflicts(world, kept.link, reason), rivals)

    # ---- suggestions

    async def _would_join(
        self, p: Profile, q: Profile, a: IdentifierKey, b: IdentifierKey, blocks: Sequence[Block]
    ) -> tuple[Suggestion, ...]:
        found = []
        for suggestion, changes in self._candidates(p, q, blocks):
            async with self._scratch() as carrier:
                if await _carried_out(carrier, changes) and _are_one(carrier.world, a, b):
                    found.append(suggestion)
        if not found:
            async with self._scratch() as carrier:
                suggestion_or_none = await _undo_until_one(carrier, a, b)
            found += [suggestion_or_none] if suggestion_or_none is not None else []
        return tuple(sorted(found, key=lambda s: (s.pieces, s.action)))

    def _candidates(self, p: Profile, q: Profile, blocks: Sequence[Block]) -> Iterable[tuple[Suggestion, list[Change]]]:
        undone = sorted(
            {text for block in blocks if block.reason == "asserted_different" for text in block.conflicts_with}
        )
        if undone:
            yield Suggestion("undo", tuple(undone), _UNDO_SAYS, len(undone)), [Undo(AssertionId(i), "") for i in undone]
        now = self._now_ms()
        for block in blocks:
            link = block.link
            if block.reason in ("below_confidence", "expired"):
                again = _again(link, self._policy(), now)
                says = "Observe this link again, now and with enough confidence."
                yield Suggestion("observe", (link.link_id,), says, 1), [again]
        ids = (p.profile_id, q.profile_id)
        says = "Merge the two profiles: say that they are one person."
        yield Suggestion("merge", ids, says, 2), [Merge(ids, None, "")]
        rivals = list({link.link_id: link for block in blocks for link in block.rivals}.values())
        if 0 < len(rivals) <= SUGGESTED_LINKS_MAX:
            says = "Retract what holds the contested identifier where it is."
            retracted: list[Change] = [RetractLink(link.link_id) for link in rivals]
            yield Suggestion("retract", tuple(link.link_id for link in rivals), says, len(rivals)), retracted


async def _carried_out(carrier: Carrier, changes: Sequence[Change]) -> bool:
    carried = Carried()
    try:
        await carrier.carry_out([(change, _ORIGIN) for change in changes], carried)
    except FabricError:
        return False
    return not any(isinstance(outcome, FabricError) for outcome in carried.outcomes)


def _are_one(world: World, a: IdentifierKey, b: IdentifierKey) -> bool:
    return world.state(a).profile == world.state(b).profile


async def _undo_until_one(carrier: Carrier, a: IdentifierKey, b: IdentifierKey) -> Suggestion | None:
    """Undo what says that the two profiles are different, as long as anything does; then merge what is left apart."""
    world, undone = carrier.world, list[AssertionId]()
    for _ in range(UNDONE_ROUNDS_MAX):
        await carrier.load(Wanted(identifiers={a, b}))
        ids = [profile for key in (a, b) if (profile := world.state(key).profile) is not None]
        await carrier.load(Wanted(profiles=set(ids)))
        said = against(world, ids)
        if not said:
            merged = await _carried_out(carrier, [Merge(tuple(ids), None, "")])
            says = "Undo the assertions that say they are different people, and merge the two profiles."
            suggestion = Suggestion("undo_and_merge", (*undone, *ids), says, len(undone) + 2)
            return suggestion if merged and _are_one(world, a, b) else None
        undone += said
        if not await _carried_out(carrier, [Undo(assertion, "") for assertion in said]):
            return None
        if _are_one(world, a, b):
            return Suggestion("undo", tuple(undone), _UNDO_SAYS, len(undone))
    return None


def _again(link: Link, policy: Policy, now: int) -> ObserveLink:
    deterministic = link.method == "deterministic"
    least = policy.min_confidence_deterministic if deterministic else policy.min_confidence_probabilistic
    return ObserveLink(
        link.link_id,
        link.a,
        link.b,
        link.method,
        max(link.confidence, least),
        link.source,
        link.rule,
        link.rule_version,
        now,
    )


def _conflicts(world: World, link: Link, reason: Reason) -> tuple[str, ...]:
    """What stands in the way of a link between two profiles as they are."""
    sides = [world.members.get(pid, frozenset()) for end in link.pair if (pid := world.state(end).profile) is not None]
    keys = [key for side in sides for key in side]
    if reason == "asserted_different":
        said = {side for key in keys for side in world.state(key).sides}
        return tuple(sorted({assertion for assertion, side in said if (assertion, 1 - side) in said}))
    if reason == "namespace_limit":
        found: list[str] = []
        for name, namespace in world.policy.namespaces.items():
            of_name = [key for key in keys if key.startswith(name + ":")]
            if namespace.max_per_profile is not None and len(of_name) > namespace.max_per_profile:
                found += of_name
        return tuple(sorted(found))
    if reason in ("shared_identifier", "contested", "link_not_permitted"):
        return tuple(sorted(end for end in link.pair if world.bar(end) is not None))
    return ()


def _rivals(world: World, link: Link) -> tuple[Link, ...]:
    """The accepted links that hold a link's junior end in its profile."""
    junior = max(link.pair, key=lambda key: (world.policy.namespace_of_key(key).priority, key))
    members = world.members.get(world.state(junior).profile or ProfileId(""), frozenset())
    held = (world.links[link_id] for link_id in sorted(world.links_at.get(junior, ())))
    return tuple(one for one in held if one.inactive is None and members.issuperset(one.pair))


def _way_back(came: dict[ProfileId, tuple[ProfileId, KeptLink] | None], end: ProfileId) -> list[KeptLink]:
    way = []
    step = came[end]
    while step is not None:
        way.append(step[1])
        step = came[step[0]]
    return way[::-1]


def _best_path(profile: Profile, start: int, end: int) -> list[int]:
    """Member indexes along the path of greatest confidence (Dijkstra on products)."""
    neighbours: dict[int, list[tuple[int, float]]] = {}
    for i, j, confidence in profile.edges:
        neighbours.setdefault(i, []).append((j, confidence))
        neighbours.setdefault(j, []).append((i, confidence))
    came: dict[int, int] = {}
    queue = [(-1.0, 0, start, start)]
    while queue:
        negative, hops, index, source = heappop(queue)
        if index in came:
            continue
        came[index] = source
        if index == end:
            break
        for other, confidence in neighbours.get(index, ()):
            if other not in came:
                heappush(queue, (negative * confidence, hops + 1, other, index))
    if end not in came:
        return []
    path = [end]
    while path[-1] != start:
        path.append(came[path[-1]])
    return path[::-1]


def _strongest(
    pair: tuple[IdentifierKey, IdentifierKey], kept: Sequence[KeptLink], assertions: Iterable[Assertion]
) -> Link | KeptMerge:
    """What joins two neighbours on a path: a merge in force, else their accepted link of the best confidence."""
    ends = set(pair)
    links = [k.link for k in kept if set(k.link.pair) == ends and k.link.inactive is None and k.withheld is None]
    said = [a for a in assertions if not a.undone and ends <= set(a.seniors)]
    if said:
        return KeptMerge(said[0], *pair)
    return max(links, key=lambda link: (link.confidence, -link.tier, link.link_id))
