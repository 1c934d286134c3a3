"""Reads for large imports and exports: streams, and answers for thousands of identifiers at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, LiteralString

import orjson
from neo4j import AsyncDriver, AsyncTransaction
from neo4j.exceptions import DriverError, Neo4jError

from service.commands.world import Loaded, Wanted
from service.errors import StoreUnavailable
from service.graph import records
from service.graph.driver import rows_of
from service.graph.ledger import GraphLedger
from service.graph.queries import LINK_COLUMNS
from service.model.changes import KeptConsent, KeptId, KeptIdentifier, Revocation
from service.model.evidence import Assertion, ConsentRecord, Link, Reason
from service.model.identifiers import IdentifierKey, ProfileId

READ_ANY_SEEN: LiteralString = "MATCH (i:Identifier) WHERE i.first_seen IS NOT NULL RETURN 1 AS seen LIMIT 1"
READ_CLOCK: LiteralString = "RETURN timestamp() AS now"
READ_GRAPH: LiteralString = "MATCH (h:Head {id: 'head'}) RETURN h.identity_fingerprint AS fingerprint, h.seq AS seq"
EXPORT_IDENTIFIERS: LiteralString = (
    "MATCH (i:Identifier) OPTIONAL MATCH (i)-[:IN]->(p:Profile) "
    "RETURN i.key, i.first_seen, i.last_seen, i.sources, i.consents, i.traits, p.id"
)
EXPORT_PROFILES: LiteralString = (
    "MATCH (p:Profile) WHERE p.born IS NOT NULL OPTIONAL MATCH (p)<-[:IN]-(i:Identifier) "
    "RETURN p.id, p.born, p.holder, p.due, collect(i.key)"
)
EXPORT_LINKS: LiteralString = "MATCH (a:Identifier)-[r:LINK]->(b:Identifier) RETURN " + LINK_COLUMNS + ", a.key, b.key]"
EXPORT_ASSERTIONS: LiteralString = (
    "MATCH (a:Assertion) RETURN a {.id, .kind, .at, .at_ms, .seniors, .named, .left, .right, .hand_id, .hand_to, "
    ".reason, .actor, .undone} ORDER BY a.at"
)
EXPORT_CONSENTS: LiteralString = "MATCH (i:Identifier)-[:CONSENTED]->(c:Consent) RETURN i.key, properties(c)"
EXPORT_REVOCATIONS: LiteralString = "MATCH (v:Revocation)-[:OF]->(:Identifier) RETURN properties(v)"
_KEYS_AT_ONCE = 10_000


class GraphBulk:
    """See the module. Raises StoreUnavailable."""

    def __init__(self, driver: AsyncDriver, database: str, ledger: GraphLedger) -> None:
        self._ledger = ledger
        self._driver = driver
        self._database = database

    async def _rows(self, query: LiteralString, **parameters: Any) -> list[Any]:
        return await rows_of(self._driver, self._database, query, parameters)

    async def known(self, keys: Sequence[IdentifierKey]) -> tuple[set[IdentifierKey], int]:
        """Those of the identifiers that the graph knows anything of, and a sequence number at which that was so.

        Looked up as a turn looks them up: whatever a turn would find of an identifier makes it known.
        """
        seq = await self.seq()
        found: set[IdentifierKey] = set()
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            asked = keys[start : start + _KEYS_AT_ONCE]
            async with self._ledger.look() as turn:
                loaded = await turn.load(Wanted(identifiers=set(asked)), 0)
            named = {state.key for state in loaded.identifiers}
            found.update(named if loaded == Loaded(identifiers=loaded.identifiers) else asked)
        return found, seq

    async def is_empty(self) -> bool:
        """Whether no identifier was ever seen; refusals of a journal may be there."""
        return not await self._rows(READ_ANY_SEEN)

    async def now(self) -> int:
        """The database's clock, ms."""
        return int((await self._rows(READ_CLOCK))[0]["now"])

    async def fingerprint(self) -> str:
        """Of the identity key that the graph was made with."""
        return str((await self._rows(READ_GRAPH))[0]["fingerprint"])

    async def seq(self) -> int:
        """The sequence number of the last change."""
        return int((await self._rows(READ_GRAPH))[0]["seq"])

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """A read transaction for an export. Raises StoreUnavailable."""
        try:
            async with self._driver.session(
                database=self._database, default_access_mode="WRITE", fetch_size=5_000
            ) as session:
                transaction = await session.begin_transaction()
                try:
                    yield Snapshot(transaction)
                finally:
                    await transaction.close()
        except (DriverError, Neo4jError) as error:
            raise StoreUnavailable("The graph can't be read to its end.") from error


class Snapshot:
    """Everything that an export has, as streams. `seq` before and after says whether it changed meanwhile."""

    def __init__(self, transaction: AsyncTransaction) -> None:
        self._transaction = transaction

    async def _values(self, query: LiteralString) -> AsyncIterator[Sequence[Any]]:
        result = await self._transaction.run(query)
        async for record in result:
            yield record.values()

    async def seq(self) -> int:
        """The sequence number of the last change, as it is now."""
        async for _, seq in self._values(READ_GRAPH):
            return int(seq)
        raise StoreUnavailable("The graph has no head: migrations have not run on it.")

    async def identifiers(self) -> AsyncIterator[tuple[KeptIdentifier, ProfileId | None]]:
        """Every identifier, with the profile it is in."""
        async for key, first, last, sources, consents, traits, profile in self._values(EXPORT_IDENTIFIERS):
            carried = records.consents_of_list(orjson.loads(consents)) if consents else ()
            told = records.traits_of_list(orjson.loads(traits)) if traits else ()
            yield KeptIdentifier(IdentifierKey(key), first, last, tuple(sources or ()), carried, told), profile

    async def profiles(self) -> AsyncIterator[tuple[KeptId, IdentifierKey, int | None, list[IdentifierKey]]]:
        """Every id ever handed out: who holds it, until when its profile holds, and its members of today."""
        async for profile_id, born, holder, due, members in self._values(EXPORT_PROFILES):
            yield KeptId(ProfileId(profile_id), IdentifierKey(born)), IdentifierKey(holder), due, sorted(members)

    async def links(self) -> AsyncIterator[tuple[Link, Reason | None]]:
        """Every link, and why it is withheld."""
        async for (row,) in self._values(EXPORT_LINKS):
            yield records.link_of(row)

    async def assertions(self) -> AsyncIterator[Assertion]:
        """Every assertion in order, undone ones too."""
        async for (row,) in self._values(EXPORT_ASSERTIONS):
            yield records.assertion_of(row)

    async def consents(self) -> AsyncIterator[KeptConsent]:
        """Every consent record, those that newer ones have replaced too."""
        async for key, row in self._values(EXPORT_CONSENTS):
            yield KeptConsent(IdentifierKey(key), ConsentRecord(**row))

    async def revocations(self) -> AsyncIterator[Revocation]:
        """Every revocation."""
        async for (row,) in self._values(EXPORT_REVOCATIONS):
            yield records.revocation_of(row)
