"""Policy versions in the graph: read by anyone, written by turns alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, LiteralString

import orjson
from neo4j import AsyncDriver

from service.commands.desk import DeskLoaded, DeskWanted, Deskwork
from service.errors import StoreUnavailable
from service.graph import policy_queries, records
from service.graph.driver import rows_of
from service.model.policy_versions import Desk, InForce, Pass, PolicyVersion
from service.model.profile import Profile

Rows = Callable[..., Awaitable[list[Any]]]
Run = Callable[..., Awaitable[None]]


def pass_of(text: str | None) -> Pass:
    """A pass as stored: JSON `[stages, stage, after, done, total]`."""
    if not text:
        return Pass()
    stages, stage, after, done, total = orjson.loads(text)
    return Pass(tuple(stages), stage, after, done, total)


def _pass_text(running: Pass) -> str:
    row = [running.stages, running.stage, running.after, running.done, running.total]
    return orjson.dumps(row).decode()


def desk_of(row: Any) -> Desk:
    """What the head says of policies; one that no activation has touched yet says little."""
    version = row["version"]
    former = tuple(row["former"] or ())
    return Desk(InForce(version, row["since"] or 0), row["last"] or version, former, pass_of(row["pass"]))


def version_of(row: Any) -> PolicyVersion:
    """A version as stored."""
    activations = row["activations"] or ()
    activated = int(activations[-1].partition("|")[2]) if activations else None
    if activated is None and row["status"] != "draft":
        activated = row["at"]  # the first of the graph
    return PolicyVersion(row["version"], row["status"], row["document"], row["at"], activated)


async def load_desk(rows: Rows, wanted: DeskWanted) -> DeskLoaded:
    """What a turn wants to know of policies. `rows` runs a statement."""
    versions, in_use, places = {}, frozenset[str](), tuple[str, ...]()
    counts = (0, 0)
    if wanted.versions:
        found = await rows(policy_queries.LOAD_VERSIONS, versions=sorted(wanted.versions))
        versions = {row["version"]: version_of(row) for row in found}
    if wanted.in_use:
        in_use = frozenset(row["name"] for row in await rows(policy_queries.IN_USE, names=sorted(wanted.in_use)))
    if wanted.counts:
        (row,) = await rows(policy_queries.COUNTS)
        counts = (row["links"], row["identifiers"])
    if wanted.stretch is not None:
        stage, after, limit = wanted.stretch.stage, wanted.stretch.after, wanted.stretch.limit
        if stage == "links":
            found = await rows(policy_queries.STRETCH_OF_LINKS, after=after, limit=limit)
        elif stage == "records":
            found = await rows(policy_queries.STRETCH_OF_DOSSIERS, after=after, limit=limit)
        else:
            end = stage.removesuffix(":") + ";"
            found = await rows(policy_queries.STRETCH_OF_KEYS, after=after, end=end, limit=limit)
        places = tuple(row["place"] for row in found)
    return DeskLoaded(versions, in_use, places, counts)


async def write_desk(run: Run, work: Deskwork, at: int) -> None:
    """Write what a turn did with policies. `run` runs a statement over rows; `at`: the turn's time (ms)."""
    drafted = [
        {"version": made.version, "status": made.status, "document": made.document, "at": made.created_at}
        for made in work.drafted
    ]
    await run(policy_queries.CREATE_VERSIONS, drafted)
    if work.activated is not None:
        since = work.desk.in_force.since
        row = {"version": work.activated.version, "activation": f"{since}|{at}"}
        await run(policy_queries.ACTIVATE, [row])
    if work.changed:
        desk = work.desk
        row = {
            "version": desk.in_force.version,
            "since": desk.in_force.since,
            "last": desk.last,
            "former": list(desk.former),
            "pass": _pass_text(desk.running),
        }
        await run(policy_queries.WRITE_DESK, [row])


class GraphPolicies:
    """See `service.commands.ports.PolicyStore`. Raises StoreUnavailable."""

    def __init__(self, driver: AsyncDriver, database: str) -> None:
        self._driver = driver
        self._database = database

    async def _rows(self, query: LiteralString, **parameters: Any) -> list[Any]:
        return await rows_of(self._driver, self._database, query, parameters)

    async def desk(self) -> Desk:
        """What the head says of policies now."""
        rows = await self._rows(policy_queries.READ_HEAD)
        if not rows:
            raise StoreUnavailable("The graph has no head: migrations have not run on it.")
        return desk_of(rows[0])

    async def version(self, version: int) -> PolicyVersion | None:
        """One version."""
        rows = await self._rows(policy_queries.LOAD_VERSIONS, versions=[version])
        return version_of(rows[0]) if rows else None

    async def versions(self, before: int, limit: int) -> list[PolicyVersion]:
        """Versions below a number, the newest first."""
        rows = await self._rows(policy_queries.READ_VERSIONS, before=before, limit=limit)
        return [version_of(row) for row in rows]

    async def in_force_at(self, at: int) -> int:
        """The version that was in force at a time (ms)."""
        rows = await self._rows(policy_queries.READ_IN_FORCE_AT, at=at)
        return int(rows[0]["version"]) if rows else 1

    async def profiles(self, after: str, limit: int) -> Sequence[Profile]:
        """Profiles that are shown, by id, after one."""
        return self._shown(await self._rows(policy_queries.READ_SHOWN_PROFILES, after=after, limit=limit))

    async def members(self, audience: str, after: str, limit: int) -> Sequence[Profile]:
        """Profiles noted to be in an audience, by id, after one."""
        return self._shown(await self._rows(policy_queries.READ_MEMBERS, name=audience, after=after, limit=limit))

    @staticmethod
    def _shown(rows: Sequence[Any]) -> list[Profile]:
        return [records.profile_of(row["id"], row["stamp"], row["view"], row["due"]) for row in rows]
