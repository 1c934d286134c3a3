"""What the documents say is so: settings, endpoints, and the examples of docs/how-it-resolves.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import orjson
import pytest
from fastapi.routing import APIRoute

from service.api import routes
from service.api.lookup_route import PATH
from service.control.policy_document import compile_policy
from service.model.evidence import Bond, Hand, Link, Standing, Tier
from service.model.identifiers import AssertionId, IdentifierKey, LinkId, ProfileId, namespace_of, pair_of
from service.model.policy import Policy
from service.resolution.activity import inactive_of
from service.resolution.profile_ids import births_under, held_by, senior_of
from service.resolution.resolve import Resolution, resolve
from service.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
EXAMPLES = re.findall(r"```example\n(.*?)```", (ROOT / "docs" / "how-it-resolves.md").read_text(), re.DOTALL)
BIRTHS = births_under(b"the key of the examples")


# ---- settings, endpoints, links


def rows_of(text: str) -> dict[str, str]:
    """First cell of every table row in the text → the row; a cell may name several things."""
    rows = {}
    for line in text.splitlines():
        if line.startswith("| `"):
            for name in re.findall(r"`([^`]+)`", line.split("|")[1]):
                rows[name] = line
    return rows


def test_every_setting_is_documented_and_no_other() -> None:
    documented = rows_of(CONFIGURATION)
    assert set(documented) == {name.upper() for name in Settings.model_fields}
    named = set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z_0-9]+)`", README))
    assert named <= set(documented)


def test_documented_defaults_are_the_defaults() -> None:
    documented = rows_of(CONFIGURATION)
    for name, setting in Settings.model_fields.items():
        if isinstance(setting.default, int) and not isinstance(setting.default, bool):
            told = documented[name.upper()].split("|")[2].replace(",", "")
            assert re.search(rf"\b{setting.default}\b", told), name


def test_the_endpoints_of_readme_are_those_that_exist() -> None:
    families = [import_module(f"service.api.routes.{found.name}") for found in iter_modules(routes.__path__)]
    exist = {
        f"{method} {route.path}"
        for family in families
        for route in family.router.routes
        if isinstance(route, APIRoute)
        for method in route.methods
    }
    exist |= {f"GET {PATH}", "GET /openapi.json", "GET /docs"}
    table = README.partition("## Endpoints")[2].split("\n## ")[0]
    assert set(re.findall(r"`((?:GET|POST|DELETE) /[^`?]*)[^`]*`", table)) == exist


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


# ---- examples


@dataclass
class Example:
    """A block of lines, told one after the other to the real functions."""

    policy: dict[str, Any]
    links: list[Link] = field(default_factory=list)
    named: dict[AssertionId, frozenset[IdentifierKey]] = field(default_factory=dict)
    seniors: dict[AssertionId, tuple[IdentifierKey, ...]] = field(default_factory=dict)
    sides: dict[AssertionId, tuple[frozenset[IdentifierKey], frozenset[IdentifierKey]]] = field(default_factory=dict)
    hands: dict[AssertionId, Hand] = field(default_factory=dict)

    @property
    def rules(self) -> Policy:
        return compile_policy(self.policy, 1)

    @property
    def first_seen(self) -> dict[IdentifierKey, int]:
        seen: dict[IdentifierKey, int] = {}
        for link in self.links:
            for key in link.pair:
                seen[key] = min(seen.get(key, link.observed_at), link.observed_at)
        return seen

    def inactive(self, link: Link) -> str | None:
        return inactive_of(link, self.rules, linking=True, now=0)

    def _standing(self, key: IdentifierKey, active: list[Link]) -> Standing:
        counts: dict[str, int] = {}
        for other in {end for link in active if key in link.pair for end in link.pair} - {key}:
            counts[namespace_of(other)] = counts.get(namespace_of(other), 0) + 1
        sides = tuple((a, side) for a, both in self.sides.items() for side in (0, 1) if key in both[side])
        return Standing(key, counts, True, sides, tuple(a for a, keys in self.named.items() if key in keys))

    def _bonds(self, active: list[Link]) -> Iterator[Bond]:
        for link in active:
            yield Bond(link.a, link.b, link.tier, link.confidence, link.observed_at, link.first_observed_at)
        for seniors in self.seniors.values():
            yield Bond(*pair_of(seniors[0], seniors[1]), Tier.STEWARD, 1.0, 0, 0)

    def resolved(self) -> Resolution:
        active = [link for link in self.links if self.inactive(link) is None]
        standings = {key: self._standing(key, active) for key in self.first_seen}
        return resolve(standings, self._bonds(active), self.rules)

    def profile(self, key: IdentifierKey) -> frozenset[IdentifierKey]:
        return next(cluster for cluster in self.resolved().clusters if key in cluster)

    def senior(self, key: IdentifierKey) -> IdentifierKey:
        return senior_of(self.profile(key), self.first_seen, self.rules)

    def shows(self, key: IdentifierKey) -> ProfileId:
        return held_by(self.senior(key), self.hands.values(), BIRTHS)

    def tell(self, line: str) -> None:
        word, *rest = line.split()
        keys = [IdentifierKey(text) for text in rest if ":" in text]
        name = AssertionId(f"ast_{len(self.hands) + len(self.named) + len(self.sides)}")
        if word == "policy":
            *place, last = rest[0].split(".")
            target = self.policy["namespaces"][place[0]] if place else self.policy["identity"]
            target[last] = orjson.loads(rest[2])
        elif word in ("link", "guess"):
            sure = 1.0 if word == "link" else float(rest[0])
            method = "deterministic" if word == "link" else "probabilistic"
            at = int(rest[-1])
            link_id = LinkId(f"lnk_{len(self.links)}")
            self.links.append(Link(link_id, *pair_of(*keys), method, sure, "web", "", None, at, at))  # type: ignore
        elif word == "merge":
            self._merge(name, keys)
        elif word == "split":
            leaving = frozenset(keys[1:])
            self.sides[name] = (leaving, self.profile(keys[0]) - leaving)
        elif word == "undo":
            for kept in (self.named, self.seniors, self.sides, self.hands):
                kept.clear()
        else:
            self.expect(word, keys, rest[-1])

    def _merge(self, name: AssertionId, keys: list[IdentifierKey]) -> None:
        survivor = self.shows(keys[2]) if len(keys) == 3 else None
        named = self.profile(keys[0]) | self.profile(keys[1])
        self.seniors[name] = (self.senior(keys[0]), self.senior(keys[1]))
        self.named[name] = named
        if survivor is not None:
            self.hands[name] = Hand(1, survivor, self.senior(keys[0]))

    def expect(self, word: str, keys: list[IdentifierKey], last: str) -> None:
        if word == "profile":
            assert self.profile(keys[0]) == set(keys)
        elif word == "id":
            assert self.shows(keys[0]) == BIRTHS(keys[1], 0)
        else:
            assert word == "withheld"
            pair = pair_of(keys[0], keys[1])
            (link,) = [link for link in self.links if link.pair == pair]
            refusal = self.resolved().withheld.get(pair)
            assert (self.inactive(link) or (refusal and refusal.reason)) == last


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text.splitlines()[-1].replace(" ", "_"))
def test_example_of_how_it_resolves(text: str) -> None:
    document = orjson.loads((ROOT / "service" / "policies" / "default.json").read_bytes())
    for rules in document["namespaces"].values():
        rules.pop("ttl", None)  # the days of the examples are long ago
    example = Example(document)
    for line in text.splitlines():
        example.tell(line)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 9
