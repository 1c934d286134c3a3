"""What a turn asks the graph for, and what it is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from service.commands.capture import CaptureLoaded, CaptureWanted
from service.commands.desk import DeskLoaded, DeskWanted
from service.commands.dossiers import DossiersLoaded
from service.model.evidence import Assertion, Hand, Link, Reason
from service.model.identifiers import AssertionId, IdentifierKey, LinkId, Pair, ProfileId
from service.model.matching_models import KeptModel
from service.model.records import Block
from service.model.state import IdentifierState, Tomb

FOREVER: Final = 1 << 62
LinkEnd = tuple[LinkId, IdentifierKey, int | None, ProfileId | None]


@dataclass(slots=True)
class Wanted:
    """What the next load has to bring.

    `pairs`: all links between them. `links_of`: all live links of these identifiers, with the other ends. `profiles`:
    present members with their live links and the other ends. `ids`: who holds a profile id, and its hands. `due`: so
    many of the links that have fallen due. `around`: with each identifier its profile, as if that were wanted too.
    `ends_of`: of the active links of these identifiers only where they lead and when they end. `capture`: what is known
    of events. `dossiers`: of these identifiers. `blocks`: the size of each block, and where it holds no more than that
    many, its members' dossiers. `matched`: all links of these identifiers that follow from records, with the other
    ends. `models`: all versions of these names.
    """

    identifiers: set[IdentifierKey] = field(default_factory=set)
    pairs: set[Pair] = field(default_factory=set)
    links: set[LinkId] = field(default_factory=set)
    links_of: set[IdentifierKey] = field(default_factory=set)
    profiles: set[ProfileId] = field(default_factory=set)
    ids: set[ProfileId] = field(default_factory=set)
    assertions: set[AssertionId] = field(default_factory=set)
    due: int = 0
    around: bool = False
    ends_of: set[IdentifierKey] = field(default_factory=set)
    desk: DeskWanted | None = None
    capture: CaptureWanted = field(default_factory=CaptureWanted)

    dossiers: set[IdentifierKey] = field(default_factory=set)
    blocks: dict[Block, int] = field(default_factory=dict)
    matched: set[IdentifierKey] = field(default_factory=set)
    models: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        named = (self.identifiers, self.pairs, self.links, self.links_of, self.profiles, self.ids, self.assertions)
        matching = (self.dossiers, self.blocks, self.matched, self.models)
        return any((*named, self.ends_of, *matching)) or self.desk is not None or bool(self.capture)

    def add(self, other: Wanted) -> None:
        """Want what `other` wants as well."""
        self.identifiers |= other.identifiers
        self.pairs |= other.pairs
        self.links |= other.links
        self.links_of |= other.links_of
        self.profiles |= other.profiles
        self.ids |= other.ids
        self.assertions |= other.assertions
        self.due = max(self.due, other.due)
        self.around |= other.around
        self.ends_of |= other.ends_of
        self.capture.add(other.capture)
        self.dossiers |= other.dossiers
        self.blocks |= other.blocks
        self.matched |= other.matched
        self.models |= other.models


@dataclass(slots=True)
class Loaded:
    """What a load brought.

    `profiles`: id → present members. `unfollowed`: members whose links were left out because they bridge nothing.
    `dues`: until when each profile holds. `born`: id → the identifier that it was born from. `hands`: those in force,
    by id. `due`: the links that have fallen due; `run_out`: the identifiers whose grant of linking has.
    `ends_of`: for each link its id, other end, due time (ms) and profile. `bars`: why an identifier bridged nothing
    when it was last written. `tombs`: what is left of identifiers that were erased.
    """

    identifiers: list[IdentifierState] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    withheld: dict[LinkId, Reason] = field(default_factory=dict)
    reviews: dict[LinkId, float] = field(default_factory=dict)
    profiles: dict[ProfileId, list[IdentifierKey]] = field(default_factory=dict)
    unfollowed: set[IdentifierKey] = field(default_factory=set)
    dues: dict[ProfileId, int | None] = field(default_factory=dict)
    audiences: dict[ProfileId, tuple[str, ...]] = field(default_factory=dict)
    born: dict[ProfileId, IdentifierKey] = field(default_factory=dict)
    hands: dict[ProfileId, tuple[Hand, ...]] = field(default_factory=dict)
    assertions: list[Assertion] = field(default_factory=list)
    due: list[LinkId] = field(default_factory=list)
    run_out: list[IdentifierKey] = field(default_factory=list)
    ends_of: dict[IdentifierKey, list[LinkEnd]] = field(default_factory=dict)
    bars: dict[IdentifierKey, Reason] = field(default_factory=dict)
    desk: DeskLoaded | None = None
    tombs: dict[IdentifierKey, Tomb] = field(default_factory=dict)
    capture: CaptureLoaded = field(default_factory=CaptureLoaded)
    records: DossiersLoaded = field(default_factory=DossiersLoaded)
    models: list[KeptModel] = field(default_factory=list)
