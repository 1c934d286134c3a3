"""Reads on Neo4j: one statement for many questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, LiteralString

from neo4j import WRITE_ACCESS, AsyncDriver, Query
from neo4j.exceptions import DriverError, Neo4jError

from service.errors import Erased, StoreUnavailable
from service.graph import queries, records
from service.model.changes import Revocation
from service.model.evidence import Link, Reason
from service.model.identifiers import IdentifierKey, LinkId, ProfileId
from service.model.profile import Profile

READ_S_MAX = 5.0
READ_TRIES_MAX = 5


class GraphReader:
    """See `service.commands.ports.Reader`. Raises StoreUnavailable.

    Reads go to the leader: an answer that is cached must be at least as new as the drop that let it be read.
    """

    def __init__(self, driver: AsyncDriver, database: str) -> None:
        self._driver = driver
        self._database = database

    async def _rows(self, query: LiteralString, **parameters: Any) -> list[Any]:
        # One statement, so it commits by itself: a managed transaction would take three more messages.
        try:
            async with self._driver.session(database=self._database, default_access_mode=WRITE_ACCESS) as session:
                result = await session.run(Query(query, timeout=READ_S_MAX), parameters)
                return [record async for record in result]
        except (DriverError, Neo4jError) as error:
            raise StoreUnavailable("The graph can't be reached.") from error

    async def profiles(self, keys: Sequence[IdentifierKey]) -> dict[IdentifierKey, Profile]:
        """The profile of each identifier that is in one.

        A profile's view is one value, so it can't be half of a change; an identifier that moved between the two steps
        of the read is not in the view found, and is read again.
        """
        found: dict[IdentifierKey, Profile] = {}
        left = list(keys)
        for _ in range(READ_TRIES_MAX):
            torn = []
            for row in await self._rows(queries.READ_PROFILES, keys=left):
                key = IdentifierKey(row["asked"])
                profile = self._profile(row)
                if profile is not None and any(member.key == key for member in profile.members):
                    found[key] = profile
                else:
                    torn.append(key)
            if not torn:
                return found
            left = torn
        raise StoreUnavailable("The graph changes faster than it can be read.")

    async def profiles_by_id(self, ids: Sequence[ProfileId]) -> dict[ProfileId, Profile]:
        """The profile of today for each id ever handed out."""
        found: dict[ProfileId, Profile] = {}
        left = list(ids)
        for _ in range(READ_TRIES_MAX):
            rows = await self._rows(queries.READ_PROFILES_BY_ID, ids=left)
            read = {ProfileId(row["asked"]): self._profile(row) for row in rows}
            found |= {profile_id: profile for profile_id, profile in read.items() if profile is not None}
            left = [profile_id for profile_id, profile in read.items() if profile is None]
            if not left:
                return found
        raise StoreUnavailable("The graph changes faster than it can be read.")

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
