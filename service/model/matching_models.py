"""Models of matching as they are kept: versions that never change, and their training. Times in ms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ModelState = Literal["training", "ready", "refused"]


@dataclass(frozen=True, slots=True)
class KeptModel:
    """One version of a model. `document`: the model as JSON text once it is ready; `reason`: why it was refused."""

    name: str
    version: int
    state: ModelState
    sample: int
    begun_at: int
    ended_at: int | None = None
    reason: str | None = None
    expected_matches: float = 0.0
    document: str | None = None

    @property
    def model(self) -> str:
        """As a policy names it: `people/2`."""
        return f"{self.name}/{self.version}"


@dataclass(frozen=True, slots=True)
class BeginTraining:
    """Have a model trained on at most `sample` of the records there are. `taken`: versions that are built in."""

    name: str
    sample: int
    taken: int = 0


@dataclass(frozen=True, slots=True)
class EndTraining:
    """What came of a training: a model, as JSON text, or the reason why there is none."""

    name: str
    version: int
    document: str | None
    reason: str | None
    expected_matches: float


@dataclass(frozen=True, slots=True)
class ModelReceipt:
    """A model as it is kept now. `applied`: it was not so before."""

    kept: KeptModel
    applied: bool


ModelChange = BeginTraining | EndTraining
