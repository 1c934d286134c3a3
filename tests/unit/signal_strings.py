"""Writes TC and GPP strings, independently of what reads them: for tests that need one field to be as they say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def packed(bits: str, to: int = 8) -> str:
    """Bits as base64url, filled up with zeros to whole bytes, or to 24 bits."""
    bits += "0" * (-len(bits) % to)
    bits += "0" * (-len(bits) % 6)
    return "".join(ALPHABET[int(bits[i : i + 6], 2)] for i in range(0, len(bits), 6))


def number(value: int, width: int) -> str:
    return f"{value:0{width}b}"


def chosen(ids: Iterable[int], width: int) -> str:
    wanted = set(ids)
    return "".join("1" if i in wanted else "0" for i in range(1, width + 1))


def ranged(ids: Iterable[int]) -> str:
    """Single ids, each an entry."""
    found = sorted(set(ids))
    return number(len(found), 12) + "".join("0" + number(i, 16) for i in found)


def vendors(ids: Iterable[int], *, as_ranges: bool = False) -> str:
    found = sorted(set(ids))
    highest = max(found, default=0)
    return number(highest, 16) + ("1" + ranged(found) if as_ranges else "0" + chosen(found, highest))


@dataclass(frozen=True)
class Tc:
    """What a string says. Times in deciseconds."""

    created: int = 17_950_000_000
    last_updated: int = 17_950_000_000
    version: int = 2
    policy_version: int = 5
    features: Sequence[int] = ()
    consents: Sequence[int] = ()
    interests: Sequence[int] = ()
    vendor_consents: Sequence[int] = ()
    vendor_interests: Sequence[int] = ()
    restrictions: Sequence[tuple[int, int, Sequence[int]]] = ()
    disclosed: Sequence[int] | None = ()
    as_ranges: bool = False
    language: str = "DE"

    def core(self) -> str:
        """The bits of the core segment."""
        letters = "".join(number(ord(letter) - 65, 6) for letter in self.language)
        return (
            number(self.version, 6)
            + number(self.created, 36)
            + number(self.last_updated, 36)
            + number(31, 12)
            + number(1, 12)
            + number(0, 6)
            + letters
            + number(48, 12)
            + number(self.policy_version, 6)
            + "10"
            + chosen(self.features, 12)
            + chosen(self.consents, 24)
            + chosen(self.interests, 24)
            + "0"
            + number(3, 6)
            + number(4, 6)
            + vendors(self.vendor_consents, as_ranges=self.as_ranges)
            + vendors(self.vendor_interests, as_ranges=self.as_ranges)
            + number(len(self.restrictions), 12)
            + "".join(number(p, 6) + number(kind, 2) + ranged(ids) for p, kind, ids in self.restrictions)
        )

    def text(self) -> str:
        """The whole string."""
        parts = [packed(self.core())]
        if self.disclosed is not None:
            parts.append(packed("001" + vendors(self.disclosed, as_ranges=self.as_ranges)))
        return ".".join(parts)


def fibonacci(value: int) -> str:
    """Fibonacci coding."""
    numbers = [1, 2]
    while numbers[-1] <= value:
        numbers.append(numbers[-1] + numbers[-2])
    bits = ""
    for n in reversed([n for n in numbers if n <= value]):
        bits = ("1" if value >= n else "0") + bits
        value -= n if value >= n else 0
    return bits + "1"


def header(sections: Sequence[int], *, kind: int = 3, version: int = 1) -> str:
    """The header of a GPP string; each section is an entry."""
    bits, last = number(kind, 6) + number(version, 6) + number(len(sections), 12), 0
    for section in sections:
        bits += "0" + fibonacci(section - last)
        last = section
    return packed(bits)


@dataclass(frozen=True)
class UsNat:
    """The national section, version 2."""

    sale: int = 2
    sharing: int = 2
    targeted: int = 2
    gpc: bool | None = False
    version: int = 2
    rest: Mapping[str, int] = field(default_factory=dict)

    def text(self) -> str:
        """The section."""
        bits = (
            number(self.version, 6) + "01" * 6 + "".join(number(v, 2) for v in (self.sale, self.sharing, self.targeted))
        )
        bits += "00" * (16 + 3 + 1) + "010000"
        tail = "" if self.gpc is None else "." + packed("01" + ("1" if self.gpc else "0"))
        return packed(bits) + tail


def gpp(**sections: str) -> str:
    """A GPP string of sections by number, as `_7`."""
    ids = [int(name[1:]) for name in sections]
    return "~".join([header(ids), *sections.values()])
