"""The scenario files, played through the HTTP API of an instance on real stores.

Each file has a policy of its own. It is put into the graph as the version in force, its namespaces under names that
nobody else uses and beside the default ones, so that the stores need not be emptied. Each is played in order, and, up
to the first act, once more in one batch in another order under other names.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import neo4j
import pytest

from service.bootstrap import DEFAULT_POLICY
from service.clock import now_ms
from service.local import Stores
from service.model.times import rfc3339
from service.settings import Settings
from tests.properties.profiles import DEEP
from tests.scenarios.scenario import Act, Event, Scenario, Snapshot, all_scenarios
from tests.scenarios.test_scenarios import check_state, play_in_order
from tests.service.instances import KEYS, Client, Json, background, name, named

HOUR = 3_600_000
READY_MS = 5_000
LONG_AGO_H = 1_500
ONE_BY_ONE_MAX = 50
INACTIVE = ("expired", "retracted", "below_confidence", "link_not_permitted")
EVERY = 1 if os.environ.get("ALL_SCENARIOS") or DEEP else 4  # each needs an instance of its own, which takes its time
SCENARIOS = all_scenarios()[::EVERY]


def document_under(scenario: Scenario, prefixes: Iterable[str]) -> dict[str, Any]:
    """The scenario's policy with its namespaces under each of these prefixes, beside the default ones."""
    default = json.loads(DEFAULT_POLICY.read_bytes())
    own = scenario.document
    namespaces = {prefix + space: rule for prefix in prefixes for space, rule in own["namespaces"].items()}
    return {
        **default,
        "blocked_values": [],
        "identity": {},
        **own,
        "namespaces": {**default["namespaces"], **namespaces},
        "purposes": {**default["purposes"], **own.get("purposes", {})},
    }


@contextmanager
def in_force(stores: Stores, document: dict[str, Any]) -> Iterator[None]:
    """A policy is the version in force."""
    auth = (stores.neo4j_user, stores.neo4j_password)
    with neo4j.GraphDatabase.driver(stores.neo4j_uri, auth=auth, telemetry_disabled=True) as driver:

        def run(query: str, **parameters: Any) -> list[Any]:
            return driver.execute_query(query, parameters, database_=stores.neo4j_database).records  # type: ignore[arg-type]

        (row,) = run("MATCH (h:Head) MATCH (p:Policy) RETURN h.policy_version AS before, max(p.version) + 1 AS version")
        run(
            "CREATE (:Policy {version: $version, document: $document, status: 'active', at: timestamp()}) "
            "WITH 1 AS _ MATCH (h:Head) SET h.policy_version = $version, h.policy_last = $version",
            version=row["version"],
            document=json.dumps(document),
        )
        try:
            yield
        finally:
            run("MATCH (h:Head) SET h.policy_version = $before", before=row["before"])


class HttpPlayer:
    """Plays through the API. Identifiers have a prefix outside, and none inside."""

    def __init__(self, scenario: Scenario, client: Client, prefix: str) -> None:
        self.client = client
        self.prefix = prefix
        moments = [phase.now for phase in scenario.phases if phase.now is not None]
        self.start = now_ms() - LONG_AGO_H * HOUR
        if moments:  # the last of them comes soon
            self.start = now_ms() + READY_MS - max(moments) * HOUR
        self.known: dict[str, None] = {}
        self.links: dict[str, None] = {}
        self.acts: dict[str, str] = {}

    def out(self, key: str) -> Json:
        """An identifier as it is sent."""
        return named(self.prefix + key)

    def inside(self, identifier: Json) -> str:
        """An identifier as the file writes it."""
        return name(identifier).removeprefix(self.prefix)

    def tell(self, events: Iterable[Event]) -> set[str]:
        """See Player."""
        refused: set[str] = set()
        sent: list[Json] = []
        for event in events:
            ids = list(dict.fromkeys(event.ids))
            pairs = [(a, b) for place, a in enumerate(ids) for b in ids[place + 1 :]]
            more = {} if event.confidence is None else {"confidence": event.confidence}
            sent += [
                {"a": self.out(a), "b": self.out(b), "method": event.method, "source": event.source, "rule": "event"}
                | {"confidence": 0.95, "observed_at": rfc3339(self.start + event.at * HOUR), **more}
                for a, b in pairs
            ]
        for begin in range(0, len(sent), 1_000):
            batch = sent[begin : begin + 1_000]
            results = self.client.post("/v1/links", {"links": batch}).results
            for body, result in zip(batch, results, strict=True):
                if result["status"] == "rejected":
                    refused |= {self.inside(body[end]) for end in "ab" if blamed(result, end)}
                else:
                    self.links[result["link_id"]] = None
                    self.known |= dict.fromkeys((self.inside(body["a"]), self.inside(body["b"])))
        return refused

    def retract(self, event: Event) -> None:
        """See Player."""
        raise NotImplementedError

    def wait(self, now: int) -> None:
        """See Player."""
        left = self.start + now * HOUR - now_ms()
        assert left <= READY_MS
        time.sleep(max(0, left + 1) / 1000)

    def act(self, act: Act) -> str | None:
        """See Player."""
        body: Json = {"reason": "scenario"}
        if act.kind == "undo":
            path = f"/v1/assertions/{self.acts[act.named or '']}/undo"
        elif act.kind == "judge":
            path = f"/v1/reviews/{self.waiting(act.profiles)[0]['review_id']}"
            body["verdict"] = act.verdict
        elif act.kind == "merge":
            path = "/v1/profiles/merge"
            body["profiles"] = [self.shows(key) for key in act.profiles]
            body["survivor"] = None if act.survivor is None else self.shows(act.survivor)
        else:
            path = f"/v1/profiles/{self.shows(act.profiles[0])}/split"
            body["identifiers"] = [self.out(key) for key in act.leaving]
        reply = self.client.post(path, body)
        if reply.status != 200:
            return str(reply.json["code"])
        if act.named and reply.json["assertion_id"]:
            self.acts[act.named] = reply.json["assertion_id"]
        return None

    def shows(self, key: str) -> str:
        """The id that the profile of an identifier shows."""
        (found,) = self.client.post("/v1/profiles/lookup", {"identifiers": [self.out(key)]}).results
        return str(found["profile_id"])

    def waiting(self, pair: Iterable[str]) -> list[Json]:
        """The open items of a pair."""
        wanted = set(pair)
        speakable = min(wanted, key=lambda key: ("@" in key, key))  # no plain address in a URL
        items = self.client.get("/v1/reviews", identifier=self.prefix + speakable).json["items"]
        return [i for i in items if {self.inside(i["link"]["a"]), self.inside(i["link"]["b"])} == wanted]

    def snapshot(self) -> Snapshot:
        """See Player."""
        shown: dict[str, str] = {}
        keys = list(self.known)
        for begin in range(0, len(keys), 1_000):
            some = keys[begin : begin + 1_000]
            body = {"identifiers": [self.out(key) for key in some]}
            for key, found in zip(some, self.client.post("/v1/profiles/lookup", body).results, strict=True):
                shown[key] = found["profile_id"]
        now = Snapshot(shown)
        for link_id in self.links:
            kept = self.client.get(f"/v1/links/{link_id}").json
            pair = sorted((self.inside(kept["a"]), self.inside(kept["b"])))
            if kept["reason"] and kept["reason"] not in INACTIVE:
                now.withheld[" ~ ".join(pair)] = kept["reason"]
            if self.waiting(pair):
                now.reviews.add(" ~ ".join(pair))
        return now

    def leads_to(self, profile_id: str) -> str | None:
        """See Player."""
        reply = self.client.get(f"/v1/profiles/{profile_id}")
        return str(reply.json["profile_id"]) if reply.status == 200 else None


def blamed(result: Json, end: str) -> bool:
    """Whether a rejection points at this end of the link."""
    return any(f"/{end}/" in error["pointer"] + "/" for error in result["errors"])


@pytest.fixture(scope="module")
def founded(settings: Settings, stores: Stores) -> Stores:
    """The stores, with a graph that a first instance has made ready."""
    with background(settings.model_copy(update={"api_keys": KEYS}), stores, 1):
        return stores


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.file)
def test_through_the_api(scenario: Scenario, settings: Settings, founded: Stores) -> None:
    stores = founded
    keyed = settings.model_copy(update={"api_keys": KEYS})
    mark = f"t{secrets.token_hex(4)}"
    prefixes = [f"{mark}{part}_" for part in "abcdefgh"[: 8 if DEEP else 2]]
    with in_force(stores, document_under(scenario, prefixes)), background(keyed, stores, 1) as clients:
        phases = scenario.before_acts
        events = [event for phase in phases for event in phase.events]
        if len(events) <= ONE_BY_ONE_MAX or DEEP:
            play_in_order(HttpPlayer(scenario, clients[0], prefixes[0]), scenario)
        if not events:
            return
        chance = random.Random(mark)
        for prefix in prefixes[1:]:
            player = HttpPlayer(scenario, clients[0], prefix)
            refused = player.tell(chance.sample(events, len(events)))
            check_state(dict(phases[-1].expect), player.snapshot(), refused)
