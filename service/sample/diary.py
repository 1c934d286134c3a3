"""What happened in the sample world, as it is written down: keys of identifiers, links, words of stewards."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from service.model.changes import ObserveLink, Revoke
from service.model.evidence import Method
from service.model.identifiers import IdentifierKey, LinkId, pair_of

DAY_MS = 86_400_000
CONFIDENCE = {"crm": 1.0, "app": 0.98, "web": 0.95, "newsletter": 0.9, "store": 0.9}


@dataclass(frozen=True, slots=True)
class SamePerson:
    """A steward merges the profiles of these identifiers; the first one's id survives."""

    people: tuple[IdentifierKey, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class SomebodyElse:
    """A steward splits identifiers off the profile of `of`."""

    of: IdentifierKey
    leaving: tuple[IdentifierKey, ...]
    reason: str


Told = ObserveLink | Revoke | SamePerson | SomebodyElse


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that was told, and when (ms)."""

    at: int
    told: Told


def crm(number: int) -> IdentifierKey:
    """A customer number."""
    return IdentifierKey(f"crm_id:C-{number}")


def login(name: str) -> IdentifierKey:
    """A login."""
    return IdentifierKey(f"login_id:{name}")


def email(address: str) -> IdentifierKey:
    """The digest of an address, as the default policy normalises it."""
    return IdentifierKey(f"email_sha256:{hashlib.sha256(address.casefold().encode()).hexdigest()}")


def phone(number: str) -> IdentifierKey:
    """The digest of a number that is written without blanks."""
    return IdentifierKey(f"phone_sha256:{hashlib.sha256(number.encode()).hexdigest()}")


def device(name: str) -> IdentifierKey:
    """A device."""
    return IdentifierKey(f"device_id:{name}")


def cookie(name: str) -> IdentifierKey:
    """A cookie."""
    return IdentifierKey(f"cookie_id:{name}")


def session(name: str) -> IdentifierKey:
    """A visit."""
    return IdentifierKey(f"session_id:{name}")


def household(name: str) -> IdentifierKey:
    """A household."""
    return IdentifierKey(f"household_id:{name}")


@dataclass(slots=True)
class Diary:
    """Takes down what happens. Times are given in days before `now_ms`."""

    now_ms: int
    entries: list[Entry] = field(default_factory=list)

    def at(self, days_ago: float) -> int:
        """That time in ms."""
        return self.now_ms - int(days_ago * DAY_MS)

    def seen(
        self,
        a: IdentifierKey,
        b: IdentifierKey,
        days_ago: float,
        source: str,
        rule: str,
        *,
        guess: float | None = None,
        ends_days_ago: float | None = None,
    ) -> None:
        """Two identifiers are linked by a source. `guess`: it is probabilistic, with this confidence. `ends_days_ago`:
        the source gives it an end (negative: ahead).
        """
        first, second = pair_of(a, b)
        method: Method = "deterministic" if guess is None else "probabilistic"
        link = ObserveLink(
            LinkId(""),
            first,
            second,
            method,
            CONFIDENCE[source] if guess is None else guess,
            source,
            rule,
            "1",
            self.at(days_ago),
            None if ends_days_ago is None else self.at(ends_days_ago),
        )
        self.tell(days_ago, link)

    def tell(self, days_ago: float, told: Told) -> None:
        """Anything else that is told."""
        self.entries.append(Entry(self.at(days_ago), told))
