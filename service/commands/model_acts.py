"""Training of models, begun and ended. What happens between is no turn's affair: see `service.commands.training`."""

from __future__ import annotations

from dataclasses import replace

from service.commands.steps import Step
from service.commands.world import Wanted, World
from service.errors import UnknownModel
from service.model.matching_models import BeginTraining, EndTraining, KeptModel, ModelChange, ModelReceipt


def wanted_by_model(change: ModelChange) -> Wanted:
    """All versions of its name."""
    return Wanted(models={change.name})


def begin_training(world: World, change: BeginTraining) -> Step:
    """Give a new version its number."""
    yield from ()  # all that it needs is here
    last = max((version for name, version in world.models if name == change.name), default=0)
    made = KeptModel(change.name, max(last, change.taken) + 1, "training", change.sample, world.now)
    world.set_model(made)
    return ModelReceipt(made, True)


def end_training(world: World, change: EndTraining) -> Step:
    """Keep what came of a training. One that has ended stays as it is. Raises UnknownModel."""
    yield from ()
    kept = world.models.get((change.name, change.version))
    if kept is None:
        raise UnknownModel()
    if kept.state != "training":
        return ModelReceipt(kept, False)
    ended = replace(
        kept,
        state="ready" if change.document is not None else "refused",
        ended_at=world.now,
        reason=change.reason,
        expected_matches=change.expected_matches,
        document=change.document,
    )
    world.set_model(ended)
    return ModelReceipt(ended, True)
