"""A ledger that also keeps which links wait for a steward; `Ledger` itself leaves the review queue out."""

from __future__ import annotations

from dataclasses import dataclass, field

from service.commands.plan import Plan
from service.commands.world import Loaded, Wanted
from service.model.evidence import Link
from service.model.identifiers import LinkId, Pair
from tests.properties.ledger import Ledger


@dataclass(slots=True)
class WaitingLedger(Ledger):
    """`waiting`: link → what a decision on it is worth."""

    waiting: dict[LinkId, float] = field(default_factory=dict)

    async def load(self, wanted: Wanted, now: int) -> Loaded:
        """See Ledger."""
        loaded = await Ledger.load(self, wanted, now)
        members = {key for profile_id in wanted.profiles for key in self.members.get(profile_id, ())}
        here, known = {link.link_id for link in loaded.links}, {state.key for state in loaded.identifiers}
        for link_id in sorted(self.waiting.keys() - here):
            link = self.links[link_id]
            if not (members - self.bars.keys() | wanted.links_of).isdisjoint(link.pair):
                loaded.links.append(link)
                loaded.identifiers += [self.state(end) for end in link.pair if end not in known]
                known.update(link.pair)
        ids = {link.link_id for link in loaded.links}
        loaded.reviews = {link_id: worth for link_id, worth in self.waiting.items() if link_id in ids}
        return loaded

    def due(self, now: int) -> list[Link]:
        """See Ledger; those that wait fall due as well."""
        waiting = [link for i in self.waiting if (link := self.links[i]).inactive and link.due and link.due <= now]
        return sorted((*Ledger.due(self, now), *waiting), key=lambda link: (link.due or 0, link.link_id))

    def write(self, plan: Plan) -> None:
        """See Ledger."""
        Ledger.write(self, plan)
        for stored in (*plan.links_new, *plan.links):
            self.waiting.pop(stored.link.link_id, None)
            if stored.review is not None:
                self.waiting[stored.link.link_id] = stored.review

    def together(self, pair: Pair) -> bool:
        """Whether both are in one profile."""
        return self.within.get(pair[0]) == self.within.get(pair[1])

    def apart(self, pair: Pair) -> bool:
        """Whether the two were said to be different, outright."""
        one, other = (set(self.state(key).sides) for key in pair)
        return any((assertion, 1 - side) in other for assertion, side in one)

    def queue(self) -> dict[Pair, LinkId]:
        """The pairs that a steward is shown, each with the link that stands for it."""
        pairs = {self.links[link_id].pair: link_id for link_id in self.waiting}
        assert len(pairs) == len(self.waiting), "one item a pair"
        return {
            pair: link_id
            for pair, link_id in pairs.items()
            if not self.together(pair) and not self.apart(pair) and all(self.state(end).linking for end in pair)
        }
