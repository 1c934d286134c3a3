"""How the workload calls: over HTTP to either instance, noting what came of it."""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.faults.history import History, Odd, Tried
from tests.service.instances import key_of

_COME_AGAIN = frozenset({409, 429, 503})


@dataclass(slots=True)
class Caller:
    """One client with a random choice of instance for each request. `over`: no change is tried again any more."""

    base_urls: list[str]
    history: History
    chance: random.Random
    over: asyncio.Event
    http: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=16)
        headers = {"authorization": f"Bearer {key_of('admin')}", "content-type": "application/json"}
        self.http = httpx.AsyncClient(timeout=15, limits=limits, headers=headers)

    async def once(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """One request: its status and its JSON; (0, None) where no answer came."""
        self.history.requests += 1
        url = self.chance.choice(self.base_urls) + path
        content = None if body is None else json.dumps(body)
        try:
            reply = await self.http.request(
                method, url, content=content, headers={name.replace("_", "-"): text for name, text in headers.items()}
            )
        except (httpx.HTTPError, OSError):
            self.history.unanswered += 1
            return 0, None
        if reply.status_code in (429, 503):
            self.history.refused += 1
        return reply.status_code, reply.json()

    async def until_told(self, tried: Tried, method: str, path: str, body: object = None) -> Any:
        """A change, sent again with the same Idempotency-Key until it is acknowledged; None where it never was."""
        self.history.tried.append(tried)
        pause = 0.05
        while True:
            request_id = f"{tried.name}-{tried.attempts}"
            tried.attempts += 1
            status, found = await self.once(method, path, body, idempotency_key=tried.name, x_request_id=request_id)
            if 200 <= status < 300:
                tried.acknowledged = True
                return found
            if status and (status not in _COME_AGAIN or (status == 409 and not _still_running(found))):
                self.odd(tried.kind, status, found)
                return None
            if self.over.is_set():
                return None
            await asyncio.sleep(pause * self.chance.uniform(0.5, 1.0))
            pause = min(pause * 2, 1.0)

    def odd(self, how: str, status: int, found: Any) -> None:
        """An answer that nothing excuses."""
        code = found.get("code", "") if isinstance(found, dict) else ""
        self.history.odd.append(Odd(how, status, time.monotonic(), str(code)))

    async def close(self) -> None:
        """End its connections."""
        await self.http.aclose()


def _still_running(found: Any) -> bool:
    return isinstance(found, dict) and "idempoten" in str(found.get("code", ""))
