"""What a start makes up for: refusals and erasures that an older backup does not know, and what files still hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from service.commands.physical import Remains
from service.commands.write_path import WritePath
from service.control.tombstones import Tombstones
from service.errors import FabricError, StartRefused
from service.graph.scrubbing import GraphScrubber
from service.local.journal import Buried, Refusal
from service.local.remains import files_with, needle
from service.model.changes import Origin, RecordConsent, Revoke
from service.model.identifiers import IdentifierKey
from service.settings import Settings

Say = Callable[[str], None]


async def apply_again(write_path: WritePath, refusals: Sequence[Refusal], say: Say) -> None:
    """The graph is older than its journal: an older backup was put back. No refusal may be lost by that."""
    for refusal in refusals:
        record = refusal.record
        change = RecordConsent(
            refusal.key,
            ((record.purpose, record.state),),
            record.regulation or None,
            source=record.source or "",
            at=record.at,
        )
        answered = await write_path.submit([change], Origin("service:journal"), lambda _: (200, b""))
        if any(isinstance(outcome, FabricError) for outcome in answered.outcomes):
            raise StartRefused(f"A refusal of the journal can't be applied again (its seq is {refusal.seq}).")
    if refusals:
        say(f"the graph was older than its journal: {len(refusals)} refusals applied again")


async def bury_again(
    write_path: WritePath, scrubber: GraphScrubber, tombstones: Tombstones, buried: Sequence[Buried], say: Say
) -> None:
    """The same for erasures. The journal knows only keyed hashes, so every identifier is compared with them."""
    if not buried:
        return
    names = {one.tombstone for one in buried}
    found = [key for key in await scrubber.every_key() if tombstones(key) in names]
    if found:
        changes = [Revoke(key, "erase", source="journal") for key in found]
        await write_path.submit(changes, Origin("service:journal"), lambda _: (200, b""))
    await scrubber.bury([{"id": b.tombstone, "at": b.at, "base": b.base, "seq": b.seq} for b in buried])
    say(f"the graph was older than its journal: {len(found)} identifiers erased again")


def remains_below(settings: Settings) -> Remains | None:
    """What looks into the files of a local Neo4j; None with one elsewhere."""
    if settings.neo4j_uri is not None:
        return None

    def remains(keys: Sequence[IdentifierKey]) -> set[IdentifierKey]:
        found = files_with(settings.data_dir, [needle(key) for key in keys])
        return {key for key in keys if found[needle(key)]}

    return remains
