"""What a turn knows of records: dossiers and the blocks that they stand in, as loaded and as changed so far.

A block is all identifiers with a record of one blocking key. One of more than `max_candidates` finds nobody, so which
pairs are compared follows from what is kept, not from the order in which it came.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from service.model.identifiers import IdentifierKey, Pair, pair_of
from service.model.records import Block, Dossier, Likeness, Scorer

ACROSS_MAX: Final = 50
"""Of each side, at most so many identifiers with records are asked whether two clusters agree, in order of key."""


@dataclass(slots=True)
class BlockLoaded:
    """A block as stored. `members` None: it holds more than was asked for."""

    size: int
    members: frozenset[IdentifierKey] | None


@dataclass(slots=True)
class DossiersLoaded:
    """What a load brought: dossiers, blocks, and which identifiers may not be linked."""

    dossiers: list[Dossier] = field(default_factory=list)
    blocks: dict[Block, BlockLoaded] = field(default_factory=dict)
    resting: set[IdentifierKey] = field(default_factory=set)


class Dossiers:
    """Dossiers as the turn found them and as it leaves them. `dirty`: those to be compared anew."""

    def __init__(self, scorer: Scorer | None) -> None:
        self._scorer = scorer
        self.kept: dict[IdentifierKey, Dossier] = {}
        self.stored: dict[IdentifierKey, Dossier] = {}
        self.judged: dict[IdentifierKey, Dossier] = {}
        self.resting: set[IdentifierKey] = set()
        self.dirty: set[IdentifierKey] = set()
        self._blocks: dict[Block, BlockLoaded] = {}
        self._entered: dict[Block, set[IdentifierKey]] = {}
        self._left: dict[Block, set[IdentifierKey]] = {}
        self._likenesses: dict[Pair, Likeness] = {}

    # ---- loading

    def take(self, wanted: Iterable[IdentifierKey], loaded: DossiersLoaded) -> None:
        """Hand in what a load brought; what is known already stays as it is."""
        found = {dossier.key: dossier for dossier in loaded.dossiers}
        for key in (*wanted, *found):
            if key not in self.kept:
                self.kept[key] = self.stored[key] = self.judged[key] = found.get(key) or Dossier(key)
        self.resting |= loaded.resting
        self._blocks |= loaded.blocks

    def lacks_block(self, block: Block, limit: int) -> bool:
        """Whether a block has to be loaded to be told its size and, where it is within the limit, its members."""
        known = self._blocks.get(block)
        return known is None or (known.members is None and self.size(block) <= limit)

    # ---- blocks

    def leaving(self, block: Block) -> int:
        """How many have left it in this turn."""
        return len(self._left.get(block, ()))

    def size(self, block: Block) -> int:
        """How many identifiers stand in a block; it must be loaded."""
        return self._blocks[block].size + len(self._entered.get(block, ())) - len(self._left.get(block, ()))

    def members(self, block: Block) -> set[IdentifierKey]:
        """Who stands in a block that was loaded with its members."""
        stored = self._blocks[block].members
        return (set(stored or ()) | self._entered.get(block, set())) - self._left.get(block, set())

    # ---- changes

    def change(self, dossier: Dossier) -> None:
        """Put a dossier in the place of the one there is; it must be loaded."""
        key = dossier.key
        stored = self.stored[key].blocks
        now = dossier.blocks
        for block in self.kept[key].blocks | now | stored:
            entered, left = self._entered.get(block), self._left.get(block)
            if entered is not None:
                entered.discard(key)
            if left is not None:
                left.discard(key)
            if block in now and block not in stored:
                self._entered.setdefault(block, set()).add(key)
            if block in stored and block not in now:
                self._left.setdefault(block, set()).add(key)
        if self.kept[key].records:
            self._likenesses = {pair: found for pair, found in self._likenesses.items() if key not in pair}
        self.kept[key] = dossier
        self.dirty.add(key)

    def changed(self) -> list[tuple[Dossier, Dossier]]:
        """The dossiers that are not as they were stored: before, now."""
        return [(self.stored[key], now) for key, now in sorted(self.kept.items()) if now is not self.stored[key]]

    # ---- likeness

    def compare(self, pairs: Iterable[Pair]) -> dict[Pair, Likeness]:
        """The likeness of each pair of identifiers whose records can be compared: that of their two likest records."""
        pairs = list(pairs)
        found = {pair: self._likenesses[pair] for pair in pairs if pair in self._likenesses}
        asked = [
            (pair, (a.encoding, b.encoding))
            for pair in pairs
            if pair not in found
            for a in self.kept[pair[0]].records
            for b in self.kept[pair[1]].records
        ]
        if not asked or self._scorer is None:
            return found
        fresh: dict[Pair, Likeness] = {}
        for (pair, _), likeness in zip(asked, self._scorer.likenesses([two for _, two in asked]), strict=True):
            if likeness.comparable and (pair not in fresh or likeness > fresh[pair]):
                fresh[pair] = likeness
        self._likenesses |= fresh
        return found | fresh

    def odds_across(self, ours: Iterable[IdentifierKey], theirs: Iterable[IdentifierKey]) -> Mapping[Pair, float]:
        """The log-odds of each pair across two clusters that can be compared; both must be loaded."""
        one, other = self._recorded(ours), self._recorded(theirs)
        return {pair: like.odds for pair, like in self.compare([pair_of(a, b) for a in one for b in other]).items()}

    def _recorded(self, keys: Iterable[IdentifierKey]) -> list[IdentifierKey]:
        return sorted(key for key in keys if (d := self.kept.get(key)) is not None and d.records)[:ACROSS_MAX]
