"""From claimed deliveries to requests, and from answers to what is concluded of each."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import structlog

from service.adapters.delivery.shapes import Adapter, Built, Item, ItemResult, Name, Request, TableWrite
from service.clock import Clock
from service.delivery.egress import Egress, EgressRefused, NotSent, OutcomeUnknown
from service.delivery.secrets import SecretMissing, Secrets
from service.delivery.tables import Tables
from service.model.delivery import Delivery, DeliveryRule

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that this instance has claimed, and the decision (JSON) that it is sent on; None for a removal."""

    delivery: Delivery
    decision_id: str | None
    body: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one claimed delivery."""

    claimed: Claimed
    result: ItemResult
    http_status: int | None = None
    fields: tuple[str, ...] = ()
    payload_sha256: str | None = None


def item_of(delivery: Delivery, decision: Mapping[str, Any] | None) -> Item:
    """What the adapter is given: of the person no more than the decision gives."""
    basis = orjson.loads(delivery.basis or "{}")
    if decision is None:
        names = tuple(Name(one["namespace"], one["value"]) for one in basis.get("identifiers", ()))
        profile_id: str | None = delivery.profile_id
        decision = {}
    else:
        names = tuple(Name(one["namespace"], one["value"]) for one in decision["identifiers"])
        personal = decision["granularity"] in ("person", "pseudonymous")
        profile_id = decision["profile_id"] if personal else None
    return Item(
        delivery.delivery_id,
        delivery.action,
        delivery.source,
        delivery.event_id,
        basis.get("type", delivery.event_type),
        delivery.event_at,
        basis.get("properties", {}),
        names,
        profile_id,
        decision.get("granularity", "person"),
        {name: trait["value"] for name, trait in decision.get("traits", {}).items()},
        tuple(decision.get("audiences", ())),
    )


class LiveSender:
    """Sends. There is no other way out: the shadow path is not given one of these."""

    def __init__(self, egress: Egress, secrets: Secrets, tables: Tables, clock: Clock) -> None:
        self._egress = egress
        self._secrets = secrets
        self._tables = tables
        self._clock = clock

    async def send(self, adapter: Adapter, rule: DeliveryRule, batch: Sequence[Claimed]) -> list[Told]:
        """One batch; what became of each, in order."""
        try:
            items = [item_of(one.delivery, None if one.body is None else orjson.loads(one.body)) for one in batch]
            built = adapter.build(rule.settings, items)
        except Exception as error:  # an adapter of somebody's must not stop the others
            log.error("adapter_failed", adapter=rule.adapter, error=type(error).__name__)
            return [Told(one, ItemResult("dead", "adapter_failed")) for one in batch]
        told: dict[int, Told] = {i: Told(batch[i], ItemResult("dead", why)) for i, why in built.refused.items()}
        for request in built.requests:
            found = await self._one(adapter, rule, request, batch)
            told |= dict(zip(request.items, found, strict=True))
        return [told.get(i) or Told(one, ItemResult("dead", "not_built")) for i, one in enumerate(batch)]

    async def _one(
        self, adapter: Adapter, rule: DeliveryRule, request: Request | TableWrite, batch: Sequence[Claimed]
    ) -> list[Told]:
        if isinstance(request, TableWrite):
            return await self._write(request, batch)
        status, digest = None, hashlib.sha256(request.body).hexdigest()
        try:
            url, headers = self._secrets.dress(request, rule.secret, self._clock.now_ms() // 1000)
            response = await self._egress.send(request.method, url, headers, request.body)
            status = response.status
            results = list(adapter.interpret(request, response))
            if len(results) != len(request.items):
                raise ValueError("not a result for each item")
        except SecretMissing:
            results = [ItemResult("setup_failed", "secret_missing")] * len(request.items)
        except EgressRefused:
            results = [ItemResult("setup_failed", "egress_refused")] * len(request.items)
        except NotSent:
            results = [ItemResult("retry", "not_connected")] * len(request.items)
        except OutcomeUnknown:
            results = [ItemResult("unknown", "no_answer")] * len(request.items)
        except Exception as error:
            log.error("adapter_failed", adapter=rule.adapter, error=type(error).__name__)
            results = [ItemResult("unknown", "adapter_failed")] * len(request.items)
        return [
            Told(batch[index], result, status, fields, digest)
            for index, result, fields in zip(request.items, results, request.fields, strict=True)
        ]

    async def _write(self, write: TableWrite, batch: Sequence[Claimed]) -> list[Told]:
        digest = hashlib.sha256(orjson.dumps(write.rows)).hexdigest()
        try:
            await asyncio.to_thread(self._tables.write, write)
            result = ItemResult("delivered")
        except Exception as error:
            log.warning("table_failed", error=type(error).__name__)
            result = ItemResult("retry", "table_failed")
        return [
            Told(batch[index], result, None, fields, digest)
            for index, fields in zip(write.items, write.fields, strict=True)
        ]


def preview_of(adapter: Adapter, rule: DeliveryRule, item: Item) -> Built:
    """What would be sent for one item."""
    return adapter.build(rule.settings, [item])
