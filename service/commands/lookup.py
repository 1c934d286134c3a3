"""The read path: an identifier's profile, from the cache under a lease, else from the graph."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import orjson

from service.clock import Clock
from service.commands.coalesce import Coalescer
from service.commands.policies import Policies
from service.commands.ports import Cache
from service.commands.timely import Timely
from service.control.answer import answer, valid_until
from service.errors import UnknownIdentifier, UnknownProfile
from service.model.cached import Fill, Lease, NoValue
from service.model.identifiers import IdentifierKey, ProfileId
from service.model.policy import Policy
from service.model.profile import Profile
from service.telemetry import Metrics

_RECENT_MAX = 5_000
CacheState = Literal["hit", "miss", "bypass"]
Question = tuple[IdentifierKey, str]  # an identifier and a purpose, '' for none


@dataclass(frozen=True, slots=True)
class Found:
    """A profile as JSON bytes, and where the answer came from."""

    body: bytes
    cache: CacheState


class Lookup:
    """Answers look-ups."""

    def __init__(
        self,
        cache: Cache,
        timely: Timely,
        policies: Policies,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._cache = cache
        self._timely = timely
        self._policies = policies
        self._clock = clock
        self._metrics = metrics
        self._misses: Coalescer[Question, Found] = Coalescer(self._read_under_lease)
        self._bypasses: Coalescer[Question, Found] = Coalescer(self._read_past_cache)
        self._pasts: Coalescer[tuple[IdentifierKey, int], Profile] = Coalescer(self._read_pasts)
        self._ids: Coalescer[ProfileId, Profile] = Coalescer(timely.profiles_by_id)
        self._filled: deque[Question] = deque(maxlen=_RECENT_MAX)

    async def by_identifier(self, key: IdentifierKey, purpose: str = "", min_confidence: float = 0.0) -> Found:
        """The profile of an identifier. Raises UnknownIdentifier, StoreUnavailable."""
        value = await self._cache.get(key, purpose, None)  # one of the version in force
        if isinstance(value, bytes):
            self._metrics.lookup_hit.inc()
            found: Found | None = Found(value, "hit")
        elif value is NoValue.MISS:
            self._metrics.lookup_miss.inc()
            found = await self._misses.ask((key, purpose))
        else:
            self._metrics.lookup_bypass.inc()
            found = await self._bypasses.ask((key, purpose))
        if found is None:
            raise UnknownIdentifier()
        return at_least(found, min_confidence) if min_confidence > 0 else found

    async def many(
        self, keys: Sequence[IdentifierKey], purpose: str = "", min_confidence: float = 0.0
    ) -> list[Found | None]:
        """The profiles of many identifiers, in order; None for unknown ones."""

        async def one(key: IdentifierKey) -> Found | None:
            try:
                return await self.by_identifier(key, purpose, min_confidence)
            except UnknownIdentifier:
                return None

        return list(await asyncio.gather(*(one(key) for key in keys)))

    async def by_id(self, profile_id: ProfileId, purpose: str = "", min_confidence: float = 0.0) -> Found:
        """The profile that an id ever handed out leads to today. Raises UnknownProfile, StoreUnavailable."""
        profile = await self._ids.ask(profile_id)
        if profile is None:
            raise UnknownProfile()
        self._metrics.lookup_bypass.inc()
        body = answer(
            profile,
            profile.members[0].key,
            await self._policies.current(),
            self._clock.now_ms(),
            purpose=purpose or None,
            min_confidence=min_confidence,
            redirected_from=profile_id if profile_id != profile.profile_id else None,
        )
        return Found(orjson.dumps(body), "bypass")

    async def as_of(
        self, keys: Sequence[IdentifierKey], at: int, purpose: str = "", min_confidence: float = 0.0
    ) -> list[Found | None]:
        """What was believed of identifiers at a time (ms), ids and consent included; None for those not known then."""
        profiles = await asyncio.gather(*(self._pasts.ask((key, at)) for key in keys))
        policy = await self._policies.at_time(at)
        return [
            None if profile is None else self._past(profile, policy, key, at, purpose, min_confidence)
            for key, profile in zip(keys, profiles, strict=True)
        ]

    async def _read_pasts(self, asked: list[tuple[IdentifierKey, int]]) -> dict[tuple[IdentifierKey, int], Profile]:
        found = {}
        for at in {at for _, at in asked}:
            profiles = await self._timely.profiles_at([key for key, when in asked if when == at], at)
            found.update({(key, at): profile for key, profile in profiles.items()})
        return found

    async def by_id_as_of(
        self, profile_id: ProfileId, at: int, purpose: str = "", min_confidence: float = 0.0
    ) -> Found:
        """What a profile id led to at a time (ms). Raises UnknownProfile for one that led nowhere then."""
        profile = await self._timely.profile_at(profile_id, at)
        if profile is None:
            raise UnknownProfile()
        redirected = profile_id if profile_id != profile.profile_id else None
        policy = await self._policies.at_time(at)
        return self._past(profile, policy, profile.members[0].key, at, purpose, min_confidence, redirected)

    @staticmethod
    def _past(
        profile: Profile,
        policy: Policy,
        key: IdentifierKey,
        at: int,
        purpose: str,
        min_confidence: float,
        redirected_from: ProfileId | None = None,
    ) -> Found:
        body = answer(
            profile,
            key,
            policy,
            at,
            purpose=purpose or None,
            min_confidence=min_confidence,
            redirected_from=redirected_from,
        )
        return Found(orjson.dumps({**body, "valid_until": None}), "bypass")

    async def _read_past_cache(self, questions: list[Question]) -> dict[Question, Found]:
        answers = await self._answers(questions, await self._policies.current())
        return {question: Found(body, "bypass") for question, (body, _) in answers.items()}

    async def _answers(self, questions: Sequence[Question], policy: Policy) -> dict[Question, tuple[bytes, int | None]]:
        """Question → answer, and until when it holds (ms)."""
        profiles = await self._timely.profiles(list(dict.fromkeys(key for key, _ in questions)))
        now = self._clock.now_ms()
        found = {}
        for key, purpose in questions:
            profile = profiles.get(key)
            if profile is not None:
                body = orjson.dumps(answer(profile, key, policy, now, purpose=purpose or None))
                found[key, purpose] = (body, valid_until(profile, now))
        return found

    async def _read_under_lease(self, questions: list[Question]) -> dict[Question, Found]:
        """Take leases, read the graph, store what the leases still allow (design, idea 3)."""
        policy = await self._policies.current()
        version = policy.version
        leases = dict(zip(questions, await self._cache.lease_many(questions, version), strict=True))
        found = {q: Found(lease, "hit") for q, lease in leases.items() if isinstance(lease, bytes)}
        answers = await self._answers([question for question in questions if question not in found], policy)
        fills = []
        for question, (body, until) in answers.items():
            found[question] = Found(body, "miss")
            lease = leases[question]
            if isinstance(lease, Lease):
                fills.append(Fill(lease, body, version, until))
        if fills:
            await self._cache.fill_many(fills)
            self._filled.extend((IdentifierKey(fill.lease.identifier), fill.lease.purpose) for fill in fills)
        return found

    def recent(self, count: int) -> list[Question]:
        """Up to so many questions whose answers were cached lately, in turn."""
        found = list(dict.fromkeys(self._filled.popleft() for _ in range(min(count, len(self._filled)))))
        self._filled.extend(found)
        return found

    async def past_cache(self, questions: list[Question]) -> dict[Question, bytes]:
        """What the graph says. Raises StoreUnavailable."""
        answers = await self._answers(questions, await self._policies.current())
        return {question: body for question, (body, _) in answers.items()}


def at_least(found: Found, min_confidence: float) -> Found:
    """The answer with only the identifiers that are seen with at least this confidence."""
    body = orjson.loads(found.body)
    body["identifiers"] = [i for i in body["identifiers"] if i["confidence"] >= min_confidence]
    return Found(orjson.dumps(body), found.cache)
