"""Small worlds of a test's own on the shared stores: what is shown of each identifier, and random changes of it.

Nothing is worked out here. A world remembers what was acknowledged and what it was shown; that is the reference.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from service.clock import now_ms
from service.model.times import rfc3339
from tests.properties.profiles import DEEP
from tests.service.instances import Api, Json, Reply, fresh, link, name, named

NAMES = ("crm_id", "crm_id", "crm_id", "login_id", "login_id", "email_sha256", "device_id", "device_id", "cookie_id")
CONFIDENCES = (0.3, 0.6, 0.8, 0.95, 1.0)
MINUTE = 60_000


def seeds(quick: int, deep: int = 20) -> list[int]:
    """Of random worlds: others each time, but the same few in every build (CI)."""
    count = deep if DEEP else quick
    return list(range(count)) if "CI" in os.environ and not DEEP else [random.randrange(2**32) for _ in range(count)]


@dataclass(frozen=True, slots=True)
class Shown:
    """What a look-up shows of one identifier: the profile's id, its members as seen from there, its households."""

    profile_id: str
    seen: tuple[tuple[str, float], ...]
    households: tuple[str, ...]

    @property
    def members(self) -> frozenset[str]:
        """The members."""
        return frozenset(key for key, _ in self.seen)


State = dict[str, Shown | None]


def shown_of(profile: Json) -> Shown | None:
    """One answer of a look-up; None for an identifier that is not known."""
    if "error" in profile:
        assert profile["error"]["code"] == "unknown_identifier", profile
        return None
    seen = sorted((name(row), row["confidence"]) for row in profile["identifiers"])
    return Shown(profile["profile_id"], tuple(seen), tuple(sorted(name(home) for home in profile["households"])))


async def state_of(api: Api, keys: Sequence[str], **more: object) -> State:
    """What is shown of each of these."""
    reply = await api.post("/v1/profiles/lookup", {"identifiers": [named(key) for key in keys], **more})
    return {key: shown_of(found) for key, found in zip(keys, reply.results, strict=True)}


def profiles_in_state(state: State) -> dict[str, frozenset[str]]:
    """Profile id → members."""
    return {shown.profile_id: shown.members for shown in state.values() if shown is not None}


def groupings(listed: list[Json]) -> dict[str, frozenset[str]]:
    """`before` or `after` of an answer: profile id → members."""
    return {entry["profile_id"]: frozenset(map(name, entry["identifiers"])) for entry in listed}


async def moment() -> int:
    """A time (ms) that nothing else happens at."""
    await asyncio.sleep(0.004)
    now = now_ms()
    await asyncio.sleep(0.004)
    return now


async def until(at_ms: int) -> None:
    """Wait for a time (ms)."""
    await asyncio.sleep(max(0, at_ms - now_ms() + 1) / 1000)
    assert now_ms() >= at_ms


def agreed(reply: Reply) -> Json:
    """The body of a 200."""
    assert reply.status == 200, reply
    found: Json = reply.json
    return found


async def tail(api: Api, after: int = 0, **more: object) -> tuple[list[Json], int]:
    """All of the change feed after a number, and the number to go on from."""
    items: list[Json] = []
    while True:
        page = agreed(await api.get("/v1/changes", after=after, limit=1_000, **more))
        if not page["items"]:
            return items, page["next"]
        items += page["items"]
        after = page["next"]


@dataclass(slots=True)
class World:
    """Identifiers, and random changes of what is known of them, through one or several instances in turn."""

    apis: Sequence[Api]
    seed: int
    names: Sequence[str] = NAMES
    keys: list[str] = field(init=False)
    chance: random.Random = field(init=False)
    links: dict[str, Json] = field(default_factory=dict)
    assertions: list[str] = field(default_factory=list)
    undone: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    acts: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.keys = [fresh(namespace) for namespace in self.names]

    @property
    def api(self) -> Api:
        """The instances take turns."""
        return self.apis[self.acts % len(self.apis)]

    async def state(self) -> State:
        """What is shown of every identifier now; notes the ids."""
        found = await state_of(self.api, self.keys)
        self.ids |= profiles_in_state(found).keys()
        return found

    # ---- random changes; each says what was done, for a failing example

    async def change(self) -> str:
        """One random change, acknowledged."""
        self.acts += 1
        what = self.chance.choices(
            (self.observe, self.retract, self.merge, self.split, self.undo), weights=(5, 2, 2, 2, 2)
        )[0]
        return await what()

    def report(self) -> Json:
        """A random link."""
        a, b = self.chance.sample(self.keys, 2)
        method = self.chance.choice(("deterministic", "deterministic", "deterministic", "probabilistic"))
        at = rfc3339(now_ms() - self.chance.randrange(120) * MINUTE)
        sure = self.chance.choice(CONFIDENCES)
        source = self.chance.choice(("crm", "web"))
        return link(a, b, method=method, confidence=sure, source=source, observed_at=at)

    async def observe(self) -> str:
        """A few links."""
        sent = [self.report() for _ in range(self.chance.randint(1, 3))]
        for body, result in zip(sent, await self.api.links(*sent), strict=True):
            assert result["status"] in ("linked", "withheld", "duplicate"), result
            self.links[result["link_id"]] = body
        return f"observed {[(name(body['a']), name(body['b']), body['confidence']) for body in sent]}"

    async def retract(self) -> str:
        """One link is taken back."""
        if not self.links:
            return await self.observe()
        link_id = self.chance.choice(sorted(self.links))
        agreed(await self.api.call("DELETE", f"/v1/links/{link_id}", params={"reason": "r"}))
        return f"retracted {link_id}"

    def merge_body(self) -> Json | None:
        """Two or three random ids ever shown."""
        if len(self.ids) < 2:
            return None
        ids = self.chance.sample(sorted(self.ids), min(len(self.ids), self.chance.choice((2, 2, 3))))
        return {"profiles": ids, "survivor": self.chance.choice([None, *ids]), "reason": "r"}

    async def merge(self) -> str:
        """A merge, which may be refused."""
        body = self.merge_body()
        if body is None:
            return await self.observe()
        self.note(await self.api.post("/v1/profiles/merge", body))
        return f"merged {body}"

    def split_body(self, state: State) -> tuple[str, Json] | None:
        """A random part of a random profile."""
        large = sorted(i for i, members in profiles_in_state(state).items() if len(members) > 1)
        if not large:
            return None
        profile_id = self.chance.choice(large)
        members = sorted(profiles_in_state(state)[profile_id])
        leaving = self.chance.sample(members, self.chance.randint(1, len(members) - 1))
        return profile_id, {"identifiers": [named(key) for key in leaving], "reason": "r"}

    async def split(self) -> str:
        """A split."""
        drawn = self.split_body(await self.state())
        if drawn is None:
            return await self.observe()
        profile_id, body = drawn
        self.note(await self.api.post(f"/v1/profiles/{profile_id}/split", body))
        return f"split {profile_id} {body}"

    async def undo(self) -> str:
        """An assertion is taken back."""
        left = sorted(set(self.assertions) - self.undone)
        if not left:
            return await self.observe()
        assertion_id = self.chance.choice(left)
        agreed(await self.api.post(f"/v1/assertions/{assertion_id}/undo", {"reason": "r"}))
        self.undone.add(assertion_id)
        return f"undid {assertion_id}"

    def note(self, reply: Reply) -> None:
        """Remember an assertion that was taken."""
        if reply.status == 200 and reply.json["applied"]:
            self.assertions.append(reply.json["assertion_id"])
        else:
            assert reply.status in (409, 422), reply
