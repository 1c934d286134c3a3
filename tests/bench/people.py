"""Links as a company sends them, from a seed: mostly new people with a few identifiers, some news of known ones."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Identifier = tuple[str, str]

NEW_PERSON, NEW_IDENTIFIER = 0.75, 0.22  # by number of draws; the rest sends a known link again
_DAY_MS = 86_400_000
_HUBS = (("crm_id", 5), ("login_id", 3), ("email_sha256", 2))
_OTHERS = ("email_sha256", "phone_sha256", "device_id", "cookie_id", "login_id")


def rfc3339(at_ms: int) -> str:
    """A time in ms since epoch as the API takes it."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Sent:
    """One link. `observed_at`: ms since epoch."""

    a: Identifier
    b: Identifier
    source: str
    observed_at: int

    @property
    def request(self) -> dict[str, Any]:
        """As `POST /v1/links` takes it."""
        return {
            "a": {"namespace": self.a[0], "value": self.a[1]},
            "b": {"namespace": self.b[0], "value": self.b[1]},
            "method": "deterministic",
            "source": self.source,
            "rule": "login",
            "rule_version": "1",
            "observed_at": rfc3339(self.observed_at),
        }

    @property
    def row(self) -> dict[str, Any]:
        """As a plain `UNWIND … MERGE` takes it: two keys, an id, and the properties that a link has."""
        a, b = sorted((":".join(self.a), ":".join(self.b)))
        digest = hashlib.blake2b(f"{self.source}|login|{a}|{b}".encode(), digest_size=15).hexdigest()
        properties = {
            "id": "lnk_" + digest,
            "method": "deterministic",
            "confidence": 0.95,
            "source": self.source,
            "rule": "login",
            "rule_version": "1",
            "observed_at": self.observed_at,
            "first_observed_at": self.observed_at,
        }
        return {"a": a, "b": b, "link": properties}


@dataclass(slots=True)
class World:
    """Makes people, and remembers them so that later links can be about them."""

    seed: int
    now_ms: int
    people: list[list[Identifier]] = field(default_factory=list)
    _random: random.Random = field(init=False)
    _count: int = 0
    _last: list[Sent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def _identifier(self, namespace: str) -> Identifier:
        self._count += 1
        number = f"{self.seed}-{self._count}"
        if namespace.endswith("_sha256"):
            return namespace, hashlib.sha256(number.encode()).hexdigest()
        return namespace, f"{namespace[:2]}-{hashlib.blake2b(number.encode(), digest_size=9).hexdigest()}-{number}"

    def _person(self) -> Iterator[Sent]:
        hub = self._random.choices([name for name, _ in _HUBS], [weight for _, weight in _HUBS])[0]
        size = self._random.choices((1, 2, 3), (4, 4, 2))[0]
        others = self._random.sample([name for name in _OTHERS if name != hub], size)
        person = [self._identifier(name) for name in (hub, *others)]
        self.people.append(person)
        for other in person[1:]:
            yield self._link(person[0], other)

    def _link(self, a: Identifier, b: Identifier) -> Sent:
        at = self.now_ms - self._random.randrange(20 * _DAY_MS) - _DAY_MS
        return Sent(a, b, "crm" if self._random.random() < 0.3 else "web", at)

    def _draw(self) -> Iterator[Sent]:
        drawn = self._random.random()
        if drawn < NEW_PERSON or not self.people:
            yield from self._person()
        elif drawn < NEW_PERSON + NEW_IDENTIFIER:
            person = self._random.choice(self.people)
            found = self._identifier(self._random.choice(("device_id", "cookie_id")))
            person.append(found)
            yield self._link(person[0], found)
        else:
            known = self._random.choice(self._last)
            yield Sent(known.a, known.b, known.source, known.observed_at + 3_600_000)

    def links(self, count: int) -> list[Sent]:
        """The next `count` links."""
        found: list[Sent] = []
        while len(found) < count:
            drawn = list(self._draw())
            found += drawn
            self._last = [*self._last, *drawn][-2_000:]
        return found[:count]

    def strangers(self, count: int) -> list[Sent]:
        """Links that each make a new person of two identifiers."""
        return [self._link(self._identifier("crm_id"), self._identifier("device_id")) for _ in range(count)]

    def star(self, size: int) -> list[Sent]:
        """Links that make one profile of `size` identifiers: a customer with e-mails, devices and cookies."""
        hub = self._identifier("crm_id")
        names = ["email_sha256"] * 5 + ["device_id", "cookie_id"] * size
        return [self._link(hub, self._identifier(name)) for name in names[: size - 1]]


def identifiers(links: Sequence[Sent]) -> list[Identifier]:
    """Every identifier of these links, once."""
    return list(dict.fromkeys(end for link in links for end in (link.a, link.b)))
