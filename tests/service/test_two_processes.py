"""Real processes: a second instance on the same stores, `kill -9` of everything, and a stranger's key."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import neo4j
import pytest
import redis

from tests.service.event_kill import Sent, held
from tests.service.instances import KEYS, Client, Reply, fresh, link, named

READY_S = 180
TOP = Path(__file__).parents[2]
MINE = ("NEO4J_", "REDIS_", "IDENTITY_KEY", "API_KEYS", "WEBHOOK_SECRETS", "POLICY_FILE", "DATA_DIR", "PORT", "SAMPLE")


@dataclass(slots=True)
class Process:
    """One `python -m service run`."""

    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def run(self) -> Any:
        """What it says where it is."""
        return json.loads((self.folder / "run.json").read_text())

    @property
    def said(self) -> str:
        """All that it wrote."""
        return (self.folder.parent / f"{self.folder.name}.log").read_text()

    def ready(self) -> Client:
        """Once it serves, a client of it."""
        ends = time.monotonic() + READY_S
        while not (self.folder / "run.json").exists():
            assert self.process.poll() is None, self.said[-2_000:]
            assert time.monotonic() < ends, self.said[-2_000:]
            time.sleep(0.1)
        return Client(self.run["base_url"])

    def kill_everything(self) -> None:
        """kill -9 of the service and of its Neo4j and Redis, all at once."""
        children = json.loads((self.folder / "children.json").read_text())
        for pid in (self.process.pid, *(pid for pid, _ in children.values())):
            os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        """SIGTERM, and all the time that it needs."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Process]:
    """A service on this data folder, with these settings; ended at the end."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(MINE)}
    env |= {"DATA_DIR": str(folder), "PORT": "0", "SAMPLE": "0", "API_KEYS": json.dumps(KEYS), "LOG_LEVEL": "WARNING"}
    (folder / "run.json").unlink(missing_ok=True)  # of a run that was killed; the service does so too, a little later
    with (folder.parent / f"{folder.name}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "run"], cwd=TOP, env=env | settings, stdout=log, stderr=log
        )
    found = Process(folder, process)
    try:
        yield found
    finally:
        found.end()


def stores_of(run: Any) -> dict[str, str]:
    """The settings of another instance on the same stores."""
    graph = run["neo4j"]
    return {
        "NEO4J_URI": graph["uri"],
        "NEO4J_USER": graph["user"],
        "NEO4J_PASSWORD": graph["password"],
        "REDIS_URL": run["redis_url"],
        "IDENTITY_KEY": run["identity_key"],
    }


def stock(run: Any) -> tuple[list[Any], set[bytes]]:
    """What is in the stores: nodes and their labels with all properties counted, schema, keys of Redis."""
    graph = run["neo4j"]
    queries = (
        "MATCH (n) RETURN labels(n), count(*), sum(size(keys(n)))",
        "MATCH ()-[r]->() RETURN type(r), count(*), sum(size(keys(r)))",
        "MATCH (h:Head) RETURN properties(h)",
        "SHOW INDEXES YIELD name RETURN name",
        "SHOW CONSTRAINTS YIELD name RETURN name",
    )
    with neo4j.GraphDatabase.driver(graph["uri"], auth=(graph["user"], graph["password"])) as driver:
        found = [sorted(str(row.values()) for row in driver.execute_query(query).records) for query in queries]
    with closing(redis.Redis.from_url(run["redis_url"])) as cache:
        return found, set(cache.scan_iter(count=1_000))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of all tests here, in this order."""
    return tmp_path_factory.mktemp("processes") / "data"


def test_two_processes_and_a_crash_of_everything(folder: Path) -> None:
    """One story, since each start of a Neo4j takes its time."""
    with running(folder) as first:
        one = first.ready()
        with running(folder.with_name("second"), **stores_of(first.run)) as second:
            two = second.ready()
            _see_each_other(one, two)
            two.http.close()
        with running(
            folder.with_name("stranger"), **stores_of(first.run) | {"IDENTITY_KEY": "a-stranger's-key"}
        ) as odd:
            _is_refused(odd, first.run)
        one.http.close()
        sent = Sent()
        acknowledged = _until_killed(first, sent)
    with running(folder) as again:
        client = again.ready()
        _all_there(client, acknowledged)
        held(client, sent, again.run)
        client.http.close()


def told(client: Client, path: str, body: object) -> Reply:
    """A POST, sent again while it is 503 as a caller would: a Neo4j just started on a busy machine takes its time."""
    ends = time.monotonic() + READY_S
    while (reply := client.post(path, body)).status == 503 and time.monotonic() < ends:
        time.sleep(int(reply.headers["retry-after"]))
    assert reply.status == 200, reply
    return reply


def _see_each_other(one: Client, two: Client) -> None:
    """A change on either is seen by the other in the very next answer, whatever it had cached."""
    a, b, c = fresh(), fresh("device_id"), fresh("cookie_id")
    told(one, "/v1/links", link(a, b))
    for caller in (two, one):
        for _ in range(2):
            assert caller.lookup(a).names == sorted([a, b])
    told(two, "/v1/links", link(b, c))
    for caller in (one, two):
        assert caller.lookup(a).names == sorted([a, b, c])
    profile = one.lookup(a).json["profile_id"]
    split = told(two, f"/v1/profiles/{profile}/split", {"identifiers": [named(c)], "reason": "r"})
    assert one.lookup(a).names == two.lookup(a).names == sorted([a, b])
    told(one, f"/v1/assertions/{split.json['assertion_id']}/undo", {"reason": "r"})
    assert one.lookup(a).names == two.lookup(a).names == sorted([a, b, c])
    assert one.lookup(a).body == two.lookup(a).body
    assert told(two, "/v1/revocations", {"identifier": named(b), "scope": "linking"}).json["enforced"] is True
    for key in (a, b, c):
        assert one.lookup(key).names == two.lookup(key).names == [key]


def _is_refused(stranger: Process, run: Any) -> None:
    """With another IDENTITY_KEY it ends, says why in one line, and has changed nothing."""
    before = stock(run)
    assert stranger.process.wait(READY_S) == 1
    lines = [line for line in stranger.said.splitlines() if "IDENTITY_KEY" in line]
    assert len(lines) == 1 and "Traceback" not in stranger.said
    assert "stranger's-key" not in stranger.said and run["identity_key"] not in stranger.said
    assert not (stranger.folder / "run.json").exists()
    graph, keys = stock(run)
    assert graph == before[0] and not keys - before[1]


def _until_killed(first: Process, sent: Sent) -> list[tuple[str, str]]:
    """Links and events sent one by one by eight threads; in the middle everything is killed. Gives the pairs that were
    acknowledged.
    """
    base_url = first.run["base_url"]
    pairs = [(fresh(), fresh("device_id")) for _ in range(1_000)]
    acknowledged: list[tuple[str, str]] = []

    def send(number: int) -> None:
        with httpx.Client(base_url=base_url, timeout=30, headers={"authorization": "Bearer key-of-collector"}) as http:
            for a, b in pairs[number::8]:
                body = sent.event(a, b) if number % 2 else link(a, b)
                try:
                    reply = http.post("/v1/events" if number % 2 else "/v1/links", json=body)
                except httpx.HTTPError:
                    return
                if reply.status_code == 200 and reply.json()["results"][0]["status"] in ("linked", "accepted"):
                    acknowledged.append((a, b))
                    if number % 2:
                        sent.acknowledged.add(body["id"])

    with ThreadPoolExecutor(8) as pool:
        sending = [pool.submit(send, number) for number in range(8)]
        ends = time.monotonic() + 60
        while len(acknowledged) < 200 and time.monotonic() < ends:
            time.sleep(0.005)
        first.kill_everything()
        for future in sending:
            future.result()
    assert 200 <= len(acknowledged) < 1_000, "killed in the middle"
    return acknowledged


def _all_there(client: Client, acknowledged: list[tuple[str, str]]) -> None:
    """After a new start on the same folder every acknowledged link is there."""
    keys = [a for a, _ in acknowledged]
    found = told(client, "/v1/profiles/lookup", {"identifiers": [named(key) for key in keys]}).results
    lost = [
        pair
        for pair, profile in zip(acknowledged, found, strict=True)
        if [named(key) for key in pair] != [{k: i[k] for k in ("namespace", "value")} for i in profile["identifiers"]]
    ]
    assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged links are lost"
    a, b = fresh(), fresh("device_id")
    assert told(client, "/v1/links", link(a, b)).results[0]["status"] == "linked"
    assert client.lookup(a).names == sorted([a, b])
