"""The client that senders use: whatever the service answers, or does not, no event is lost and none is invented."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from service.client import AsyncEventClient, EventClient, Identifier, MemoryQueue, QueueFull, Refused, SpoolQueue, event
from service.client.sending import Later, Smaller, Taken, meaning_of, wait_s

Says = Callable[[int, list[dict[str, Any]]], tuple[int, dict[str, str], bytes] | None]
SOME = [Identifier("cookie_id", "c-1")]


def taken(events: list[dict[str, Any]]) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, json.dumps({"results": [{"id": e["id"], "status": "accepted"} for e in events]}).encode()


class Collector:
    """A server on a port of its own that answers as told; None: it breaks off without an answer."""

    def __init__(self, says: Says) -> None:
        self.says = says
        self.calls = 0
        self.received: list[str] = []
        self.keys: set[str] = set()
        collector = self

        class Answers(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                events = json.loads(self.rfile.read(int(self.headers["content-length"])))["events"]
                collector.calls += 1
                collector.keys.add(self.headers["authorization"])
                answer = collector.says(collector.calls, events)
                if answer is None:
                    self.close_connection = True
                    return
                status, headers, body = answer
                if status == 200 and body.endswith(b"]}"):
                    collector.received += [e["id"] for e in events]
                self.send_response(status)
                for name, value in ({"content-length": str(len(body))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@contextmanager
def collecting(says: Says = lambda _call, events: taken(events)) -> Iterator[Collector]:
    collector = Collector(says)
    try:
        yield collector
    finally:
        collector.close()


def some(count: int) -> list[Any]:
    return [event("page_view", SOME, {"n": n}) for n in range(count)]


# ---- the two clients, against the same answers


def test_events_arrive_in_order_and_in_batches() -> None:
    told: list[str] = []
    with collecting() as collector:
        sent = some(25)
        with EventClient(
            collector.url, "k", source="shop", batch_events=10, on_result=lambda r: told.append(r.status)
        ) as client:
            client.send(*sent)
        assert collector.received == [e["id"] for e in sent] and collector.keys == {"Bearer k"}
        assert collector.calls == 3 and client.counts.by_status["accepted"] == 25 and told == ["accepted"] * 25


def troubled(call: int, events: list[dict[str, Any]]) -> tuple[int, dict[str, str], bytes] | None:
    """Everything that goes wrong on the way, each once, and then it works."""
    wrong = {1: (503, {"retry-after": "0"}, b"{}"), 2: None, 3: (500, {}, b"<html>"), 4: (200, {}, b'{"results":[')}
    if call in wrong:
        return wrong[call]
    if len(events) > 4:
        return 413, {}, b'{"code":"body_too_large"}'
    if any(e["data"]["properties"]["n"] == 7 for e in events):
        return (422, {}, b'{"code":"invalid"}')
    return taken(events)


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.client.sending.FIRST_WAIT_S", 0.01)


@pytest.mark.usefixtures("quickly")
def test_trouble_loses_nothing() -> None:
    queue = MemoryQueue()
    with collecting(troubled) as collector:
        sent = some(20)
        with EventClient(collector.url, "k", source="shop", queue=queue) as client:
            client.send(*sent)
            assert client.flush(20)
        assert set(collector.received) == {e["id"] for e in sent} - {sent[7]["id"]}
        assert [json.loads(entry)["id"] for entry, _ in queue.aside] == [sent[7]["id"]]
        assert queue.aside[0][1] == "422 invalid" and client.counts.failed_tries >= 4


@pytest.mark.usefixtures("quickly")
async def test_trouble_loses_nothing_in_a_loop_either() -> None:
    queue = MemoryQueue()
    with collecting(troubled) as collector:
        sent = some(20)
        async with AsyncEventClient(collector.url, "k", source="shop", queue=queue) as client:
            await client.send(*sent)
            assert await client.flush(20)
        assert set(collector.received) == {e["id"] for e in sent} - {sent[7]["id"]} and len(queue.aside) == 1


def test_a_sender_that_is_refused_is_told_and_keeps_its_events(tmp_path: Path) -> None:
    with collecting(lambda _call, _events: (403, {}, b'{"code":"not_allowed"}')) as collector:
        client = EventClient(collector.url, "k", source="shop", spool=tmp_path)
        client.send(*some(3))
        with pytest.raises(Refused, match="403 not_allowed"):
            client.flush(10)
        assert client.close(0) == 3
    with closing(SpoolQueue(tmp_path)) as spool:
        assert len(spool) == 3


async def test_the_async_client_leaves_what_it_could_not_send(tmp_path: Path) -> None:
    client = AsyncEventClient("http://127.0.0.1:9", "k", source="shop", spool=tmp_path)
    await client.send(*some(4))
    assert not await client.flush(0.3) and await client.close(0.1) == 4
    with collecting() as collector:
        async with AsyncEventClient(collector.url, "k", source="shop", spool=tmp_path) as again:
            assert await again.flush(10)
        assert len(collector.received) == 4


def test_what_is_no_json_is_refused_at_once() -> None:
    client = EventClient("http://127.0.0.1:9", "k", source="shop", queue=MemoryQueue(2))
    for wrong in ({"x": float("nan")}, {"x": object()}):
        with pytest.raises((ValueError, TypeError)):
            client.send(wrong)
    with pytest.raises(QueueFull):
        client.send(*some(3))
    assert client.close(0) == 0


# ---- the spool


SENDS_AND_DIES = """
import os, signal, sys
from service.client import EventClient, Identifier, event
client = EventClient("http://127.0.0.1:9", "k", source="shop", spool=sys.argv[1])
for n in range(50):
    sent = event("page_view", [Identifier("cookie_id", "c")], {"n": n})
    client.send(sent)
    print(sent["id"], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_loses_nothing(tmp_path: Path) -> None:
    died = subprocess.run([sys.executable, "-c", SENDS_AND_DIES, str(tmp_path)], capture_output=True, text=True)
    assert died.returncode == -9, died.stderr
    with collecting() as collector:
        with EventClient(collector.url, "k", source="shop", spool=tmp_path) as client:
            assert client.flush(10)
        assert collector.received == died.stdout.split()


def test_a_spool_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.client.queues._SEGMENT_BYTES", 40)
    spool = SpoolQueue(tmp_path)
    spool.put([b'{"n":%d}' % n for n in range(10)])
    spool.put([b'{"n":%d}' % n for n in range(10, 20)])
    assert spool.oldest(3) == [b'{"n":0}', b'{"n":1}', b'{"n":2}'] and len(spool) == 20
    spool.forget(13)
    with pytest.raises(BlockingIOError):
        SpoolQueue(tmp_path)
    spool.close()
    with (max(tmp_path.glob("*.events"))).open("ab") as file:
        file.write(b'{"cut of')
    again = SpoolQueue(tmp_path)
    assert again.oldest(99) == [b'{"n":%d}' % n for n in range(13, 20)]
    again.set_aside(1, "422 invalid")
    again.forget(6)
    again.put([b'{"n":20}'])
    again.close()
    with closing(SpoolQueue(tmp_path)) as last:
        assert last.oldest(9) == [b'{"n":20}'] and len(list(tmp_path.glob("*.events"))) <= 3
    assert json.loads((tmp_path / "refused.jsonl").read_text()) == {"why": "422 invalid", "event": {"n": 13}}


def test_a_spool_has_an_end(tmp_path: Path) -> None:
    spool = SpoolQueue(tmp_path, bytes_max=20)
    spool.put([b"x" * 9, b"y" * 9])
    with pytest.raises(QueueFull):
        spool.put([b"z"])
    spool.forget(1)
    spool.put([b"z"])
    assert spool.oldest(5) == [b"y" * 9, b"z"]
    spool.close()


# ---- what answers mean


def test_what_answers_mean() -> None:
    assert isinstance(meaning_of(200, {}, taken([{"id": "a"}])[2], 1, 0), Taken)
    assert isinstance(meaning_of(200, {}, taken([{"id": "a"}])[2], 2, 0), Later), "not an answer for each"
    assert meaning_of(429, {"retry-after": "7"}, b"", 1, 0) == Later(7.0)
    assert meaning_of(503, {"retry-after": "soon"}, b"", 1, 3) == Later(wait_s(3))
    assert meaning_of(422, {}, b'{"code":"invalid"}', 1, 0) == Smaller("422 invalid")
    assert meaning_of(302, {}, b"", 1, 0) == Later(wait_s(0))
    assert [wait_s(n) for n in (0, 1, 2, 30)] == [0.5, 1.0, 2.0, 60.0]
    with pytest.raises(Refused):
        meaning_of(401, {}, b"", 1, 0)


async def test_many_threads_of_execution_may_send(tmp_path: Path) -> None:
    with collecting() as collector:
        async with AsyncEventClient(collector.url, "k", source="shop", spool=tmp_path, linger_s=0.01) as client:
            await asyncio.gather(*(client.send(*some(3)) for _ in range(20)))
        assert len(set(collector.received)) == 60


def test_the_client_needs_nothing_of_the_service(tmp_path: Path) -> None:
    """It is installed as `identity_fabric.client`, without the service."""
    home = tmp_path / "identity_fabric"
    home.mkdir()
    (home / "client").symlink_to(Path(__file__).parents[2] / "service" / "client")
    code = (
        "import sys; from identity_fabric.client import EventClient; print(EventClient.__module__);"
        "print([name for name in sys.modules if name.split('.')[0] == 'service'])"
    )
    environment = {"PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/", env=environment)
    assert ran.stdout.split() == ["identity_fabric.client.sync_client", "[]"], ran.stderr
