"""Policy versions as changes of the one write path: drafted, put in force, rolled back.

An activation takes the head like any turn and moves its `policy_version`; so every turn after it is of the new version,
and every one before of the old. What look-ups know of the version is a cached key of its own, dropped with the commit.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import orjson

from service.commands.desk import DeskWanted
from service.commands.policy_examples import failing_examples
from service.commands.steps import Step
from service.commands.world import Wanted, World
from service.control.policy_document import compile_policy
from service.control.policy_scope import pass_after, stages_between, unsafe_namespaces
from service.errors import FieldError, Invalid, NothingToRollBack, PolicyExamplesFail, UnknownPolicy
from service.model.changes import ActivatePolicy, DraftPolicy, PolicyReceipt
from service.model.policy import Policy


def _refuse_unsafe(world: World, new: Policy) -> Generator[Wanted, None, None]:
    """Raises Invalid where a namespace is dropped, or read otherwise, that identifiers are known of."""
    unsafe = unsafe_namespaces(world.policy, new)
    if not unsafe:
        return
    yield Wanted(desk=DeskWanted(in_use=frozenset(unsafe)))
    used = world.desk.found.in_use
    errors = [FieldError(*wrong) for name, wrong in unsafe.items() if name in used]
    if errors:
        raise Invalid(errors=errors)


def draft_policy(world: World, change: DraftPolicy) -> Step:
    """Keep a new version. It changes nothing yet. Raises Invalid for what can't be with the identifiers there are."""
    yield from _refuse_unsafe(world, change.compiled)
    failing = tuple(error.pointer for error in failing_examples(orjson.loads(change.document), change.compiled))
    kept = world.desk.draft(change.document, world.now)
    return PolicyReceipt(kept, True, world.desk.desk.running, failing=failing)


def activate_policy(world: World, change: ActivatePolicy) -> Step:
    """Put a version in force. One that is in force stays so.

    Raises UnknownPolicy, NothingToRollBack, PolicyExamplesFail, Invalid.
    """
    desk = world.desk
    if change.version is None and not desk.desk.former:
        raise NothingToRollBack()
    version = desk.desk.former[-1] if change.version is None else change.version
    yield Wanted(desk=DeskWanted(versions=frozenset((version,)), counts=True))
    kept, counts = desk.version(version), desk.found.counts
    if kept is None:
        raise UnknownPolicy()
    was = desk.desk.in_force.version
    if version == was:
        return PolicyReceipt(kept, False, desk.desk.running)
    document = orjson.loads(kept.document)
    new = compile_policy(document, version)
    failing = failing_examples(document, new)
    if failing:
        raise PolicyExamplesFail(errors=failing)
    yield from _refuse_unsafe(world, new)
    running = pass_after(desk.desk.running, stages_between(world.policy, new), counts)
    desk.activate(kept, world.seq + 1, running, back=change.version is None)
    return PolicyReceipt(replace(kept, status="active", activated_at=world.now), True, running, former=was)
