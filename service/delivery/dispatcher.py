"""Keeps a courier for each destination that is live under the policy in force."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final

import structlog

from service.clock import Clock
from service.commands.delivery_ports import Deliveries
from service.commands.policies import Policies
from service.commands.rest import Rest
from service.commands.write_path import WritePath
from service.delivery.courier import Courier
from service.delivery.sending import LiveSender
from service.delivery.surroundings import Installed
from service.errors import FabricError
from service.model.delivery import DeliveryRule

log = structlog.get_logger()
LOOK_EVERY_S: Final = 0.25


class Dispatcher:
    """Runs in every instance; what one has claimed no other sends."""

    def __init__(
        self,
        policies: Policies,
        around: Installed,
        sender: LiveSender,
        deliveries: Deliveries,
        write_path: WritePath,
        clock: Clock,
        alert: Callable[[str, str], None],
    ) -> None:
        self._policies = policies
        self._around = around
        self._sender = sender
        self._deliveries = deliveries
        self._write_path = write_path
        self._clock = clock
        self._alert = alert
        self._couriers: dict[str, Courier] = {}
        self._rest = Rest()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._watch(), name="dispatcher")

    async def stop(self) -> None:
        """Finish what is under way and end."""
        if self._task is not None:
            await self._rest.end(self._task)
        await asyncio.gather(*(courier.stop() for courier in self._couriers.values()))

    def wake(self, destinations: Collection[str]) -> None:
        """Something was committed that may be sent there."""
        for name in destinations:
            courier = self._couriers.get(name)
            if courier is not None:
                courier.wake()

    def _rule(self, name: str) -> DeliveryRule | None:
        destination = self._policies.active().destinations.get(name)
        return None if destination is None else destination.delivery

    async def _watch(self) -> None:
        while True:
            try:
                await self._policies.current()
                self._keep()
            except FabricError:
                pass  # a store is away; readiness shows it
            except Exception:
                log.exception("dispatcher_failed")
            await self._rest(LOOK_EVERY_S)

    def _keep(self) -> None:
        """A courier for each destination that is live; one whose adapter is another than before is made anew."""
        for name in [name for name, courier in self._couriers.items() if courier.is_over]:
            del self._couriers[name]
        for name, destination in self._policies.active().destinations.items():
            rule = destination.delivery
            if rule is None or rule.mode != "live" or name in self._couriers:
                continue
            adapter = self._around.adapter(rule.adapter)
            if adapter is None:
                continue
            courier = Courier(
                name,
                lambda name=name, was=rule.adapter: self._rule_of(name, was),  # type: ignore[misc]
                adapter,
                self._sender,
                self._deliveries,
                self._write_path,
                self._clock,
                self._alert,
            )
            self._couriers[name] = courier
            courier.start()

    def _rule_of(self, name: str, adapter: str) -> DeliveryRule | None:
        rule = self._rule(name)
        return rule if rule is not None and rule.adapter == adapter else None
