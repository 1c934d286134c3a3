"""Whoever touches the audit in the graph is found out, and the first touched entry is named."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import neo4j
import pytest

from service.commands.checkpoints import CheckedAudit, Checkpoints
from service.commands.ports import AuditVerdict
from service.graph.audit import Chain, ChainLink
from service.graph.audit_reader import GraphAudit
from service.graph.chain_ends import GraphChainEnds
from service.local import Stores
from service.local.checkpoints import FILE, SignedCheckpoints, announce_restore
from service.local.sealed import SqliteSealed
from service.local.secrets import identity_key
from service.settings import Settings
from tests.service.instances import Api, fresh, link

EVERY = 5


@dataclass(frozen=True, slots=True)
class Bench:
    """The audit of the test run's graph, checkpoints of one's own, and whoever writes to the graph directly."""

    driver: neo4j.AsyncDriver
    ends: GraphChainEnds
    chain: Chain
    folder: Path
    secret: bytes

    @property
    def file(self) -> SignedCheckpoints:
        return SignedCheckpoints(self.folder, self.secret, self.folder)

    @property
    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.ends, self.file, EVERY)

    async def verify(self) -> AuditVerdict:
        audit = GraphAudit(self.driver, "neo4j", self.chain, SqliteSealed(self.folder))
        return await CheckedAudit(audit, self.ends, self.file).verify()

    async def run(self, query: str, **parameters: Any) -> list[Any]:
        return (await self.driver.execute_query(query, parameters)).records  # type: ignore[arg-type]

    async def last(self) -> int:
        return int((await self.ends.end()).seq)

    @asynccontextmanager
    async def touched(self) -> AsyncIterator[None]:
        """Afterwards the last entries and the head are as they were."""
        entries = [dict(row["e"]) for row in await self.run("MATCH (e:Audit) RETURN e ORDER BY e.seq DESC LIMIT 40")]
        (head,) = await self.run("MATCH (h:Head) RETURN h.audit_seq AS seq, h.audit_hash AS hash")
        low = min(entry["seq"] for entry in entries)
        try:
            yield
        finally:
            await self.run("MATCH (e:Audit) WHERE e.seq >= $low DELETE e", low=low)
            await self.run("UNWIND $rows AS row CREATE (e:Audit) SET e = row", rows=entries)
            await self.run("MATCH (h:Head) SET h.audit_seq = $seq, h.audit_hash = $hash", **dict(head))


@pytest.fixture
async def bench(api: Api, stores: Stores, instance_settings: Settings, tmp_path: Path) -> AsyncIterator[Bench]:
    for _ in range(25):
        await api.links(link(fresh(), fresh("device_id")))
    secret = identity_key(instance_settings).encode()
    auth = (stores.neo4j_user, stores.neo4j_password)
    async with neo4j.AsyncGraphDatabase.driver(stores.neo4j_uri, auth=auth, telemetry_disabled=True) as driver:
        made = Bench(driver, GraphChainEnds(driver, "neo4j"), Chain(secret), tmp_path, secret)
        assert (await made.verify()).ok
        yield made
        assert (await made.verify()).first_bad_seq is None or not (tmp_path / FILE).exists()


async def test_each_kind_of_tampering_is_named(bench: Bench) -> None:
    last = await bench.last()
    victim = last - 7
    row = "MATCH (e:Audit {seq: $seq}) "
    kinds = {
        "a change": (row + "SET e.actor = 'key:other'", victim),
        "a field more": (row + "SET e.note = 'x'", victim),
        "a time": (row + "SET e.at = '2020-01-01T00:00:00.000Z'", victim),
        "a deletion": (row + "DELETE e", victim),
        "the first of the tail": (row + "WITH e MATCH (f:Audit) WHERE f.seq >= e.seq DELETE f", victim),
        "two exchanged": (
            row + "MATCH (f:Audit {seq: $seq + 2}) SET e.seq = -1 SET f.seq = $seq SET e.seq = $seq + 2",
            victim,
        ),
    }
    for what, (query, first) in kinds.items():
        async with bench.touched():
            await bench.run(query, seq=victim)
            verdict = await bench.verify()
            assert (verdict.ok, verdict.first_bad_seq) == (False, first), what
    assert (await bench.verify()).ok


async def test_an_entry_put_in_is_named(bench: Bench) -> None:
    last = await bench.last()
    at = last - 4
    async with bench.touched():
        (before,) = await bench.run("MATCH (e:Audit {seq: $seq}) RETURN e.hash AS hash", seq=at - 1)
        body = {"actor": "me", "action": "decision", "outcome": "allow"}
        _, forged = Chain(b"a guess").extend(ChainLink(at - 1, before["hash"]), [body], 1_800_000_000_000)
        for seq in range(last, at - 1, -1):
            await bench.run("MATCH (e:Audit {seq: $seq}) SET e.seq = $seq + 1", seq=seq)
        await bench.run("CREATE (e:Audit) SET e = $row", row=forged[0])
        await bench.run("MATCH (h:Head) SET h.audit_seq = $last", last=last + 1)
        assert (await bench.verify()).first_bad_seq == at
        await bench.run("MATCH (e:Audit {seq: $seq}) DELETE e", seq=last + 1)


async def test_a_tail_put_behind_the_end_is_named(bench: Bench) -> None:
    last = await bench.last()
    async with bench.touched():
        end = await bench.ends.end()
        body = {"actor": "me", "action": "decision", "outcome": "allow"}
        _, forged = Chain(b"a guess").extend(ChainLink(last, end.hash), [body], 1_800_000_000_000)
        await bench.run("CREATE (e:Audit) SET e = $row", row=forged[0])
        await bench.run("MATCH (h:Head) SET h.audit_seq = $seq, h.audit_hash = $hash", **_end(forged[0]))
        assert (await bench.verify()).first_bad_seq == last + 1
        await bench.run("MATCH (e:Audit {seq: $seq}) DELETE e", seq=last + 1)


def _end(row: dict[str, Any]) -> dict[str, Any]:
    return {"seq": row["seq"], "hash": row["hash"]}


async def test_a_tail_cut_with_its_head_is_named_by_the_checkpoints(bench: Bench) -> None:
    await bench.checkpoints.write(tail=True)
    last = await bench.last()
    kept = bench.file.read().checkpoints
    assert [c.seq for c in kept[-3:-1]] == [last // EVERY * EVERY - EVERY, last // EVERY * EVERY] or last % EVERY == 0
    async with bench.touched():
        await bench.run("MATCH (e:Audit) WHERE e.seq > $seq DELETE e", seq=last - 3)
        await bench.run(
            "MATCH (e:Audit {seq: $seq}) MATCH (h:Head) SET h.audit_seq = e.seq, h.audit_hash = e.hash", seq=last - 3
        )
        verdict = await bench.verify()
        assert (verdict.ok, verdict.first_bad_seq) == (False, last - 2)
        wrong = await bench.checkpoints.compare()
        assert wrong is not None and str(last - 3) in wrong and str(last) in wrong
        announce_restore(bench.folder)
        assert await bench.checkpoints.compare() is None
        assert (await bench.verify()).ok
    assert bench.file.read().last <= last - 3


async def test_a_chain_written_anew_with_the_key_is_named_by_the_checkpoints(bench: Bench) -> None:
    await bench.checkpoints.write(tail=False)
    last = await bench.last()
    marks = [c.seq for c in bench.file.read().checkpoints]
    changed = marks[-2] + 1
    async with bench.touched():
        rows = [
            dict(r["e"])
            for r in await bench.run("MATCH (e:Audit) WHERE e.seq >= $s RETURN e ORDER BY e.seq", s=changed)
        ]
        previous = rows[0]["prev_hash"]
        rows[0]["actor"] = "key:other"
        for row in rows:
            body = {name: value for name, value in row.items() if name not in ("hash", "prev_hash")}
            row |= {"prev_hash": previous, "hash": bench.chain.digest_of(body, previous)}
            previous = row["hash"]
        await bench.run("UNWIND $rows AS row MATCH (e:Audit {seq: row.seq}) SET e = row", rows=rows)
        await bench.run("MATCH (h:Head) SET h.audit_hash = $hash", hash=previous)
        verdict = await bench.verify()
        assert (verdict.ok, verdict.entries, verdict.first_bad_seq) == (False, last, changed)
        wrong = await bench.checkpoints.compare()
        assert wrong is not None and str(marks[-1]) in wrong
    assert (await bench.verify()).ok


async def test_checkpoints_come_every_so_many_entries_and_at_the_end(bench: Bench, api: Api) -> None:
    checkpoints = bench.checkpoints
    assert await checkpoints.compare() is None
    await checkpoints.write(tail=True)
    await checkpoints.write(tail=True)
    last = await bench.last()
    seqs = [c.seq for c in bench.file.read().checkpoints]
    assert seqs == sorted({*range(EVERY, last + 1, EVERY), last})
    await api.links(link(fresh(), fresh("device_id")))
    assert await bench.checkpoints.compare() is None
    await bench.checkpoints.stop()
    assert bench.file.read().last == await bench.last()


async def test_the_instance_writes_its_own(api: Api, instance_settings: Settings) -> None:
    reply = await api.get("/v1/audit/verify")
    assert reply.json["ok"] is True
    secret = identity_key(instance_settings).encode()
    assert SignedCheckpoints(instance_settings.data_dir, secret, instance_settings.data_dir).read().broken_after is None
