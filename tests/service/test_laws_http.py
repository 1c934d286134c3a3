"""The laws of the evidence, through HTTP: two instances on real stores say at all times what the pure model says.

The model is `tests.properties.evidence_model`, told of every change that was acknowledged. After each change both
instances are asked about every identifier and one of them about every id ever handed out. Each example uses values of
its own, so the stores need not be emptied.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from service.bootstrap import DEFAULT_POLICY
from service.control.policy_document import PolicyDocument, compile_policy
from service.local import Stores
from service.local.secrets import identity_key
from service.model.changes import ObserveLink
from service.model.evidence import Assertion, ConsentRecord, Hand, Method
from service.model.identifiers import AssertionId, IdentifierKey, LinkId, ProfileId, pair_of
from service.model.policy import Policy
from service.model.times import rfc3339
from service.resolution.profile_ids import Births, births_under
from service.settings import Settings
from tests.properties.evidence_model import Implied
from tests.properties.profiles import tried
from tests.service.instances import Client, Json, Reply, background, name, named
from tests.service.told import Told

HOUR, DAY = 3_600_000, 86_400_000
NAMES: tuple[str, ...] = ("crm_id", "crm_id", "crm_id", "login_id", "login_id", "email_sha256", "email_sha256")
NAMES += ("device_id", "device_id", "cookie_id", "cookie_id", "session_id", "household_id")
# Away from the namespaces' time limits by an hour, so that it does not matter when exactly the test runs.
AGES = (0, 0, HOUR, 2 * HOUR, DAY + HOUR, 30 * DAY, 91 * DAY, 391 * DAY)
CONFIDENCES = (0.3, 0.6, 0.8, 0.95, 1.0)
PURPOSES = ("identity_linking", "analytics", "advertising")


@dataclass(frozen=True, slots=True)
class Report:
    """A link as it is drawn: ends as places in the pool."""

    a: int
    b: int
    method: Method
    source: str
    confidence: float
    age: int
    ends: int | None


@st.composite
def reports(draw: st.DrawFn) -> Report:
    """A link between two of the pool."""
    a = draw(st.integers(0, len(NAMES) - 1))
    b = draw(st.integers(0, len(NAMES) - 2))
    return Report(
        a,
        b if b < a else b + 1,
        draw(st.sampled_from(("deterministic", "deterministic", "deterministic", "probabilistic"))),
        draw(st.sampled_from(("crm", "web"))),
        draw(st.sampled_from(CONFIDENCES)),
        draw(st.sampled_from(AGES)),
        draw(st.sampled_from((None, None, None, None, -HOUR, 30 * DAY))),
    )


class Life(RuleBasedStateMachine):
    """Two instances, and the model told of all that they acknowledged."""

    def __init__(self, clients: list[Client], policy: Policy, births: Births) -> None:
        super().__init__()
        self.clients = clients
        self.turn = 0
        self.told = Told(policy, births)
        self.began = time.time_ns() // 1_000_000
        mark = secrets.token_hex(5)
        self.pool = [self.key(namespace, f"{number:02}-{mark}") for number, namespace in enumerate(NAMES)]
        self.sent: list[ObserveLink] = []
        self.links: dict[LinkId, str] = {}
        self.crowds = 0
        self.acts = 0
        self.any_large = False

    @staticmethod
    def key(namespace: str, value: str) -> IdentifierKey:
        """An identifier of this example. Its order among others is that of its number, whatever the random mark."""
        if namespace.endswith("sha256"):
            value = value[:2] + hashlib.sha256(value.encode()).hexdigest()[2:]
        return IdentifierKey(f"{namespace}:{value}")

    def client(self) -> Client:
        """The instances take turns in being told."""
        self.turn += 1
        return self.clients[self.turn % len(self.clients)]

    def change_of(self, report: Report) -> ObserveLink:
        """The report as the model takes it."""
        a, b = self.pool[report.a], self.pool[report.b]
        at = self.began - report.age
        link_id = LinkId("/".join((report.source, report.method, *pair_of(a, b))))
        ends = None if report.ends is None else self.began + report.ends
        return ObserveLink(
            link_id, a, b, report.method, report.confidence, report.source, "laws", observed_at=at, expires_at=ends
        )

    # ---- changes

    def observe_on(self, client: Client, batch: list[ObserveLink]) -> None:
        """Send links; what is answered is compared later."""
        links = [
            {"a": named(sent.a), "b": named(sent.b), "method": sent.method, "confidence": sent.confidence}
            | {"source": sent.source, "rule": sent.rule, "observed_at": rfc3339(sent.observed_at or 0)}
            | ({} if sent.expires_at is None else {"expires_at": rfc3339(sent.expires_at)})
            for sent in batch
        ]
        results = client.post("/v1/links", {"links": links}).results
        for sent, result in zip(batch, results, strict=True):
            assert self.links.setdefault(sent.link_id, result["link_id"]) == result["link_id"]
        self.answered = results

    def take_in(self, batch: list[ObserveLink]) -> None:
        """The model is told."""
        for sent in batch:
            self.told.evidence.observe(sent)
        self.sent += batch

    @rule(batch=st.lists(reports(), min_size=1, max_size=6), again=st.booleans())
    def observe(self, batch: list[Report], again: bool) -> None:
        changes = [self.change_of(report) for report in batch]
        changes += [replace(changes[0], a=changes[0].b, b=changes[0].a)] * again
        client = self.client()
        self.observe_on(client, changes)
        self.take_in(changes)
        now = self.told.implied()
        for change, result in zip(changes, self.answered, strict=True):
            log = self.told.evidence.links[change.link_id]
            if result["status"] != "duplicate" and log.void_until is None:
                assert result["reason"] == self.told.reason(change, now), (change, result)
                assert result["status"] == ("withheld" if result["reason"] else "linked")
        if again:
            assert self.answered[-1]["status"] == "duplicate"
        self.agree()

    @rule(batches=st.tuples(st.lists(reports(), min_size=1, max_size=3), st.lists(reports(), min_size=1, max_size=3)))
    def observe_on_both_at_once(self, batches: tuple[list[Report], list[Report]]) -> None:
        changes = [[self.change_of(report) for report in batch] for batch in batches]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self.observe_on, self.clients, changes))
        for batch in changes:
            self.take_in(batch)
        self.agree()

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        change = data.draw(st.sampled_from(self.sent))
        void = self.told.evidence.links[change.link_id].void_until
        self.observe_on(self.client(), [change])
        self.take_in([change])
        if void is None or (change.observed_at or 0) <= void:
            assert self.answered[0]["status"] == "duplicate"
        self.agree()

    @precondition(lambda self: self.crowds < 1)
    @rule(place=st.sampled_from((7, 9)), data=st.data())
    def a_crowd(self, place: int, data: st.DataObject) -> None:
        """A device that suddenly reaches more identifiers than one person's does."""
        self.crowds += 1
        mark = secrets.token_hex(5)
        start = len(self.pool)
        self.pool += [
            self.key("login_id", f"{start + number:02}-{mark}") for number in range(data.draw(st.integers(9, 12)))
        ]
        changes = [
            self.change_of(Report(place, other, "deterministic", "web", 0.9, 0, None))
            for other in range(start, len(self.pool))
        ]
        self.observe_on(self.client(), changes)
        self.take_in(changes)
        self.agree()

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def retract(self, data: st.DataObject) -> None:
        link_id = data.draw(st.sampled_from(self.sent)).link_id
        reply = self.client().call("DELETE", f"/v1/links/{self.links[link_id]}", params={"reason": "r"})
        assert reply.status == 200 and reply.json["status"] == "retracted"
        self.told.evidence.retract(link_id)
        self.agree()

    @rule(place=st.integers(0, len(NAMES) - 2), regulation=st.sampled_from((None, None, "GDPR")))
    def withdraw_linking(self, place: int, regulation: str | None) -> None:
        self.withdraw(place, {"scope": "linking"}, regulation, ["identity_linking"])

    @rule(
        place=st.integers(0, len(NAMES) - 2),
        regulation=st.sampled_from((None, "GDPR", "CCPA")),
        purposes=st.sampled_from((("analytics",), ("advertising",), ("analytics", "personalization"))),
    )
    def withdraw_purposes(self, place: int, regulation: str | None, purposes: tuple[str, ...]) -> None:
        self.withdraw(place, {"scope": "purposes", "purposes": list(purposes)}, regulation, list(purposes))

    def withdraw(self, place: int, body: Json, regulation: str | None, purposes: list[str]) -> None:
        """A revocation, sent and told."""
        key = self.pool[place]
        body |= {"identifier": named(key), "regulation": regulation, "at": rfc3339(self.began), "reason": "r"}
        reply = self.client().post("/v1/revocations", body)
        assert reply.status == 200 and reply.json["enforced"] is True
        for purpose in purposes:
            self.told.evidence.say(key, ConsentRecord(purpose, regulation or "", "withdrawn", self.began))
        self.agree()

    # ---- a steward's word

    def foreseen(self, path: str, body: Json) -> Reply:
        """An act, after a preview that must tell the same."""
        preview = self.client().post(path, {**body, "preview": True})
        reply = self.client().post(path, body)
        assert preview.status == reply.status
        if reply.status == 200:
            told = ("before", "after")
            assert [preview.json[part] for part in told] == [reply.json[part] for part in told]
            assert preview.json["applied"] is False and preview.json["assertion_id"] is None
        return reply

    def assertion(self, reply: Reply, kind: str) -> Assertion:
        """The steward's word, without what it says."""
        self.acts += 1
        return Assertion(AssertionId(reply.json["assertion_id"]), kind, self.acts, 0)  # type: ignore[arg-type]

    @precondition(lambda self: len(self.told.shown) > 1)
    @rule(data=st.data())
    def merge(self, data: st.DataObject) -> None:
        shown = sorted(self.told.shown, key=self.told.shown.__getitem__)
        ids = data.draw(st.lists(st.sampled_from(shown), min_size=2, max_size=3, unique=True))
        survivor = data.draw(st.sampled_from([None, *ids]))
        now = self.told.implied()
        profiles = [self.told.current(profile_id, now) for profile_id in ids]
        members = [now.profiles[profile_id] for profile_id in profiles]
        together = frozenset[IdentifierKey]().union(*members)
        reply = self.foreseen("/v1/profiles/merge", {"profiles": ids, "survivor": survivor, "reason": "r"})
        against = {
            assertion.assertion_id
            for assertion in self.told.evidence.in_force()
            if assertion.sides[0] & together and assertion.sides[1] & together
        }
        if len(set(profiles)) < len(profiles):
            assert reply.status == 422
        elif against:
            assert reply.status == 409 and reply.json["code"] == "asserted_different"
            assert reply.json["assertion_id"] in against
        else:
            assert reply.status == 200 and reply.json["applied"] is True
            seniors = tuple(sorted(self.told.senior(cluster) for cluster in members))
            same = replace(self.assertion(reply, "same"), seniors=seniors, named=together)
            self.told.evidence.assertions[same.assertion_id] = same
            if survivor is not None:
                kept = profiles[ids.index(survivor)]
                keeper = self.told.senior(now.profiles[kept])  # linking may be withdrawn, then the others don't join it
                result = next(c for c in self.told.implied().clusters if keeper in c)
                hand = Hand(same.at, kept, self.told.senior(result))
                self.told.evidence.assertions[same.assertion_id] = replace(same, hand=hand)
            self.told_after(reply)
        self.agree()

    @precondition(lambda self: self.any_large)
    @rule(data=st.data())
    def split(self, data: st.DataObject) -> None:
        now = self.told.implied()
        current = data.draw(st.sampled_from(sorted(i for i, members in now.profiles.items() if len(members) > 1)))
        members = sorted(now.profiles[current])
        leaving = data.draw(st.lists(st.sampled_from(members), min_size=1, max_size=len(members) - 1, unique=True))
        body = {"identifiers": [named(key) for key in leaving], "reason": "r"}
        reply = self.foreseen(f"/v1/profiles/{self.told.real(current)}/split", body)
        assert reply.status == 200 and reply.json["applied"] is True
        staying = frozenset(members) - frozenset(leaving)
        apart = self.assertion(reply, "different")
        hand = Hand(apart.at, current, self.told.senior(staying))
        apart = replace(apart, sides=(frozenset(leaving), staying), hand=hand)
        self.told.evidence.assertions[apart.assertion_id] = apart
        self.told_after(reply)
        self.agree()

    @precondition(lambda self: self.told.evidence.assertions)
    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        assertion_id = data.draw(st.sampled_from(list(self.told.evidence.assertions)))
        was = self.told.evidence.assertions[assertion_id]
        reply = self.foreseen(f"/v1/assertions/{assertion_id}/undo", {"reason": "r"})
        assert reply.status == 200 and reply.json["applied"] is not was.undone
        self.told.evidence.assertions[assertion_id] = replace(was, undone=True)
        self.told_after(reply)
        self.agree()

    def told_after(self, reply: Reply) -> None:
        """What a steward is told came out is what the model says."""
        now = {self.told.real(profile_id): members for profile_id, members in self.told.implied().profiles.items()}
        for profile in reply.json["after"]:
            members = frozenset(IdentifierKey(name(identifier)) for identifier in profile["identifiers"])
            assert now[profile["profile_id"]] == members

    # ---- the law

    def agree(self) -> None:
        """Both instances say what the model says, of every identifier and of every id ever shown."""
        now = self.told.implied()
        self.any_large = any(len(members) > 1 for members in now.clusters)
        shown = {key: profile_id for profile_id, members in now.profiles.items() for key in members}
        assert len(set(map(self.told.real, now.profiles))) == len(now.profiles), "one id, two profiles"
        purpose = PURPOSES[self.turn % len(PURPOSES)]
        floor = CONFIDENCES[self.turn % len(CONFIDENCES)]
        for client in self.clients:
            self.by_identifier(client, now, shown, None, 0.0)
        self.by_identifier(self.clients[self.turn % 2], now, shown, purpose, floor)
        for profile_id in self.told.shown:
            current = self.told.current(profile_id, now)
            reply = self.clients[self.turn % 2].get(f"/v1/profiles/{profile_id}")
            assert reply.status == 200
            assert reply.json["profile_id"] == self.told.real(current)
            assert reply.json["redirected_from"] == (None if self.told.real(current) == profile_id else profile_id)
            assert frozenset(reply.names) == now.profiles[current]
            assert name(reply.json["asked"]) == self.told.senior(now.profiles[current])

    def by_identifier(
        self, client: Client, now: Implied, shown: dict[IdentifierKey, ProfileId], purpose: str | None, floor: float
    ) -> None:
        """One instance's answers about every identifier, under a purpose and a least confidence."""
        body = {"identifiers": [named(key) for key in self.pool], "purpose": purpose, "min_confidence": floor}
        for key, found in zip(self.pool, client.post("/v1/profiles/lookup", body).results, strict=True):
            if key not in shown:
                assert found["error"]["code"] == "unknown_identifier"
                continue
            members = now.profiles[shown[key]]
            assert found["profile_id"] == self.told.real(shown[key])
            seen = {IdentifierKey(name(entry)): entry["confidence"] for entry in found["identifiers"]}
            permitted = purpose is None or self.told.permits(members, purpose)
            expected = self.told.confidences(members, key, now) if permitted else {}
            expected = {other: c for other, c in expected.items() if round(c, 12) >= floor}
            assert set(seen) == set(expected)
            assert all(abs(seen[other] - expected[other]) < 1e-9 for other in seen)
            assert {name(home) for home in found["households"]} == (
                self.told.households(members) if permitted else set()
            )


@pytest.fixture(scope="module")
def clients(instance_settings: Settings, stores: Stores) -> Iterator[list[Client]]:
    with background(instance_settings, stores, 2) as found:
        yield found


def test_two_instances_say_what_the_evidence_says(clients: list[Client], instance_settings: Settings) -> None:
    policy = compile_policy(PolicyDocument.model_validate_json(DEFAULT_POLICY.read_bytes()), 1)
    births = births_under(identity_key(instance_settings).encode())
    life: Any = partial(Life, clients, policy, births)
    run_state_machine_as_test(life, settings=tried(quick=8, deep=300, steps=20))
