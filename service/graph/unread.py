"""Webhooks that can't be read, kept for inspection: `(:Unreadable)`, bounded in size, number and time."""

from __future__ import annotations

from typing import LiteralString

from neo4j import AsyncDriver
from neo4j.exceptions import DriverError, Neo4jError

from service.commands.unread import UnreadWebhook
from service.errors import StoreUnavailable

BODY_BYTES_MAX = 32_768
KEPT_MAX = 2_000
KEPT_MS = 30 * 24 * 3_600_000

KEEP: LiteralString = """
OPTIONAL MATCH (x:Answer {key: $answer_key})
FOREACH (_ IN CASE WHEN x IS NULL THEN [1] ELSE [] END |
    MERGE (u:Unreadable {key: $row.key}) ON CREATE SET u = $row)
WITH x.fingerprint AS answered
CALL () { MATCH (u:Unreadable) WHERE u.received_at < $oldest DELETE u }
CALL () { MATCH (u:Unreadable) WHERE u.received_at >= $oldest WITH u ORDER BY u.received_at DESC SKIP $most DELETE u }
RETURN answered
"""


class GraphUnread:
    """See `service.commands.unread.UnreadWebhooks`."""

    def __init__(self, driver: AsyncDriver, database: str) -> None:
        self._driver = driver
        self._database = database

    async def keep(self, unread: UnreadWebhook) -> str | None:
        """One statement, so that an answer given meanwhile is either seen or comes later. Raises StoreUnavailable."""
        row = {
            "key": unread.key,
            "provider": unread.provider,
            "webhook_id": unread.webhook_id,
            "received_at": unread.received_at,
            "code": unread.code,
            "why": list(unread.why),
            "digest": unread.digest,
            "bytes": len(unread.body),
            "body": unread.body[:BODY_BYTES_MAX],
        }
        parameters = {
            "answer_key": unread.answer_key,
            "row": row,
            "oldest": unread.received_at - KEPT_MS,
            "most": KEPT_MAX,
        }
        try:
            found = await self._driver.execute_query(KEEP, parameters, database_=self._database)
        except (DriverError, Neo4jError) as error:
            raise StoreUnavailable("The graph can't be reached.") from error
        answered: str | None = found.records[0]["answered"]
        return answered
