"""What a steward waits for, and what a kiosk costs: explain, history and graph of large profiles, links to hubs."""

from __future__ import annotations

from time import perf_counter
from urllib.parse import quote

import orjson

from tests.bench.figures import Row
from tests.bench.people import Identifier, Sent, World
from tests.bench.stage import Client, Stage

BATCH = 1_000
FEW = 12


def _asked(client: Client, path: str) -> float:
    began = perf_counter()
    client.ask("GET", path)
    return (perf_counter() - began) * 1000


def _sent(client: Client, links: list[Sent]) -> list[dict[str, object]]:
    answer = orjson.loads(client.ask("POST", "/v1/links", {"links": [link.request for link in links]}))
    results: list[dict[str, object]] = answer["results"]
    return results


def _text(one: Identifier) -> str:
    return quote(":".join(one))


def _profile(client: Client, links: list[Sent]) -> str:
    """One profile of all these links, with a past: a part of it split off and given back, twice."""
    profiles = {str(result["profile_id"]) for result in _sent(client, links) if result["status"] == "linked"}
    if len(profiles) != 1:
        raise RuntimeError("the links did not make one profile")
    (profile,) = profiles
    for link in links[-2:]:
        leaving = {"identifiers": [{"namespace": link.b[0], "value": link.b[1]}], "reason": "another person"}
        split = orjson.loads(client.ask("POST", f"/v1/profiles/{profile}/split", leaving))
        client.ask("POST", f"/v1/assertions/{split['assertion_id']}/undo", {"reason": "the same after all"})
    return profile


def reads(stage: Stage, world: World, rounds: int) -> list[Row]:
    """Medians of single calls, one after the other."""
    client = stage.client()
    explain = Row("explain in a 100-identifier profile", "", "ms", below_value=50)
    apart = Row("explain between two 100-identifier profiles", "", "ms", below_value=50)
    history = Row("history of a 100-identifier profile", "", "ms", below_value=50)
    graph = Row("graph of a 500-identifier profile", "", "ms", below_value=200)
    links, others, many = world.star(100), world.star(100), world.star(500)
    profile, _, large = (_profile(client, star) for star in (links, others, many))
    for number in range(-3, rounds * 4):
        end, other = links[number % 99].b, others[number % 99].b
        figures = (
            _asked(client, f"/v1/explain?a={_text(end)}&b={_text(links[(number + 40) % 99].b)}"),
            _asked(client, f"/v1/explain?a={_text(end)}&b={_text(other)}"),
            _asked(client, f"/v1/profiles/{profile}/history"),
            _asked(client, f"/v1/profiles/{large}/graph"),
        )
        if number >= 0:
            for row, figure in zip((explain, apart, history, graph), figures, strict=True):
                row.add(figure)
    return [explain, apart, history, graph]


def hubs(stage: Stage, world: World, links: int, rounds: int) -> list[Row]:
    """One more link to a kiosk with very many, beside one more to a kiosk with twelve."""
    client = stage.client()
    row = Row(f"one link to a kiosk of {links:,}", f"one link to a kiosk of {FEW}", "ms", below=3.0)
    busy, quiet = (world.strangers(1)[0].b for _ in range(2))

    def visitors(kiosk: Identifier, count: int) -> list[Sent]:
        return [Sent(one.a, kiosk, one.source, one.observed_at) for one in world.strangers(count)]

    for kiosk, count in ((busy, links), (quiet, FEW)):
        for start in range(0, count, BATCH):
            _sent(client, visitors(kiosk, min(BATCH, count - start)))
    for number in range(-3, rounds * 4):
        took = []
        for kiosk in (busy, quiet):
            (one,) = visitors(kiosk, 1)
            began = perf_counter()
            client.ask("POST", "/v1/links", one.request)
            took.append((perf_counter() - began) * 1000)
        if number >= 0:
            row.add(took[0], took[1])
    return [row]
