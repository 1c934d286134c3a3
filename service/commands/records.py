"""Records at the door: encoded before anything is stored, scored and searched without storing anything."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import orjson

from service.commands.dossiers import DossiersLoaded
from service.commands.scoring import ModelScorer
from service.errors import Invalid, MatchingKeyUnknown, MatchingOff
from service.matching.encode import Encoded, Encoder
from service.matching.fields import Normal, normalise
from service.matching.score import FieldScore, Scored, Step, what_would_make
from service.model.evidence import Link
from service.model.identifiers import IdentifierKey, LinkId, Pair, ProfileId
from service.model.policy import Policy
from service.model.records import SOURCE, Block, Dossier, KeptRecord, Matching, ObserveRecord

FOUND_MAX: Final = 100


class RecordReader(Protocol):
    """Records as they are kept, read from the leader. Raises StoreUnavailable."""

    async def dossiers(self, keys: Sequence[IdentifierKey]) -> dict[IdentifierKey, Dossier]:
        """The records of each identifier that has some."""

    async def standing_in(self, blocks: Mapping[Block, int]) -> DossiersLoaded:
        """Who stands in each block that holds no more than its number."""

    async def profiles_of(self, keys: Sequence[IdentifierKey]) -> dict[IdentifierKey, ProfileId]:
        """The profile that each identifier is in."""

    async def page(self, after: str, limit: int) -> list[Dossier]:
        """Dossiers by identifier, after one."""

    async def count(self) -> int:
        """How many identifiers have records."""

    async def judged(self, limit: int) -> dict[Pair, bool]:
        """Pairs that stewards said are one person or are not, of so many assertions in force, the latest first."""


@dataclass(frozen=True, slots=True)
class Found:
    """An identifier whose records are like what was searched for."""

    identifier: IdentifierKey
    profile_id: ProfileId | None
    confidence: float


@dataclass(frozen=True, slots=True)
class Why:
    """What the fields of two identifiers' likest records say; `would_make`: what would make it certain enough."""

    fields: tuple[FieldScore, ...]
    would_make: tuple[Step, ...] = ()


def blocks_of(encoded: Encoded) -> tuple[Block, ...]:
    """Blocking keys as numbers that a store can hold."""
    return tuple(int.from_bytes(key, "little", signed=True) for key in encoded.keys)


class Records:
    """Encodes, scores and searches under the policy in force. `in_force`: whether the encoding key is the graph's."""

    def __init__(
        self,
        key: bytes,
        key_version: int,
        secret: bytes,
        reader: RecordReader,
        policy: Callable[[], Policy],
        *,
        in_force: bool,
    ) -> None:
        self._encoders = {keep: Encoder(key, key_version, keep) for keep in ("encoded", "plain")}
        self._secret = secret
        self.reader = reader
        self._policy = policy
        self.in_force = in_force

    # ---- what is asked for

    def matching(self) -> Matching:
        """The section of the policy in force. Raises MatchingOff, MatchingKeyUnknown."""
        matching = self._policy().matching
        if matching is None:
            raise MatchingOff()
        if not self.in_force:
            raise MatchingKeyUnknown()
        return matching

    def scorer(self) -> ModelScorer:
        """The model in force. Raises MatchingOff, MatchingKeyUnknown."""
        scorer = self.matching().scorer
        if not isinstance(scorer, ModelScorer):
            raise MatchingOff()
        return scorer

    # ---- records

    def encode(
        self, identifier: IdentifierKey, source: str, observed_at: int, attributes: Mapping[str, str]
    ) -> ObserveRecord:
        """The change that a record asks for. Raises Invalid for one that holds nothing, MatchingOff."""
        keep = self.matching().keep
        normal = self._normal(attributes, "/attributes")
        encoded = self._encoders[keep].encode(normal)
        told = orjson.dumps(dict(attributes), option=orjson.OPT_SORT_KEYS)
        digest = hmac.new(self._secret, b"record\0" + told, hashlib.sha256).hexdigest()[:32]
        blocks = tuple(sorted(set(blocks_of(encoded))))
        sent = tuple(name for name in attributes)
        return ObserveRecord(
            identifier, KeptRecord(source, observed_at, sent, digest, encoded.to_bytes(), blocks, keep)
        )

    @staticmethod
    def _normal(attributes: Mapping[str, str], place: str) -> Normal:
        normal = normalise(attributes)
        if normal.is_empty:
            raise Invalid.at(place, "holds nothing that can be compared")
        return normal

    async def record(self, key: IdentifierKey, source: str) -> KeptRecord | None:
        """One record as it is kept."""
        dossier = (await self.reader.dossiers([key])).get(key)
        return dossier.of(source) if dossier is not None else None

    # ---- nothing of this is stored

    def score(self, a: Mapping[str, str], b: Mapping[str, str]) -> Scored:
        """How likely two records are one person's. Raises Invalid, MatchingOff."""
        scorer, encoder = self.scorer(), self._encoders["encoded"]
        one = encoder.encode(self._normal(a, "/a/attributes"))
        return scorer.scored(one, encoder.encode(self._normal(b, "/b/attributes")))

    async def search(self, attributes: Mapping[str, str], limit: int) -> list[Found]:
        """Whose records are like these, the likest first; only those that would be linked or kept as links."""
        matching, scorer = self.matching(), self.scorer()
        asked = self._encoders["encoded"].encode(self._normal(attributes, "/attributes")).to_bytes()
        blocks = dict.fromkeys(blocks_of(Encoded.from_bytes(asked)), matching.max_candidates)
        around = await self.reader.standing_in(blocks)
        told = [
            (dossier.key, record.encoding)
            for dossier in around.dossiers
            if dossier.key not in around.resting
            for record in dossier.records
        ]
        best: dict[IdentifierKey, float] = {}
        likenesses = scorer.likenesses([(asked, encoding) for _, encoding in told]) if told else []
        for (key, _), like in zip(told, likenesses, strict=True):
            if like.comparable and like.confidence >= matching.keep_above:
                best[key] = max(like.confidence, best.get(key, 0.0))
        first = sorted(best, key=lambda key: (-best[key], key))[: min(limit, FOUND_MAX)]
        profiles = await self.reader.profiles_of(first)
        return [Found(key, profiles.get(key), best[key]) for key in first]

    # ---- why

    async def why(self, links: Iterable[Link], target: float | None = None) -> dict[LinkId, Why]:
        """What the fields say of each link that follows from records; with `target`, what would make it that sure."""
        matching = self._policy().matching
        mine = [link for link in links if link.source == SOURCE and link.link_id]
        if not mine or matching is None or not isinstance(matching.scorer, ModelScorer):
            return {}
        scorer = matching.scorer
        dossiers = await self.reader.dossiers(sorted({end for link in mine for end in link.pair}))
        found: dict[LinkId, Why] = {}
        for link in mine:
            two = self._likest(scorer, dossiers.get(link.a), dossiers.get(link.b))
            if two is None:
                continue
            told = scorer.scored(*two).fields
            under = target is not None and link.confidence < target
            more = what_would_make(scorer.model, *two, target or 0.0, matching.fields) if under else ()
            found[link.link_id] = Why(told, more)
            await asyncio.sleep(0)
        return found

    @staticmethod
    def _likest(scorer: ModelScorer, a: Dossier | None, b: Dossier | None) -> tuple[Encoded, Encoded] | None:
        if a is None or b is None:
            return None
        pairs = [(one.encoding, other.encoding) for one in a.records for other in b.records]
        likenesses = scorer.likenesses(pairs)
        best = max(range(len(pairs)), key=lambda i: (likenesses[i].comparable, likenesses[i]), default=None)
        if best is None or not likenesses[best].comparable:
            return None
        return Encoded.from_bytes(pairs[best][0]), Encoded.from_bytes(pairs[best][1])


def equipped(policy: Policy, scorer: ModelScorer | None, link_ids: object) -> Policy:
    """The policy with a model of its own and ids for the links that follow from it."""
    if policy.matching is None or scorer is None:
        return policy
    return replace(policy, matching=replace(policy.matching, scorer=scorer, link_ids=link_ids))  # type: ignore[arg-type]
