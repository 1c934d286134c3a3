"""Readers and decisions on two instances, racing with refusals: nothing that begins after a 2xx rests on what was."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

import pytest

from service.clock import monotonic_s, now_ms
from service.model.times import rfc3339
from tests.service.instances import Api, Instance, fresh, link, named

PURPOSE, DESTINATION = "advertising", "meta_ads"
READERS, SECONDS_OF_ONE = 6, 0.25


@dataclass(slots=True)
class Race:
    """What one person's readers saw. `refused_at`: when the refusal was answered; times on the monotonic clock."""

    keys: tuple[str, str]
    refused_at: float | None = None
    over: bool = False
    late: list[str] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)

    def note(self, kind: str, began: float, permitted: bool) -> None:
        """An answer to a question that was asked at `began`."""
        when = "after" if self.refused_at is not None and began > self.refused_at else "before"
        self.seen[f"{kind} {when} {permitted}"] = self.seen.get(f"{kind} {when} {permitted}", 0) + 1
        if permitted and when == "after":
            self.late.append(kind)


async def look(api: Api, race: Race, chance: random.Random) -> None:
    """Look-ups, batch look-ups and decisions about one person, until the race is over."""
    while not race.over:
        key, kind, began = chance.choice(race.keys), chance.choice(("lookup", "batch", "decision")), monotonic_s()
        if kind == "lookup":
            reply = await api.lookup(key, purpose=PURPOSE)
            permitted = bool(reply.json["identifiers"])
        elif kind == "batch":
            body = {"identifiers": [named(each) for each in race.keys], "purpose": PURPOSE}
            results = (await api.post("/v1/profiles/lookup", body)).results
            permitted = any(result["identifiers"] for result in results)
        else:
            reply = await api.post("/v1/decisions", {"identifier": named(key), "destination": DESTINATION})
            permitted = reply.json["outcome"] != "withhold"
        race.note(kind, began, permitted)


async def granted(api: Api) -> Race:
    """A person of two identifiers who permits advertising."""
    keys = (fresh("crm_id"), fresh("email_sha256"))
    await api.links(link(*keys))
    consent = {"purposes": {PURPOSE: "granted"}, "regulation": "GDPR", "source": "cmp", "at": rfc3339(now_ms() - 1000)}
    assert (await api.post("/v1/consents", {"identifier": named(keys[0]), **consent})).status == 200
    return Race(keys)


@pytest.mark.parametrize("seed", range(6))
async def test_nothing_that_begins_after_a_refusal_is_answered_rests_on_the_consent(
    api: Api, second: Instance, seed: int
) -> None:
    chance = random.Random(seed)
    race = await granted(api)
    instances = (api, second.api)
    readers = [
        asyncio.create_task(look(instances[number % 2], race, random.Random(seed * 100 + number)))
        for number in range(READERS)
    ]
    await asyncio.sleep(chance.uniform(0.05, SECONDS_OF_ONE))
    body = {"identifier": named(chance.choice(race.keys)), "regulation": "GDPR", "reason": "r", "source": "cmp"}
    if chance.random() < 0.5:
        refusal = {"scope": "purposes", "purposes": [PURPOSE], "at": rfc3339(now_ms())}
        reply = await chance.choice(instances).post("/v1/revocations", {**body, **refusal})
    else:
        body.pop("reason")
        refusal = {"purposes": {PURPOSE: "denied"}, "at": rfc3339(now_ms())}
        reply = await chance.choice(instances).post("/v1/consents", {**body, **refusal})
    assert reply.status == 200
    race.refused_at = monotonic_s()
    await asyncio.sleep(SECONDS_OF_ONE)
    race.over = True
    await asyncio.gather(*readers)
    assert race.late == []
    assert any("before True" in what for what in race.seen) and any("after False" in what for what in race.seen), race
