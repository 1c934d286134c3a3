"""The load generator, a process of its own: keep-alive connections that send the next request when one is answered.

    python -m tests.bench.load < SPEC     (a JSON object, see `Spec`; the result is a JSON object on stdout)

Raw protocols on uvloop and a parser of just what is needed, so that it costs far less than what it measures.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from time import perf_counter

import orjson
import uvloop

_SPACE = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Spec:
    """What to send. `file`: one path (GET) or one body (POST to `path`) a line, of which lines `first` and the next
    `count` are used; `repeat`: over and over, else each once. Ends after `seconds` or when all are answered; what
    comes in the first `warm_s` seconds is not counted. `expect`: text whose occurrences in answers are counted.
    """

    port: int
    connections: int
    seconds: float
    file: str
    method: str = "GET"
    path: str = ""
    authorization: str = ""
    first: int = 0
    count: int = 10**9
    repeat: bool = False
    warm_s: float = 0.0
    expect: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What came back. `failed`: answers other than 200, and connections lost; `statuses`: how many of which."""

    answered: int
    failed: int
    matched: int
    seconds: float
    p50_ms: float
    p99_ms: float
    statuses: dict[str, int]

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds if self.seconds else 0.0


def requests_of(spec: Spec) -> list[bytes]:
    """The bytes of each request."""
    lines = Path(spec.file).read_bytes().splitlines()[spec.first : spec.first + spec.count]
    head = f" HTTP/1.1\r\nhost: 127.0.0.1:{spec.port}\r\n"
    if spec.authorization:
        head += f"authorization: {spec.authorization}\r\n"
    if spec.method == "GET":
        return [b"GET %b%b\r\n" % (line, head.encode()) for line in lines]
    start = f"POST {spec.path}{head}content-type: application/json\r\n".encode()
    return [b"%bcontent-length: %d\r\n\r\n%b" % (start, len(line), line) for line in lines]


class Run:
    """What all connections share."""

    def __init__(self, spec: Spec, requests: list[bytes]) -> None:
        self.spec = spec
        self.requests: Iterator[bytes] = cycle(requests) if spec.repeat else iter(requests)
        self.took: list[float] = []
        self.failed = 0
        self.statuses: dict[str, int] = {}
        self.matched = 0
        self.expect = spec.expect.encode()
        self.began = self.counted_from = perf_counter()
        self.last = self.began
        self.stop_at = self.began + spec.warm_s + spec.seconds
        self.warm_until = self.began + spec.warm_s
        self.open = spec.connections
        self.done = asyncio.get_running_loop().create_future()

    def answered(self, sent: float, status: bytes, body: bytes | bytearray) -> bytes | None:
        """Note an answer; the next request, or None at the end."""
        now = self.last = perf_counter()
        if now >= self.warm_until:
            if sent >= self.warm_until:
                self.took.append(now - sent)
            elif self.counted_from == self.began:
                self.counted_from = now
        if status != b"200":
            self.fail(status.decode("latin-1"))
        elif self.expect:
            self.matched += body.count(self.expect)
        return None if now > self.stop_at else next(self.requests, None)

    def fail(self, status: str) -> None:
        """Note an answer that is none of the wanted."""
        self.failed += 1
        self.statuses[status] = self.statuses.get(status, 0) + 1

    def closed(self) -> None:
        """A connection has ended."""
        self.open -= 1
        if not self.open and not self.done.done():
            self.done.set_result(None)

    def result(self) -> Result:
        """The figures."""
        took = sorted(self.took)
        at = [took[min(len(took) - 1, int(len(took) * share))] * 1000 if took else 0.0 for share in (0.5, 0.99)]
        start = self.counted_from if self.spec.warm_s else self.began
        return Result(len(took), self.failed, self.matched, self.last - start, at[0], at[1], self.statuses)


class Connection(asyncio.Protocol):
    """One client."""

    __slots__ = ("_buffer", "_needed", "_run", "_sent", "_transport")

    def __init__(self, run: Run) -> None:
        self._run = run
        self._buffer = bytearray()
        self._needed = 0
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]
        self._send(next(self._run.requests, None))

    def _send(self, request: bytes | None) -> None:
        assert self._transport is not None
        if request is None:
            self._transport.close()
            return
        self._sent = perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Called by the loop. A server answers one request at a time, so what is here is one answer or part of it."""
        whole: bytes | bytearray = data
        if self._buffer:
            self._buffer += data
            whole = self._buffer
            if len(whole) < self._needed:
                return
        end = whole.find(_SPACE)
        if end < 0 or not self._is_whole(whole, end):
            if whole is data:
                self._buffer = bytearray(data)
            return
        request = self._run.answered(self._sent, bytes(whole[9:12]), whole)
        if whole is not data:
            self._buffer = bytearray()
        self._needed = 0
        self._send(request)

    def _is_whole(self, whole: bytes | bytearray, end: int) -> bool:
        at = whole.find(b"ontent-", 0, end)
        while at >= 0 and whole[at + 7 : at + 14].lower() != b"length:":
            at = whole.find(b"ontent-", at + 7, end)
        if at >= 0:
            stop = whole.find(b"\r", at)
            self._needed = end + 4 + int(whole[at + 14 : stop])
            return len(whole) >= self._needed
        return b"chunked" not in whole[:end].lower() or _chunks_end(whole, end + 4)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        if exc is not None:
            self._run.fail("connection lost")
        self._run.closed()


def _chunks_end(whole: bytes | bytearray, at: int) -> bool:
    """Whether the last chunk is here."""
    while True:
        stop = whole.find(b"\r\n", at)
        if stop < 0:
            return False
        size = int(whole[at:stop].split(b";")[0], 16)
        at = stop + 2 + size + 2
        if at > len(whole):
            return False
        if not size:
            return True


async def run(spec: Spec) -> Result:
    """Send it all."""
    requests = requests_of(spec)
    loop = asyncio.get_running_loop()
    running = Run(spec, requests)
    for _ in range(spec.connections):
        await loop.create_connection(lambda: Connection(running), "127.0.0.1", spec.port)
    await running.done
    return running.result()


def main() -> None:
    """The process."""
    spec = Spec(**orjson.loads(sys.stdin.buffer.read()))
    sys.stdout.write(orjson.dumps(asdict(uvloop.run(run(spec)))).decode())


if __name__ == "__main__":
    main()
