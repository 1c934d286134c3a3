"""resolve(evidence, policy): the partition of identifiers into profiles. No clock, no I/O, no arrival order.

The page that describes it is design.md, "resolve(), precisely"; the three rules there are `bars`, `in_order` and
`_Union.refusal` here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from service.model.evidence import Bond, Reason, Standing, Tier
from service.model.identifiers import AssertionId, IdentifierKey, Pair, namespace_of
from service.model.policy import Policy
from service.resolution.ranking import bars, in_order


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a pair is not joined, and what it collides with: identifiers, or the assertion."""

    reason: Reason
    conflicts_with: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resolution:
    """`clusters` are disjoint and cover every identifier given; `withheld` has the pairs that do not bridge."""

    clusters: tuple[frozenset[IdentifierKey], ...]
    withheld: Mapping[Pair, Refusal]
    barred: Mapping[IdentifierKey, Reason]


OddsAcross = Callable[[Sequence[IdentifierKey], Sequence[IdentifierKey]], Mapping[Pair, float]]
"""Log-odds that two identifiers are one person, as their records say, for each pair across two groups that has some."""

ODDS_MAX = 12.0
"""One pair that is surely one person, or surely not, does not outweigh all others."""


def disagreement(odds: Mapping[Pair, float]) -> tuple[str, ...] | None:
    """Whether records across two clusters say on the whole that they are two persons: the identifiers that do say so.

    None where their log-odds, each at most ODDS_MAX either way, are on average not below 0, or there are none.
    """
    clipped = {pair: min(ODDS_MAX, max(-ODDS_MAX, value)) for pair, value in odds.items()}
    if sum(sorted(clipped.values())) >= 0:
        return None
    return tuple(sorted({end for pair, value in clipped.items() if value < 0 for end in pair}))


_NONE_LIMITED: Mapping[str, list[IdentifierKey]] = {}
_NO_SIDES: frozenset[tuple[AssertionId, int]] = frozenset()
_NONE_NAMED: Mapping[AssertionId, set[IdentifierKey]] = {}


@dataclass(slots=True, eq=False)
class _Cluster:
    """One side of a union in the making. What most of them lack is shared, and never changed."""

    members: list[IdentifierKey]
    limited: Mapping[str, list[IdentifierKey]] = field(default_factory=lambda: _NONE_LIMITED)
    sides: frozenset[tuple[AssertionId, int]] = _NO_SIDES
    named: Mapping[AssertionId, set[IdentifierKey]] = field(default_factory=lambda: _NONE_NAMED)

    def absorb(self, other: _Cluster) -> None:
        """Take over all of `other`."""
        self.members += other.members
        if other.limited:
            ours = self.limited
            self.limited = {**ours, **{n: ours.get(n, []) + keys for n, keys in other.limited.items()}}
        if other.sides:
            self.sides |= other.sides
        if other.named:
            said = self.named
            self.named = {**said, **{a: said.get(a, set()) | keys for a, keys in other.named.items()}}


class _Union:
    """Clusters that grow one accepted pair at a time."""

    def __init__(
        self, standings: Mapping[IdentifierKey, Standing], policy: Policy, odds_across: OddsAcross | None
    ) -> None:
        self._policy = policy
        self._odds_across = odds_across
        self.of: dict[IdentifierKey, _Cluster] = {key: self._alone(standing) for key, standing in standings.items()}

    def _alone(self, standing: Standing) -> _Cluster:
        namespace = namespace_of(standing.key)
        limit = self._policy.namespaces.get(namespace)
        cluster = _Cluster([standing.key])
        if limit is not None and limit.max_per_profile is not None:
            cluster.limited = {namespace: [standing.key]}
        if standing.sides:
            cluster.sides = frozenset(standing.sides)
        if standing.named:
            cluster.named = {assertion: {standing.key} for assertion in standing.named}
        return cluster

    def refusal(self, x: _Cluster, y: _Cluster, tier: Tier) -> Refusal | None:
        """Why two clusters may not be one, or None. A steward's link heeds `different` alone."""
        if x.sides and y.sides:
            said = [assertion for assertion, side in x.sides if (assertion, 1 - side) in y.sides]
            if said:
                return Refusal("asserted_different", (min(said),))
        if tier is Tier.STEWARD:
            return None
        for namespace in sorted(x.limited.keys() & y.limited.keys()):
            refused = self._over_limit(x, y, namespace)
            if refused is not None:
                return refused
        if len(x.members) + len(y.members) > self._policy.max_profile_size:
            return Refusal("profile_size")
        if tier is Tier.PROBABILISTIC and self._odds_across is not None:
            against = disagreement(self._odds_across(x.members, y.members))
            if against is not None:
                return Refusal("records_disagree", against)
        return None

    def _over_limit(self, x: _Cluster, y: _Cluster, namespace: str) -> Refusal | None:
        """Both sides hold this namespace, so the union holds more of it than either did; is that over the limit?

        Where both sides hold identifiers that one merge in force named, those count together as no more than the
        limit.
        """
        limit = self._policy.namespaces[namespace].max_per_profile
        assert limit is not None
        ours, theirs = x.limited[namespace], y.limited[namespace]
        total = len(ours) + len(theirs)
        if total <= limit:
            return None
        for merge in x.named.keys() & y.named.keys():
            named = x.named[merge] | y.named[merge]
            counted = sum(1 for key in (*ours, *theirs) if key in named)
            if total - counted + min(counted, limit) <= limit:
                return None
        return Refusal("namespace_limit", tuple(sorted((*ours, *theirs))))

    def join(self, x: _Cluster, y: _Cluster) -> None:
        """Make two clusters one; the smaller moves."""
        if len(x.members) < len(y.members):
            x, y = y, x
        for key in y.members:
            self.of[key] = x
        x.absorb(y)


def _bar_on(pair: Pair, tier: Tier, barred: Mapping[IdentifierKey, Reason]) -> Reason | None:
    """Rule 1: the reason why a link with such an end bridges nothing; steward's links heed withdrawn linking only."""
    for end in pair:
        if barred.get(end) == "link_not_permitted":
            return "link_not_permitted"
    if tier is not Tier.STEWARD:
        for end in pair:
            if end in barred:
                return barred[end]
    return None


def resolve(
    standings: Mapping[IdentifierKey, Standing],
    bonds: Iterable[Bond],
    policy: Policy,
    odds_across: OddsAcross | None = None,
) -> Resolution:
    """The partition that the evidence implies.

    `standings`: every identifier that takes part (no household). `bonds`: the active links between them, and the
    steward's; ends that are not in `standings` are not looked at. `odds_across`: what records say, where any are kept;
    a probabilistic link joins two clusters only if they agree on the whole. Cost: n log n in the links.
    """
    barred = bars(standings, policy)
    union = _Union(standings, policy, odds_across)
    withheld: dict[Pair, Refusal] = {}
    barred_pairs: dict[Pair, Refusal] = {}
    admitted = []
    for bond in bonds:
        if bond.a not in standings or bond.b not in standings:
            continue
        reason = _bar_on(bond.pair, bond.tier, barred) if barred else None
        if reason is None:
            admitted.append(bond)
        else:
            barred_pairs.setdefault(bond.pair, Refusal(reason))
    for pair, tier in in_order(admitted, policy):
        x, y = union.of[pair[0]], union.of[pair[1]]
        if x is y:
            continue
        refused = union.refusal(x, y, tier)
        if refused is None:
            union.join(x, y)
        else:
            withheld[pair] = refused
    for pair in [pair for pair in withheld if union.of[pair[0]] is union.of[pair[1]]]:
        del withheld[pair]  # joined by another way after all: nothing is withheld between them
    withheld.update(barred_pairs)  # rule 1 holds for these links also where a steward joins the pair
    clusters = {id(cluster): cluster for cluster in union.of.values()}
    return Resolution(tuple(frozenset(c.members) for c in clusters.values()), withheld, barred)
