"""How common a name is: two who share a rare one are less likely to by chance.

Known by the keyed tokens of names that many records have, so it holds for records under the same key only, and no name
can be read in it. All others count as rare alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from service.matching.compare import Codes, Levels
from service.matching.encode import TOKENS
from service.matching.fields import FIELDS, SIMILAR

NAMES = ("given_name", "family_name")
RECORDS_MIN = 10  # that have a name before its frequency is kept
NAMES_MAX = 1_000
_STEP = 0.25  # steps of log, so that pairs can be counted by them

Floats = npt.NDArray[np.float64]
Tokens = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Commonness:
    """Of one name field: `log` of how much commoner than on average each of the sorted `tokens` is; `rest`: others."""

    tokens: Tokens
    log: Floats
    rest: float

    def of(self, tokens: Tokens) -> Floats:
        """One a token."""
        if not len(self.tokens):
            return np.full(len(tokens), self.rest)
        at = np.minimum(np.searchsorted(self.tokens, tokens), len(self.tokens) - 1)
        return np.where(self.tokens[at] == tokens, self.log[at], self.rest)


@dataclass(frozen=True, slots=True)
class Rarity:
    """`version`: of the key that the tokens are under."""

    version: int
    given_name: Commonness
    family_name: Commonness

    def offsets(self, a: Codes, b: Codes, levels: Levels) -> Floats:
        """Pairs x NAMES: what is added to the logarithm of chance. Of two names that are alike the commoner counts."""
        found = np.zeros((len(levels), len(NAMES)))
        for i, (name, common) in enumerate(zip(NAMES, (self.given_name, self.family_name), strict=True)):
            at, field = TOKENS.index(name), FIELDS.index(name)
            alike = levels[:, field] >= SIMILAR
            both = np.maximum(common.of(a["token"][alike, at]), common.of(b["token"][alike, at]))
            found[alike, i] = both
        return found

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            "version": self.version,
            **{
                name: {
                    "rest": common.rest,
                    "names": dict(zip(map("{:016x}".format, common.tokens.tolist()), common.log.tolist(), strict=True)),
                }
                for name, common in zip(NAMES, (self.given_name, self.family_name), strict=True)
            },
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Rarity:
        """What `to_json` gave."""
        found = []
        for name in NAMES:
            names = sorted((int(token, 16), float(log)) for token, log in stored[name]["names"].items())
            tokens = np.array([token for token, _ in names], dtype=np.uint64)
            found.append(Commonness(tokens, np.array([log for _, log in names]), float(stored[name]["rest"])))
        return cls(int(stored["version"]), *found)


def rarity_of(codes: Codes, version: int) -> Rarity:
    """How common the names of these records are."""
    return Rarity(version, *(_commonness(codes["token"][:, TOKENS.index(name)]) for name in NAMES))


def _commonness(tokens: Tokens) -> Commonness:
    """A name that a share f of records has is shared by chance f / (the sum of all f squared) times as often."""
    names, counts = np.unique(tokens[tokens != 0], return_counts=True)
    total = max(int(counts.sum()), 2)
    by_chance = max(float((counts * (counts - 1)).sum()) / (total * (total - 1)), 1.0 / total)
    often = counts >= RECORDS_MIN
    if often.sum() > NAMES_MAX:
        often &= counts > np.sort(counts)[-NAMES_MAX]
    others = counts[~often].astype(np.float64)
    of_others = float((others**2).sum() / others.sum()) if len(others) else 1.0
    return Commonness(
        names[often].astype(np.uint64),
        _stepped(np.log(counts[often] / total / by_chance)),
        float(_stepped(np.log(np.array([of_others / total / by_chance])))[0]),
    )


def _stepped(log: Floats) -> Floats:
    found: Floats = np.round(np.clip(log, -4, 4) / _STEP) * _STEP
    return found
