"""Receivers on 127.0.0.1 that refuse what the vendors refuse, and keep what they took."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

SECRETS = {
    "HOOK": "whsec_" + base64.b64encode(b"a secret for the tests of deliver").decode(),
    "META": "meta-token-of-the-tests",
    "GA": "ga-secret-of-the-tests",
    "BRAZE": "braze-key-of-the-tests",
}
WEEK_S = 7 * 86_400


@dataclass(frozen=True, slots=True)
class Told:
    """An answer that a test has the vendor give. `drops`: it is taken, and no answer comes."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    drops: bool = False


@dataclass(frozen=True, slots=True)
class Got:
    """One request. `at`: monotonic seconds."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    status: int

    @property
    def json(self) -> Any:
        """Its body."""
        return orjson.loads(self.body)


class Vendor:
    """Listens until closed. `rule`: what it answers to a request instead of what the vendor would."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.got: list[Got] = []
        self.refused: list[str] = []
        self.rule: Callable[[bytes], Told | None] = lambda body: None
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Vendor:
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def about(self, text: str) -> list[Got]:
        """Requests that hold a text and were answered with success, or not at all."""
        return [got for got in self.got if text in got.body.decode() and 200 <= got.status < 300]

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in head[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                path = head[0].split(" ")[1]
                told = self.rule(body) or self._vendor(path, headers, body)
                self.got.append(Got(path, headers, body, time.monotonic(), told.status))
                if told.drops:
                    break
                lines = [f"HTTP/1.1 {told.status} Told", f"content-length: {len(told.body)}"]
                lines += [f"{name}: {value}" for name, value in told.headers.items()]
                writer.write("\r\n".join([*lines, "", ""]).encode() + told.body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    def _vendor(self, path: str, headers: dict[str, str], body: bytes) -> Told:
        wrong = getattr(self, f"_{self.kind}")(path, headers, body)
        if wrong:
            self.refused.append(wrong)
            return Told(400, body=orjson.dumps({"error": {"code": 100}}))
        return Told(204 if self.kind == "ga4" else 201 if self.kind == "braze" else 200)

    @staticmethod
    def _webhook(path: str, headers: dict[str, str], body: bytes) -> str | None:
        key = base64.b64decode(SECRETS["HOOK"].removeprefix("whsec_"))
        signed = f"{headers.get('webhook-id')}.{headers.get('webhook-timestamp')}.".encode() + body
        want = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return None if want in headers.get("webhook-signature", "").split(" ") else "not signed"

    @staticmethod
    def _meta(path: str, headers: dict[str, str], body: bytes) -> str | None:
        events = orjson.loads(body)["data"]
        if headers.get("authorization") != f"Bearer {SECRETS['META']}" or not path.endswith("/events"):
            return "wrong token or path"
        if len(events) > 1_000 or any(event["event_time"] < time.time() - WEEK_S for event in events):
            return "too many, or one is too old"
        return None if all(event["user_data"] and event["action_source"] for event in events) else "field missing"

    @staticmethod
    def _ga4(path: str, headers: dict[str, str], body: bytes) -> str | None:
        sent = orjson.loads(body)
        return None if f"api_secret={SECRETS['GA']}" in path and sent["client_id"] and sent["events"] else "incomplete"

    @staticmethod
    def _braze(path: str, headers: dict[str, str], body: bytes) -> str | None:
        if headers.get("authorization") != f"Bearer {SECRETS['BRAZE']}":
            return "wrong key"
        return None if len(orjson.loads(body).get("events", [])) <= 75 else "over 75"
