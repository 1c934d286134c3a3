"""Which links belong together: connected components of what a file says, so that one turn sees all of each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from service.model.changes import ObserveLink
from service.model.identifiers import IdentifierKey
from service.volume.items import Numbered


def neighbourhoods(links: Sequence[Numbered]) -> list[list[Numbered]]:
    """The links by connected component; components in order of their first link, links in the order given."""
    parents: dict[IdentifierKey, IdentifierKey] = {}

    def root(key: IdentifierKey) -> IdentifierKey:
        while (parent := parents.setdefault(key, key)) != key:
            parents[key] = key = parents[parent]
        return key

    def ends(one: Numbered) -> tuple[IdentifierKey, IdentifierKey]:
        assert isinstance(one.change, ObserveLink)
        return one.change.a, one.change.b

    for one in links:
        a, b = map(root, ends(one))
        if a != b:
            parents[b] = a
    found: dict[IdentifierKey, list[Numbered]] = {}
    for one in links:
        found.setdefault(root(ends(one)[0]), []).append(one)
    return list(found.values())


def parted(links: Sequence[Numbered], known: Collection[IdentifierKey]) -> tuple[list[list[Numbered]], list[Numbered]]:
    """The neighbourhoods that touch nothing known, and the links of all others, neighbourhood by neighbourhood."""
    new: list[list[Numbered]] = []
    touching: list[Numbered] = []
    for component in neighbourhoods(links):
        if known and any(_touches(one, known) for one in component):
            touching += component
        else:
            new.append(component)
    return new, touching


def _touches(one: Numbered, known: Collection[IdentifierKey]) -> bool:
    assert isinstance(one.change, ObserveLink)
    return one.change.a in known or one.change.b in known


def batches(components: Iterable[Sequence[Numbered]], links_max: int) -> list[list[Numbered]]:
    """Whole components together, up to `links_max` links each; a larger component is a batch of its own."""
    found: list[list[Numbered]] = []
    for component in components:
        if not found or len(found[-1]) + len(component) > links_max:
            found.append([])
        found[-1] += component
    return found
