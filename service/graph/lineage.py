"""Lineage, read in a few walks from one place: an event, a link, a profile, a decision. Raises StoreUnavailable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, LiteralString

import orjson
from neo4j import AsyncDriver

from service.graph import records
from service.graph.driver import rows_of
from service.graph.queries import LOAD_LINKS
from service.model.evidence import ConsentRecord
from service.model.identifiers import IdentifierKey, ProfileId
from service.model.lineage import DecisionMade, KeptEvent, Lineage

SHOWN_MAX: Final = 100

_EVENT: LiteralString = """
MATCH (e:Event {key: $key}) RETURN properties(e) AS event, [(e)-[:OF]->(i) | i.key] AS keys
"""
_EVENTS_OF: LiteralString = """
UNWIND $keys AS key MATCH (e:Event)-[:OF]->(:Identifier {key: key})
WITH DISTINCT e ORDER BY e.seq DESC LIMIT $limit
RETURN properties(e) AS event, [(e)-[:OF]->(i) | i.key] AS keys
"""
_CONSENTS: LiteralString = """
UNWIND $keys AS key MATCH (i:Identifier {key: key})-[:CONSENTED]->(c:Consent) WHERE c.consent_id IN $ids
RETURN key, properties(c) AS consent
"""
_PROFILES: LiteralString = """
UNWIND $keys AS key MATCH (:Identifier {key: key})-[:IN]->(p:Profile)
WITH DISTINCT p LIMIT $limit MATCH (p)<-[:IN]-(i:Identifier) RETURN p.id AS id, collect(i.key)[..$limit] AS members
"""
_DECISIONS: LiteralString = """
UNWIND $ids AS id MATCH (d:Decision {profile: id}) WHERE d.at >= $since AND d.body IS NOT NULL
RETURN d.id AS decision, id, d.at AS at, d.body AS body ORDER BY d.at DESC LIMIT $limit
"""
_ENDS: LiteralString = "MATCH (a:Identifier)-[r:LINK {id: $id}]->(b:Identifier) RETURN [a.key, b.key] AS keys"
_HOLDER: LiteralString = """
MATCH (held:Profile {id: $id}) MATCH (:Identifier {key: held.holder})-[:IN]->(p:Profile)<-[:IN]-(i:Identifier)
RETURN collect(i.key)[..$limit] AS keys
"""
_DECISION: LiteralString = "MATCH (d:Decision {id: $id}) RETURN d.profile AS profile"


def event_of_row(event: dict[str, Any], keys: Sequence[str]) -> KeptEvent:
    """An event as stored."""
    source, _, event_id = event["key"].partition("\n")
    return KeptEvent(
        source,
        event_id,
        event["type"],
        event["version"],
        event["occurred_at"],
        event["received_at"],
        event["at"],
        event["seq"],
        event["granularity"],
        event["retention"],
        tuple(event.get("flags") or ()),
        tuple(IdentifierKey(key) for key in sorted(keys)),
        tuple(event.get("links") or ()),
        tuple(event.get("consents") or ()),
        event.get("resubmits"),
        bool(event.get("erased")),
    )


class GraphLineage:
    """See `service.commands.lineage.LineageStore`."""

    def __init__(self, driver: AsyncDriver, database: str) -> None:
        self._driver = driver
        self._database = database

    async def _rows(self, query: LiteralString, **parameters: Any) -> list[Any]:
        return await rows_of(self._driver, self._database, query, parameters)

    async def of_event(self, key: str) -> Lineage | None:
        """From one event on; None where there is none of this key."""
        rows = await self._rows(_EVENT, key=key)
        if not rows:
            return None
        event = event_of_row(rows[0]["event"], rows[0]["keys"])
        return await self._around([event], event.identifiers, event.links, event.recorded_at, cut=False)

    async def of_link(self, link_id: str) -> Lineage | None:
        """The events that speak for a link, and what became of them; None for one that is not known."""
        rows = await self._rows(_ENDS, id=link_id)
        if not rows:
            return None
        events, cut = await self._events(rows[0]["keys"])
        speaking = [event for event in events if link_id in event.links]
        return await self._around(speaking, rows[0]["keys"], [link_id], 0, cut=cut)

    async def of_profile(self, profile_id: str) -> Lineage | None:
        """The events of everybody in a profile of today; None for an id that was never handed out."""
        rows = await self._rows(_HOLDER, id=profile_id, limit=SHOWN_MAX)
        if not rows or not rows[0]["keys"]:
            return None
        events, cut = await self._events(rows[0]["keys"])
        links = list(dict.fromkeys(link for event in events for link in event.links))[:SHOWN_MAX]
        return await self._around(events, rows[0]["keys"], links, 0, cut=cut)

    async def of_decision(self, decision_id: str) -> Lineage | None:
        """What a decision rests on today; None for one that is not known or was about nobody."""
        rows = await self._rows(_DECISION, id=decision_id)
        return await self.of_profile(rows[0]["profile"]) if rows and rows[0]["profile"] else None

    async def _events(self, keys: Sequence[str]) -> tuple[list[KeptEvent], bool]:
        rows = await self._rows(_EVENTS_OF, keys=list(keys), limit=SHOWN_MAX + 1)
        found = [event_of_row(row["event"], row["keys"]) for row in rows[:SHOWN_MAX]]
        return found, len(rows) > SHOWN_MAX

    async def _around(
        self, events: Sequence[KeptEvent], keys: Sequence[str], links: Sequence[str], since: int, *, cut: bool
    ) -> Lineage:
        keys = sorted({*keys, *(key for event in events for key in event.identifiers)})
        consents = [consent for event in events for consent in event.consents]
        found = await self._rows(LOAD_LINKS, ids=list(links)) if links else []
        told = await self._rows(_CONSENTS, keys=keys, ids=consents) if consents else []
        profiles = await self._rows(_PROFILES, keys=keys, limit=SHOWN_MAX) if keys else []
        ids = [row["id"] for row in profiles]
        made = await self._rows(_DECISIONS, ids=ids, since=since, limit=SHOWN_MAX) if ids else []
        return Lineage(
            tuple(events),
            tuple((IdentifierKey(row["key"]), ConsentRecord(**_consent(row["consent"]))) for row in told),
            tuple(records.link_of(row["link"]) for row in found),
            tuple((ProfileId(row["id"]), tuple(sorted(row["members"]))) for row in profiles),
            tuple(_decision(row) for row in made),
            cut,
        )


def _consent(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "unreadable": bool(row.get("unreadable"))}


def _decision(row: Any) -> DecisionMade:
    body = orjson.loads(row["body"])
    return DecisionMade(row["decision"], ProfileId(row["id"]), row["at"], body.get("purpose"), body.get("outcome"))
