"""Reads of what was recorded. Each answers from the graph alone; nothing is replayed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, LiteralString

import orjson
from neo4j import AsyncDriver

from service.commands.announce import Event
from service.commands.ports import KeptLink, ReviewItem
from service.commands.sealing import SealedFile
from service.graph import past_queries, records
from service.graph.driver import rows_of
from service.model.evidence import Assertion, ConsentRecord, Verdict
from service.model.identifiers import IdentifierKey, ProfileId
from service.model.profile import Profile


def _turn(seq: int, items: Sequence[str] | None) -> tuple[int, list[Event]]:
    return seq, [orjson.loads(item) for item in items or ()]


class GraphArchive:
    """See `service.commands.ports.Archive`. Raises StoreUnavailable."""

    def __init__(self, driver: AsyncDriver, database: str, sealed: SealedFile) -> None:
        self._driver = driver
        self._database = database
        self._sealed = sealed

    async def _rows(self, query: LiteralString, **parameters: Any) -> list[Any]:
        return await rows_of(self._driver, self._database, query, parameters)

    async def turns(self, after: int, limit: int) -> list[tuple[int, list[Event]]]:
        """Outbox entries after a sequence number, in order, with their events."""
        (row,) = await self._rows(past_queries.READ_TURNS, after=after, limit=limit)
        turns, bound = [_turn(*turn) for turn in row["turns"]], row["bound"]
        if after + 1 >= bound:  # an entry's events have numbers below its own
            return turns
        moved = await self._sealed.turns_after(after, bound, limit)
        found = [_turn(turn.seq, turn.items) for turn in moved if turn.items]
        if len(moved) == limit:  # more may follow there
            return found or await self.turns(moved[-1].seq, limit)
        return [*found, *(turn for turn in turns if turn[0] > bound)][:limit]

    async def turns_of(self, profile_id: ProfileId, before: int, limit: int) -> list[tuple[int, list[Event]]]:
        """Outbox entries that speak of a profile, newest first, with sequence numbers below `before`."""
        (row,) = await self._rows(past_queries.READ_TURNS_OF, id=profile_id, before=before, limit=limit)
        turns, bound = [_turn(*turn) for turn in row["turns"]], row["bound"]
        if len(turns) < limit and bound:
            older = min([before, bound + 1, *(seq for seq, _ in turns[-1:])])
            moved = await self._sealed.turns_of(profile_id, older, limit - len(turns))
            turns += [_turn(turn.seq, turn.items) for turn in moved]
        return turns

    async def holder(self, profile_id: ProfileId, at: int | None = None) -> IdentifierKey | None:
        """Who holds an id ever handed out, or held it at a time (ms); None for one that never was."""
        rows = await self._rows(past_queries.READ_HOLDER, id=profile_id)
        if not rows or rows[0]["holder"] is None:
            return None
        held = [] if at is None else [text.partition("|")[::2] for text in rows[0]["held"] or ()]
        return IdentifierKey(next((key for until, key in held if int(until) > (at or 0)), rows[0]["holder"]))

    async def members_at(
        self, moments: Iterable[tuple[ProfileId, int]]
    ) -> dict[tuple[ProfileId, int], list[IdentifierKey]]:
        """Who was in which profile at which time (ms)."""
        asked = list(moments)
        rows = [{"id": profile_id, "at": at} for profile_id, at in asked]
        found = await self._rows(past_queries.READ_MEMBERS_AT, rows=rows) if rows else []
        members = {(ProfileId(row["id"]), row["at"]): set(row["members"]) for row in found}
        bound = await self._bound() if asked else 0
        for profile_id, at in asked:
            if at < bound and (moved := await self._sealed.members_at(profile_id, at)):
                members.setdefault((profile_id, at), set()).update(moved)
        return {moment: sorted(IdentifierKey(key) for key in keys) for moment, keys in members.items()}

    async def profiles_at(self, keys: Sequence[IdentifierKey], at: int) -> dict[IdentifierKey, Profile]:
        """The profile of each identifier as it was believed at a time (ms)."""
        rows = await self._rows(past_queries.READ_PROFILES_AT, keys=list(keys), at=at)
        found = {IdentifierKey(row["asked"]): self._past(row) for row in rows}
        missing = [key for key in keys if key not in found]
        if missing and at < await self._bound():
            found |= await self._moved_profiles(missing, at)
        return found

    async def _bound(self) -> int:
        """Intervals that ended before this time (ms) may have been moved out. Asked after the graph was."""
        rows = await self._rows(past_queries.READ_PAST_BOUND)
        return int(rows[0]["bound"]) if rows else 0

    async def _moved_profiles(self, keys: Sequence[IdentifierKey], at: int) -> dict[IdentifierKey, Profile]:
        """As `profiles_at`, where the stay or the view, or both, were moved."""
        stays = {row["key"]: row["id"] for row in await self._rows(past_queries.READ_STAYS_AT, keys=list(keys), at=at)}
        stays |= await self._sealed.stays_at([key for key in keys if key not in stays], at)
        ids = sorted(set(stays.values()))
        views = {row["id"]: row["view"] for row in await self._rows(past_queries.READ_VIEWS_AT, ids=ids, at=at)}
        views |= await self._sealed.views_at([profile_id for profile_id in ids if profile_id not in views], at)
        return {
            IdentifierKey(key): records.profile_of(profile_id, 0, views[profile_id])
            for key, profile_id in stays.items()
            if profile_id in views
        }

    @staticmethod
    def _past(row: Any) -> Profile:
        return records.profile_of(row["id"], 0, row["view"], row["due"])

    async def assertions_of(self, key: IdentifierKey, limit: int) -> list[Assertion]:
        """Assertions that name an identifier, newest first, undone ones too."""
        rows = await self._rows(past_queries.READ_ASSERTIONS_OF, key=key, limit=limit)
        return [records.assertion_of(row) for row in rows]

    async def consents_of(self, key: IdentifierKey) -> tuple[ConsentRecord, ...]:
        """What counts now of what was said about an identifier, by purpose and regulation, with its signals."""
        rows = await self._rows(past_queries.READ_CONSENTS, key=key)
        if not rows or not rows[0]["consents"]:
            return ()
        found = records.consents_of_list(orjson.loads(rows[0]["consents"]))
        ids = [record.consent_id for record in found if record.method is not None]
        if not ids:
            return found
        signals = {row["id"]: row["signal"] for row in await self._rows(past_queries.READ_SIGNALS, key=key, ids=ids)}
        return tuple(replace(record, signal=signals.get(record.consent_id)) for record in found)

    async def household(self, key: IdentifierKey) -> list[ProfileId] | None:
        """The profiles that a household groups now; None for one that is not known."""
        rows = await self._rows(past_queries.READ_HOUSEHOLD, key=key)
        return sorted(ProfileId(profile_id) for profile_id in rows[0]["profiles"]) if rows else None

    async def links_at(self, keys: Sequence[IdentifierKey], limit: int) -> list[KeptLink]:
        """Links at some identifiers, whether they bridge or not, but those taken back."""
        rows = await self._rows(past_queries.READ_LINKS_AT, keys=list(keys), limit=limit)
        return [KeptLink(*records.link_of(row["link"]), row["other"], row["profile"]) for row in rows]

    async def links_between(self, keys: Sequence[IdentifierKey], profile: ProfileId, limit: int) -> list[KeptLink]:
        """Links from some identifiers into a profile, but those taken back."""
        rows = await self._rows(past_queries.READ_LINKS_BETWEEN, keys=list(keys), profile=profile, limit=limit)
        return [KeptLink(*records.link_of(row["link"])) for row in rows]

    async def open_reviews(self, worth: float, after: str, limit: int) -> list[ReviewItem]:
        """Links that wait for a steward, the most worthwhile first, after a place in that order."""
        rows = await self._rows(past_queries.READ_OPEN_REVIEWS, worth=worth, after=after, limit=limit)
        return [self._review(row) for row in rows]

    async def count_open_reviews(self) -> int:
        """How many links wait for a steward."""
        return int((await self._rows(past_queries.COUNT_OPEN_REVIEWS))[0]["count"])

    async def closed_reviews(self, verdict: Verdict, after: str, limit: int) -> list[ReviewItem]:
        """Links on which this verdict was given, by id, after one."""
        rows = await self._rows(past_queries.READ_CLOSED_REVIEWS, verdict=verdict, after=after, limit=limit)
        return [self._review(row) for row in rows]

    async def reviews_at(self, key: IdentifierKey, limit: int) -> list[ReviewItem]:
        """Links at an identifier that wait for a steward or have a verdict."""
        return [self._review(row) for row in await self._rows(past_queries.READ_REVIEWS_AT, key=key, limit=limit)]

    @staticmethod
    def _review(row: Any) -> ReviewItem:
        link, withheld, worth = records.reviewed_link_of(row["link"])
        sides = {text.rpartition(":")[::2] for text in row["sides_a"] or ()}
        against = {text.rpartition(":")[::2] for text in row["sides_b"] or ()}
        apart = any((assertion, "1" if side == "0" else "0") in against for assertion, side in sides)
        return ReviewItem(link, withheld, worth, apart)
