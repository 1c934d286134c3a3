"""What routes are given: the commands and the few facts they need, put together by `service.bootstrap`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from service.api.auth import Keyring
from service.commands.lookup import Lookup
from service.commands.ports import Reader
from service.commands.write_path import WritePath
from service.control.link_ids import LinkIds
from service.model.policy import Policy


@dataclass(frozen=True, slots=True)
class Health:
    """How the stores are: `up`, or what is wrong with them in one word."""

    neo4j: str
    redis: str
    migrations: str

    @property
    def status(self) -> str:
        """`ready`; `degraded` without Redis; `not_ready` without the graph."""
        if self.neo4j != "up" or self.migrations != "up":
            return "not_ready"
        return "ready" if self.redis == "up" else "degraded"


@dataclass(frozen=True, slots=True)
class Services:
    """One set for one application."""

    keyring: Keyring
    policy: Callable[[], Policy]
    lookup: Lookup
    write_path: WritePath
    reader: Reader
    link_ids: LinkIds
    health: Callable[[], Awaitable[Health]]
    now_ms: Callable[[], int]
    body_bytes_max: int
