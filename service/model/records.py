"""Records: what one source knows of one identifier, as it is kept to be compared. Frozen data.

Times are milliseconds since the epoch, UTC. No value of a person is in here but under `"keep": "plain"`; what is kept
is a keyed encoding (`service.matching.encode`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, Protocol, get_args

from service.model.evidence import Reason
from service.model.identifiers import IdentifierKey, LinkId, ProfileId

SOURCE: Final = "matching"
"""The source of links that follow from records; nobody else may use it."""

Field = Literal[
    "given_name",
    "family_name",
    "birth_date",
    "house_number",
    "street",
    "suburb",
    "postcode",
    "city",
    "country",
    "phone",
    "email",
]
FIELDS: Final[tuple[Field, ...]] = get_args(Field)
"""The attributes of a record, in the order that encodings and models keep them in."""

Keep = Literal["encoded", "plain"]
Block = int
"""A blocking key: 64 bits that two records must have in common to be compared, signed."""


@dataclass(frozen=True, slots=True)
class KeptRecord:
    """One source's record of one identifier. `fields`: names of those that hold something, in order.

    `digest`: keyed, of what was sent, so that the same content is known again. `blocks`: its blocking keys.
    """

    source: str
    observed_at: int
    fields: tuple[str, ...]
    digest: str
    encoding: bytes
    blocks: tuple[Block, ...]
    keep: Keep = "encoded"

    @property
    def weight(self) -> tuple[int, str]:
        """Which of two records of one source counts: the newest; beyond that only so that arrival never matters."""
        return (self.observed_at, self.digest)


@dataclass(frozen=True, slots=True)
class Dossier:
    """All records of one identifier, one a source, by its name."""

    key: IdentifierKey
    records: tuple[KeptRecord, ...] = ()

    @property
    def blocks(self) -> frozenset[Block]:
        """The blocking keys of all of its records."""
        return frozenset(block for record in self.records for block in record.blocks)

    @property
    def observed_at(self) -> int:
        """When the newest of its records was observed."""
        return max((record.observed_at for record in self.records), default=0)

    def of(self, source: str) -> KeptRecord | None:
        """The record of one source."""
        return next((record for record in self.records if record.source == source), None)

    def with_record(self, record: KeptRecord) -> Dossier:
        """With a record in the place of the one that its source sent before."""
        others = [kept for kept in self.records if kept.source != record.source]
        return Dossier(self.key, tuple(sorted((*others, record), key=lambda kept: kept.source)))

    def without(self, source: str) -> Dossier:
        """Without the record of one source."""
        return Dossier(self.key, tuple(kept for kept in self.records if kept.source != source))


class Likeness(NamedTuple):
    """How likely two records are one person's: `confidence` 0 to 1, and its log-odds. `comparable`: under one key."""

    confidence: float
    odds: float
    comparable: bool = True


class Scorer(Protocol):
    """A model of matching, as resolution sees it: pure, symmetric, and of nothing but the two records."""

    def likenesses(self, pairs: Sequence[tuple[bytes, bytes]]) -> Sequence[Likeness]:
        """For each pair of encodings."""


IdsOfLinks = Callable[[str, str, str, IdentifierKey, IdentifierKey], LinkId]


@dataclass(frozen=True, slots=True)
class Matching:
    """The policy's section `matching`, compiled. `max_candidates`: a block of more identifiers finds nobody.

    `scorer` and `link_ids` are given to it by whoever reads the policy; without them nothing is compared.
    """

    rule: str
    rule_version: str
    keep: Keep
    fields: tuple[str, ...]
    max_candidates: int
    keep_above: float
    scorer: Scorer | None = field(default=None, compare=False, repr=False)
    link_ids: IdsOfLinks | None = field(default=None, compare=False, repr=False)

    @property
    def model(self) -> str:
        """The name and version of the model: `people/1`."""
        return f"{self.rule}/{self.rule_version}"


@dataclass(frozen=True, slots=True)
class ObserveRecord:
    """A source tells what it knows of the person behind an identifier; `record` is encoded already."""

    identifier: IdentifierKey
    record: KeptRecord


@dataclass(frozen=True, slots=True)
class WithdrawRecord:
    """A source takes its record back: as if it had never been there."""

    identifier: IdentifierKey
    source: str


@dataclass(frozen=True, slots=True)
class RecordMatch:
    """A link that follows from records, as the identifier asked about sees it; `reason` None: it joins."""

    identifier: IdentifierKey
    confidence: float
    reason: Reason | None
    link_id: LinkId


@dataclass(frozen=True, slots=True)
class RecordReceipt:
    """What became of a record. `matches`: all links that follow from records of the identifier, the surest first."""

    identifier: IdentifierKey
    status: Literal["accepted", "duplicate", "withdrawn"]
    profile_id: ProfileId | None
    matches: tuple[RecordMatch, ...] = ()


RecordChange = ObserveRecord | WithdrawRecord
