"""Reads on Neo4j: one statement for many questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, LiteralString, TypeVar

from neo4j import WRITE_ACCESS, AsyncDriver, Query
from neo4j.exceptions import DriverError, Neo4jError

from service.errors import Erased, StoreUnavailable
from service.graph import queries, records
from service.graph.bounded import bounded
from service.model.changes import Revocation
from service.model.evidence import Link, Reason
from service.model.identifiers import IdentifierKey, LinkId, ProfileId
from service.model.profile import Profile

READ_MS_MAX = 5_000
READ_TRIES_MAX = 5
_NOWHERE_TRIES = 2

K = TypeVar("K", IdentifierKey, ProfileId)


class GraphReader:
    """See `service.commands.ports.Reader`. Raises StoreUnavailable.

    Reads go to the leader: an answer that is cached must be at least as new as the drop that let it be read.
    """

    def __init__(self, driver: AsyncDriver, database: str, *, timeout_ms: int = READ_MS_MAX) -> None:
        self._driver = driver
        self._database = database
        self._timeout_s = timeout_ms / 1000

    async def _rows(self, query: LiteralString, **parameters: Any) -> list[Any]:
        # One statement, so it commits by itself: a managed transaction would take three more messages.
        try:
            async with (
                bounded(self._timeout_s),
                self._driver.session(database=self._database, default_access_mode=WRITE_ACCESS) as session,
            ):
                result = await session.run(Query(query, timeout=self._timeout_s), parameters)
                return [record async for record in result]
        except (DriverError, Neo4jError) as error:
            raise StoreUnavailable("The graph can't be reached.") from error

    async def profiles(self, keys: Sequence[IdentifierKey]) -> dict[IdentifierKey, Profile]:
        """The profile of each identifier that is in one.

        A profile's view is one value, so it can't be half of a change; an identifier that moved between the two steps
        of the read is in no profile, or not in the view found, and is read again. What is in none each time is a
        household, which has no profile.
        """
        return await self._whole(queries.READ_PROFILES, keys, holds=True)

    async def _whole(self, query: LiteralString, asked: Sequence[K], *, holds: bool) -> dict[K, Profile]:
        """The profile of each key or id, read again where a change went through the read. `holds`: only a profile that
        has the key among its members counts.
        """
        found: dict[K, Profile] = {}
        left = list(asked)
        for tries in range(READ_TRIES_MAX):
            torn: list[K] = []
            nowhere: list[K] = []
            for row in await self._rows(query, asked=left):
                profile = self._profile(row)
                if profile is not None and (not holds or any(m.key == row["asked"] for m in profile.members)):
                    found[row["asked"]] = profile
                else:
                    (nowhere if row["id"] is None else torn).append(row["asked"])
            left = torn + (nowhere if tries < _NOWHERE_TRIES else [])
            if not left:
                return found
        raise StoreUnavailable("The graph changes faster than it can be read.")

    async def profiles_by_id(self, ids: Sequence[ProfileId]) -> dict[ProfileId, Profile]:
        """The profile of today for each id ever handed out."""
        return await self._whole(queries.READ_PROFILES_BY_ID, ids, holds=False)

    @staticmethod
    def _profile(row: Any) -> Profile | None:
        return None if row["view"] is None else records.profile_of(row["id"], row["stamp"], row["view"], row["due"])

    async def link(self, link_id: LinkId) -> tuple[Link, Reason | None] | None:
        """A link, and why it is withheld."""
        rows = await self._rows(queries.READ_LINK, id=link_id)
        return records.link_of(rows[0]["link"]) if rows else None

    async def revocation(self, revocation_id: str) -> Revocation | None:
        """A revocation."""
        rows = await self._rows(queries.READ_REVOCATION, id=revocation_id)
        if not rows:
            return None
        found = records.revocation_of(rows[0]["revocation"])
        return replace(found, cached=bool(found.erases and rows[0]["pending"]))

    async def decision(self, decision_id: str) -> str | None:
        """A decision as it was answered, as JSON text. Raises Erased where it named somebody erased since."""
        rows = await self._rows(queries.READ_DECISION, id=decision_id)
        if rows and rows[0]["body"] is None:
            raise Erased()
        return str(rows[0]["body"]) if rows else None

    async def is_due(self) -> bool:
        """Whether any link has fallen due and waits to be flipped."""
        return bool((await self._rows(queries.IS_DUE))[0]["due"])
