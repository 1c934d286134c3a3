"""Scenario files, read and checked; who plays them is not known here. The format is in README.md beside this file."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

FOLDER = Path(__file__).parent
DEFAULT_POLICY = FOLDER.parent.parent / "service" / "policies" / "default.json"


@dataclass(frozen=True, slots=True)
class Event:
    """Identifiers seen together at a time (hours)."""

    at: int
    ids: tuple[str, ...]
    source: str = "web"
    method: str = "deterministic"
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """What a steward does: `kind` merge, split, undo or judge; `named` what `as` calls it, or what an undo undoes.

    To judge is to give the `verdict` same, different or dismiss on the waiting link between the two `profiles`.
    """

    kind: str
    named: str | None = None
    profiles: tuple[str, ...] = ()
    survivor: str | None = None
    leaving: tuple[str, ...] = ()
    error: str | None = None
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Phase:
    """Time goes by until `now` (hours; None: it does not), then events, then acts, then what must hold."""

    events: tuple[Event, ...]
    acts: tuple[Act, ...]
    expect: Mapping[str, Any]
    now: int | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """One file."""

    file: str
    name: str
    guards: tuple[str, ...]
    expected: str
    document: dict[str, Any]
    phases: tuple[Phase, ...]
    note: str = ""

    @property
    def before_acts(self) -> tuple[Phase, ...]:
        """The phases that neither a steward nor time has a part in, up to the first that one has."""
        return tuple(itertools.takewhile(lambda phase: not phase.acts and phase.now is None, self.phases))


@dataclass(slots=True)
class Snapshot:
    """What a player answers about the present: identifier → profile id, the withheld pairs with reasons, and the pairs
    that wait for a steward.
    """

    shows: dict[str, str]
    withheld: dict[str, str] = field(default_factory=dict)
    reviews: set[str] = field(default_factory=set)

    @property
    def profiles(self) -> dict[str, frozenset[str]]:
        """Profile id → identifiers."""
        found: dict[str, set[str]] = {}
        for key, profile_id in self.shows.items():
            found.setdefault(profile_id, set()).add(key)
        return {profile_id: frozenset(keys) for profile_id, keys in found.items()}

    @property
    def clusters(self) -> set[frozenset[str]]:
        """The profiles, without their ids."""
        return set(self.profiles.values())


class Player(Protocol):
    """Somebody who can carry a scenario out under its policy."""

    def tell(self, events: Iterable[Event]) -> set[str]:
        """Report events in one batch; the identifiers refused at the door, as written."""

    def retract(self, event: Event) -> None:
        """Retract the links of an event."""

    def wait(self, now: int) -> None:
        """Let time go by until so many hours after the start."""

    def act(self, act: Act) -> str | None:
        """A steward's act; the code of the error that refused it."""

    def snapshot(self) -> Snapshot:
        """The present."""

    def leads_to(self, profile_id: str) -> str | None:
        """The profile id shown where an id ever handed out leads to."""


_EVENT = {"at", "ids", "source", "method", "confidence", "each", "times"}
_ACT = {"merge", "survivor", "as", "split", "leaving", "undo", "judge", "verdict", "error"}
_EXPECT = {"clusters", "withheld", "refused", "reviews", "moved", "keeps_id", "new_id", "redirects", "ids_as_after"}
_FILE = {"name", "guards", "expected", "note", "policy", "blocked_values", "phases"}


def _known(found: Mapping[str, Any], names: set[str], where: str) -> None:
    unknown = set(found) - names
    if unknown:
        raise ValueError(f"{where}: unknown {sorted(unknown)}")


def _events(raw: Mapping[str, Any], where: str) -> Iterable[Event]:
    _known(raw, _EVENT, where)
    more = {name: raw[name] for name in ("source", "method", "confidence") if name in raw}
    if "each" not in raw:
        return [Event(raw["at"], tuple(raw["ids"]), **more)]
    counter = itertools.count(1)
    return [
        Event(raw.get("at", 0), tuple(i.replace("{n}", n).replace("{x}", x) for i in raw["ids"]), **more)
        for x in raw["each"]
        for n in map(str, itertools.islice(counter, raw["times"]))
    ]


def _act(raw: Mapping[str, Any], where: str) -> Act:
    _known(raw, _ACT, where)
    error = raw.get("error")
    if "merge" in raw:
        return Act("merge", raw.get("as"), tuple(raw["merge"]), raw.get("survivor"), error=error)
    if "split" in raw:
        return Act("split", raw.get("as"), (raw["split"],), leaving=tuple(raw["leaving"]), error=error)
    if "judge" in raw:
        return Act("judge", raw.get("as"), tuple(raw["judge"]), error=error, verdict=raw["verdict"])
    return Act("undo", raw["undo"], error=error)


def document_of(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A whole policy document from a scenario's fragment."""
    document: dict[str, Any] = {
        "name": "scenario",
        "sources": {"*": {"confidence": 0.95}},
        "purposes": {"identity_linking": {"unset": "granted"}},
    }
    if raw.get("blocked_values") == "default":
        document["blocked_values"] = json.loads(DEFAULT_POLICY.read_text())["blocked_values"]
    return document | raw["policy"]


def read(path: Path) -> Scenario:
    """One file. Raises ValueError, KeyError for what is not the format."""
    raw = json.loads(path.read_text())
    _known(raw, _FILE, path.name)
    phases = []
    for index, phase in enumerate(raw["phases"]):
        where = f"{path.name} phase {index}"
        _known(phase, {"now", "events", "acts", "expect"}, where)
        expect = phase.get("expect", {})
        _known(expect, _EXPECT, where)
        events = tuple(event for item in phase.get("events", ()) for event in _events(item, where))
        acts = tuple(_act(act, where) for act in phase.get("acts", ()))
        phases.append(Phase(events, acts, expect, phase.get("now")))
    if raw["expected"] not in ("stated", "derived"):
        raise ValueError(f"{path.name}: expected is stated or derived")
    return Scenario(
        path.stem,
        raw["name"],
        tuple(raw["guards"]),
        raw["expected"],
        document_of(raw),
        tuple(phases),
        raw.get("note", ""),
    )


def all_scenarios() -> list[Scenario]:
    """Every file of the folder, by name."""
    return [read(path) for path in sorted(FOLDER.glob("s[0-9]*.json"))]
