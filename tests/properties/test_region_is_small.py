"""The local recompute stays local: in a town it loads a few identifiers per change, and is right all the same."""

from __future__ import annotations

import random
import statistics
from dataclasses import replace

import pytest

from service.model.changes import Merge, ObserveLink, RetractLink, Split, Undo
from service.model.identifiers import IdentifierKey
from service.model.policy import Namespace, Policy, Purpose
from tests.properties.evidence_model import Evidence, agrees
from tests.properties.ledger import DAY, Act, Bench
from tests.properties.profiles import DEEP
from tests.properties.strategies import LINKING, START, link_id

PEOPLE, CHANGES, SEEDS = (250, 400, 10) if DEEP else (200, 200, 1)

POLICY = Policy(
    1,
    "town",
    {
        "crm": Namespace("crm", "person", 1, max_per_profile=1),
        "login": Namespace("login", "person", 2, max_per_profile=1),
        "email": Namespace("email", "person", 3, max_per_profile=5),
        "device": Namespace("device", "device", 5, max_links=10),
        "cookie": Namespace("cookie", "device", 6, max_links=10, contested="nobody"),
    },
    purposes={LINKING: Purpose(LINKING, "granted")},
)


def report(a: str, b: str, at: int) -> ObserveLink:
    """A deterministic link of the town."""
    low, high = IdentifierKey(a), IdentifierKey(b)
    return ObserveLink(
        link_id("web", "r", "deterministic", a, b), low, high, "deterministic", 0.95, "web", "r", observed_at=at
    )


def town(chance: random.Random) -> list[ObserveLink]:
    """People with a login, an email and devices, some of them shared, and one kiosk that everybody used."""
    links = []
    for n in range(1, PEOPLE + 1):
        pairs = [(f"crm:{n}", f"login:{n}"), (f"login:{n}", f"email:{n}"), (f"login:{n}", f"device:{n}")]
        pairs.append((f"email:{n}", f"cookie:{n}"))
        pairs.append((f"login:{n}", f"device:{chance.randint(1, PEOPLE)}" if chance.random() < 0.2 else f"device:{n}b"))
        pairs.append((f"login:{n}", "device:kiosk"))
        links += [report(a, b, START + chance.randrange(10) * DAY) for a, b in pairs]
    return links


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_change_in_a_town_loads_a_few_identifiers(seed: int) -> None:
    chance = random.Random(seed)
    bench, evidence = Bench(POLICY), Evidence(POLICY)
    links = town(chance)
    for start in range(0, len(links), 100):
        bench.turn(*links[start : start + 100])
    for link in links:
        evidence.observe(link)
    agrees(bench, evidence)
    bench.loaded.clear()
    for _ in range(CHANGES):
        kind = chance.random()
        act: Act
        profiles = list(bench.ledger.profiles)
        if kind < 0.4:
            n, m = chance.randint(1, PEOPLE), chance.randint(1, PEOPLE)
            act = report(f"login:{n}", f"device:{m}", bench.now + DAY)
            links.append(act)
        elif kind < 0.65:
            act = replace(chance.choice(links), observed_at=bench.now + DAY)
        elif kind < 0.94:
            act = RetractLink(chance.choice(links).link_id)
        elif kind < 0.96:
            act = Merge(tuple(chance.sample(profiles, 2)), None, "r")
        elif kind < 0.98 and bench.ledger.assertions:
            act = Undo(chance.choice(list(bench.ledger.assertions)), "r")
        else:
            profile_id = max(chance.sample(profiles, 5), key=lambda i: len(bench.ledger.profiles[i]))
            members = sorted(bench.ledger.profiles[profile_id])
            if len(members) < 2:
                continue
            act = Split(profile_id, (chance.choice(members),), "r")
        bench.turn(act)
        if isinstance(act, ObserveLink):
            evidence.observe(act)
        elif isinstance(act, RetractLink):
            evidence.retract(act.link_id)
        evidence.assertions = dict(bench.ledger.assertions)
    agrees(bench, evidence)
    known = len(bench.ledger.states)
    median, most = statistics.median(bench.loaded), max(bench.loaded)
    measured = f"{len(bench.loaded)} changes among {known} identifiers: median {median} loaded, at most {most}"
    assert median <= 25, measured
    assert most < known / 4, measured
