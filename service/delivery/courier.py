"""One destination's deliveries: found, claimed, sent, concluded. Nothing of another destination waits for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final

import orjson
import structlog

from service.adapters.delivery.shapes import Adapter
from service.clock import Clock, random_bytes
from service.commands.carry_out import Outcome
from service.commands.delivery_ports import Deliveries
from service.commands.write_path import WritePath
from service.control.backoff import wait_for
from service.delivery.sending import Claimed, LiveSender, Told
from service.errors import FabricError
from service.model.changes import Change, Origin
from service.model.delivery import Delivery, DeliveryRule
from service.model.delivery_changes import Attempt, AttemptReceipt, Conclude, ConcludeReceipt
from service.model.times import parse_duration

log = structlog.get_logger()
LOOK_EVERY_S: Final = 0.5
LEASE_MS: Final = 30_000
REQUESTS_MAX: Final = 64
"""Requests under way to one destination at once."""
CLAIMS_MAX: Final = 500
CIRCUIT_AFTER: Final = 5

_ORIGIN = Origin("service:delivery")


def _render(outcomes: Sequence[Outcome]) -> tuple[int, bytes]:
    return 200, orjson.dumps(len(outcomes))


class Courier:
    """Runs for one destination of the policy that is live."""

    def __init__(
        self,
        name: str,
        rule: Callable[[], DeliveryRule | None],
        adapter: Adapter,
        sender: LiveSender,
        deliveries: Deliveries,
        write_path: WritePath,
        clock: Clock,
        alert: Callable[[str, str], None],
    ) -> None:
        self.name = name
        self._rule = rule
        self._adapter = adapter
        self._sender = sender
        self._deliveries = deliveries
        self._write_path = write_path
        self._clock = clock
        self._alert = alert
        self._woken = asyncio.Event()
        self._ending = False
        self._under_way: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        max_age = adapter.manifest.max_age
        self._max_age_ms = None if max_age is None else parse_duration(max_age)

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name=f"courier {self.name}")

    def wake(self) -> None:
        """There is something to be sent."""
        self._woken.set()

    @property
    def is_over(self) -> bool:
        """Whether it has ended by itself, since the destination is not live any more."""
        return self._task is not None and self._task.done()

    async def stop(self) -> None:
        """Finish what is under way and end."""
        self._ending = True
        self._woken.set()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while not self._ending:
            rule = self._rule()
            if rule is None or rule.mode != "live":
                break
            self._woken.clear()
            found = 0
            try:
                found = await self._round(rule)
            except FabricError:
                pass  # a store is away; what was claimed is taken up again when its lease is over
            except Exception:
                log.exception("courier_failed", destination=self.name)
            if not found:
                await self._pause()
        if self._under_way:
            await asyncio.wait(self._under_way)

    async def _pause(self) -> None:
        """Until woken, or something falls due, or it is time to look again."""
        wait_s = LOOK_EVERY_S
        with contextlib.suppress(FabricError):
            due = await self._deliveries.next_due(self.name)
            if due is not None:
                wait_s = min(wait_s, max(0.02, (due - self._clock.now_ms()) / 1000))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), wait_s)

    async def _round(self, rule: DeliveryRule) -> int:
        """Claim what may be sent now and begin to send it; returns how much was claimed."""
        while len(self._under_way) >= REQUESTS_MAX:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
        free, size = REQUESTS_MAX - len(self._under_way), self._adapter.manifest.batch
        limit = min(CLAIMS_MAX, free * size)
        due, failures = await self._deliveries.due(self.name, self._clock.now_ms(), limit)
        if failures > CIRCUIT_AFTER:
            due = due[:1] if not self._under_way else []
        if not due:
            return 0
        claimed = await self._claim(due)
        for batch in batches(claimed, size):
            task = asyncio.create_task(self._send(rule, batch))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return len(claimed)

    async def _claim(self, due: Sequence[Delivery]) -> list[Claimed]:
        manifest = self._adapter.manifest
        changes: list[Change] = [
            Attempt(
                one.delivery_id,
                one.asked,
                self.name,
                one.fence,
                manifest.dedup is not None,
                self._max_age_ms,
                LEASE_MS,
                manifest.adapter,
                manifest.version,
                manifest.removal is not None,
            )
            for one in due
        ]
        answered = await self._write_path.submit(changes, _ORIGIN, _render)
        return [
            Claimed(outcome.delivery, outcome.decision_id, outcome.body)
            for outcome in answered.outcomes
            if isinstance(outcome, AttemptReceipt) and outcome.sends
        ]

    async def _send(self, rule: DeliveryRule, batch: Sequence[Claimed]) -> None:
        try:
            told = await self._sender.send(self._adapter, rule, batch)
            answered = await self._write_path.submit([self._conclusion(one) for one in told], _ORIGIN, _render)
            for outcome in answered.outcomes:
                if isinstance(outcome, ConcludeReceipt) and outcome.alert is not None:
                    self._alert(self.name, outcome.alert)
        except FabricError:
            pass  # the lease runs out, and the outcome is unknown: see `Attempt`
        except Exception:
            log.exception("courier_failed", destination=self.name)

    def _conclusion(self, told: Told) -> Conclude:
        delivery, result, manifest = told.claimed.delivery, told.result, self._adapter.manifest
        asked_ms = None if result.retry_after_s is None else int(result.retry_after_s * 1000)
        chance = int.from_bytes(random_bytes(2)) / 65_535
        return Conclude(
            delivery.delivery_id,
            delivery.fence,
            told.claimed.decision_id,
            result.result,
            result.reason,
            told.http_status,
            told.fields,
            told.payload_sha256,
            manifest.adapter,
            manifest.version,
            manifest.dedup is not None,
            wait_for(len(delivery.attempts) + 1, chance, asked_ms),
        )


def batches(claimed: Sequence[Claimed], size: int) -> list[Sequence[Claimed]]:
    """Up to `size` in each; those that were refused in company go alone."""
    alone: list[Sequence[Claimed]] = [[one] for one in claimed if one.delivery.alone]
    others = [one for one in claimed if not one.delivery.alone]
    return alone + [others[start : start + size] for start in range(0, len(others), size)]
