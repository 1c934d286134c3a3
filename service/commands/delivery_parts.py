"""What routes about deliveries are given, put together when the service starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from service.commands.delivery_ports import Deliveries
from service.commands.intents import Happened
from service.commands.proof import Proof
from service.commands.reconciling import Cutovers, Reconciler
from service.control.policy_delivery import Surroundings
from service.model.delivery import DeliveryRule


class Events(Protocol):
    """Events that were taken in. Raises StoreUnavailable."""

    async def find(self, source: str, event_id: str) -> Happened | None:
        """One of them, None where it is not known or not kept any more."""


class Previews(Protocol):
    """What would be sent."""

    def manifest(self, adapter: str) -> Mapping[str, Any] | None:
        """What an adapter's receiver can do; None for one that is not installed."""

    def requests(self, rule: DeliveryRule, event: Happened, decision: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The requests for an event, without secrets. Raises Conflict where the adapter is not installed."""


@dataclass(frozen=True, slots=True)
class DeliveryParts:
    """One set for one application."""

    deliveries: Deliveries
    reconciler: Reconciler
    cutovers: Cutovers
    proof: Proof
    surroundings: Surroundings
    previews: Previews
    events: Events
