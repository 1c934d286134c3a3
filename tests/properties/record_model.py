"""Records in the reference: all that are kept, and from all of them at once who is compared and what follows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from hypothesis import strategies as st

from service.model.evidence import Bond, Tier
from service.model.identifiers import IdentifierKey, Pair, pair_of
from service.model.policy import Policy
from service.model.records import SOURCE, KeptRecord, Likeness, Matching, ObserveRecord, WithdrawRecord
from service.resolution.resolve import OddsAcross
from tests.properties.evidence_model import Evidence
from tests.properties.ledger import DAY
from tests.properties.strategies import KEYS, START, link_id, policies

PERSONS = tuple(key for key in KEYS if not key.startswith("home:"))
_ODDS = ((0.999, 6.9), (0.97, 3.5), (0.92, 2.4), (0.7, 0.85), (0.4, -0.4), (0.05, -3.0), (0.0001, -9.2))


class Drawn:
    """A scorer: what two records are like is drawn once for all by their contents, symmetric."""

    def likenesses(self, pairs: Sequence[tuple[bytes, bytes]]) -> list[Likeness]:
        """For each pair of encodings."""
        return [self.of(a, b) for a, b in pairs]

    @staticmethod
    def of(a: bytes, b: bytes) -> Likeness:
        """Equal ones are surely alike; those that begin with different marks are under different keys."""
        if a[:1] != b[:1]:
            return Likeness(0.0, 0.0, comparable=False)
        if a == b:
            return Likeness(*_ODDS[0])
        digest = hashlib.sha256(b"|".join(sorted((a, b)))).digest()
        return Likeness(*_ODDS[digest[0] % len(_ODDS)])


def with_matching(policy: Policy, block_max: int) -> Policy:
    """The policy with records compared, in blocks of at most so many."""
    matching = Matching("people", "1", "encoded", (), block_max, 0.5, Drawn(), link_id)
    return replace(policy, matching=matching)


@st.composite
def matching_policies(draw: st.DrawFn) -> Policy:
    """A small policy with small blocks."""
    return with_matching(draw(policies()), draw(st.sampled_from((2, 3, 4))))


@st.composite
def records(draw: st.DrawFn, start: int = START) -> ObserveRecord:
    """One source's record of one identifier: few contents, few blocks."""
    content = draw(st.sampled_from(("kA", "kA", "kB", "kC", "kD", "oA")))
    blocks = tuple(sorted(draw(st.sets(st.integers(1, 4), min_size=1, max_size=3))))
    source = draw(st.sampled_from(("crm", "web")))
    at = start + draw(st.integers(-1, 2)) * DAY
    record = KeptRecord(source, at, ("given_name",), f"{content}{blocks}", content.encode(), blocks)
    return ObserveRecord(draw(st.sampled_from(PERSONS)), record)


@dataclass(slots=True)
class RecordEvidence(Evidence):
    """Everything that has been said, records too."""

    told: dict[tuple[IdentifierKey, str], KeptRecord] = field(default_factory=dict)

    def tell(self, sent: ObserveRecord) -> None:
        """A source tells a record; of one time, the greater digest counts."""
        key, record = sent.identifier, sent.record
        known = self.told.get((key, record.source))
        if known is None or (record.observed_at, record.digest) > (known.observed_at, known.digest):
            self.told[key, record.source] = record
        self.first_seen[key] = min(self.first_seen.get(key, record.observed_at), record.observed_at)

    def take_back(self, sent: WithdrawRecord) -> None:
        """It is as if the record had never been told; the identifier stays known."""
        self.told.pop((sent.identifier, sent.source), None)

    def of(self, key: IdentifierKey) -> list[KeptRecord]:
        """The records of an identifier."""
        return [record for (of, _), record in sorted(self.told.items()) if of == key]

    def likeness(self, pair: Pair) -> Likeness | None:
        """Of the two likest records of a pair of identifiers."""
        found = [Drawn.of(a.encoding, b.encoding) for a in self.of(pair[0]) for b in self.of(pair[1])]
        return max((like for like in found if like.comparable), default=None)

    def compared(self, now: int) -> set[Pair]:
        """The pairs that stand together in a block that is not too large, and may be linked."""
        assert self.policy.matching is not None
        blocks: dict[int, set[IdentifierKey]] = {}
        for (key, _), record in self.told.items():
            for block in record.blocks:
                blocks.setdefault(block, set()).add(key)
        small = [keys for keys in blocks.values() if len(keys) <= self.policy.matching.max_candidates]
        return {
            pair_of(a, b)
            for keys in small
            for a, b in combinations(keys, 2)
            if self.may_be_linked(a, now) and self.may_be_linked(b, now)
        }

    def matches(self, now: int) -> dict[Pair, tuple[float, int]]:
        """The links that follow from records: confidence and time."""
        assert self.policy.matching is not None
        found = {}
        for pair in self.compared(now):
            like = self.likeness(pair)
            if like is not None and like.confidence >= self.policy.matching.keep_above:
                at = max(record.observed_at for key in pair for record in self.of(key))
                found[pair] = (like.confidence, at)
        return found

    def bonds(self, now: int) -> list[Bond]:
        """Those of links and merges, and those that follow from records."""
        bonds = Evidence.bonds(self, now)
        for (a, b), (confidence, at) in self.matches(now).items():
            ttls = [ttl for end in (a, b) if (ttl := self.policy.namespace_of_key(end).ttl_ms) is not None]
            over = any(at + ttl <= now for ttl in ttls)
            if confidence >= self.policy.min_confidence_probabilistic and not over:
                bonds.append(Bond(a, b, Tier.PROBABILISTIC, confidence, at, at))
        return bonds

    def odds_across(self) -> OddsAcross:
        """What all records say of two groups."""

        def across(ours: Sequence[IdentifierKey], theirs: Sequence[IdentifierKey]) -> dict[Pair, float]:
            pairs = {pair_of(a, b): self.likeness(pair_of(a, b)) for a in ours for b in theirs}
            return {pair: like.odds for pair, like in pairs.items() if like is not None}

        return across


__all__ = ["SOURCE", "Drawn", "RecordEvidence", "matching_policies", "records", "with_matching"]
