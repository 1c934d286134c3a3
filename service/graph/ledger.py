"""Write transactions on Neo4j. Every one takes the head first, so all writes of all instances have one order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, LiteralString

import orjson
from neo4j import AsyncDriver, AsyncTransaction
from neo4j.exceptions import DriverError, Neo4jError

from service.commands.announce import profiles_in
from service.commands.dispatch import DispatchLoaded, DispatchWanted
from service.commands.newcomers import Newcomers
from service.commands.plan import Entry, Plan, StoredAnswer
from service.commands.ports import Head, OutcomeUnknown
from service.commands.world import Loaded, Wanted
from service.control.tombstones import Tombstones
from service.errors import StoreUnavailable
from service.graph import audit, dossiers, erasing, models, newcomers, queries, records
from service.graph.bounded import bounded
from service.graph.deliveries import load_dispatch, write_dispatch
from service.graph.events import WRITE_CAPTURE, load_capture, plan_capture, rows_of_capture
from service.graph.policies import desk_of, load_desk, write_desk
from service.model.changes import Remembered, Revocation
from service.model.evidence import Reason
from service.model.identifiers import IdentifierKey, ProfileId
from service.model.profile import Profile
from service.model.state import IdentifierState

_COMMIT_S_MAX = 12.0
_PLAN_S_MAX = 120.0  # a second on an idle machine


class GraphTurn:
    """One write transaction; see `service.commands.ports.Turn`."""

    def __init__(
        self,
        transaction: AsyncTransaction,
        op: str,
        chain: audit.Chain,
        tombstones: Tombstones,
        deadline: asyncio.Timeout | None = None,
    ) -> None:
        self._transaction = transaction
        self._deadline = deadline
        self._op = op
        self._chain = chain
        self._tombstones = tombstones
        self._any_erased = True  # until the head says otherwise
        self._link: audit.ChainLink | None = None

    async def _rows(self, query: LiteralString, **parameters: Any) -> list[Any]:
        result = await self._transaction.run(query, parameters)
        return [record async for record in result]

    async def _do(self, query: LiteralString, **parameters: Any) -> None:
        await (await self._transaction.run(query, parameters)).consume()

    async def _run(self, query: LiteralString, rows: Sequence[Any], **parameters: Any) -> None:
        if rows:
            await (await self._transaction.run(query, {"rows": rows, **parameters})).consume()

    async def take_head(self) -> Head:
        """Lock the head and read it."""
        rows = await self._rows(queries.TAKE_HEAD, op=self._op)
        if not rows:
            raise StoreUnavailable("The graph has no head: migrations have not run on it.")
        row = rows[0]
        self._link = audit.ChainLink(row["audit_seq"], row["audit_hash"])
        self._any_erased = row["erased"]
        pending = {seq: [IdentifierKey(key) for key in drops or ()] for seq, drops in row["pending"] if seq is not None}
        desk = desk_of({name: row[f"policy_{name}"] for name in ("version", "since", "last", "former", "pass")})
        return Head(row["seq"], max(row["now"], row["at"] + 1), desk, pending, row["due"])

    async def load(self, wanted: Wanted, now: int) -> Loaded:
        """What `wanted` names, as it stands under the lock."""
        loaded = Loaded()
        if wanted.identifiers or wanted.pairs or wanted.profiles:
            await self._load_common(loaded, wanted)
        if wanted.links:
            self._links(loaded, await self._rows(queries.LOAD_LINKS, ids=list(wanted.links)))
        if wanted.links_of:
            rows = await self._rows(queries.LOAD_LINKS_OF, keys=list(wanted.links_of))
            self._links(loaded, rows)
            self._states(loaded, rows)
        loaded.models = await models.load_models(self._rows, wanted.models)
        if wanted.dossiers or wanted.blocks:
            await dossiers.load_dossiers(self._rows, loaded, wanted)
        if wanted.matched:
            rows = await self._rows(queries.LOAD_MATCHED, keys=list(wanted.matched))
            self._links(loaded, rows)
            self._states(loaded, rows)
        if wanted.ends_of:
            rows = await self._rows(queries.LOAD_ENDS_OF, keys=list(wanted.ends_of))
            loaded.ends_of = {IdentifierKey(row["key"]): [tuple(end) for end in row["ends"]] for row in rows}
        if wanted.ids:
            for row in await self._rows(queries.LOAD_IDS, ids=list(wanted.ids)):
                if row["born"] is not None:
                    loaded.born[ProfileId(row["id"])] = IdentifierKey(row["born"])
                loaded.hands[ProfileId(row["id"])] = records.hands_of(row["id"], row["hands"])
        if wanted.assertions:
            rows = await self._rows(queries.LOAD_ASSERTIONS, ids=list(wanted.assertions))
            loaded.assertions = [records.assertion_of(row) for row in rows]
        if wanted.desk is not None:
            loaded.desk = await load_desk(self._rows, wanted.desk)
        if wanted.capture:
            loaded.capture = await load_capture(self._rows, wanted.capture)
        if wanted.due:
            rows = await self._rows(queries.LOAD_DUE, now=now, limit=wanted.due)
            self._links(loaded, rows)
            loaded.due = [link.link_id for link in loaded.links]
            for row in await self._rows(queries.LOAD_RUN_OUT, now=now, limit=wanted.due):
                loaded.run_out.append(self._state(loaded, row["identifier"])[0].key)
        return loaded

    async def _load_common(self, loaded: Loaded, wanted: Wanted) -> None:
        if self._any_erased and wanted.identifiers:
            tombstones = {self._tombstones(key): key for key in wanted.identifiers}
            rows = await self._rows(queries.LOAD_TOMBS, wanted={"tombstones": list(tombstones)})
            loaded.tombs = {tombstones[x["id"]]: records.tomb_of((x["at"], x["base"], x["consents"])) for x in rows}
        (row,) = await self._rows(
            queries.LOAD,
            wanted={
                "keys": list(wanted.identifiers),
                "pairs": [list(pair) for pair in wanted.pairs],
                "profiles": list(wanted.profiles),
                "around": list(wanted.identifiers) if wanted.around else [],
            },
        )
        for state in row["identifiers"]:
            self._state(loaded, state)
        for link in row["pair_links"]:
            self._link_row(loaded, link)
        for due, audiences, state_row in row["members"]:
            state, bar = self._state(loaded, state_row)
            assert state.profile is not None
            loaded.profiles.setdefault(state.profile, []).append(state.key)
            loaded.dues[state.profile] = due
            loaded.audiences[state.profile] = tuple(audiences or ())
            if bar is not None:
                loaded.unfollowed.add(state.key)
        for link, other in row["profile_links"]:
            self._link_row(loaded, link)
            if other is not None:
                self._state(loaded, other)

    @staticmethod
    def _state(loaded: Loaded, row: Sequence[Any]) -> tuple[IdentifierState, Reason | None]:
        state, bar = records.state_of(row)
        loaded.identifiers.append(state)
        if bar is not None:
            loaded.bars[state.key] = bar
        return state, bar

    def _states(self, loaded: Loaded, rows: Sequence[Any]) -> None:
        for row in rows:
            if row["state"] is not None:
                self._state(loaded, row["state"])

    def _links(self, loaded: Loaded, rows: Sequence[Any]) -> None:
        for row in rows:
            self._link_row(loaded, row["link"])

    @staticmethod
    def _link_row(loaded: Loaded, row: Sequence[Any]) -> None:
        link, withheld, review = records.reviewed_link_of(row)
        loaded.links.append(link)
        if withheld is not None:
            loaded.withheld[link.link_id] = withheld
        if review is not None:
            loaded.reviews[link.link_id] = review

    async def dispatch(self, wanted: DispatchWanted) -> DispatchLoaded:
        """What `wanted` names of deliveries, as it stands under the lock."""
        return await load_dispatch(self._rows, wanted)

    async def profiles(self, keys: Sequence[IdentifierKey]) -> dict[IdentifierKey, Profile]:
        """The profile of each identifier that is in one, as stored under the lock."""
        rows = await self._rows(queries.READ_PROFILES, asked=list(keys))
        return {
            IdentifierKey(row["asked"]): records.profile_of(row["id"], row["stamp"], row["view"], row["due"])
            for row in rows
            if row["view"] is not None
        }

    async def erased(self, keys: Sequence[IdentifierKey]) -> frozenset[IdentifierKey]:
        """Those of the identifiers of which there is nothing but a tombstone."""
        if not self._any_erased:
            return frozenset()
        rows = [{"key": key, "tombstone": self._tombstones(key)} for key in keys]
        return frozenset(IdentifierKey(row["key"]) for row in await self._rows(queries.LOAD_ERASED, rows=rows))

    async def answers(self, keys: Sequence[str]) -> dict[str, StoredAnswer]:
        """Answers stored under these idempotency keys."""
        rows = await self._rows(queries.LOAD_ANSWERS, keys=list(keys))
        return {
            row["key"]: StoredAnswer(
                Remembered(row["key"], row["fingerprint"]), row["status"], bytes(row["body"] or b"")
            )
            for row in rows
        }

    async def write(self, plan: Plan, *, seq: int, at: int, dropped: Sequence[int]) -> None:
        """Write the plan, its outbox entry and the head: one round trip, and one for each rare kind of evidence."""
        assert self._link is not None, "take_head comes first"
        link, entries = self._chain.extend(self._link, [entry.body for entry in plan.entries], at)
        rows: dict[str, list[Any]] = {
            "dropped": list(dropped),
            "identifiers_new": [
                records.row_of_state(s, plan.bars.get(s.key), whole=False) for s in plan.identifiers_new
            ],
            "identifiers": [records.row_of_state(s, plan.bars.get(s.key), whole=True) for s in plan.identifiers],
            "left": [{"key": key, "until": until} for key, until in plan.left],
            "closed": [
                {"id": p.profile_id, "closes_at": p.closes_at} for p in plan.profiles if p.closes_at is not None
            ],
            "profiles": [records.row_of_profile(stored, seq) for stored in plan.profiles],
            "joined": [records.row_of_stay(stay) for stay in plan.joined],
            "links_new": [records.row_of_link(stored, whole=False) for stored in plan.links_new],
            "links": [records.row_of_link(stored, whole=True) for stored in plan.links],
            "turns": [self._turn(plan, seq, at)],
            "decisions": [records.row_of_decision(receipt) for receipt in plan.decisions],
            "entries": entries,
            "answers": [self._answer(answer, at, seq) for answer in plan.answers],
            "heads": [
                {
                    "reviews_more": plan.reviews_more,
                    "seq": seq,
                    "at": at,
                    "audit_seq": link.seq,
                    "audit_hash": link.hash,
                }
            ],
        }
        await (await self._transaction.run(queries.WRITE, {"turn": rows})).consume()
        await self._write_rare(plan, seq, at)
        members = [{"profile": p, "entered": entered, "left": left} for p, entered, left in plan.memberships]
        await self._run(queries.WRITE_MEMBERSHIPS, members)
        if plan.desk is not None:
            await write_desk(self._run, plan.desk, at)
        if plan.dispatch is not None:
            await write_dispatch(self._run, plan.dispatch, at)
        if plan.capture is not None:
            captured = rows_of_capture(plan.capture, at, self._tombstones)
            await (await self._transaction.run(WRITE_CAPTURE, {"capture": captured})).consume()

    async def plan_write(self) -> None:
        """Run the common write, and those of consent and of stewards, with no rows."""
        none: dict[str, list[Any]] = {name: [] for name in queries.COMMON_WRITES}
        await (await self._transaction.run(queries.WRITE, {"turn": none})).consume()
        await self._do(dossiers.WRITE_DOSSIERS, of={"gone": [], "rows": []})
        await plan_capture(self._rows, self._transaction.run)
        for query in (queries.CREATE_CONSENTS, queries.CREATE_REVOCATIONS, queries.CREATE_ASSERTIONS):
            await (await self._transaction.run(query, {"rows": []})).consume()

    async def _write_rare(self, plan: Plan, seq: int, at: int) -> None:
        await self._run(queries.PASS_PROFILES, [records.row_of_stay(stay) for stay in plan.passed])
        await self._run(queries.PASS_VERSIONS, records.rows_of_passed(plan.profiles))
        await self._run(queries.LOWER_DUES, [{"id": pid, "due": due} for pid, due in plan.lowered.items()])
        bars = [{"key": key, "reason": reason} for key, reason in plan.bars_changed.items()]
        await self._run(queries.BAR_LINKS, bars)
        await self._run(queries.WRITE_IDS, [records.row_of_id(stored) for stored in plan.ids], at=at)
        await self._run(queries.CREATE_ASSERTIONS, [records.row_of_assertion(a) for a in plan.assertions_new])
        await self._run(queries.UPDATE_ASSERTIONS, [records.row_of_assertion(a) for a in plan.assertions])
        await self._run(queries.CREATE_CONSENTS, [records.row_of_consent(key, c) for key, c in plan.consents])
        await self._run(queries.CREATE_REVOCATIONS, [self._revocation(v, seq) for v in plan.revocations])
        named = [{"key": x.remembered.key, "names": list(x.names)} for x in plan.answers if x.names]
        await self._run(queries.NAME_IDENTIFIERS, named)
        shown = [{"key": x.remembered.key, "names": list(x.profiles)} for x in plan.answers if x.profiles]
        await self._run(queries.NAME_PROFILES, shown)
        await self._run(dossiers.UNLINK, plan.unlinked)
        await self._run(models.WRITE_MODELS, [models.row_of_model(model) for model in plan.models])
        await dossiers.write_dossiers(self._do, plan.dossiers)
        tombs = [records.row_of_tomb(self._tombstones(key), tomb) for key, tomb in plan.tombs]
        await self._run(erasing.BURY, tombs, seq=seq)
        for erasure in plan.erasures:
            await erasing.blank(self._transaction, erasure.key, self._tombstones(erasure.key))

    def _revocation(self, revocation: Revocation, seq: int) -> records.Row:
        row = records.row_of_revocation(revocation)
        row["revocation"]["seq"] = seq
        if revocation.nameless:
            row["revocation"]["identifier"] = self._tombstones(revocation.identifier)
        return row

    async def write_newcomers(
        self,
        parts: Sequence[Newcomers],
        entries: Sequence[Entry],
        *,
        after: int,
        seq: int,
        at: int,
        dropped: Sequence[int],
    ) -> None:
        """Write what was resolved ahead, its outbox entry and the head: one round trip."""
        assert self._link is not None, "take_head comes first"
        link, chained = self._chain.extend(self._link, [entry.body for entry in entries], at)
        head = {"seq": seq, "at": at, "audit_seq": link.seq, "audit_hash": link.hash}
        turn = newcomers.turn_of(parts, self._op, after=after, seq=seq, at=at)
        turn |= {"dropped": list(dropped), "entries": chained}
        turn["heads"] = [head | {"reviews_more": sum(part.reviews for part in parts)}]
        parameters = {"turn": turn, "seq": seq, "at": at}
        await (await self._transaction.run(newcomers.WRITE_NEWCOMERS, parameters)).consume()

    def _turn(self, plan: Plan, seq: int, at: int) -> dict[str, Any]:
        """The turn's own entry: its operation id settles a lost commit; it is owed to the cache if there are drops."""
        turn = {
            "seq": seq,
            "at": at,
            "op": self._op,
            "items": [orjson.dumps(event).decode() for event in plan.events],
            "drops": list(plan.drops),
        }
        shown = {profile_id for event in plan.events for profile_id in profiles_in(event)}
        owed = [True] if plan.drops or plan.events else []
        return {"turn": turn, "owed": owed, "profiles": sorted(shown)}

    @staticmethod
    def _answer(answer: StoredAnswer, at: int, seq: int) -> dict[str, Any]:
        remembered = answer.remembered
        return {
            "key": remembered.key,
            "fingerprint": remembered.fingerprint,
            "status": answer.status,
            "body": answer.body,
            "at": at,
            "seq": seq,
        }

    async def commit(self) -> None:
        """Make it true. Raises OutcomeUnknown where no answer came."""
        if self._deadline is not None:
            self._deadline.reschedule(None)
        try:
            async with asyncio.timeout(_COMMIT_S_MAX):
                await self._transaction.commit()
        except (DriverError, TimeoutError) as error:  # the line is dead; whether before or after the commit, who knows
            raise OutcomeUnknown from error
        except Neo4jError as error:
            if error.is_retryable() or (error.code or "").startswith("Neo.DatabaseError"):
                raise OutcomeUnknown from error  # among these, a commit that failed half way through
            raise


class GraphLedger:
    """See `service.commands.ports.Ledger`."""

    def __init__(
        self, driver: AsyncDriver, database: str, chain: audit.Chain, tombstones: Tombstones, *, timeout_ms: int
    ) -> None:
        self._driver = driver
        self._database = database
        self._chain = chain
        self._tombstones = tombstones
        self._timeout_s = timeout_ms / 1000

    @asynccontextmanager
    async def turn(self, op: str, timeout_s: float | None = None) -> AsyncIterator[GraphTurn]:
        """Begin a transaction; leaving without commit rolls back. Raises StoreUnavailable."""
        try:
            limit_s = timeout_s or self._timeout_s
            async with bounded(limit_s) as deadline, self._driver.session(database=self._database) as session:
                transaction = await session.begin_transaction(timeout=limit_s)
                try:
                    yield GraphTurn(transaction, op, self._chain, self._tombstones, deadline)
                finally:
                    await transaction.close()
        except DriverError as error:
            raise StoreUnavailable("The graph can't be reached.") from error
        except Neo4jError as error:
            if error.is_retryable() or "TransactionTimedOut" in (error.code or ""):
                raise StoreUnavailable("The graph could not take the change in time.") from error
            raise

    async def plan_ahead(self) -> None:
        """Have the two large statements planned before anybody waits for them; nothing is read or written."""
        async with self.turn("", _PLAN_S_MAX) as turn:
            nobody = {IdentifierKey("")}
            await turn.load(Wanted(identifiers=nobody, dossiers=nobody, blocks={0: 0}, matched=nobody), 0)
            await turn.plan_write()

    async def plan_erasure_ahead(self) -> None:
        """The same for the statements of an erasure, which are many; takes no lock. Raises StoreUnavailable."""
        for query in erasing.STATEMENTS:
            async with self.turn("") as turn:
                await erasing.plan_ahead(turn._transaction, query)

    @asynccontextmanager
    async def look(self) -> AsyncIterator[GraphTurn]:
        """A transaction that only loads and takes no lock. Raises StoreUnavailable."""
        async with self.turn("") as turn:
            yield turn

    async def happened(self, op: str) -> bool:
        """Whether the turn of this operation id was committed, settled while holding the head."""
        async with self.turn(op) as turn:
            await turn.take_head()
            return bool(await turn._rows(queries.TURN_BY_OP, op=op))

    async def pending(self) -> dict[int, list[IdentifierKey]]:
        """Outbox entries whose drops are not known to be through. Raises StoreUnavailable."""
        try:
            async with bounded(self._timeout_s):
                found = await self._driver.execute_query(queries.READ_PENDING, database_=self._database)
        except (DriverError, Neo4jError) as error:
            raise StoreUnavailable("The graph can't be reached.") from error
        return {row["seq"]: [IdentifierKey(key) for key in row["drops"] or ()] for row in found.records}

    async def mark(self, seqs: Sequence[int]) -> None:
        """Note that the cache drops of these outbox entries are through. Raises StoreUnavailable."""
        try:
            async with bounded(self._timeout_s):
                await self._driver.execute_query(queries.MARK_DROPPED, {"rows": list(seqs)}, database_=self._database)
        except (DriverError, Neo4jError) as error:
            raise StoreUnavailable("The graph can't be reached.") from error
