"""What routes are given: the commands and the few facts they need, put together by `service.bootstrap`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from service.api.auth import Keyring
from service.api.event_services import EventServices
from service.api.webhook_signature import WebhookKeys
from service.commands.account import Pseudonym
from service.commands.delivery_parts import DeliveryParts
from service.commands.explain import Explainer
from service.commands.feed import Feed
from service.commands.follow import Follower
from service.commands.graph_view import GraphView
from service.commands.lookup import Lookup
from service.commands.policies import Policies
from service.commands.ports import Archive, Audit, Reader
from service.commands.quality import Quality
from service.commands.records import Records
from service.commands.replays import ReplayDesk
from service.commands.simulate import Simulator
from service.commands.subject import SubjectRequests
from service.commands.timely import Timely
from service.commands.training import Models, Trainer
from service.commands.unread import UnreadWebhooks
from service.commands.write_path import WritePath
from service.control.link_ids import LinkIds
from service.errors import Invalid
from service.model.policy import Policy
from service.model.times import parse_rfc3339


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


class Matching(Protocol):
    """What records are encoded, scored and compared with."""

    @property
    def records(self) -> Records:
        """Records at the door."""

    @property
    def models(self) -> Models:
        """Models by name."""

    @property
    def trainer(self) -> Trainer:
        """Has models trained."""


@dataclass(frozen=True, slots=True)
class Services:
    """One set for one application."""

    keyring: Keyring
    policy: Callable[[], Policy]
    lookup: Lookup
    write_path: WritePath
    reader: Reader
    archive: Archive
    timely: Timely
    explainer: Explainer
    graph_view: GraphView
    feed: Feed
    audit: Audit
    pseudonym: Pseudonym
    link_ids: LinkIds
    health: Callable[[], Awaitable[Health]]
    now_ms: Callable[[], int]
    body_bytes_max: int
    webhook_keys: WebhookKeys
    unread: UnreadWebhooks
    policies: Policies
    follower: Follower
    simulator: Simulator
    requests: SubjectRequests
    delivery: DeliveryParts
    events: EventServices
    replays: ReplayDesk
    quality: Quality
    matching: Matching

    def time_of(self, text: str | None) -> int | None:
        """`as_of` of a query in ms, None for now or a moment ahead. Raises Invalid."""
        if text is None:
            return None
        try:
            at = parse_rfc3339(text)
        except ValueError:
            raise Invalid.at("/as_of", "must be an RFC 3339 time such as 2026-11-24T10:00:00Z") from None
        return at if at < self.now_ms() else None
