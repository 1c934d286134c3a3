"""Steps of a cutover as changes of the one write path: a version of the policy with another share, put in force."""

from __future__ import annotations

from service.commands.announce import Event
from service.commands.policy_acts import activate_policy, draft_policy
from service.commands.steps import Step
from service.commands.world import World
from service.errors import PolicyMoved
from service.model.changes import ActivatePolicy, DraftPolicy, Origin, PolicyReceipt
from service.model.delivery import CutoverStep
from service.model.delivery_changes import CutOver, CutOverReceipt


def cut_over(world: World, change: CutOver, origin: Origin) -> Step:
    """Draft and activate in one turn. Raises PolicyMoved where another version is in force than the step was made on,
    and what `draft_policy` and `activate_policy` raise.
    """
    if world.desk.desk.in_force.version != change.base:
        raise PolicyMoved()
    drafted = yield from draft_policy(world, DraftPolicy(change.document, change.compiled))
    assert isinstance(drafted, PolicyReceipt)
    done = yield from activate_policy(world, ActivatePolicy(drafted.kept.version, change.reason))
    assert isinstance(done, PolicyReceipt)
    now = world.now
    step = CutoverStep(
        change.destination,
        now,
        change.kind,
        change.share,
        change.former,
        change.reason,
        change.forced,
        done.kept.version,
        origin.actor,
        seconds=None if change.triggered_at is None else max(0, now - change.triggered_at) / 1000,
        undone=change.kind != "step",
    )
    world.dispatch.step(step)
    if change.undoes is not None:
        world.dispatch.undone_at.append((change.destination, change.undoes))
    names = {"step": "cutover.step", "rollback": "cutover.rolled_back", "automatic": "cutover.rolled_back"}
    world.dispatch.entries.append(
        {
            "actor": origin.actor,
            "action": names[change.kind],
            "destination": change.destination,
            "outcome": f"share {change.share}" + (" forced" if change.forced else ""),
            "policy_version": done.kept.version,
            "request_id": origin.request_id,
        }
    )
    return CutOverReceipt(step, done.kept, change.base)


def told(receipt: CutOverReceipt) -> list[Event]:
    """What the feed is told of a step."""
    step = receipt.step
    versions = {"policy_version": step.policy_version, "former": receipt.former}
    events: list[Event] = [{"type": "policy.activated", "profile_id": None, **versions}]
    if step.kind != "step":
        rolled = {"destination": step.destination, "share": step.share, "automatic": step.kind == "automatic"}
        events.append({"type": "cutover.rolled_back", "profile_id": None, **rolled, **versions})
    return events
