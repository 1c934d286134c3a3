"""Records in the graph: a dossier beside its identifier, and the blocks that it stands in.

What a dossier holds is bytes: `meta` (JSON, no values) says how to cut `encodings`. All parameters are in one map,
since Neo4j plans a statement anew for each combination of sizes of lists (`queries.LOAD`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, LiteralString

import orjson

from service.commands.dossiers import BlockLoaded, DossiersLoaded
from service.commands.loads import Loaded, Wanted
from service.graph.queries import KEPT_PLAN
from service.model.identifiers import IdentifierKey
from service.model.records import Dossier, KeptRecord

Rows = Callable[..., Awaitable[list[Any]]]
Run = Callable[..., Awaitable[None]]

_COLUMNS: LiteralString = "[d.key, d.meta, d.encodings, i.linking]"

# Dossiers by key, and blocks with the dossiers of those that are not too large, in one read.
LOAD_DOSSIERS: LiteralString = (
    KEPT_PLAN
    + "CALL () { UNWIND $of.keys AS key MATCH (d:Dossier {key: key})<-[:TOLD]-(i:Identifier) RETURN collect("
    + _COLUMNS
    + ") AS dossiers } "
    "CALL () { UNWIND $of.blocks AS row MATCH (b:Block {key: row[0]}) WITH b, row, COUNT { (b)<-[:KEYED]-() } AS size "
    "CALL (b, row, size) { WITH b WHERE size <= row[1] MATCH (b)<-[:KEYED]-(d:Dossier) RETURN collect(d) AS inside } "
    "RETURN collect([b.key, size, inside]) AS found } "
    "CALL (found) { UNWIND found AS block UNWIND block[2] AS d WITH DISTINCT d "
    "MATCH (d)<-[:TOLD]-(i:Identifier) RETURN collect(" + _COLUMNS + ") AS members } "
    "RETURN dossiers, [block IN found | [block[0], block[1], [d IN block[2] | d.key]]] AS blocks, members"
)

WRITE_DOSSIERS: LiteralString = (
    KEPT_PLAN
    + """
CALL () { UNWIND $of.gone AS key MATCH (d:Dossier {key: key}) OPTIONAL MATCH (d)-[k:KEYED]->(b:Block)
  WITH d, collect(b) AS blocks DETACH DELETE d
  WITH blocks UNWIND blocks AS b WITH DISTINCT b WHERE NOT EXISTS { (b)<-[:KEYED]-() } DELETE b }
CALL () { UNWIND $of.rows AS row MATCH (i:Identifier {key: row.key})
  MERGE (d:Dossier {key: row.key}) ON CREATE SET d.meta = ''
  SET d.meta = row.meta, d.encodings = row.encodings
  MERGE (i)-[:TOLD]->(d) }
CALL () { UNWIND $of.rows AS row MATCH (d:Dossier {key: row.key}) UNWIND row.left AS left
  MATCH (d)-[k:KEYED]->(b:Block) WHERE b.key = left DELETE k
  WITH DISTINCT b WHERE NOT EXISTS { (b)<-[:KEYED]-() } DELETE b }
CALL () { UNWIND $of.rows AS row MATCH (d:Dossier {key: row.key}) UNWIND row.entered AS entered
  MERGE (b:Block {key: entered}) CREATE (d)-[:KEYED]->(b) }
FINISH
"""
)

UNLINK: LiteralString = "UNWIND $rows AS id MATCH ()-[r:LINK {id: id}]->() DELETE r"


def dossier_of(row: Sequence[Any]) -> Dossier:
    """A dossier from its columns `[key, meta, encodings, …]`."""
    key, meta, encodings = row[0], orjson.loads(row[1]), bytes(row[2])
    records, at = [], 0
    for source, observed_at, fields, digest, size, blocks, keep in meta:
        encoding = encodings[at : at + size]
        records.append(KeptRecord(source, observed_at, tuple(fields), digest, encoding, tuple(blocks), keep))
        at += size
    return Dossier(IdentifierKey(key), tuple(records))


def _meta(record: KeptRecord) -> list[Any]:
    size = len(record.encoding)
    return [record.source, record.observed_at, record.fields, record.digest, size, record.blocks, record.keep]


def row_of_dossier(was: Dossier, now: Dossier) -> dict[str, Any]:
    """What is written of a dossier that changed."""
    return {
        "key": now.key,
        "meta": orjson.dumps([_meta(record) for record in now.records]).decode(),
        "encodings": b"".join(record.encoding for record in now.records),
        "left": sorted(was.blocks - now.blocks),
        "entered": sorted(now.blocks - was.blocks),
    }


async def load_dossiers(rows: Rows, loaded: Loaded, wanted: Wanted) -> None:
    """Dossiers and blocks that a turn wants. `rows` runs a statement."""
    of = {"keys": list(wanted.dossiers), "blocks": [list(item) for item in wanted.blocks.items()]}
    (row,) = await rows(LOAD_DOSSIERS, of=of)
    loaded.records = loaded_of(row, wanted.blocks)


def loaded_of(row: Any, wanted: Iterable[int]) -> DossiersLoaded:
    """What `LOAD_DOSSIERS` answered; a block that there is not has nobody in it."""
    found = DossiersLoaded(blocks={block: BlockLoaded(0, frozenset()) for block in wanted})
    for block, size, keys in row["blocks"]:
        found.blocks[block] = BlockLoaded(size, frozenset(keys) if len(keys) == size else None)
    for columns in (*row["dossiers"], *row["members"]):
        found.dossiers.append(dossier_of(columns))
        if columns[3] is False:
            found.resting.add(IdentifierKey(columns[0]))
    return found


async def write_dossiers(run: Run, changed: Sequence[tuple[Dossier, Dossier]]) -> None:
    """Write the dossiers that a turn changed; one without records goes. `run` runs a statement."""
    if not changed:
        return
    gone = [was.key for was, now in changed if not now.records]
    rows = [row_of_dossier(was, now) for was, now in changed if now.records]
    await run(WRITE_DOSSIERS, of={"gone": gone, "rows": rows})
