"""Models of matching in the graph."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, LiteralString

from neo4j import AsyncDriver

from service.graph.driver import rows_of
from service.model.matching_models import KeptModel

_COLUMNS: LiteralString = """m.name AS name, m.version AS version, m.state AS state, m.sample AS sample,
       m.begun_at AS begun_at, m.ended_at AS ended_at, m.reason AS reason, m.expected_matches AS expected_matches,
       m.document AS document"""

LOAD_MODELS: LiteralString = "UNWIND $names AS name MATCH (m:Model {name: name}) RETURN " + _COLUMNS
WRITE_MODELS: LiteralString = "UNWIND $rows AS row MERGE (m:Model {id: row.id}) SET m = row"

_READ_MODEL: LiteralString = "MATCH (m:Model {id: $id}) RETURN " + _COLUMNS
_READ_MODELS: LiteralString = "MATCH (m:Model) WHERE m.id > $after RETURN " + _COLUMNS + " ORDER BY m.id LIMIT $limit"
_READ_UNFINISHED: LiteralString = "MATCH (m:Model {state: 'training'}) RETURN " + _COLUMNS + " ORDER BY m.begun_at"


def model_of(row: Any) -> KeptModel:
    """A model as stored."""
    return KeptModel(
        row["name"],
        row["version"],
        row["state"],
        row["sample"],
        row["begun_at"],
        row["ended_at"],
        row["reason"],
        row["expected_matches"] or 0.0,
        row["document"],
    )


def row_of_model(kept: KeptModel) -> dict[str, Any]:
    """Properties of a model."""
    return {
        "id": kept.model,
        "name": kept.name,
        "version": kept.version,
        "state": kept.state,
        "sample": kept.sample,
        "begun_at": kept.begun_at,
        "ended_at": kept.ended_at,
        "reason": kept.reason,
        "expected_matches": kept.expected_matches,
        "document": kept.document,
    }


async def load_models(rows: Any, names: Collection[str]) -> list[KeptModel]:
    """All versions of some names. `rows` runs a statement."""
    return [model_of(row) for row in await rows(LOAD_MODELS, names=sorted(names))] if names else []


class GraphModels:
    """See `service.commands.ports.ModelStore`. Raises StoreUnavailable."""

    def __init__(self, driver: AsyncDriver, database: str) -> None:
        self._driver = driver
        self._database = database

    async def _read(self, query: LiteralString, **parameters: Any) -> list[KeptModel]:
        return [model_of(row) for row in await rows_of(self._driver, self._database, query, parameters)]

    async def model(self, name: str, version: int) -> KeptModel | None:
        """One version."""
        found = await self._read(_READ_MODEL, id=f"{name}/{version}")
        return found[0] if found else None

    async def models(self, after: str, limit: int) -> Sequence[KeptModel]:
        """Models by name, after one."""
        return await self._read(_READ_MODELS, after=after, limit=limit)

    async def unfinished(self) -> Sequence[KeptModel]:
        """Those whose training has not ended, the oldest first."""
        return await self._read(_READ_UNFINISHED)
