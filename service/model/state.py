"""What the graph keeps of one identifier beside its links."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from service.model.evidence import NO_NEIGHBOURS, ConsentRecord, Standing
from service.model.identifiers import AssertionId, IdentifierKey, ProfileId
from service.model.traits import Trait


class Tomb(NamedTuple):
    """What is left of an identifier whose person was erased: when (ms), the first birth counter that is free, and what
    was refused since.
    """

    at: int
    base: int
    consents: tuple[ConsentRecord, ...] = ()


class IdentifierState(NamedTuple):
    """One identifier. `first_seen` None: only consent is known of it yet. `holds`: the profile id it holds where a
    steward's hand made that another than its first birth id; `handed`: every id that an assertion in force hands to it.
    `profile`: the profile it is in. `erased_at` (ms): what was said of it up to then is refused, since the person was
    erased; `base`: the first counter of its birth ids that is not from before; `dead`: no fresh consent came since.
    `barred_until`, `lasting`: see service.commands.barring. `linking_until` (ms): when the grant runs out that lets it
    be linked.
    """

    key: IdentifierKey
    first_seen: int | None = None
    last_seen: int | None = None
    sources: tuple[str, ...] = ()
    neighbours: Mapping[str, int] = NO_NEIGHBOURS
    linking: bool = True
    sides: tuple[tuple[AssertionId, int], ...] = ()
    named: tuple[AssertionId, ...] = ()
    holds: ProfileId | None = None
    handed: tuple[ProfileId, ...] = ()
    consents: tuple[ConsentRecord, ...] = ()
    profile: ProfileId | None = None
    barred_until: int | None = None
    lasting: Mapping[str, int] = NO_NEIGHBOURS
    traits: tuple[Trait, ...] = ()
    erased_at: int | None = None
    base: int = 0
    dead: bool = False
    linking_until: int | None = None

    def refuses(self, at: int) -> bool:
        """Whether evidence observed at a time (ms) is refused: of somebody erased, without fresh consent or before."""
        return self.dead or (self.erased_at is not None and at <= self.erased_at)

    @property
    def standing(self) -> Standing:
        """What resolve() sees of it."""
        return Standing(self.key, self.neighbours, self.linking, self.sides, self.named)
