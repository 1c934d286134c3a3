"""The graph's first entries: whose identity key it was made with, and the first policy."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import orjson
from neo4j import AsyncDriver

from service.errors import StartRefused
from service.graph import queries
from service.graph.driver import rows_of


def fingerprint_of(secret: bytes) -> str:
    """What the graph keeps of the identity key: HMAC-SHA-256 of a fixed text under it, in hexadecimal."""
    return hmac.new(secret, b"identity-fabric fingerprint", hashlib.sha256).hexdigest()


class Founding:
    """Reads and writes the graph's first entries."""

    def __init__(self, driver: AsyncDriver, database: str) -> None:
        self._driver = driver
        self._database = database

    async def _rows(self, query: Any, **parameters: Any) -> list[Any]:
        return await rows_of(self._driver, self._database, query, parameters)

    async def refuse_stranger(self, secret: bytes) -> None:
        """Raises StartRefused where the graph was made with another identity key. Reads only."""
        for row in await self._rows(queries.READ_FINGERPRINT):
            if row["fingerprint"] is not None and row["fingerprint"] != fingerprint_of(secret):
                raise StartRefused(
                    "IDENTITY_KEY is not the one that this graph was made with: its ids and pseudonyms would not fit. "
                    "Set it to the key of the run that made the graph."
                )

    async def found(self, secret: bytes, document: bytes) -> None:
        """Give a new graph its fingerprint and its first policy; one that has them stays as it is."""
        if await self._rows(queries.READ_ACTIVE_POLICY):
            return
        await self._rows(queries.FOUND_GRAPH, fingerprint=fingerprint_of(secret), document=document.decode())

    async def policy(self, version: int) -> dict[str, object] | None:
        """The document of a policy version."""
        rows = await self._rows(queries.READ_POLICY, version=version)
        return dict(orjson.loads(rows[0]["document"])) if rows else None

    async def active_version(self) -> int:
        """The version in force."""
        rows = await self._rows(queries.READ_ACTIVE_POLICY)
        return int(rows[0]["version"]) if rows else 0

    async def seq(self) -> int:
        """The sequence number of the last change."""
        return int((await self._rows(queries.READ_SEQ))[0]["seq"])

    async def advance(self, seq: int) -> None:
        """Go on from at least this sequence number, so that a reader of the feed who saw it misses nothing after it."""
        await self._rows(queries.ADVANCE_SEQ, seq=seq)

    async def is_empty(self) -> bool:
        """Whether no identifier is known yet."""
        return not (await self._rows(queries.ANY_IDENTIFIER))
