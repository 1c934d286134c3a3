"""How a profile looks from one of its identifiers: the best confidence over any path of accepted links."""

from __future__ import annotations

from collections.abc import Container
from heapq import heappop, heappush

from service.model.profile import Profile


def reach(profile: Profile, asked: int, allowed: Container[int] | None = None) -> dict[int, float]:
    """Member index → confidence as seen from member `asked`, which is 1.0.

    Confidence is the greatest product of link confidences along a path of accepted links (Dijkstra's algorithm on
    products, all factors ≤ 1). Members outside `allowed` are neither answered nor stepped on; None allows all. Of the
    members that no accepted path reaches (none in a resolved profile) nothing is said.
    """
    if allowed is not None and asked not in allowed:
        return {}
    if len(profile.members) == 2 and profile.edges:
        other = 1 - asked
        found = {asked: 1.0}
        if allowed is None or other in allowed:
            found[other] = profile.edges[0][2]
        return found
    neighbours: dict[int, list[tuple[int, float]]] = {}
    for i, j, confidence in profile.edges:
        neighbours.setdefault(i, []).append((j, confidence))
        neighbours.setdefault(j, []).append((i, confidence))
    best: dict[int, float] = {}
    queue = [(-1.0, asked)]
    while queue:
        negative, index = heappop(queue)
        if index in best:
            continue
        best[index] = -negative
        for other, confidence in neighbours.get(index, ()):
            if other not in best and (allowed is None or other in allowed):
                heappush(queue, (negative * confidence, other))
    return best
