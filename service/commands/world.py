"""The part of the graph that one turn looks at and changes, held in memory until it is written.

A turn loads what its changes can reach, changes evidence here, lets `resolve` say what follows, and writes the
difference. Nothing here does I/O; what is missing is asked for through `Wanted` and handed in through `take`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from service.commands.capture import Capture
from service.commands.desk import Deskwork
from service.commands.dispatch import Dispatch
from service.commands.dossiers import Dossiers
from service.commands.loads import FOREVER as FOREVER
from service.commands.loads import LinkEnd
from service.commands.loads import Loaded as Loaded
from service.commands.loads import Wanted as Wanted
from service.control.inheritance import ERASED, Ended
from service.control.linking import judged, linkable, permitted
from service.model.changes import Revocation
from service.model.evidence import Assertion, Bond, ConsentRecord, Hand, Link, Reason, Tier
from service.model.identifiers import AssertionId, IdentifierKey, LinkId, Pair, ProfileId, pair_of
from service.model.matching_models import KeptModel
from service.model.policy import Namespace, Policy
from service.model.policy_versions import Desk
from service.model.profile import Profile
from service.model.state import IdentifierState, Tomb
from service.resolution.profile_ids import Births
from service.resolution.ranking import bar_of


@dataclass(frozen=True, slots=True)
class Erasure:
    """An identifier that goes for good, and what is left of it."""

    key: IdentifierKey
    tomb: Tomb


def _counted(counts: Mapping[str, int], other: IdentifierKey, step: int) -> Mapping[str, int]:
    """The counts by namespace with one neighbour more or less."""
    namespace = other[: other.index(":")]
    found = {**counts, namespace: counts.get(namespace, 0) + step}
    if not found[namespace]:
        del found[namespace]
    return found


@dataclass(frozen=True, slots=True)
class Version:
    """How a profile looks from `since` (ms) on; None: its id is shown no more. Not `restructured`: only seen again."""

    since: int
    profile: Profile | None
    restructured: bool


class World:
    """Evidence and profiles as loaded, and as changed so far.

    `now`: the time of the turn in ms, taken with the head; it goes forward by one with each segment, so that every
    change of a profile has a time of its own. `behind`: more links have fallen due than one turn flips.
    """

    def __init__(self, policy: Policy, births: Births, now: int, seq: int, desk: Desk | None = None) -> None:
        self.desk = Deskwork(desk or Desk())
        self.dispatch = Dispatch()
        self.capture = Capture()
        self.policy = policy
        self.dossiers = Dossiers(policy.matching.scorer if policy.matching else None)
        self.unlinked: dict[LinkId, float | None] = {}
        self._matched_known: set[IdentifierKey] = set()
        self.models: dict[tuple[str, int], KeptModel] = {}
        self.models_set: list[KeptModel] = []
        self.births = births
        self.now = now
        self.seq = seq
        self.states: dict[IdentifierKey, IdentifierState] = {}
        self.links: dict[LinkId, Link] = {}
        self.withheld: dict[LinkId, Reason | None] = {}
        self.reviews: dict[LinkId, float | None] = {}
        self.links_at: dict[IdentifierKey, set[LinkId]] = {}
        self.members: dict[ProfileId, frozenset[IdentifierKey]] = {}
        self.born: dict[ProfileId, IdentifierKey] = {}
        self.hands: dict[ProfileId, tuple[Hand, ...]] = {}
        self.assertions: dict[AssertionId, Assertion] = {}
        self.touched: set[IdentifierKey] = set()
        self.moves: list[tuple[IdentifierKey, ProfileId | None, ProfileId | None, int]] = []
        self.changed_ids: set[ProfileId] = set()
        self.seen_before: set[IdentifierKey] = set()
        self.recorded: list[tuple[IdentifierKey, ConsentRecord]] = []
        self.revocations: list[Revocation] = []
        self.stored_bars: dict[IdentifierKey, Reason] = {}
        self.erasures: list[Erasure] = []
        self.ended: list[Ended] = []
        self.parting = False
        self.gone: dict[ProfileId, dict[IdentifierKey, tuple[ConsentRecord, ...]]] = {}
        self.tombs: dict[IdentifierKey, Tomb] = {}
        self.stored_states: dict[IdentifierKey, IdentifierState] = {}
        self.stored_links: dict[LinkId, tuple[Link, Reason | None, float | None]] = {}
        self.stored_hands: dict[ProfileId, tuple[Hand, ...]] = {}
        self.stored_assertions: dict[AssertionId, Assertion] = {}
        self._pairs_known: set[Pair] = set()
        self._links_of_known: set[IdentifierKey] = set()
        self._ids_known: set[ProfileId] = set()
        self.due: list[LinkId] = []
        self.run_out: list[IdentifierKey] = []
        self.behind = False
        self.ends_of: dict[IdentifierKey, list[LinkEnd]] = {}
        self.dues: dict[ProfileId, int | None] = {}
        self.lowered: dict[ProfileId, int] = {}
        self.audiences: dict[ProfileId, tuple[str, ...]] = {}
        self.stored_audiences: dict[ProfileId, tuple[str, ...]] = {}
        self.restructured: set[IdentifierKey] = set()
        self.versions: dict[ProfileId, list[Version]] = {}
        self.unversioned: set[ProfileId] = set()
        self._namespaces: dict[IdentifierKey, Namespace] = {}
        self._unknown: dict[IdentifierKey, IdentifierState] = {}
        self._bars: dict[IdentifierKey, tuple[IdentifierState, Reason | None]] = {}

    # ---- loading

    def take(self, wanted: Wanted, loaded: Loaded) -> None:
        """Hand in what a load brought; what is known already, perhaps changed, stays as it is."""
        for state in loaded.identifiers:
            if state.key not in self.states:
                self.states[state.key] = self.stored_states[state.key] = state
                if state.key in loaded.bars:
                    self.stored_bars[state.key] = loaded.bars[state.key]
        for key, tomb in loaded.tombs.items():
            self.tombs.setdefault(key, tomb)
        for link in loaded.links:
            if link.link_id not in self.links and link.link_id not in self.unlinked and not self._is_gone(link):
                self._put(link)
                reason, review = loaded.withheld.get(link.link_id), loaded.reviews.get(link.link_id)
                self.withheld[link.link_id], self.reviews[link.link_id] = reason, review
                self.stored_links[link.link_id] = (link, reason, review)
        for profile_id in wanted.profiles | loaded.profiles.keys():
            if profile_id not in self.members:
                self.members[profile_id] = frozenset(loaded.profiles.get(profile_id, ()))
                self._links_of_known.update(self.members[profile_id] - loaded.unfollowed)
                self.dues[profile_id] = loaded.dues.get(profile_id)
                self.audiences[profile_id] = self.stored_audiences[profile_id] = loaded.audiences.get(profile_id, ())
        for profile_id in wanted.ids:
            if profile_id not in self._ids_known:
                self._ids_known.add(profile_id)
                if profile_id in loaded.born:
                    self.born[profile_id] = loaded.born[profile_id]
                self.hands[profile_id] = self.stored_hands[profile_id] = loaded.hands.get(profile_id, ())
        for assertion in loaded.assertions:
            if assertion.assertion_id not in self.assertions:
                self.assertions[assertion.assertion_id] = assertion
                self.stored_assertions[assertion.assertion_id] = assertion
        self._pairs_known |= wanted.pairs
        self._links_of_known |= wanted.links_of
        self.ends_of |= loaded.ends_of
        if wanted.due:
            self.due, self.run_out = loaded.due, loaded.run_out
        self._matched_known |= wanted.matched
        for model in loaded.models:
            self.models.setdefault((model.name, model.version), model)
        self.dossiers.take(wanted.dossiers, loaded.records)
        if loaded.desk is not None:
            self.desk.take(loaded.desk)
        self.capture.take(wanted.capture, loaded.capture)

    def missing(self, wanted: Wanted) -> Wanted:
        """The part of `wanted` that is not here yet."""
        return Wanted(
            {key for key in wanted.identifiers if key not in self.states and key not in self.tombs},
            {pair for pair in wanted.pairs if pair not in self._pairs_known},
            {link_id for link_id in wanted.links if link_id not in self.links},
            {key for key in wanted.links_of if key not in self._links_of_known},
            {profile_id for profile_id in wanted.profiles if profile_id not in self.members},
            {profile_id for profile_id in wanted.ids if profile_id not in self._ids_known},
            {assertion for assertion in wanted.assertions if assertion not in self.assertions},
            wanted.due,
            wanted.around,
            {key for key in wanted.ends_of if key not in self.ends_of},
            wanted.desk,
            self.capture.missing(wanted.capture),
            {key for key in wanted.dossiers if key not in self.dossiers.kept},
            {block: size for block, size in wanted.blocks.items() if self.dossiers.lacks_block(block, size)},
            wanted.matched - self._matched_known,
            wanted.models,
        )

    def follows(self, key: IdentifierKey) -> bool:
        """Whether all live links of the identifier are here: loaded with it, or it is new and has no others."""
        return key in self._links_of_known or key not in self.stored_states

    # ---- evidence

    def _is_gone(self, link: Link) -> bool:
        return bool(self.erasures) and (self.state(link.a).dead or self.state(link.b).dead)

    def _put(self, link: Link) -> None:
        self.links[link.link_id] = link
        self.links_at.setdefault(link.a, set()).add(link.link_id)
        self.links_at.setdefault(link.b, set()).add(link.link_id)

    def state(self, key: IdentifierKey) -> IdentifierState:
        """The identifier as it stands, or a new one of which nothing is known."""
        found = self.states.get(key)
        if found is not None:
            return found
        tomb = self.tombs.get(key) if self.tombs else None
        if tomb is not None:
            linking = linkable(key, tomb.consents, self.policy, self.now)
            return IdentifierState(
                key, linking=linking, consents=tomb.consents, erased_at=tomb.at, base=tomb.base, dead=True
            )
        found = self._unknown.get(key)
        if found is None:
            found = self._unknown[key] = IdentifierState(key, linking=linkable(key, (), self.policy, self.now))
        return found

    def change(self, state: IdentifierState) -> None:
        """Replace what is known of an identifier."""
        self.states[state.key] = state

    def links_between(self, pair: Pair) -> list[Link]:
        """All links of a pair that are loaded, active or not."""
        a, b = self.links_at.get(pair[0], ()), self.links_at.get(pair[1], ())
        return [self.links[link_id] for link_id in a if link_id in b]

    def namespace(self, key: IdentifierKey) -> Namespace:
        """The rules for an identifier."""
        found = self._namespaces.get(key)
        if found is None:
            found = self._namespaces[key] = self.policy.namespace_of_key(key)
        return found

    def is_household(self, key: IdentifierKey) -> bool:
        """Whether the identifier groups profiles instead of being in one."""
        return self.namespace(key).kind == "household"

    def set_link(self, link: Link) -> Link:
        """Store a link with its activity worked out anew, keep its ends' counts of neighbours, and touch both."""
        link = self.judged(link)
        known = self.links.get(link.link_id)
        if known is None or (known.inactive, known.confidence) != (link.inactive, link.confidence):
            self.restructured.update(link.pair)
        if known is not None and known.inactive is None and link.inactive in ("expired", "link_not_permitted"):
            self.ends(link, link.link_id)
        with self._recounted(link.pair):
            self._put(link)
        self.withheld.setdefault(link.link_id, None)
        self.touched.update(link.pair)
        return link

    def judged(self, link: Link) -> Link:
        """The link as it counts now. A grant of linking that has run out permits nothing any more."""
        for state in map(self.state, link.pair):
            if state.linking_until is not None and state.linking_until <= self.now:
                self.change(permitted(state, self.policy, self.now))
        return judged(link, [self.state(key) for key in link.pair], self.policy, self.now)

    @contextmanager
    def _recounted(self, pair: Pair) -> Iterator[None]:
        """Keep the counts of both ends true while links between them change."""
        was, lasted = self._counts(pair), [self._lasts(pair, key) for key in pair]
        yield
        self._recount(pair, was)
        for key, other, did in zip(pair, pair[::-1], lasted, strict=True):
            if step := self._lasts(pair, key) - did:
                state = self.state(key)
                self.change(state._replace(lasting=_counted(state.lasting, other, step)))

    def set_model(self, model: KeptModel) -> None:
        """Keep a model's version as it is from now on."""
        self.models[model.name, model.version] = model
        self.models_set.append(model)

    def unlink(self, link: Link) -> None:
        """Take a link away as if it had never been made; its ends and its pair must be loaded. Both are touched."""
        with self._recounted(link.pair):
            del self.links[link.link_id]
            self.links_at[link.a].discard(link.link_id)
            self.links_at[link.b].discard(link.link_id)
        stored = self.stored_links.get(link.link_id)
        if stored is not None:
            self.unlinked[link.link_id] = stored[2]
        if link.inactive is None:
            self.restructured.update(link.pair)
        self.touched.update(link.pair)

    def ends(self, link: Link, via: str) -> None:
        """Note that an active link ends, and that what was refused until then stays in force on both of its sides."""
        self.parting = True
        profile = self.state(link.a).profile
        if profile is not None and profile == self.state(link.b).profile:
            at = link.due if link.inactive == "expired" and link.due is not None else self.now
            self.ended.append(Ended(link.a, link.b, via, profile, at))

    def forget(self, key: IdentifierKey, tomb: Tomb) -> None:
        """Take an identifier out with all its links; its profile must be loaded. Its neighbours are touched."""
        state = self.state(key)
        for link_id in sorted(self.links_at.get(key, ())):
            link = self.links[link_id]
            if link.inactive is None:
                self.ends(link, ERASED)
            other = link.b if link.a == key else link.a
            with self._recounted(link.pair):
                del self.links[link_id]
                self.links_at[other].discard(link_id)
                self.links_at[key].discard(link_id)
            self.touched.add(other)
            self.restructured.add(other)
        if state.profile is not None:
            self.gone.setdefault(state.profile, {})[key] = state.consents
            self.members[state.profile] -= {key}
            self.touched |= self.members[state.profile]
            self.restructured |= self.members[state.profile]
            self.unversioned.add(state.profile)
        self.parting = True
        self.seen_before.add(key)
        self.touched.discard(key)
        self.states[key] = IdentifierState(key, erased_at=tomb.at, base=tomb.base, dead=True)
        self.tombs[key] = tomb
        self.erasures.append(Erasure(key, tomb))

    def _counts(self, pair: Pair) -> bool:
        if self.is_household(pair[0]) or self.is_household(pair[1]):
            return False
        return any(link.inactive is None for link in self.links_between(pair))

    def _recount(self, pair: Pair, was: bool) -> None:
        step = self._counts(pair) - was
        if not step:
            return
        for key, other in (pair, pair[::-1]):
            state = self.state(key)
            self.change(state._replace(neighbours=_counted(state.neighbours, other, step)))

    def _lasts(self, pair: Pair, key: IdentifierKey) -> bool:
        """Whether the pair is linked beyond the time until which one of its ends is known to bridge nothing."""
        until = self.state(key).barred_until
        if until is None or self.is_household(pair[0]) or self.is_household(pair[1]):
            return False
        links = self.links_between(pair)
        return any(link.inactive is None and (link.due is None or link.due >= until) for link in links)

    def set_assertion(self, assertion: Assertion) -> None:
        """Store an assertion and mark the identifiers that it speaks of; an undone one is taken off them."""
        known = self.assertions.get(assertion.assertion_id)
        self.assertions[assertion.assertion_id] = assertion
        aid = assertion.assertion_id
        if known is not None and known.undone == assertion.undone:
            return
        for key in assertion.named:
            state = self.state(key)
            named = tuple(a for a in state.named if a != aid) + (() if assertion.undone else (aid,))
            self.change(state._replace(named=named))
        for side, keys in enumerate(assertion.sides):
            for key in keys:
                state = self.state(key)
                sides = tuple(s for s in state.sides if s[0] != aid) + (() if assertion.undone else ((aid, side),))
                self.change(state._replace(sides=sides))
        self.touched.update(assertion.named, *assertion.sides)
        self.restructured |= self.touched

    # ---- what resolve() is given

    def bar(self, key: IdentifierKey) -> Reason | None:
        """Why the identifier bridges nothing, or None."""
        state = self.state(key)
        known = self._bars.get(key)
        if known is None or known[0] is not state:
            known = self._bars[key] = (state, bar_of(state.standing, self.policy))
        return known[1]

    def bonds_of(self, key: IdentifierKey) -> Iterable[Bond]:
        """The active links and steward's links at an identifier; those of a barred one are not followed."""
        for link_id in self.links_at.get(key, ()):
            link = self.links[link_id]
            if link.inactive is None:
                yield Bond(link.a, link.b, link.tier, link.confidence, link.observed_at, link.first_observed_at)
        yield from self.steward_bonds_of(key)

    def steward_bonds_of(self, key: IdentifierKey) -> Iterable[Bond]:
        """What merges in force say of an identifier: it is one person with the other seniors named."""
        for assertion_id in self.state(key).named:
            assertion = self.assertions[assertion_id]
            if key not in assertion.seniors:
                continue
            for other in assertion.seniors:
                if other != key:
                    a, b = pair_of(key, other)
                    yield Bond(a, b, Tier.STEWARD, 1.0, assertion.at, assertion.at)

    def holds(self, key: IdentifierKey) -> ProfileId:
        """The profile id that the identifier holds at present."""
        state = self.state(key)
        return state.holds or self.births(key, state.base)

    def effective_hand(self, profile_id: ProfileId) -> Hand | None:
        """Of the hands in force on an id, the latest; the id must be loaded."""
        return max(self.hands[profile_id], key=lambda hand: hand.at, default=None)

    def holder(self, profile_id: ProfileId) -> IdentifierKey | None:
        """The identifier that holds an id ever handed out; None for an id that never was. It must be loaded."""
        hand = self.effective_hand(profile_id)
        return hand.to if hand is not None else self.born.get(profile_id)

    # ---- outcome

    def lower(self, profile_id: ProfileId, due: int) -> None:
        """Let a profile be asked again at `due` (ms), if it would not be sooner. It must be loaded."""
        known = self.dues.get(profile_id)
        if known is None or due < known:
            self.dues[profile_id] = self.lowered[profile_id] = due

    def settled(
        self,
        before: Mapping[ProfileId, frozenset[IdentifierKey]],
        after: Mapping[ProfileId, frozenset[IdentifierKey]],
        seniors: Mapping[ProfileId, IdentifierKey],
        moves: Iterable[tuple[IdentifierKey, ProfileId | None, ProfileId | None]],
    ) -> None:
        """Put the profiles of a settled region in the place of the former ones."""
        for profile_id, senior in seniors.items():
            self.born.setdefault(profile_id, senior)
        for profile_id in before:
            self.seen_before.update(self.members[profile_id])
            self.members[profile_id] = frozenset()
        self.members.update(after)
        for key, source, target in moves:
            self.change(self.state(key)._replace(profile=target))
            self.moves.append((key, source, target, self.now))
            self.restructured.add(key)
            self.restructured.update(after.get(source, ()) if source is not None else ())  # it has lost one
        self.unversioned.update(before)
        self.unversioned.update(after)
