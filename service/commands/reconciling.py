"""Comparison of the two paths: read, worked out, gated; steps made and rolled back, by people and by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import orjson
import structlog

from service.clock import Clock
from service.commands.carry_out import Outcome
from service.commands.delivery_ports import Deliveries
from service.commands.policies import Policies
from service.commands.rest import Rest
from service.commands.write_path import WritePath
from service.control.policy_document import compile_policy
from service.control.reconcile import Reconciliation, reconcile
from service.errors import Conflict, FabricError, GapTooLarge, Inconclusive, PolicyMoved, UnknownDestination
from service.model.changes import Origin
from service.model.delivery import CutoverStep, DeliveryRule
from service.model.delivery_changes import CutOver, CutOverReceipt
from service.model.policy import Policy

log = structlog.get_logger()
WATCH_EVERY_S: Final = 5.0
"""How often the gap after a step is looked at: a roll-back comes within this and the time it takes to work it out."""
TRIES: Final = 3
_ORIGIN = Origin("service:cutover")


def rule_of(policy: Policy, destination: str) -> DeliveryRule:
    """The `delivery` block of a destination. Raises UnknownDestination."""
    found = policy.destinations.get(destination)
    if found is None or found.delivery is None:
        raise UnknownDestination()
    return found.delivery


def _render(outcomes: Sequence[Outcome]) -> tuple[int, bytes]:
    return 200, orjson.dumps(len(outcomes))


@dataclass(frozen=True, slots=True)
class Stepped:
    """A step that is in force, and the figures that it was made on."""

    receipt: CutOverReceipt
    figures: Reconciliation
    rule: DeliveryRule


class Reconciler:
    """Works the figures out."""

    def __init__(self, deliveries: Deliveries, policies: Policies, clock: Clock) -> None:
        self._deliveries = deliveries
        self._policies = policies
        self._clock = clock

    async def figures(
        self, destination: str, since: int | None = None, until: int | None = None
    ) -> tuple[Reconciliation, DeliveryRule]:
        """The comparison of what began in a span (ms). Raises UnknownDestination, StoreUnavailable."""
        rule = rule_of(await self._policies.current(), destination)
        equal, others = await self._deliveries.compared(destination, since, until)
        explanations = await self._deliveries.explanations(destination)
        return reconcile(equal, others, rule, explanations, self._clock.now_ms()), rule


class Cutovers:
    """Steps: gated by the figures, or forced; each is a version of the policy."""

    def __init__(
        self,
        deliveries: Deliveries,
        policies: Policies,
        write_path: WritePath,
        reconciler: Reconciler,
        clock: Clock,
    ) -> None:
        self._deliveries = deliveries
        self._policies = policies
        self._write_path = write_path
        self._reconciler = reconciler
        self._clock = clock
        self._rest = Rest()
        self._task: asyncio.Task[None] | None = None

    async def step(self, destination: str, share: float, reason: str, force: bool, origin: Origin) -> Stepped:
        """Move the share. Raises UnknownDestination, GapTooLarge, Inconclusive with the figures, PolicyMoved."""
        figures, rule = await self._reconciler.figures(destination)
        verdict = figures.verdict(rule)
        lowers = rule.mode == "live" and share <= rule.share
        if not (force or lowers) and verdict != "pass":
            kind = GapTooLarge if verdict == "fail" else Inconclusive
            raise kind(extra={"reconciliation": figures.as_json(rule)})
        forced = force and verdict != "pass"
        receipt = await self._cut(destination, share, reason, forced, "step", None, None, origin)
        return Stepped(receipt, figures, rule)

    async def roll_back(
        self,
        destination: str,
        reason: str,
        origin: Origin,
        kind: Literal["rollback", "automatic"] = "rollback",
        triggered_at: int | None = None,
    ) -> Stepped:
        """Go back to the share before the last step that stands. Raises UnknownDestination, Conflict for none."""
        figures, rule = await self._reconciler.figures(destination)
        standing = [s for s in await self._deliveries.steps(destination) if s.kind == "step" and not s.undone]
        if not standing:
            raise Conflict("There is no step to roll back.")
        last, began = standing[-1], triggered_at or self._clock.now_ms()
        receipt = await self._cut(destination, last.former, reason, False, kind, last.at, began, origin)
        return Stepped(receipt, figures, rule)

    async def _cut(
        self,
        destination: str,
        share: float,
        reason: str,
        forced: bool,
        kind: Literal["step", "rollback", "automatic"],
        undoes: int | None,
        triggered_at: int | None,
        origin: Origin,
    ) -> CutOverReceipt:
        for attempt in range(TRIES):
            policy = await self._policies.current()
            rule = rule_of(policy, destination)
            kept = await self._policies.store.version(policy.version)
            if kept is None:
                raise UnknownDestination()
            document = orjson.loads(kept.document)
            block = document["destinations"][destination]["delivery"]
            former = rule.share if rule.mode == "live" else 0.0
            block["share"] = share
            if kind == "step":
                block["mode"] = "live"
            change = CutOver(
                destination,
                share,
                former,
                reason,
                forced,
                policy.version,
                orjson.dumps(document).decode(),
                compile_policy(document, 0),
                kind,
                undoes,
                triggered_at,
            )
            (outcome,) = (await self._write_path.submit([change], origin, _render)).outcomes
            if isinstance(outcome, CutOverReceipt):
                return outcome
            if not isinstance(outcome, PolicyMoved) or attempt == TRIES - 1:
                assert isinstance(outcome, FabricError)
                raise outcome
        raise PolicyMoved()

    async def steps(self, destination: str) -> list[CutoverStep]:
        """All steps, the oldest first. Raises UnknownDestination."""
        rule_of(await self._policies.current(), destination)
        return await self._deliveries.steps(destination)

    # ---- by itself

    def start(self) -> None:
        """Begin to watch the gap after steps."""
        self._rest = Rest()
        self._task = asyncio.create_task(self._watch(), name="cutovers")

    async def stop(self) -> None:
        """Stop watching."""
        if self._task is not None:
            await self._rest.end(self._task)

    async def _watch(self) -> None:
        while True:
            await self._rest(WATCH_EVERY_S)
            try:
                policy = await self._policies.current()
                for name, destination in sorted(policy.destinations.items()):
                    if destination.delivery is not None and destination.delivery.mode == "live":
                        await self.look(name)
            except FabricError:
                pass  # a store is away, or somebody else was first
            except Exception:
                log.exception("cutover_watch_failed")

    async def look(self, destination: str) -> bool:
        """Roll a step back if what came after it differs by too much; whether it was."""
        standing = [s for s in await self._deliveries.steps(destination) if s.kind == "step" and not s.undone]
        if not standing or standing[-1].share <= standing[-1].former:
            return False
        began = self._clock.now_ms()
        figures, rule = await self._reconciler.figures(destination, standing[-1].at)
        if figures.verdict(rule) != "fail":
            return False
        log.warning("cutover_rolled_back", destination=destination, gap=figures.gap)
        await self.roll_back(destination, "the gap passed max_gap", _ORIGIN, "automatic", began)
        return True
