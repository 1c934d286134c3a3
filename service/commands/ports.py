"""What commands need of the stores. The docstrings are the contract; `graph` and `cache` keep it."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from service.commands.announce import Event
from service.commands.dispatch import DispatchLoaded, DispatchWanted
from service.commands.newcomers import Newcomers
from service.commands.plan import Entry, Plan, StoredAnswer
from service.commands.world import Erasure, Loaded, Wanted
from service.model.cached import Fill, Lease, NoValue
from service.model.changes import Revocation
from service.model.evidence import Assertion, ConsentRecord, Link, Reason, Verdict
from service.model.identifiers import IdentifierKey, LinkId, ProfileId
from service.model.policy_versions import Desk, PolicyVersion
from service.model.profile import Profile


@dataclass(frozen=True, slots=True)
class Head:
    """The one node whose lock orders all writes, as read under that lock.

    `now`: ms, the database's clock, never less than the last time used. `pending`: sequence → cache keys whose drops
    are not known to be through, of any instance. `desk`: what it says of policies. `due`: whether any link has fallen
    due.
    """

    seq: int
    now: int
    desk: Desk
    pending: dict[int, list[IdentifierKey]]
    due: bool = False


@dataclass(frozen=True, slots=True)
class KeptLink:
    """A link with the outcome kept beside it; `other` is the end away from the one asked about, in `profile`."""

    link: Link
    withheld: Reason | None
    other: IdentifierKey | None = None
    profile: ProfileId | None = None


@dataclass(frozen=True, slots=True)
class KeptMerge:
    """A merge in force, as it binds two of the identifiers that it says are one person."""

    assertion: Assertion
    a: IdentifierKey
    b: IdentifierKey


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """A link that waits for a steward or has a verdict. `apart`: its ends were said to be different since."""

    link: Link
    withheld: Reason | None
    worth: float | None
    apart: bool = False


class OutcomeUnknown(Exception):
    """A commit was sent and no answer came: it may have happened. `Ledger.happened` settles it."""


class Turn(Protocol):
    """One write transaction, holding the head's lock from `take_head` to its end."""

    async def take_head(self) -> Head:
        """Lock the head and read it. Raises StoreUnavailable when the lock is not to be had in time."""

    async def load(self, wanted: Wanted, now: int) -> Loaded:
        """What `wanted` names, as it stands under the lock."""

    async def dispatch(self, wanted: DispatchWanted) -> DispatchLoaded:
        """What `wanted` names of deliveries, as it stands under the lock."""

    async def profiles(self, keys: Sequence[IdentifierKey]) -> dict[IdentifierKey, Profile]:
        """The profile of each identifier that is in one, as stored under the lock."""

    async def erased(self, keys: Sequence[IdentifierKey]) -> frozenset[IdentifierKey]:
        """Those of the identifiers of which there is nothing but a tombstone."""

    async def answers(self, keys: Sequence[str]) -> dict[str, StoredAnswer]:
        """Answers stored under these idempotency keys."""

    async def write(self, plan: Plan, *, seq: int, at: int, dropped: Sequence[int]) -> None:
        """Write everything of the plan, its outbox entry and the head. `dropped`: outbox entries that are through."""

    async def write_newcomers(
        self,
        parts: Sequence[Newcomers],
        entries: Sequence[Entry],
        *,
        after: int,
        seq: int,
        at: int,
        dropped: Sequence[int],
    ) -> None:
        """Write what was resolved ahead, its outbox entry and the head. `after`: the sequence number before its events.

        Raises an error of the store, and nothing is written, where an identifier is known by now.
        """

    async def commit(self) -> None:
        """Make it true. Raises OutcomeUnknown where no answer came."""


class Ledger(Protocol):
    """The graph as the write path sees it."""

    def turn(self, op: str) -> AbstractAsyncContextManager[Turn]:
        """Begin a transaction named by a random operation id; leaving without commit rolls back."""

    async def happened(self, op: str) -> bool:
        """Whether the turn of this operation id was committed, settled while holding the head."""

    async def pending(self) -> dict[int, list[IdentifierKey]]:
        """Outbox entries whose drops are not known to be through. Reads only."""


class Journal(Protocol):
    """What remembers refusals outside the graph."""

    def append(
        self, seq: int, refusals: Sequence[tuple[IdentifierKey, ConsentRecord]], erasures: Sequence[Erasure] = ()
    ) -> None:
        """Remember refusals and erasures of one turn, and forget what was refused by those erased; returns once that is
        on the disk. Raises OSError.
        """


class Reader(Protocol):
    """The graph as look-ups see it: one consistent state per answer, from the leader."""

    async def profiles(self, keys: Sequence[IdentifierKey]) -> dict[IdentifierKey, Profile]:
        """The profile of each identifier that is in one."""

    async def profiles_by_id(self, ids: Sequence[ProfileId]) -> dict[ProfileId, Profile]:
        """The profile of today for each id ever handed out."""

    async def link(self, link_id: LinkId) -> tuple[Link, Reason | None] | None:
        """A link, and why it is withheld."""

    async def revocation(self, revocation_id: str) -> Revocation | None:
        """A revocation."""

    async def decision(self, decision_id: str) -> str | None:
        """A decision as it was answered, as JSON text."""


class Archive(Protocol):
    """What was recorded. Each answer comes from the graph alone; nothing is replayed. Raises StoreUnavailable."""

    async def turns(self, after: int, limit: int) -> list[tuple[int, list[Event]]]:
        """Outbox entries after a sequence number, in order, with their events."""

    async def turns_of(self, profile_id: ProfileId, before: int, limit: int) -> list[tuple[int, list[Event]]]:
        """Outbox entries that speak of a profile, newest first, with sequence numbers below `before`."""

    async def holder(self, profile_id: ProfileId, at: int | None = None) -> IdentifierKey | None:
        """Who holds an id ever handed out, or held it at a time (ms); None for one that never was."""

    async def members_at(
        self, moments: Iterable[tuple[ProfileId, int]]
    ) -> dict[tuple[ProfileId, int], list[IdentifierKey]]:
        """Who was in which profile at which time (ms)."""

    async def profiles_at(self, keys: Sequence[IdentifierKey], at: int) -> dict[IdentifierKey, Profile]:
        """The profile of each identifier as it was believed at a time (ms)."""

    async def assertions_of(self, key: IdentifierKey, limit: int) -> list[Assertion]:
        """Assertions that name an identifier, newest first, undone ones too."""

    async def consents_of(self, key: IdentifierKey) -> tuple[ConsentRecord, ...]:
        """What counts now of what was said about an identifier, by purpose and regulation."""

    async def household(self, key: IdentifierKey) -> list[ProfileId] | None:
        """The profiles that a household groups now; None for one that is not known."""

    async def links_at(self, keys: Sequence[IdentifierKey], limit: int) -> list[KeptLink]:
        """Links at some identifiers, whether they bridge or not, but those taken back."""

    async def links_between(self, keys: Sequence[IdentifierKey], profile: ProfileId, limit: int) -> list[KeptLink]:
        """Links from some identifiers into a profile, but those taken back."""

    async def open_reviews(self, worth: float, after: str, limit: int) -> list[ReviewItem]:
        """Links that wait for a steward, the most worthwhile first, after a place in that order."""

    async def count_open_reviews(self) -> int:
        """How many links wait for a steward."""

    async def closed_reviews(self, verdict: Verdict, after: str, limit: int) -> list[ReviewItem]:
        """Links on which this verdict was given, by id, after one."""

    async def reviews_at(self, key: IdentifierKey, limit: int) -> list[ReviewItem]:
        """Links at an identifier that wait for a steward or have a verdict."""


class PolicyStore(Protocol):
    """Policy versions as they are kept, read from the leader. Raises StoreUnavailable."""

    async def desk(self) -> Desk:
        """What the head says of policies now."""

    async def version(self, version: int) -> PolicyVersion | None:
        """One version."""

    async def versions(self, before: int, limit: int) -> list[PolicyVersion]:
        """Versions below a number, the newest first."""

    async def in_force_at(self, at: int) -> int:
        """The version that was in force at a time (ms)."""

    async def profiles(self, after: str, limit: int) -> Sequence[Profile]:
        """Profiles that are shown, by id, after one."""

    async def members(self, audience: str, after: str, limit: int) -> Sequence[Profile]:
        """Profiles noted to be in an audience, by id, after one."""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What audit entries are asked for; None: whatever it is. `since` and `until`: RFC 3339."""

    subject: str | None = None
    actor: str | None = None
    action: str | None = None
    destination: str | None = None
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True)
class AuditVerdict:
    """Whether the chain holds from the first entry to the head, and the first sequence number where it does not."""

    ok: bool
    entries: int
    first_bad_seq: int | None


class Audit(Protocol):
    """The audit as it is kept. Raises StoreUnavailable."""

    async def search(self, asked: AuditFilter, before: int, limit: int) -> list[dict[str, Any]]:
        """Entries that match, newest first, with sequence numbers below `before`."""

    async def verify(self) -> AuditVerdict:
        """Recompute the whole chain."""


class Cache(Protocol):
    """The cache as look-ups see it. Never raises: a cache that is down answers NoValue.DOWN, None and nothing."""

    def get(self, identifier: str, purpose: str, policy_version: int | None) -> Awaitable[bytes | NoValue]:
        """One value, or why there is none. Calls of one event-loop tick share a round trip."""

    async def lease_many(
        self, wanted: Sequence[tuple[str, str]], policy_version: int
    ) -> Sequence[Lease | bytes | None]:
        """A lease for each, or the value that is there by now, or None: then read the graph and store nothing."""

    async def fill_many(self, fills: Sequence[Fill]) -> list[bool]:
        """Store each value whose lease still stands."""


class Dropper(Protocol):
    """The cache as the write path sees it."""

    async def drop(self, keys: Sequence[str]) -> None:
        """End cached answers; returns once no reader can be served the old ones. Raises CacheUnavailable in doubt."""
