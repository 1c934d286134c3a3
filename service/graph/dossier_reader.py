"""Reads of records outside turns: one record, who stands in the same blocks, samples, and the encoding key's print."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, LiteralString

from neo4j import AsyncDriver

from service.commands.dossiers import DossiersLoaded
from service.graph.dossiers import LOAD_DOSSIERS, dossier_of, loaded_of
from service.graph.driver import rows_of
from service.model.identifiers import IdentifierKey, Pair, ProfileId, pair_of
from service.model.records import Block, Dossier

_PROFILES_OF: LiteralString = """
UNWIND $keys AS key MATCH (i:Identifier {key: key})-[:IN]->(p:Profile) RETURN key, p.id AS profile
"""
_PAGE: LiteralString = """
MATCH (d:Dossier) WHERE d.key > $after
RETURN d.key AS key, d.meta AS meta, d.encodings AS encodings ORDER BY d.key LIMIT $limit
"""
_COUNT: LiteralString = "MATCH (d:Dossier) RETURN count(d) AS dossiers"
_JUDGED: LiteralString = """
MATCH (a:Assertion) WHERE NOT coalesce(a.undone, false)
RETURN a.kind AS kind, a.seniors AS seniors, a.left AS left, a.right AS right ORDER BY a.at DESC LIMIT $limit
"""
_KEY: LiteralString = "MATCH (h:Head {id: 'head'}) RETURN h.matching_key AS kept"
# The head's lock first, so that two instances that start at once do not both write it.
_SET_KEY: LiteralString = """
MATCH (h:Head {id: 'head'}) SET h.lock = $kept
WITH h SET h.matching_key = CASE WHEN coalesce(h.matching_key, '') = $was THEN $kept ELSE h.matching_key END
RETURN h.matching_key AS kept
"""


class GraphDossiers:
    """See `service.commands.ports.RecordReader`. Raises StoreUnavailable."""

    def __init__(self, driver: AsyncDriver, database: str) -> None:
        self._driver = driver
        self._database = database

    async def _rows(self, query: LiteralString, **parameters: Any) -> list[Any]:
        return await rows_of(self._driver, self._database, query, parameters)

    async def dossiers(self, keys: Collection[IdentifierKey]) -> dict[IdentifierKey, Dossier]:
        """The records of each identifier that has some."""
        (row,) = await self._rows(LOAD_DOSSIERS, of={"keys": list(keys), "blocks": []})
        return {dossier.key: dossier for dossier in loaded_of(row, ()).dossiers}

    async def standing_in(self, blocks: Mapping[Block, int]) -> DossiersLoaded:
        """Who stands in each block that holds no more than its number."""
        rows = [list(item) for item in blocks.items()]
        (row,) = await self._rows(LOAD_DOSSIERS, of={"keys": [], "blocks": rows})
        return loaded_of(row, blocks)

    async def profiles_of(self, keys: Sequence[IdentifierKey]) -> dict[IdentifierKey, ProfileId]:
        """The profile that each identifier is in."""
        rows = await self._rows(_PROFILES_OF, keys=list(keys))
        return {IdentifierKey(row["key"]): ProfileId(row["profile"]) for row in rows}

    async def page(self, after: str, limit: int) -> list[Dossier]:
        """Dossiers by identifier, after one."""
        rows = await self._rows(_PAGE, after=after, limit=limit)
        return [dossier_of((row["key"], row["meta"], row["encodings"])) for row in rows]

    async def count(self) -> int:
        """How many identifiers have records."""
        return int((await self._rows(_COUNT))[0]["dossiers"])

    async def judged(self, limit: int) -> dict[Pair, bool]:
        """Pairs that stewards said are one person or are not, of so many assertions in force, the latest first."""
        found: dict[Pair, bool] = {}
        for row in await self._rows(_JUDGED, limit=limit):
            left, right = row["left"] or (), row["right"] or ()
            seniors = row["seniors"] or ()
            same = row["kind"] == "same"
            told = [(a, b) for i, a in enumerate(seniors) for b in seniors[i + 1 :]] if same else ()
            for a, b in told or [(a, b) for a in left for b in right]:
                found.setdefault(pair_of(IdentifierKey(a), IdentifierKey(b)), same)
        return found

    async def key_print(self) -> str:
        """What the graph keeps of the encoding key: `version:fingerprint`, or '' before the first."""
        rows = await self._rows(_KEY)
        return str(rows[0]["kept"] or "") if rows else ""

    async def set_key_print(self, kept: str, was: str) -> str:
        """Put a key in force in the place of `was`; what is in force then."""
        return str((await self._rows(_SET_KEY, kept=kept, was=was))[0]["kept"])
