"""Records over HTTP on the real stores: who is found, who is not, and what is never written."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from service.local import Stores
from service.settings import Settings
from tests.service.instances import Api, Json, fresh, name, named, opened, refused
from tests.service.watch import Shelf

FIELDS = {"given_name", "family_name", "birth_date", "house_number", "street", "suburb", "postcode", "phone", "email"}
_SYLLABLES = ("bal", "dor", "fen", "gar", "hol", "jan", "kel", "lan", "mor", "nor", "pet", "rus", "sal", "tor", "ulm")


@pytest.fixture(scope="module")
async def matching(api: Api) -> AsyncIterator[Api]:
    """The shared instance under a policy that compares records; the former one is back in force afterwards."""
    policy = (await api.get("/v1/policies/active")).json["policy"]
    policy["namespaces"]["mat_id"] = {"kind": "person", "priority": 8}
    policy["matching"] = {"model": "people/1"}
    version = (await api.post("/v1/policies", policy)).json["version"]
    assert (await api.post(f"/v1/policies/{version}/activate?wait=30", {})).status == 200
    yield api
    policy.pop("matching")  # the namespace stays: it is in use
    version = (await api.post("/v1/policies", policy)).json["version"]
    assert (await api.post(f"/v1/policies/{version}/activate?wait=30", {})).status == 200


def word(length: int = 4) -> str:
    """A name that occurs nowhere else."""
    return "".join(secrets.choice(_SYLLABLES) for _ in range(length)).capitalize()


def person(given: str = "Margaret", **more: str) -> dict[str, str]:
    """Somebody invented."""
    family, number = word(5), secrets.randbelow(10**7)
    born = f"{1950 + secrets.randbelow(45)}-{1 + secrets.randbelow(12):02}-{1 + secrets.randbelow(28):02}"
    home = {"house_number": str(11 + secrets.randbelow(900)), "street": f"{word(5)} Street", "suburb": word()}
    mail = f"{given}.{family}@posteo.net".lower()
    found = {"given_name": given, "family_name": family, "birth_date": born, **home, "postcode": "2611"}
    return found | {"phone": f"+6141{number:07}", "email": mail} | more


def record(key: str, told: dict[str, str], day: int = 1, source: str = "crm") -> Json:
    """The body of a record."""
    at = f"2026-01-{day:02}T00:00:00Z"
    return {"identifier": named(key), "source": source, "observed_at": at, "attributes": told}


async def send(api: Api, *records: Json) -> list[dict[str, Any]]:
    """What became of each; its matches by identifier."""
    results = (await api.post("/v1/records", {"records": list(records)})).results
    assert all(result["status"] in ("accepted", "duplicate") for result in results), results
    return [{name(match["identifier"]): match for match in result["matches"]} for result in results]


async def forget(api: Api, key: str, source: str = "crm") -> None:
    """Withdraw a record."""
    assert (await api.call("DELETE", "/v1/records", params=named(key) | {"source": source})).status == 200


async def profiles(api: Api, *keys: str) -> list[str]:
    """The profile of each."""
    return [await api.profile_id(key) for key in keys]


def keys(count: int) -> list[str]:
    """Identifiers of a namespace without a limit per profile."""
    return [fresh("mat_id") for _ in range(count)]


async def test_a_person_is_found_whatever_one_source_has_otherwise(matching: Api) -> None:
    told, (a, b, c) = person(), keys(3)
    await send(matching, record(a, told))
    (found,) = await send(matching, record(b, told | {"street": told["street"].replace("Street", "St")}, 2))
    moved = {field: value for field, value in told.items() if field not in ("street", "house_number", "email")}
    await send(matching, record(c, moved | {"suburb": word()}, 3))
    assert found[a]["status"] == "linked" and found[a]["confidence"] >= 0.9
    assert len(set(await profiles(matching, a, b, c))) == 1
    explained = (await matching.get("/v1/explain", a=a, b=b)).json
    fields = {field["field"]: field for field in explained["path"][0]["fields"]}
    assert fields["family_name"]["level"] == "equal" and fields["family_name"]["weight"] > 0
    assert explained["path"][0]["source"] == "matching" and explained["path"][0]["rule_version"] == "1"


@pytest.mark.parametrize("other", [{"given_name": "Gregory", "birth_date": "1951-01-30"}, {"birth_date": "1921-11-02"}])
async def test_families_stay_apart(matching: Api, other: dict[str, str]) -> None:
    told, (a, b) = person("Benjamin", birth_date="1988-05-17"), keys(2)
    del told["email"]
    await send(matching, record(a, told))
    (found,) = await send(matching, record(b, told | other))
    assert found.get(a, {"status": "withheld"})["status"] == "withheld"
    assert len(set(await profiles(matching, a, b))) == 2


async def test_any_order_and_batching_gives_the_same_links_and_profiles(matching: Api) -> None:
    crowd: list[dict[str, str]] = []
    for _ in range(12):
        told = person(random.Random(len(crowd)).choice(("Ada", "Bela", "Cleo", "Dora")))
        crowd += [told, {k: v for k, v in told.items() if k != "phone"}, told | {"email": f"{word()}@x.org".lower()}]
        crowd += [told | {"given_name": "Edgar", "birth_date": "1949-02-03"}]
    outcomes = []
    for order in range(2):
        ids = {fresh("mat_id"): i for i in range(len(crowd))}
        sent = [record(key, crowd[i]) for key, i in ids.items()]
        random.Random(order).shuffle(sent)
        links: dict[frozenset[int], float] = {}
        while sent:
            size = (1, 17, 5)[len(sent) % 3] if order else 48
            batch, sent = sent[:size], sent[size:]
            for one, found in zip(batch, await send(matching, *batch), strict=True):
                here = ids[name(one["identifier"])]
                links |= {frozenset((here, ids[key])): match["confidence"] for key, match in found.items()}
        groups: dict[str, set[int]] = {}
        for key, i in ids.items():
            groups.setdefault(await matching.profile_id(key), set()).add(i)
        outcomes.append((links, sorted(map(sorted, groups.values()))))
        for key in ids:
            await forget(matching, key)
        assert len(set(await profiles(matching, *ids))) == len(ids), "nobody is joined any more"
    assert outcomes[0] == outcomes[1]


async def test_the_newest_record_of_a_source_counts_and_a_withdrawn_one_was_never_there(matching: Api) -> None:
    one, other, (a, b, moving) = person("Ada"), person("Bela"), keys(3)
    await send(matching, record(a, one), record(b, other), record(moving, one, 2))
    assert (await profiles(matching, a))[0] == (await profiles(matching, moving))[0]
    await send(matching, record(moving, other, 4))
    await send(matching, record(moving, one, 3))  # late, and changes nothing
    ids = await profiles(matching, a, b, moving)
    assert ids[1] == ids[2] != ids[0]
    await forget(matching, moving)
    assert len(set(await profiles(matching, a, b, moving))) == 3
    refused(await matching.call("DELETE", "/v1/records", params=named(moving) | {"source": "crm"}), 404)
    (found,) = await send(matching, record(fresh("mat_id"), one, 5))
    assert moving not in found and a in found


async def test_withdrawn_linking_rests_and_returns_and_erasure_takes_all(matching: Api) -> None:
    told, (a, b, c, d) = person(), keys(4)
    await send(matching, record(a, told), record(b, told))
    revoked = {"identifier": named(a), "scope": "linking", "source": "cmp", "reason": "r"}
    assert (await matching.post("/v1/revocations", revoked)).status == 200
    (found,) = await send(matching, record(c, told))
    assert a not in found and b in found
    granted = {"identifier": named(a), "purposes": {"identity_linking": "granted"}, "regulation": "GDPR"}
    assert (await matching.post("/v1/consents", granted | {"source": "cmp"})).status == 200
    assert len(set(await profiles(matching, a, b, c))) == 1, "nothing was sent again"
    erased = {"identifier": named(a), "scope": "erase", "source": "cmp", "reason": "r"}
    assert (await matching.post("/v1/revocations", erased)).status == 200
    refused(await matching.call("GET", "/v1/records", params=named(a) | {"source": "crm"}), 404, "unknown_record")
    (found,) = await send(matching, record(d, told))
    assert a not in found and len(set(await profiles(matching, b, c, d))) == 1
    again = (await matching.post("/v1/records", {"records": [record(a, told)]})).results[0]
    assert again["status"] == "rejected", "evidence about somebody erased"


async def test_records_that_fit_one_person_each_do_not_bridge_two(matching: Api) -> None:
    one, other, (a, b, both) = person("Thea"), person("Thea"), keys(3)
    other |= {"family_name": one["family_name"], "birth_date": "1931-02-14"}
    bridge = {field: one[field] for field in ("given_name", "family_name", "email")} | {"phone": other["phone"]}
    for order in ((a, both, b), (b, both, a), (both, a, b)):
        told = {a: one | {"phone": ""}, b: other | {"email": ""}, both: bridge}
        for key in order:
            await send(matching, record(key, {k: v for k, v in told[key].items() if v}))
        ids = await profiles(matching, a, b, both)
        assert ids[0] != ids[1]
        for key in order:
            await forget(matching, key)


async def test_nothing_that_was_told_is_in_the_stores_in_plain(matching: Api, shelf: Shelf, stores: Stores) -> None:
    told, (a, b) = person("Rosalind"), keys(2)
    await send(matching, record(a, told), record(b, told, 2))
    await matching.post("/v1/matching/search", {"attributes": told, "limit": 3})
    await matching.post("/v1/matching/score", {"a": {"attributes": told}, "b": {"attributes": told}})
    needles = [told[field].casefold() for field in ("family_name", "birth_date", "street", "suburb", "email")]
    needles.append(told["phone"][3:])
    query = "MATCH (n) RETURN properties(n) AS p UNION ALL MATCH ()-[r]->() RETURN properties(r) AS p"
    found = await shelf.driver.execute_query(query)
    text = "\n".join(repr(row["p"]) for row in found.records).casefold()
    raw = b"\n".join(bytes(v) for row in found.records for v in row["p"].values() if isinstance(v, bytes | bytearray))
    assert a in text and not [needle for needle in needles if needle in text or needle.encode() in raw.lower()]
    answers = [await matching.lookup(a), await matching.call("GET", "/v1/records", params=named(a) | {"source": "crm"})]
    said = json.dumps([answer.json for answer in answers]).casefold()
    assert not [needle for needle in needles if needle in said] and set(answers[1].json["fields"]) == FIELDS


async def test_under_another_key_nothing_is_compared_until_records_are_sent_again(
    matching: Api, instance_settings: Settings, stores: Stores
) -> None:
    told, (a, b) = person(), keys(2)
    await send(matching, record(a, told))
    other = instance_settings.model_copy(update={"matching_key": SecretStr("another key of sixteen or more")})
    async with opened(other, stores) as stranger:
        refused(await stranger.api.post("/v1/records", record(b, told)), 422, "matching_key_unknown")
    (found,) = await send(matching, record(b, told))
    assert a in found


async def test_a_model_is_trained_or_refused_with_the_reason(matching: Api) -> None:
    begun = await matching.post("/v1/matching/models", {"name": "few", "sample": 1_000})
    assert begun.status == 202 and begun.json["state"] == "training"
    for _ in range(600):
        model = (await matching.get(f"/v1/matching/models/{begun.json['model']}")).json
        if model["state"] != "training":
            break
        await asyncio.sleep(0.1)
    assert model["state"] == "refused" and model["reason"], "there are too few pairs in this graph"
    policy = (await matching.get("/v1/policies/active")).json["policy"]
    policy["matching"]["model"] = begun.json["model"]
    assert refused(await matching.post("/v1/policies", policy), 422)["errors"][0]["pointer"] == "/matching/model"


async def test_a_batch_answers_each_in_its_place_and_junk_is_no_record(matching: Api) -> None:
    a, b, c = keys(3)
    wrong = record(b, {"shoe_size": "9"})
    results = (
        await matching.post("/v1/records", {"records": [record(a, person()), wrong, record(c, person())]})
    ).results
    assert [result["status"] for result in results] == ["accepted", "rejected", "accepted"]
    assert results[1]["errors"][0]["pointer"] == "/records/1/attributes/shoe_size"
    junk = {"given_name": "test", "family_name": "n/a", "birth_date": "1900-01-01", "phone": "000000"}
    assert refused(await matching.post("/v1/records", record(b, junk)), 422)["errors"][0]["pointer"] == "/attributes"
    sent = {"a": named(a), "b": named(c), "method": "probabilistic", "source": "matching", "rule": "people"}
    assert refused(await matching.post("/v1/links", sent), 422)["errors"][0]["pointer"] == "/source"
