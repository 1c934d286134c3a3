"""Stands by while garbage is sent, and says afterwards whether it left a trace in the stores or in a log."""

from __future__ import annotations

import io
import secrets
from dataclasses import dataclass

import neo4j
import redis.asyncio

from tests.service.instances import Reply

UNPARSED = "Invalid HTTP request received."  # the server's own answer to what it can't take apart
Stock = tuple[int, int, frozenset[bytes]]


@dataclass(frozen=True, slots=True)
class Shelf:
    """What is in the stores, counted."""

    driver: neo4j.AsyncDriver
    cache: redis.asyncio.Redis

    async def stock(self) -> Stock:
        """Nodes, relationships, and the keys of Redis. What loops note of themselves, at any time, is not counted."""
        found = await self.driver.execute_query(
            "MATCH (n) WHERE NOT n:Quality AND NOT n:Lease WITH count(n) AS nodes "
            "OPTIONAL MATCH ()-[r]->() RETURN nodes, count(r) AS links"
        )
        [row] = found.records
        return row["nodes"], row["links"], frozenset([key async for key in self.cache.scan_iter(count=1_000)])


def mark() -> str:
    """A text that would be recognised wherever it is repeated."""
    return f"Zq{secrets.token_hex(6)}"


@dataclass(frozen=True, slots=True)
class Watch:
    """Sends garbage, and says afterwards whether it left a trace."""

    shelf: Shelf
    before: Stock
    logged: io.StringIO
    marks: list[str]

    def new(self) -> str:
        """A mark that must be repeated nowhere."""
        self.marks.append(mark())
        return self.marks[-1]

    def refused(self, reply: Reply, *statuses: int) -> None:
        """A clear 4xx that repeats nothing of what was sent."""
        assert reply.status in (statuses or (400, 413, 415, 422)), reply
        assert all(text not in reply.body.decode() for text in self.marks)

    async def leaves_no_trace(self) -> None:
        """Nothing is stored, and nothing logged in clear."""
        nodes, links, keys = await self.shelf.stock()
        assert (nodes, links) == self.before[:2]
        assert not keys - self.before[2]
        lines = self.logged.getvalue()
        assert '"event":"request"' in lines or UNPARSED in lines
        assert not [text for text in self.marks if text.casefold() in lines.casefold()]
        assert not [line for line in lines.splitlines() if '"exception"' in line or '"level":"error"' in line]
