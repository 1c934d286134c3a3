"""Deliveries end to end: real stores, receivers of our own on 127.0.0.1. Names say which scenario of the research."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from service.commands.carry_out import Outcome
from service.local import Stores
from service.model.changes import Origin
from service.model.delivery_changes import Attempt, AttemptReceipt, Conclude, ConcludeReceipt
from service.model.identifiers import IdentifierKey
from service.settings import Settings
from tests.service.delivery_tour import lake
from tests.service.instances import Api, Instance, Json, fresh, named, opened
from tests.service.vendors import SECRETS, Told, Vendor


@pytest.fixture(scope="module")
def delivering_settings(instance_settings: Settings) -> Settings:
    """An instance that may reach this machine."""
    more = {"egress_allow": "127.0.0.1", "egress_allow_private": True, "destination_secrets": SECRETS}
    return instance_settings.model_copy(update=more)


@pytest.fixture(scope="module")
async def sender(delivering_settings: Settings, stores: Stores) -> AsyncIterator[Instance]:
    """The instance."""
    async with opened(delivering_settings, stores) as made:
        yield made


@dataclass
class Scene:
    """Destinations of a test, and what it asks about them."""

    instance: Instance
    stack: AsyncExitStack
    source: str
    vendors: dict[str, Vendor]

    @property
    def api(self) -> Api:
        """A caller with an admin's key."""
        return self.instance.api

    def name(self, kind: str) -> str:
        """A destination's name."""
        return f"{kind}_{self.source}"

    async def person(self, *spaces: str, granted: bool = True) -> list[str]:
        """Identifiers of somebody new, who permits advertising or has not been asked."""
        keys = [fresh(space) for space in (spaces or ("crm_id", "cookie_id"))]
        event = self.event(*keys, kind="identify")
        if granted:
            event["data"] |= {"consent": {"advertising": "granted"}, "regulation": "GDPR"}
        assert (await self.api.post("/v1/events", event)).results[0]["status"] == "accepted"
        return keys

    def event(self, *keys: str, kind: str = "checkout", days: float = 0, value: float = 1.0) -> Json:
        """An event of now, or of some days ago."""
        at = datetime.now(UTC) - timedelta(days=days, minutes=5)
        properties: Json = {"order_id": "o-1", "value": value, "currency": "EUR"} if kind == "checkout" else {}
        data = {"identifiers": [named(key) for key in keys], "properties": properties, "retention": "events-default"}
        event_id = fresh("e").replace(":", "-")
        head = {"specversion": "1.0", "id": event_id, "source": self.source, "type": kind}
        return head | {"time": at.isoformat().replace("+00:00", "Z"), "dataschema": f"{kind}/1-0-0", "data": data}

    async def send(self, *events: Json) -> None:
        """Take events in."""
        reply = await self.api.post("/v1/events", {"events": list(events)})
        assert {result["status"] for result in reply.results} == {"accepted"}, reply

    async def delivery(self, kind: str, event: Json) -> Json:
        """The delivery of an event."""
        items = (await self.api.get("/v1/deliveries", event=f"{self.source}/{event['id']}")).json["items"]
        (found,) = [item for item in items if item["destination"] == self.name(kind)]
        return dict(found)

    async def outcome(self, kind: str, event: Json, seconds: float = 20) -> Json:
        """The same, once it is not pending any more."""

        async def over() -> Json | None:
            found = await self.delivery(kind, event)
            return found if found["outcome"] != "pending" else None

        return await until(over, seconds)

    async def withdraw(self, key: str) -> None:
        """Somebody refuses advertising from now on."""
        consent = {
            "identifier": named(key),
            "purposes": {"advertising": "withdrawn"},
            "regulation": "GDPR",
            "source": "t",
        }
        assert (await self.api.post("/v1/consents", consent)).status == 200

    async def state(self, kind: str) -> Json:
        """How a destination is doing."""
        items = (await self.api.get("/v1/destinations")).json["items"]
        return next(dict(item) for item in items if item["name"] == self.name(kind))


async def until(ask: Callable[[], Awaitable[Any]], seconds: float = 20) -> Any:
    """Asks until there is an answer."""
    for _ in range(int(seconds * 20)):
        if (found := await ask()) is not None:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("it did not happen in time")


def destination(kind: str, vendor: Vendor, source: str, **more: Any) -> Json:
    """A destination of the policy at a receiver."""
    settings, secret, adapter = {
        "hook": ({"url": f"{vendor.url}/in"}, "HOOK", "webhook"),
        "meta": ({"dataset": "1", "base_url": vendor.url}, "META", "meta_capi"),
        "ga": ({"measurement_id": "G", "base_url": vendor.url}, "GA", "ga4"),
        "braze": ({"base_url": vendor.url}, "BRAZE", "braze"),
    }[kind]
    delivery = {"adapter": adapter, "settings": settings, "secret": secret, "on": ["checkout"], "mode": "live"}
    delivery |= {"when": f'event.source == "{source}"', "share": 1.0, "min_compared": 5, "window": "PT0S", **more}
    return {"purpose": "advertising", "namespaces": ["*"], "granularity": "person", "delivery": delivery}


@pytest.fixture
async def scene(sender: Instance, request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    """Destinations as the test's `kinds` mark names them, each at a receiver of its own; the policy is put back."""
    kinds: dict[str, Json] = request.param
    active = (await sender.api.get("/v1/policies/active")).json
    source = fresh("s").replace(":", "_").replace("-", "_").lower()[:20]
    async with AsyncExitStack() as stack:
        shapes = {"hook": "webhook", "ga": "ga4"}
        vendors = {kind: await stack.enter_async_context(Vendor(shapes.get(kind, kind))) for kind in kinds}
        made = Scene(sender, stack, source, vendors)
        rules = {made.name(kind): destination(kind, vendors[kind], source, **more) for kind, more in kinds.items()}
        document = active["policy"] | {"destinations": active["policy"]["destinations"] | rules}
        drafted = await sender.api.post("/v1/policies", document)
        assert drafted.status == 200, drafted
        assert (await sender.api.post(f"/v1/policies/{drafted.json['version']}/activate", {})).status == 200
        yield made
        assert (await sender.api.post(f"/v1/policies/{active['version']}/activate", {})).status == 200


def scenario(**kinds: Json) -> Any:
    """The destinations of a test."""
    return pytest.mark.parametrize("scene", [kinds], indirect=True, ids=["-".join(kinds)])


@scenario(hook={})
async def test_03_consent_withdrawn_before_the_retry_sends_nothing(scene: Scene) -> None:
    hook, person = scene.vendors["hook"], await scene.person()
    hook.rule = lambda body: Told(503)
    event = scene.event(*person)
    await scene.send(event)
    await until(lambda: _true(lambda: len(hook.got) > 0))
    await scene.withdraw(person[0])
    hook.rule = lambda body: None
    found = await scene.outcome("hook", event)
    assert (found["outcome"], found["reason"]) == ("suppressed", "consent_withdrawn")
    ids = [attempt["decision_id"] for attempt in found["attempts"]]
    assert len(set(ids)) == len(ids) >= 2 and found["attempts"][-1]["http_status"] is None
    assert not hook.about(person[0])


async def _true(ask: Callable[[], bool]) -> bool | None:
    return True if ask() else None


@scenario(meta={})
async def test_05_one_event_too_old_does_not_cost_the_others(scene: Scene) -> None:
    people = [await scene.person() for _ in range(3)]
    await scene.api.post(f"/v1/destinations/{scene.name('meta')}/pause", {})
    events = [scene.event(*person, days=8 * (n == 1)) for n, person in enumerate(people)]
    await scene.send(*events)
    await scene.api.post(f"/v1/destinations/{scene.name('meta')}/resume", {})
    outcomes = [(await scene.outcome("meta", event))["outcome"] for event in events]
    assert outcomes == ["delivered", "expired", "delivered"] and not scene.vendors["meta"].refused


@scenario(hook={}, ga={})
async def test_06_no_answer_is_sent_again_only_where_the_vendor_knows_it_again(scene: Scene) -> None:
    person = await scene.person()
    for vendor in scene.vendors.values():
        vendor.rule = lambda body, seen=vendor.got: Told(200, drops=True) if not seen else None  # type: ignore[misc]
    event = scene.event(*person)
    await scene.send(event)
    assert (await scene.outcome("hook", event))["outcome"] == "delivered"
    ids = {got.headers["webhook-id"] for got in scene.vendors["hook"].got}
    assert len(scene.vendors["hook"].got) == 2 and len(ids) == 1
    found = await scene.outcome("ga", event)
    assert found["outcome"] == "uncertain" and len(scene.vendors["ga"].got) == 1
    again = await scene.api.post(f"/v1/deliveries/{found['delivery_id']}/retry", {})
    assert again.status == 200
    assert (await scene.outcome("ga", event))["outcome"] == "accepted_unverified"
    refused = await scene.api.post(f"/v1/deliveries/{found['delivery_id']}/retry", {})
    assert refused.status == 409


@scenario(hook={}, ga={})
async def test_06_what_a_killed_instance_had_claimed_is_taken_over(scene: Scene) -> None:
    person = await scene.person()
    for kind in ("hook", "ga"):
        await scene.api.post(f"/v1/destinations/{scene.name(kind)}/pause", {})
    event = scene.event(*person)
    await scene.send(event)
    write_path, claimed = scene.instance.assembled.services.write_path, dict[str, AttemptReceipt]()
    for kind, dedups in (("hook", True), ("ga", False)):
        found = await scene.delivery(kind, event)
        key, name = IdentifierKey(person[0]), scene.name(kind)
        await scene.api.post(f"/v1/destinations/{name}/resume", {})
        attempt = Attempt(found["delivery_id"], key, name, 0, dedups, None, 1, "x", "1", False)
        (receipt,) = (await write_path.submit([attempt], Origin("killed"), _render)).outcomes
        assert isinstance(receipt, AttemptReceipt)
        claimed[kind] = receipt
    outcomes = {kind: (await scene.outcome(kind, event))["outcome"] for kind in ("hook", "ga")}
    assert outcomes["hook"] == "delivered" and outcomes["ga"] in ("uncertain", "accepted_unverified")
    assert outcomes["ga"] == "uncertain" or not claimed["ga"].sends  # the loop was faster than the one killed
    for kind, receipt in claimed.items():
        if receipt.sends:  # and it can't conclude any more what another has
            late = Conclude(
                receipt.delivery.delivery_id, receipt.delivery.fence, None, "dead", None, 400, (), None, "x", "1", True
            )
            (told,) = (await write_path.submit([late], Origin("killed"), _render)).outcomes
            assert isinstance(told, ConcludeReceipt) and not told.counted, kind


def _render(outcomes: Any) -> tuple[int, bytes]:
    _: list[Outcome] = list(outcomes)
    return 200, b""


@scenario(hook={})
async def test_08_a_refused_key_stops_the_destination_and_costs_no_delivery(scene: Scene) -> None:
    hook = scene.vendors["hook"]
    hook.rule = lambda body: Told(401)
    person = await scene.person()
    events = [scene.event(*person, value=float(n)) for n in range(3)]
    for event in events:
        await scene.send(event)
    state = await until(lambda: _state(scene, "setup_failed"))
    assert state["pending"] == 3 and state["counts"].get("dead", 0) == 0
    asked = len(hook.got)
    await asyncio.sleep(0.6)
    assert len(hook.got) == asked
    hook.rule = lambda body: None
    assert (await scene.api.post(f"/v1/destinations/{scene.name('hook')}/resume", {})).json["state"] == "ok"
    assert [(await scene.outcome("hook", event))["outcome"] for event in events] == ["delivered"] * 3
    order = [got.json["event"]["properties"]["value"] for got in hook.got if got.status == 200]
    assert order == [0, 1, 2]


async def _state(scene: Scene, wanted: str) -> Json | None:
    state = await scene.state("hook")
    return state if state["state"] == wanted else None


@scenario(hook={})
async def test_09_ones_first_that_fails_holds_up_ones_own_second_and_nobody_else(scene: Scene) -> None:
    hook, slow, other = scene.vendors["hook"], await scene.person(), await scene.person()
    hook.rule = lambda body: Told(500) if slow[0].split(":")[1] in body.decode() else None
    first, second, third = scene.event(*slow, value=1.0), scene.event(*slow, value=2.0), scene.event(*other, value=3.0)
    await scene.send(first, second, third)
    assert (await scene.outcome("hook", third))["outcome"] == "delivered"
    assert (await scene.delivery("hook", second))["attempts"] == []
    hook.rule = lambda body: None
    for event in (first, second):
        assert (await scene.outcome("hook", event))["outcome"] == "delivered"
    values = [got.json["event"]["properties"]["value"] for got in hook.got if got.status == 200]
    assert values == [3, 1, 2]


@scenario(hook={"mode": "shadow", "share": 0.0})
async def test_12_shadow_calls_nobody_and_compares(scene: Scene) -> None:
    people = [await scene.person() for _ in range(6)]
    events = [scene.event(*person) for person in people]
    await scene.send(*events)
    assert {(await scene.outcome("hook", event))["outcome"] for event in events} == {"shadow"}
    records = [_record(event) for event in events]
    reply = await scene.api.post(f"/v1/legacy/{scene.name('hook')}", {"records": records})
    assert {result["status"] for result in reply.results} == {"accepted"}
    found = (await scene.api.get(f"/v1/reconciliation/{scene.name('hook')}")).json
    assert (found["compared"], found["equal"], found["gap"], found["verdict"]) == (6, 6, 0, "pass")
    assert not scene.vendors["hook"].got


def _record(event: Json, **more: Any) -> Json:
    where = {"source": event["source"], "id": event["id"]}
    fields = {"value": event["data"]["properties"]["value"]}
    head = {"id": f"old-{event['id']}", "event": where, "at": event["time"], "action": "send"}
    return head | {"identifiers": event["data"]["identifiers"], "fields": fields} | more


@scenario(hook={"share": 0.0})
async def test_15_the_share_goes_up_and_down_and_a_merge_has_one_owner(scene: Scene) -> None:
    people, name = [await scene.person() for _ in range(24)], scene.name("hook")

    async def owners() -> list[str]:
        asked = [{"identifier": named(person[0]), "destination": name} for person in people]
        return [one["owner"] for one in (await scene.api.post("/v1/decisions", {"requests": asked})).results]

    async def step(share: float) -> list[str]:
        cut = await scene.api.post(f"/v1/cutovers/{name}", {"share": share, "reason": "test", "force": True})
        assert cut.status == 200, cut
        return await owners()

    few, more, few_again = await step(0.3), await step(0.7), await step(0.3)
    assert few == few_again and set(few) <= {"new", "legacy"}
    assert all(b == "new" for a, b in zip(few, more, strict=True) if a == "new")
    if {"new", "legacy"} <= set(few):
        a, b = people[few.index("new")], people[few.index("legacy")]
        profiles = [await scene.api.profile_id(one[0]) for one in (a, b)]
        merged = await scene.api.post("/v1/profiles/merge", {"profiles": profiles, "reason": "test"})
        assert merged.status == 200
        now = await owners()
        assert now[people.index(a)] == now[people.index(b)]
        split = {"reason": "test"}
        await scene.api.post(f"/v1/assertions/{merged.json['assertion_id']}/undo", split)
        after = await owners()
        assert after[people.index(a)] == after[people.index(b)] == now[people.index(a)]


@scenario(hook={"share": 0.0})
async def test_16_a_gap_that_opens_after_a_step_rolls_it_back(scene: Scene) -> None:
    name = scene.name("hook")
    step = {"share": 0.0001, "reason": "test", "force": True}
    assert (await scene.api.post(f"/v1/cutovers/{name}", step)).status == 200
    people = [await scene.person() for _ in range(8)]
    events = [scene.event(*person) for person in people]
    await scene.send(*events)
    records = [_record(event, fields={"value": 99}) for event in events]
    await scene.api.post(f"/v1/legacy/{name}", {"records": records})

    async def rolled() -> list[Json] | None:
        items: list[Json] = (await scene.api.get(f"/v1/cutovers/{name}")).json["items"]
        return items if len(items) == 2 else None

    steps = await until(rolled, 30)
    assert steps[1]["kind"] == "automatic" and steps[1]["share"] == 0 and steps[1]["seconds"] < 30
    assert steps[0]["undone"] and (await scene.state("hook"))["share"] == 0


@scenario(hook={}, ga={})
async def test_18_a_withdrawal_is_carried_to_where_the_person_had_been_sent(scene: Scene) -> None:
    person = await scene.person()
    event = scene.event(*person)
    await scene.send(event)
    for kind in ("hook", "ga"):
        await scene.outcome(kind, event)
    await scene.withdraw(person[0])

    async def removed() -> dict[str, str] | None:
        items = (await scene.api.get("/v1/deliveries", subject=person[1])).json["items"]
        found = {item["destination"]: item["outcome"] for item in items if item["action"] == "remove"}
        return found if len(found) == 2 and "pending" not in found.values() else None

    found = await until(removed)
    assert found == {scene.name("hook"): "delivered", scene.name("ga"): "not_supported"}
    assert scene.vendors["hook"].got[-1].json["action"] == "remove"


async def test_19_a_table_has_a_row_once_and_an_erased_person_not_at_all(sender: Instance, tmp_path: Path) -> None:
    api, uri = sender.api, str(tmp_path / "lake")
    active = (await api.get("/v1/policies/active")).json
    source = fresh("s").replace(":", "_")
    rules = active["policy"]["destinations"] | {"lake19": lake(uri, source)}
    version = (await api.post("/v1/policies", active["policy"] | {"destinations": rules})).json["version"]
    await api.post(f"/v1/policies/{version}/activate", {})
    scene = Scene(sender, AsyncExitStack(), source, {})
    people = [await scene.person(granted=False) for _ in range(2)]
    events = [scene.event(*person) for person in people]
    await scene.send(*events)

    async def both() -> DeltaTable | None:
        items = [(await api.get("/v1/deliveries", event=f"{source}/{e['id']}")).json["items"] for e in events]
        return DeltaTable(uri) if all(found and found[0]["outcome"] == "delivered" for found in items) else None

    rows = (await until(both)).to_pyarrow_table().to_pylist()
    assert sorted(row["event_id"] for row in rows) == sorted(event["id"] for event in events)
    erase = {"identifier": named(people[0][0]), "scope": "erase"}
    assert (await api.post("/v1/revocations", erase)).status == 200
    value = people[0][0].split(":")[1]

    async def gone() -> bool | None:
        left = DeltaTable(uri).to_pyarrow_table().to_pylist()
        return True if len(left) == 1 and not _held(Path(uri), value) else None

    await until(gone)
    assert (await api.get("/v1/proof")).status == 200, "what is left of an erased person does not stop a proof"
    await api.post(f"/v1/policies/{active['version']}/activate", {})


def _held(folder: Path, value: str) -> bool:
    """Whether any file of a table still holds a value."""
    return any(value.encode() in file.read_bytes() for file in folder.rglob("*.parquet"))
