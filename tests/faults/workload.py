"""Many clients at once: writers who each change groups of their own, readers who ask about all of them, a follower of
the feed, and an admin who switches policies.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from service.model.identifiers import AssertionId, IdentifierKey
from service.model.policy import Policy
from service.model.times import rfc3339
from tests.faults import person
from tests.faults.calls import Caller
from tests.faults.history import ALWAYS, History, Read, Tried, Value, Write
from tests.faults.person import EDGES, PURPOSE, UNKNOWN, Group, State
from tests.service.instances import link, name, named

DESTINATION = "meta_ads"
OPS_OF_A_GROUP = 30
SHOWN_MAX = 40
"""Groups that readers ask about: the latest ones."""


def now_ms() -> int:
    """Of this machine, whose clock the graph shares."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class Done:
    """A group that nothing more happens to. `alternatives`: what it may look like, all registers together."""

    group: Group
    alternatives: list[dict[str, Value]]


@dataclass(slots=True)
class Workload:
    """All clients of one run; `mark` begins every name and request id of it."""

    base_urls: list[str]
    policy: Policy
    mark: str
    seed: int
    writers: int = 6
    readers: int = 6
    history: History = field(default_factory=History)
    groups: list[Group] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    counts: dict[str, int] = field(default_factory=dict)

    async def run(self) -> None:
        """Until `stop` is set, and whatever was under way then is acknowledged or `over` is set."""
        clients: list[Callable[[Caller], Coroutine[Any, Any, None]]] = [self._follow, self._switch_policies]
        clients += [self._write] * self.writers + [self._read] * self.readers
        callers = [self.caller(number) for number in range(len(clients))]
        await asyncio.gather(*(client(caller) for client, caller in zip(clients, callers, strict=True)))
        for caller in callers:
            await caller.close()

    def caller(self, number: int) -> Caller:
        """A client with chance of its own."""
        return Caller(self.base_urls, self.history, random.Random(f"{self.seed}/{number}"), self.over)

    # ---- writers

    async def _write(self, caller: Caller) -> None:
        serial = 0
        me = f"{self.mark}{caller.chance.getrandbits(24):06x}"
        while not self.stop.is_set():
            serial += 1
            group = Group(f"{me}_{serial}", self.policy)
            await Writer(self, caller, group).live()

    # ---- readers

    async def _read(self, caller: Caller) -> None:
        while not self.stop.is_set():
            groups = self.groups[-SHOWN_MAX:]
            if not groups:
                await asyncio.sleep(0.05)
                continue
            group = caller.chance.choice(groups)
            ask = caller.chance.choice((self._look_up, self._look_up, self._look_up_all, self._permitted, self._decide))
            await ask(caller, group)
            await asyncio.sleep(caller.chance.uniform(0.0, 0.02))

    def _note(self, how: str, register: str, value: Value, began: float) -> None:
        self.history.reads.append(Read(register, value, began, time.monotonic(), how))
        self.counts[how] = self.counts.get(how, 0) + 1

    def _note_profile(self, how: str, key: IdentifierKey, found: Any, began: float) -> None:
        """An answer about one identifier: a profile, or that it is not known."""
        if "error" in found:
            self._note(how, f"profile:{key}", UNKNOWN, began)
            return
        members = tuple(sorted(name(identifier) for identifier in found["identifiers"]))
        self._note(how, f"profile:{key}", members, began)
        self._note(how, "policy", found["policy_version"], began)

    async def _look_up(self, caller: Caller, group: Group) -> None:
        key = caller.chance.choice(list(group.keys.values()))
        began = time.monotonic()
        namespace, _, value = key.partition(":")
        status, found = await caller.once("GET", f"/v1/profiles?namespace={namespace}&value={value}")
        if status in (200, 404):
            self._note_profile("a look-up", key, found if status == 200 else {"error": found}, began)
        elif status not in (0, 429, 503):
            caller.odd("lookup", status, found)

    async def _look_up_all(self, caller: Caller, group: Group) -> None:
        keys, began = list(group.keys.values()), time.monotonic()
        body = {"identifiers": [named(key) for key in keys]}
        status, found = await caller.once("POST", "/v1/profiles/lookup", body)
        if status == 200:
            for key, result in zip(keys, found["results"], strict=True):
                self._note_profile("a batch of look-ups", key, result, began)
        elif status not in (0, 429, 503):
            caller.odd("batch lookup", status, found)

    async def _permitted(self, caller: Caller, group: Group) -> None:
        mail, began = group.keys["mail"], time.monotonic()
        path = f"/v1/profiles?namespace=email_sha256&value={mail.partition(':')[2]}&purpose={PURPOSE}"
        status, found = await caller.once("GET", path)
        if status in (200, 404):
            shown = status == 200 and any(name(identifier) == mail for identifier in found["identifiers"])
            self._note("a look-up for a purpose", f"allow:{mail}", shown, began)
        elif status not in (0, 429, 503):
            caller.odd("lookup for a purpose", status, found)

    async def _decide(self, caller: Caller, group: Group) -> None:
        mail, began = group.keys["mail"], time.monotonic()
        tried = Tried(f"{self.mark}d{caller.chance.getrandbits(60):015x}", "decision", attempts=1)
        self.history.tried.append(tried)
        body = {"identifier": named(mail), "destination": DESTINATION}
        status, found = await caller.once("POST", "/v1/decisions", body, x_request_id=f"{tried.name}-0")
        if status == 200:
            tried.acknowledged = True
            self.history.decisions.append(found["decision_id"])
            self._note("a decision", f"allow:{mail}", found["outcome"] != "withhold", began)
            self._note("a decision", "policy", found["policy_version"], began)
        elif status not in (0, 429, 503):
            caller.odd("decision", status, found)

    # ---- the feed

    async def _follow(self, caller: Caller) -> None:
        after = await self._end_of_feed(caller)
        while not self.stop.is_set():
            status, found = await caller.once("GET", f"/v1/changes?after={after}&limit=500&wait=1")
            if status == 200:
                self.history.followed += found["items"]
                after = max(after, found["next"])
            else:
                await asyncio.sleep(0.2)

    async def _end_of_feed(self, caller: Caller) -> int:
        after = 0
        while not self.stop.is_set():
            status, found = await caller.once("GET", f"/v1/changes?after={after}&limit=1000")
            if status == 200 and not found["items"]:
                break
            after = found["next"] if status == 200 else after
        return after

    # ---- policies

    async def _switch_policies(self, caller: Caller) -> None:
        status, active = await caller.once("GET", "/v1/policies/active")
        assert status == 200, "before any fault"
        self.history.writes.append(Write("policy", active["version"], ALWAYS, ALWAYS))
        number = 0
        while not self.stop.is_set():
            number += 1
            document = active["policy"] | {"decisions": {"max_age": f"PT{1 + number % 48}H"}}
            drafted = await caller.until_told(
                Tried(f"{self.mark}p{number}_draft", "policy draft"), "POST", "/v1/policies", document
            )
            if drafted is None:
                return
            write = Write("policy", drafted["version"], time.monotonic(), what="activation")
            self.history.writes.append(write)
            tried = Tried(f"{self.mark}p{number}_activate", "policy activation")
            if await caller.until_told(tried, "POST", f"/v1/policies/{drafted['version']}/activate", {}) is None:
                return
            write.end = time.monotonic()
            self.counts["policy switches"] = number
            await asyncio.sleep(caller.chance.uniform(0.5, 4.0))


Change = Callable[[State, Any], None]


@dataclass(slots=True)
class Writer:
    """Changes one group, one change after another, until told to stop, erased, or not answered for good."""

    load: Workload
    caller: Caller
    group: Group
    number: int = 0
    under_way: dict[str, Value] | None = None

    async def live(self) -> None:
        """The group's whole life."""
        load, group = self.load, self.group
        registers = group.registers(group.state, now_ms())
        load.history.writes += [Write(register, value, ALWAYS, ALWAYS) for register, value in registers.items()]
        load.groups.append(group)
        alive = True
        for edge in EDGES:
            alive = alive and await self._link(edge)
        while alive and not load.stop.is_set() and self.number < OPS_OF_A_GROUP:
            alive = await self._something() and not group.state.erased
            await asyncio.sleep(self.caller.chance.uniform(0.0, 0.15))
        alternatives = [group.registers(group.state, now_ms())]
        if self.under_way is not None:
            alternatives.append(self.under_way)
        load.done.append(Done(group, alternatives))

    async def _something(self) -> bool:
        """A change that makes sense now. False: it was never acknowledged."""
        state, chance = self.group.state, self.caller.chance
        about_linking = hash_of(self.group.mark) % 2
        options: list[Callable[[], Coroutine[Any, Any, bool]]] = [self._link_some]
        options.append(self._undo_split if state.split else self._split)
        options.append(self._undo_merge if state.merged else self._merge)
        options += [self._linking] * 2 if about_linking else [self._consent] * 5
        options.append(self._retract_some)
        if self.number > 12 and chance.random() < 0.1:
            return await self._erase()
        return await chance.choice(options)()

    async def _change(
        self, kind: str, method: str, path: str, body: object, change: Change, stand_in: Any = None, entries: int = 1
    ) -> bool:
        """Send one change; note the registers that it writes, from its first request on."""
        load, group = self.load, self.group
        self.number += 1
        before = group.registers(group.state, now_ms())
        tried_on = group.state.copy()
        change(tried_on, stand_in)
        after = group.registers(tried_on, now_ms())
        began = time.monotonic()
        writes = [
            Write(register, value, began, what=kind) for register, value in after.items() if value != before[register]
        ]
        load.history.writes += writes
        tried = Tried(f"{group.mark}_{self.number}", kind, entries=entries, maybe_none=kind in ("link", "retraction"))
        found = await self.caller.until_told(tried, method, path, body)
        if found is None:
            self.under_way = after
            return False
        for write in writes:
            write.end = time.monotonic()
        fresh = group.state.copy()
        change(fresh, found)
        group.state = fresh
        load.counts[kind] = load.counts.get(kind, 0) + 1
        return True

    # ---- changes

    async def _link_some(self) -> bool:
        return await self._link(self.caller.chance.choice(EDGES))

    async def _link(self, edge: tuple[str, str]) -> bool:
        at = self.group.later(now_ms())
        a, b = self.group.keys[edge[0]], self.group.keys[edge[1]]
        body = link(a, b, rule="faults", observed_at=rfc3339(at))

        def change(state: State, found: Any) -> None:
            person.observe(self.group, state, edge, at)
            if found is not None:
                self.group.links[edge] = found["results"][0]["link_id"]

        return await self._change("link", "POST", "/v1/links", body, change)

    async def _retract_some(self) -> bool:
        edges = [edge for edge in EDGES if person.is_there(self.group, self.group.state, edge)]
        if not edges:
            return await self._link_some()
        edge = self.caller.chance.choice(edges)
        path = f"/v1/links/{self.group.links[edge]}?reason=faults"
        return await self._change(
            "retraction", "DELETE", path, None, lambda state, _: person.retract(self.group, state, edge)
        )

    async def _consent(self) -> bool:
        allowed = not self.group.state.allowed
        at = rfc3339(self.group.later(now_ms()))
        mail = named(self.group.keys["mail"])

        def change(state: State, _found: Any) -> None:
            state.allowed = allowed

        if not allowed and self.caller.chance.random() < 0.5:
            body = {"identifier": mail, "scope": "purposes", "purposes": [PURPOSE], "regulation": "GDPR", "at": at}
            return await self._change("revocation", "POST", "/v1/revocations", body | {"reason": "r"}, change)
        word = "granted" if allowed else "denied"
        consent = {"identifier": mail, "purposes": {PURPOSE: word}, "regulation": "GDPR", "source": "cmp", "at": at}
        return await self._change("consent", "POST", "/v1/consents", consent, change)

    async def _linking(self) -> bool:
        at, off = self.group.later(now_ms()), not self.group.state.linking_off
        page = named(self.group.keys["page"])

        def change(state: State, _found: Any) -> None:
            person.say_linking(self.group, state, at, not off)

        if off:
            body: dict[str, Any] = {"identifier": page, "scope": "linking", "at": rfc3339(at), "reason": "r"}
            return await self._change("linking revoked", "POST", "/v1/revocations", body, change)
        body = {"identifier": page, "purposes": {"identity_linking": "granted"}, "source": "cmp", "at": rfc3339(at)}
        return await self._change("linking granted", "POST", "/v1/consents", body, change)

    async def _erase(self) -> bool:
        body = {"identifier": named(self.group.keys["mail"]), "scope": "erase", "reason": "r"}
        return await self._change(
            "erasure", "POST", "/v1/revocations", body, lambda state, _: person.erase(self.group, state)
        )

    async def _profile_of(self, short: str) -> str | None:
        namespace, _, value = self.group.keys[short].partition(":")
        while not self.load.over.is_set():
            status, found = await self.caller.once("GET", f"/v1/profiles?namespace={namespace}&value={value}")
            if status == 200:
                return str(found["profile_id"])
            if status not in (0, 429, 503):
                self.caller.odd("lookup of one's own", status, found)
                return None
            await asyncio.sleep(0.2)
        return None

    async def _merge(self) -> bool:
        ids = [await self._profile_of("anna"), await self._profile_of("bert")]
        if None in ids:
            return False

        def change(state: State, found: Any) -> None:
            assertion = AssertionId("ast_pending" if found is None else found["assertion_id"])
            person.assert_same(self.group, state, assertion, now_ms())

        body = {"profiles": ids, "reason": "faults"}
        return await self._change("merge", "POST", "/v1/profiles/merge", body, change)

    async def _split(self) -> bool:
        phone, now = self.group.keys["phone"], now_ms()
        cluster = self.group.registers(self.group.state, now)[f"profile:{phone}"]
        profile = await self._profile_of("phone")
        if profile is None or not isinstance(cluster, tuple) or len(cluster) < 2:
            return profile is not None

        def change(state: State, found: Any) -> None:
            assertion = AssertionId("ast_pending" if found is None else found["assertion_id"])
            person.assert_apart(self.group, state, assertion, now)

        body = {"identifiers": [named(phone)], "reason": "faults"}
        return await self._change("split", "POST", f"/v1/profiles/{profile}/split", body, change)

    async def _undo_merge(self) -> bool:
        return await self._undo(self.group.state.merged)

    async def _undo_split(self) -> bool:
        return await self._undo(self.group.state.split)

    async def _undo(self, assertion: AssertionId | None) -> bool:
        assert assertion is not None
        path = f"/v1/assertions/{assertion}/undo"
        return await self._change(
            "undo", "POST", path, {"reason": "faults"}, lambda state, _: person.undo(state, assertion)
        )


def hash_of(text: str) -> int:
    """The same in every process."""
    return sum(map(ord, text))
