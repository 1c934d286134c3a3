"""Links among identifiers that the graph does not know yet, resolved before their turn: how large imports stay exact.

Nothing of the graph bears on such links but the policy, so the same steps and the same `settle` that a turn would run
can run ahead of it, beside the turn before. What they say is written only by a turn that finds it still to be so: it
holds the head, the policy is the same, none of the identifiers has become known, and nothing has fallen due since.
Times and sequence numbers are given by that turn.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from service.commands.account import Body, cause_of, links_entry
from service.commands.announce import events_of
from service.commands.compose import note_versions
from service.commands.observe import observe_link
from service.commands.plan import Plan, plan_of
from service.commands.settle import settle
from service.commands.steps import Settlement
from service.commands.world import Loaded, World
from service.model.changes import LinkReceipt, ObserveLink, Origin
from service.model.identifiers import IdentifierKey
from service.model.policy import Policy
from service.resolution.profile_ids import Births

RowsOf = Callable[[Plan], Any]


@dataclass(frozen=True, slots=True)
class Newcomers:
    """What some links among unknown identifiers come to, with times and sequence numbers left open.

    `made_at`: the time (ms) that stands in `rows` where the turn's belongs. `due`: the first time at which one of the
    links falls due. `events`: JSON texts without their opening brace, sequence number and time. `statuses`: how many
    links became what. `rows`: what the graph writes; only it reads them.
    """

    made_at: int
    policy_version: int
    due: int | None
    keys: list[IdentifierKey]
    drops: list[IdentifierKey]
    rows: Any
    events: list[str]
    statuses: dict[str, int]
    links_sha256: str
    reviews: int
    links: int

    def stands(self, policy: Policy, now: int) -> bool:
        """Whether a turn at `now` (ms) under this policy would come to the same."""
        return self.policy_version == policy.version and self.made_at <= now and (self.due is None or self.due > now)

    def entry(self, origin: Origin) -> list[Body]:
        """Its audit entry; none where every link was sent twice."""
        return links_entry(origin, self.statuses, self.links_sha256, self.policy_version)

    def items(self, seq: int, at: int) -> list[str]:
        """The feed's entries as JSON texts, numbered from `seq` + 1 on, at the time (ms) of their turn."""
        return [f'{{"seq":{seq + 1 + index},"at":{at},{event}' for index, event in enumerate(self.events)]


def _settled(world: World) -> Settlement:
    """Resolve what has been touched; whatever is wanted, the graph does not have."""
    asks = settle(world)
    try:
        wanted = next(asks)
        while True:
            world.take(wanted, Loaded())
            wanted = asks.send(None)
    except StopIteration as done:
        settled: Settlement = done.value
        return settled


def _received(step: Any, settled: Settlement) -> LinkReceipt:
    try:
        step.send(settled)
    except StopIteration as done:
        receipt: LinkReceipt = done.value
        return receipt
    raise RuntimeError("a step asked for more after it was settled")


def resolve_newcomers(
    changes: Sequence[ObserveLink], policy: Policy, births: Births, now: int, actor: str, rows_of: RowsOf
) -> Newcomers:
    """What a turn at `now` (ms) would write for these links, given that the graph knows none of their identifiers.

    `now` must be a time that the turn which writes it can't go before: the head's of an earlier turn.
    """
    world = World(policy, births, now, 0)
    steps = [observe_link(world, change) for change in changes]
    for step in steps:
        next(step)
    settled = _settled(world)
    receipts = [_received(step, settled) for step in steps]
    note_versions(world)
    plan = plan_of(world)
    cause = cause_of([(changes[0], Origin(actor))])
    dues = [link.due for link in world.links.values() if link.inactive is None and link.due is not None]
    digest = hashlib.sha256("\n".join(sorted(receipt.link_id for receipt in receipts)).encode()).hexdigest()
    return Newcomers(
        now,
        policy.version,
        min(dues, default=None),
        list(world.states),
        plan.drops,
        rows_of(plan),
        [orjson.dumps({**event, "cause": cause}).decode()[1:] for event in events_of(settled)],
        dict(Counter(receipt.status for receipt in receipts)),
        digest,
        plan.reviews_more,
        len(changes),
    )
