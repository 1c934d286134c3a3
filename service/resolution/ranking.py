"""The order in which links are joined, and the identifiers that bridge nothing (design, rules 1 and 2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from service.model.evidence import Bond, Reason, Standing, Tier
from service.model.identifiers import IdentifierKey, Pair
from service.model.policy import Namespace, Policy

Rank = tuple[float | int | str, ...]


def bar_of(standing: Standing, policy: Policy) -> Reason | None:
    """Why an identifier bridges nothing, or None where it does.

    `link_not_permitted` takes a steward's links out as well; the other two leave them in.
    """
    if not standing.linking:
        return "link_not_permitted"
    namespace = policy.namespace_of_key(standing.key)
    neighbours = standing.neighbours
    if namespace.max_links is not None and sum(neighbours.values()) > namespace.max_links:
        return "shared_identifier"
    if namespace.contested == "nobody":
        for other, count in neighbours.items():
            limited = policy.namespaces.get(other)
            if limited and limited.max_per_profile is not None and count > limited.max_per_profile:
                return "contested"
    return None


def _claim(bond: Bond, namespace: Namespace) -> tuple[float, float]:
    """How strongly a link claims its less senior end, by that namespace's `contested` rule; lower is stronger."""
    if namespace.contested == "strongest":
        return (-bond.confidence, -bond.observed_at)
    if namespace.contested == "oldest":
        return (bond.first_observed_at, -bond.confidence)
    return (-bond.observed_at, -bond.confidence)


def rank(bond: Bond, policy: Policy) -> Rank:
    """A link's place in the one total order; lower joins first. Two links of a pair may tie, which decides nothing."""
    of_a, of_b = policy.namespace_of_key(bond.a), policy.namespace_of_key(bond.b)
    if (of_a.priority, bond.a) < (of_b.priority, bond.b):
        senior, junior = of_a, of_b
    else:
        senior, junior = of_b, of_a
    if bond.tier is Tier.PROBABILISTIC:
        return (
            bond.tier,
            -bond.confidence,
            junior.priority,
            senior.priority,
            -bond.observed_at,
            bond.a,
            bond.b,
        )
    return (bond.tier, junior.priority, *_claim(bond, junior), senior.priority, bond.a, bond.b)


def in_order(bonds: Iterable[Bond], policy: Policy) -> list[tuple[Pair, Tier]]:
    """Every pair once, with the best rank of its links, strongest first."""
    best: dict[Pair, tuple[Rank, Tier]] = {}
    for bond in bonds:
        ranked = rank(bond, policy)
        known = best.get(bond.pair)
        if known is None or ranked < known[0]:
            best[bond.pair] = (ranked, bond.tier)
    return [(pair, tier) for pair, (_, tier) in sorted(best.items(), key=lambda item: item[1][0])]


def bars(standings: Mapping[IdentifierKey, Standing], policy: Policy) -> dict[IdentifierKey, Reason]:
    """The identifiers that bridge nothing, with the reason."""
    found = {}
    for key, standing in standings.items():
        reason = bar_of(standing, policy)
        if reason is not None:
            found[key] = reason
    return found
