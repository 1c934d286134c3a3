"""What a turn reads and writes of policies: versions, the one in force, and how far profiles follow it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from service.model.policy_versions import FORMER_MAX, Desk, InForce, Pass, PolicyVersion


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of one stage of a pass (`service.model.policy_versions.Pass`): so many after a place in its order."""

    stage: str
    after: str
    limit: int


@dataclass(frozen=True, slots=True)
class DeskWanted:
    """What is to be read. `in_use`: are there identifiers of these namespaces? `counts`: how many there are of all."""

    versions: frozenset[int] = frozenset()
    in_use: frozenset[str] = frozenset()
    stretch: Stretch | None = None
    counts: bool = False


@dataclass(frozen=True, slots=True)
class DeskLoaded:
    """What was read. `stretch`: ids of links, or keys, in order. `counts`: links and identifiers that there are."""

    versions: Mapping[int, PolicyVersion] = field(default_factory=dict)
    in_use: frozenset[str] = frozenset()
    stretch: tuple[str, ...] = ()
    counts: tuple[int, int] = (0, 0)


class Deskwork:
    """The desk as the turn found it and as it leaves it."""

    def __init__(self, desk: Desk) -> None:
        self.desk = self.stored = desk
        self.drafted: list[PolicyVersion] = []
        self.activated: PolicyVersion | None = None
        self.found = DeskLoaded()
        self._versions: dict[int, PolicyVersion] = {}

    def take(self, found: DeskLoaded) -> None:
        """Hand in what a load brought."""
        self.found = found
        for version, kept in found.versions.items():
            self._versions.setdefault(version, kept)

    def version(self, number: int) -> PolicyVersion | None:
        """A version, which must have been wanted."""
        return self._versions.get(number)

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        return self.desk != self.stored or bool(self.drafted)

    def draft(self, document: str, at: int) -> PolicyVersion:
        """Put a new version on the desk; it gets the next number."""
        made = PolicyVersion(self.desk.last + 1, "draft", document, at)
        self.drafted.append(made)
        self._versions[made.version] = made
        self.desk = replace(self.desk, last=made.version)
        return made

    def activate(self, kept: PolicyVersion, since: int, running: Pass, *, back: bool) -> None:
        """Put a version in force from the sequence number `since` on; a roll-back takes it off those of before."""
        was = self.desk.in_force.version
        former = self.desk.former[:-1] if back else (*self.desk.former, was)[-FORMER_MAX:]
        self.activated = kept
        self.desk = replace(self.desk, in_force=InForce(kept.version, since), former=former, running=running)

    def advance(self, running: Pass) -> None:
        """Note how far a pass has come."""
        self.desk = replace(self.desk, running=running)
