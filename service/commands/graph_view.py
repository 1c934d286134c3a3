"""The graph around a profile: its identifiers and every link at them, whether it bridges or not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import combinations

from service.commands.ports import Archive, KeptLink, KeptMerge, Turn
from service.commands.timely import Timely
from service.commands.world import Wanted
from service.errors import UnknownProfile
from service.model.evidence import Link
from service.model.identifiers import IdentifierKey, LinkId, ProfileId
from service.model.profile import Profile

EDGES_MAX = 5_000


@dataclass(frozen=True, slots=True)
class Node:
    """An identifier, and the profile it is in."""

    key: IdentifierKey
    profile_id: ProfileId | None


@dataclass(frozen=True, slots=True)
class Around:
    """Members first, then identifiers at the other end of links that do not bridge. `truncated`: there are more."""

    profile_id: ProfileId
    nodes: tuple[Node, ...]
    edges: tuple[KeptLink | KeptMerge, ...]
    truncated: bool = False


class GraphView:
    """Reads the graph around profiles, now or as it was believed."""

    def __init__(self, timely: Timely, archive: Archive, look: Callable[[], AbstractAsyncContextManager[Turn]]) -> None:
        self._timely = timely
        self._archive = archive
        self._look = look

    async def around(self, profile_id: ProfileId, at: int | None = None) -> Around:
        """The graph around the profile that an id leads to; `at` (ms): as believed then. Raises UnknownProfile."""
        if at is not None:
            return await self._as_it_was(profile_id, at)
        profile = (await self._timely.profiles_by_id([profile_id])).get(profile_id)
        if profile is None:
            raise UnknownProfile()
        members = [member.key for member in profile.members]
        kept = await self._archive.links_at(members, EDGES_MAX)
        edges: dict[LinkId, KeptLink] = {found.link.link_id: found for found in kept}
        inside = set(members)
        others = {found.other: found.profile for found in kept if found.other is not None and found.other not in inside}
        nodes = [Node(key, profile.profile_id) for key in members]
        nodes += [Node(key, other) for key, other in sorted(others.items())]
        said = await self._merges(members)
        return Around(profile.profile_id, tuple(nodes), (*edges.values(), *said), len(kept) >= EDGES_MAX)

    async def _merges(self, members: list[IdentifierKey]) -> list[KeptMerge]:
        async with self._look() as turn:
            states = (await turn.load(Wanted(identifiers=set(members)), 0)).identifiers
            named = {assertion for state in states for assertion in state.named}
            said = (await turn.load(Wanted(assertions=named), 0)).assertions if named else []
        inside = set(members)
        return [
            KeptMerge(assertion, a, b)
            for assertion in said
            for a, b in combinations(sorted(inside.intersection(assertion.seniors)), 2)
        ]

    async def _as_it_was(self, profile_id: ProfileId, at: int) -> Around:
        profile = await self._timely.profile_at(profile_id, at)
        if profile is None:
            raise UnknownProfile()
        nodes = tuple(Node(member.key, profile.profile_id) for member in profile.members)
        return Around(profile.profile_id, nodes, tuple(_edges_of(profile)))


def _edges_of(profile: Profile) -> list[KeptLink]:
    """Accepted pairs as links; which source said it is not kept in a past view."""
    return [
        KeptLink(
            Link(
                LinkId(""),
                min(profile.members[i].key, profile.members[j].key),
                max(profile.members[i].key, profile.members[j].key),
                "deterministic",
                confidence,
                "",
                "",
                None,
                profile.resolved_at,
                profile.resolved_at,
            ),
            None,
        )
        for i, j, confidence in profile.edges
    ]
