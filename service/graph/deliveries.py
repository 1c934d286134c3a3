"""Deliveries in the graph: loaded and written by turns; read by the loop that sends, the history and the figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, LiteralString

import orjson
from neo4j import AsyncDriver

from service.commands.delivery_ports import DeliveryFilter
from service.commands.dispatch import Dispatch, DispatchLoaded, DispatchWanted, Received
from service.control.reconcile import same
from service.graph import delivery_queries as q
from service.graph.driver import rows_of
from service.graph.policies import Rows, Run
from service.model.delivery import (
    Assignment,
    Attempted,
    Comparison,
    CutoverStep,
    Delivery,
    DestinationState,
    Explanation,
    Side,
)
from service.model.identifiers import IdentifierKey, ProfileId

OTHERS_MAX = 200_000
_FOREVER = 1 << 62
INTAKE = ("accepted", "duplicate", "quarantined", "lost")


def _attempt_text(made: Attempted) -> str:
    return orjson.dumps(asdict(made)).decode()


def _attempt_of(text: str) -> Attempted:
    row = orjson.loads(text)
    return Attempted(**{**row, "fields": tuple(row["fields"])})


def row_of_delivery(one: Delivery) -> dict[str, Any]:
    """A delivery as a node."""
    return {
        "id": one.delivery_id,
        "destination": one.destination,
        "source": one.source,
        "event_id": one.event_id,
        "event": f"{one.source}/{one.event_id}" if one.source else None,
        "action": one.action,
        "path": one.path,
        "outcome": one.outcome,
        "at": one.at,
        "order": one.order,
        "policy_version": one.policy_version,
        "event_at": one.event_at,
        "event_type": one.event_type,
        "reason": one.reason,
        "profile": one.profile_id,
        "asked": one.asked,
        "consent": one.consent,
        "basis": one.basis,
        "lane": one.lane,
        "waits": one.destination if one.waits else None,
        "due": one.due,
        "fence": one.fence,
        "sending": one.sending or None,
        "alone": one.alone or None,
        "failures": one.failures,
        "attempts": [_attempt_text(made) for made in one.attempts],
        "subject": one.subject,
    }


def delivery_of(row: dict[str, Any]) -> Delivery:
    """The inverse of `row_of_delivery`."""
    return Delivery(
        row["id"],
        row["destination"],
        row["source"],
        row["event_id"],
        row["action"],
        row["path"],
        row["outcome"],
        row["at"],
        row["order"],
        row["policy_version"],
        row["event_at"],
        row["event_type"],
        row.get("reason"),
        row.get("profile"),
        row.get("asked"),
        row.get("consent"),
        row.get("basis"),
        row.get("lane"),
        row.get("waits") is not None,
        row["due"],
        row["fence"],
        bool(row.get("sending")),
        bool(row.get("alone")),
        row["failures"],
        tuple(_attempt_of(text) for text in row["attempts"]),
        row.get("subject"),
    )


def _side_text(side: Side | None) -> str | None:
    return None if side is None else orjson.dumps(asdict(side)).decode()


def _side_of(text: str | None) -> Side | None:
    if text is None:
        return None
    row = orjson.loads(text)
    return Side(row["action"], tuple(row["who"]), row["fields"], row["at"], row["allowed"])


def _row_of_comparison(one: Comparison) -> dict[str, Any]:
    return {
        "place": one.place,
        "destination": one.destination,
        "source": one.source,
        "event_id": one.event_id,
        "at": one.at,
        "ours": _side_text(one.ours),
        "legacy": _side_text(one.legacy),
        "times": one.times,
        "owned": one.owned,
        "same": same(one),
        "delivery": one.delivery_id,
        "profile": one.profile_id,
    }


def comparison_of(row: dict[str, Any]) -> Comparison:
    """Both sides as kept."""
    return Comparison(
        row["destination"],
        row["source"],
        row["event_id"],
        row["at"],
        _side_of(row.get("ours")),
        _side_of(row.get("legacy")),
        row["times"],
        row["owned"],
        row.get("delivery"),
        row.get("profile"),
    )


def _step_of(row: dict[str, Any]) -> CutoverStep:
    return CutoverStep(**row)


async def load_dispatch(rows: Rows, wanted: DispatchWanted) -> DispatchLoaded:
    """What a turn wants to know of deliveries. `rows` runs a statement."""
    found = DispatchLoaded()
    if wanted.deliveries:
        got = await rows(q.LOAD_DELIVERIES, ids=sorted(wanted.deliveries))
        found.deliveries = [delivery_of(row["d"]) for row in got]
    if wanted.lanes:
        for row in await rows(q.LOAD_LANES, lanes=sorted(wanted.lanes)):
            found.lanes.setdefault(row["lane"], []).append(delivery_of(row["d"]))
    if wanted.destinations:
        for row in await rows(q.LOAD_DESTINATIONS, names=sorted(wanted.destinations)):
            found.destinations[row["s"]["name"]] = DestinationState(**row["s"])
    if wanted.assignments:
        for row in await rows(q.LOAD_ASSIGNMENTS, places=sorted(wanted.assignments)):
            found.assignments[row["a"]["place"]] = Assignment(**row["a"])
    if wanted.records:
        got = await rows(q.LOAD_RECORDS, ids=sorted(wanted.records))
        found.records = {row["id"]: row["digest"] for row in got}
    if wanted.comparisons:
        for row in await rows(q.LOAD_COMPARISONS, places=sorted(wanted.comparisons)):
            one = comparison_of(row["c"])
            found.comparisons[one.place] = one
    if wanted.received:
        for row in await rows(q.LOAD_RECEIVED, keys=sorted(wanted.received)):
            got_there = Received(row["destination"], ProfileId(row["profile"]), row["sent"], row["removed"])
            found.received.setdefault(IdentifierKey(row["key"]), []).append(got_there)
    if wanted.cuts:
        for name in sorted(wanted.cuts):
            found.cuts[name] = [_step_of(row["s"]) for row in await rows(q.READ_STEPS, destination=name)]
    return found


async def write_dispatch(run: Run, work: Dispatch, at: int) -> None:
    """Write what a turn did with deliveries. `run` runs a statement over rows; `at`: the turn's time (ms)."""
    await run(q.WRITE_DELIVERIES, [row_of_delivery(one) for one in work.changed_deliveries.values()])
    await run(q.WRITE_DESTINATIONS, [asdict(one) for one in work.changed_destinations.values()])
    await run(q.WRITE_ASSIGNMENTS, [asdict(one) for one in work.assigned.values()])
    await run(q.WRITE_RECORDS, [{"id": name, "digest": digest} for name, digest in work.recorded.items()])
    await run(q.WRITE_COMPARISONS, [_row_of_comparison(one) for one in work.changed_comparisons.values()])
    await run(q.WRITE_EXPLANATIONS, [asdict(one) for one in work.explained])
    await run(q.UNDO_STEPS, [{"destination": name, "at": at} for name, at in work.undone_at])
    await run(q.WRITE_STEPS, [asdict(one) for one in work.steps])
    if work.intake:
        await run(q.WRITE_INTAKE, [{**dict.fromkeys(INTAKE, 0), **work.intake, "at": at}])


class GraphDeliveries:
    """See `service.commands.delivery_ports.Deliveries`. Raises StoreUnavailable."""

    def __init__(self, driver: AsyncDriver, database: str) -> None:
        self._driver = driver
        self._database = database

    async def _rows(self, query: LiteralString, **parameters: Any) -> list[Any]:
        return await rows_of(self._driver, self._database, query, parameters)

    async def due(self, destination: str, now: int, limit: int) -> tuple[list[Delivery], int]:
        """Deliveries that may be tried now (ms), the longest due first, of each lane at most one; and how many requests
        to the destination failed in a row.
        """
        rows = await self._rows(q.READ_DUE, destination=destination, now=now, limit=limit)
        return [delivery_of(row["d"]) for row in rows], rows[0]["failures"] if rows else 0

    async def next_due(self, destination: str) -> int | None:
        """When the next delivery may be tried (ms)."""
        rows = await self._rows(q.NEXT_DUE, destination=destination)
        return rows[0]["due"] if rows else None

    async def states(self) -> dict[str, DestinationState]:
        """How destinations are doing; one that is not there is well."""
        return {row["s"]["name"]: DestinationState(**row["s"]) for row in await self._rows(q.READ_STATES)}

    async def delivery(self, delivery_id: str) -> Delivery | None:
        """One delivery."""
        rows = await self._rows(q.READ_DELIVERY, id=delivery_id)
        return delivery_of(rows[0]["d"]) if rows else None

    async def search(self, asked: DeliveryFilter, before: int, limit: int) -> list[Delivery]:
        """Deliveries that match, newest first, below a place in the order."""
        query = q.SEARCH
        if asked.subject is not None:
            query = q.SEARCH_SUBJECT
        elif asked.event is not None:
            query = q.SEARCH_EVENT
        elif asked.destination is not None:
            query = q.SEARCH_DESTINATION
        rows = await self._rows(query, **asdict(asked), before=before, limit=limit)
        return [delivery_of(row["d"]) for row in rows]

    async def counts(self, names: Sequence[str]) -> dict[str, dict[str, int]]:
        """Destination → outcome → how many sends."""
        found: dict[str, dict[str, int]] = {name: {} for name in names}
        for row in await self._rows(q.COUNT_BY_DESTINATION, names=list(names)):
            found[row["name"]][row["outcome"]] = row["n"]
        return found

    async def pending(self, names: Sequence[str]) -> dict[str, tuple[int, int | None]]:
        """Destination → how many are pending, and since when (ms) the oldest is."""
        rows = await self._rows(q.PENDING, names=list(names))
        return {row["name"]: (row["n"], row["oldest"]) for row in rows}

    async def outcomes(self, since: int | None, until: int | None) -> dict[str, int]:
        """Outcome → how many sends of the new path, by time of intent (ms)."""
        rows = await self._rows(q.COUNT_SINCE, since=since, until=until)
        return {row["outcome"]: row["n"] for row in rows}

    async def compared(self, destination: str, since: int | None, until: int | None) -> tuple[int, list[Comparison]]:
        """How many comparisons agree, and all others; by when they were begun (ms)."""
        span = {"since": since or 0, "until": until or _FOREVER}
        (row,) = await self._rows(q.COUNT_SAME, destination=destination, **span)
        others = await self._rows(q.READ_OTHERS, destination=destination, limit=OTHERS_MAX, **span)
        return row["n"], [comparison_of(one["c"]) for one in others]

    async def explanations(self, destination: str) -> list[Explanation]:
        """Known differences, the oldest first."""
        rows = await self._rows(q.READ_EXPLANATIONS, destination=destination)
        return [Explanation(**row["x"]) for row in rows]

    async def steps(self, destination: str) -> list[CutoverStep]:
        """Steps of a cutover, the oldest first."""
        return [_step_of(row["s"]) for row in await self._rows(q.READ_STEPS, destination=destination)]

    async def rollbacks(self, since: int | None, until: int | None) -> list[CutoverStep]:
        """All roll-backs, the oldest first."""
        rows = await self._rows(q.READ_ROLLBACKS, since=since or 0, until=until or _FOREVER)
        return [_step_of(row["s"]) for row in rows]

    async def attempted(self, since: int | None, until: int | None, limit: int) -> list[Delivery]:
        """Some sends on which an attempt was made."""
        rows = await self._rows(q.SAMPLE_ATTEMPTED, since=since, until=until, limit=limit)
        return [delivery_of(row["d"]) for row in rows]
