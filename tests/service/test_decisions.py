"""Decisions over HTTP on real stores: what is answered is recorded, and rests on what is true at that moment."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from service.clock import now_ms
from service.model.times import rfc3339
from tests.service.instances import Api, Instance, Json, Reply, fresh, link, name, named

MATRIX: list[dict[str, str]] = json.loads(
    (Path(__file__).parents[1] / "scenarios" / "decisions_matrix.json").read_text()
)["cells"]
PURPOSE = {"meta_ads": "advertising", "esp": "email_marketing", "site": "personalization", "warehouse": "analytics"}


async def people(api: Api, count: int) -> list[tuple[str, str, str]]:
    """So many people of customer number, hashed e-mail and session."""
    found = [(fresh("crm_id"), fresh("email_sha256"), fresh("session_id")) for _ in range(count)]
    sent = [link(crm, other, confidence=0.95) for crm, mail, session in found for other in (mail, session)]
    results = await api.links(*sent)
    assert {result["status"] for result in results} == {"linked"}
    return found


async def consent(api: Api, key: str, at: str | None = None, regulation: str = "GDPR", **purposes: str) -> None:
    body = {"identifier": named(key), "purposes": purposes, "regulation": regulation, "source": "cmp"}
    ends = purposes.pop("expires_at", None)
    more = {"at": at or rfc3339(now_ms()), **({"expires_at": ends} if ends else {})}
    assert (await api.post("/v1/consents", body | more)).status == 200


def question(key: str, destination: str = "meta_ads", **more: Any) -> Json:
    return {"identifier": named(key), "destination": destination, **more}


async def decide(api: Api, key: str, destination: str = "meta_ads", **more: Any) -> Json:
    reply = await api.post("/v1/decisions", question(key, destination, **more))
    assert reply.status == 200, reply
    found: Json = reply.json
    return found


async def decide_all(api: Api, questions: Sequence[object]) -> list[Json]:
    return (await api.post("/v1/decisions", {"requests": list(questions)})).results


async def audited(api: Api, key: str, **more: Any) -> list[Json]:
    """Audit entries of decisions about an identifier, newest first."""
    reply: Reply = await api.get("/v1/audit", subject=key, action="decision", **more)
    assert reply.status == 200, reply
    items: list[Json] = reply.json["items"]
    return items


async def committed(api: Api) -> float:
    """Write transactions so far."""
    text = (await api.get("/metrics")).body.decode()
    found = re.search(r'^fabric_turns_total\{outcome="committed"\} (\S+)$', text, re.MULTILINE)
    return float(found[1]) if found else 0.0


# ---- the matrix


async def test_the_built_in_destinations_are_given_what_the_matrix_says(api: Api) -> None:
    cells = [cell for cell in MATRIX if cell["combine"] == "strictest"]
    whole = await people(api, len(cells))
    ends = now_ms() + 700
    for cell, (_, mail, _) in zip(cells, whole, strict=True):
        purpose, regulation, state = PURPOSE[cell["destination"]], cell["regulation"], cell["state"]
        if state == "missing":
            other = "email_marketing" if purpose == "personalization" else "personalization"
            await consent(api, mail, regulation=regulation, **{other: "denied"})
        elif state == "expired":
            await consent(api, mail, regulation=regulation, **{purpose: "granted", "expires_at": rfc3339(ends)})
        else:
            await consent(api, mail, regulation=regulation, **{purpose: state})
    await asyncio.sleep(max(0.0, ends - now_ms() + 50) / 1000)
    asked = [question(mail, cell["destination"]) for cell, (_, mail, _) in zip(cells, whole, strict=True)]
    for cell, (_, _, session), found in zip(cells, whole, await decide_all(api, asked), strict=True):
        got = (found["outcome"], found["granularity"], found["reasons"])
        assert got == (cell["outcome"], cell["granularity"], [cell["reason"]]), cell
        if found["outcome"] != "allow":
            assert {name(i) for i in found["identifiers"]} <= {session}, cell
            assert found["traits"] == {}


# ---- one, many, and none


async def test_a_batch_is_answered_in_order_and_a_wrong_item_costs_only_itself(api: Api) -> None:
    (crm, mail, _), (_, other, _) = await people(api, 2)
    await consent(api, mail, advertising="granted")
    found = await decide_all(
        api,
        [question(mail), question("no_such:x"), question(other), {"destination": "meta_ads"}, question(mail, "esp")],
    )
    assert [item.get("outcome") for item in found] == ["allow", None, "withhold", None, "withhold"]
    assert found[0]["identifiers"] == [{**named(mail), "confidence": 1.0}]
    assert found[1]["error"]["errors"][0]["pointer"] == "/requests/1/identifier/namespace"
    assert found[3]["error"]["errors"][0]["pointer"] == "/requests/3/identifier"
    assert (await decide(api, crm))["identifiers"] == [{**named(mail), "confidence": 0.95}]
    assert await decide_all(api, []) == []


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"destination": "meta_ads"}, "/identifier"),
        (question("no_such:x"), "/identifier/namespace"),
        (question("crm_id:null"), "/identifier/value"),
        (question("crm_id:a", regulation="LEX"), "/regulation"),
        (question("crm_id:a", nickname=1), ""),
        (question("crm_id:a", event={"source": "web"}), "/event/id"),
        ({"identifier": named("crm_id:a")}, "/destination"),
    ],
)
async def test_a_single_wrong_question_is_422(api: Api, body: Json, pointer: str) -> None:
    reply = await api.post("/v1/decisions", body)
    assert (reply.status, reply.pointers[0].startswith(pointer)) == (422, True), reply


async def test_more_than_a_thousand_are_too_many(api: Api) -> None:
    assert (await api.post("/v1/decisions", {"requests": [{}] * 1001})).status == 413


async def test_what_is_not_known_is_withheld_with_its_reason(api: Api) -> None:
    ((_, mail, _),) = await people(api, 1)
    await consent(api, mail, advertising="granted")
    assert (await decide(api, fresh("email_sha256")))["reasons"] == ["unknown_identifier"]
    for destination in ("nowhere", "META_ADS", "meta_ads ", "*"):
        assert (await decide(api, mail, destination))["reasons"] == ["destination_not_in_policy"]
    assert (await decide(api, mail, purpose="resale"))["reasons"] == ["purpose_not_in_policy"]
    assert (await decide(api, mail, purpose="analytics"))["reasons"] == ["purpose_not_in_policy"]
    assert (await decide(api, mail, purpose="advertising", event={"source": "web", "id": "e"}))["reasons"] == ["ok"]
    entries = await audited(api, mail)
    assert {entry["destination"] for entry in entries} == {"meta_ads", None}, "free text of a caller's is not kept"
    assert {entry["purpose"] for entry in entries} == {"advertising", "analytics", None}


async def test_it_holds_until_the_consent_ends(api: Api) -> None:
    ((_, mail, _),) = await people(api, 1)
    ends = now_ms() + 1_500
    await consent(api, mail, advertising="granted", expires_at=rfc3339(ends))
    found = await decide(api, mail)
    assert (found["outcome"], found["valid_until"]) == ("allow", rfc3339(ends))
    await asyncio.sleep(max(0.0, ends - now_ms() + 20) / 1000)
    assert (await decide(api, mail))["reasons"] == ["consent_expired"]


async def test_a_link_that_falls_due_ends_what_was_reached_over_it(api: Api) -> None:
    crm, mail = fresh("crm_id"), fresh("email_sha256")
    ends = now_ms() + 2_000
    await api.links(link(crm, mail, expires_at=rfc3339(ends), confidence=0.95))
    await consent(api, crm, advertising="granted")
    found = await decide(api, crm)
    assert (found["outcome"], found["valid_until"]) == ("allow", rfc3339(ends))
    await asyncio.sleep(max(0.0, ends - now_ms() + 5) / 1000)
    assert (await decide(api, crm))["reasons"] == ["namespace_not_allowed"]


# ---- recorded


async def test_a_decision_is_on_record_when_it_is_answered(api: Api) -> None:
    ((_, mail, _),) = await people(api, 1)
    await consent(api, mail, advertising="granted")
    found = await decide(api.role("activation"), mail)
    assert (await api.role("activation").get(f"/v1/decisions/{found['decision_id']}")).json == found
    (entry,) = await audited(api, mail, destination="meta_ads")
    told = {field: entry[field] for field in ("outcome", "purpose", "consent", "regulation", "decision_id")}
    assert told == {
        "outcome": "allow",
        "purpose": "advertising",
        "consent": "granted",
        "regulation": "GDPR",
        "decision_id": found["decision_id"],
    }
    assert (entry["profile_id"], entry["policy_version"]) == (found["profile_id"], found["policy_version"])
    assert entry["at"] >= found["decided_at"]
    assert mail.partition(":")[2] not in json.dumps(entry)
    assert (await api.get("/v1/audit/verify")).json["ok"] is True
    assert (await api.get("/v1/decisions/dec_none")).status == 404


async def test_the_same_key_is_answered_once(api: Api) -> None:
    ((_, mail, _),) = await people(api, 1)
    first = await api.post("/v1/decisions", question(mail), idempotency_key=f"k-{mail[-20:]}")
    again = await api.post("/v1/decisions", question(mail), idempotency_key=f"k-{mail[-20:]}")
    assert again.headers["idempotency-replayed"] == "true"
    assert first.body == again.body
    assert len(await audited(api, mail)) == 1


# ---- what is true at that moment


async def test_a_revocation_holds_for_the_next_decision_of_every_instance(api: Api, second: Instance) -> None:
    whole = await people(api, 5)
    for _, mail, _ in whole:
        await consent(api, mail, advertising="granted")
        assert (await decide(second.api, mail))["outcome"] == "allow"
        body = {"identifier": named(mail), "scope": "purposes", "purposes": ["advertising"], "source": "cmp"}
        assert (await api.post("/v1/revocations", body)).status == 200
        found = await decide_all(second.api, [question(mail)] * 3)
        assert [item["reasons"] for item in found] == [["consent_withdrawn"]] * 3


async def test_a_decision_sees_what_its_own_turn_did_before(api: Api) -> None:
    whole = await people(api, 30)
    for _, mail, _ in whole:
        await consent(api, mail, advertising="granted")

    async def revoke(mail: str) -> tuple[float, float]:
        body = {"identifier": named(mail), "scope": "purposes", "purposes": ["advertising"], "source": "cmp"}
        began = time.monotonic()
        assert (await api.post("/v1/revocations", body)).status == 200
        return began, time.monotonic()

    async def ask(mail: str) -> tuple[float, float, str]:
        began = time.monotonic()
        found = await decide(api, mail)
        return began, time.monotonic(), found["outcome"]

    calls: list[Any] = []
    for _, mail, _ in whole:
        calls += [revoke(mail), ask(mail), ask(mail)]
    results = await asyncio.gather(*calls)
    for n in range(0, len(results), 3):
        (_, revoked), *asked = results[n : n + 3]
        assert all(outcome == "withhold" for began, _, outcome in asked if began > revoked)
    after = await decide_all(api, [question(mail) for _, mail, _ in whole])
    assert {item["outcome"] for item in after} == {"withhold"}
    for _, mail, _ in whole:  # in the order of the audit: nothing is allowed after the revocation was committed
        reply = await api.get("/v1/audit", subject=mail)
        story = [(entry["action"], entry["outcome"]) for entry in reversed(reply.json["items"])]
        revoked_at = story.index(("consent.revoked.purposes", None))
        assert ("decision", "allow") not in story[revoked_at:]


async def test_parallel_decisions_share_few_turns(api: Api) -> None:
    whole = await people(api, 32)
    await decide_all(api, [question(mail) for _, mail, _ in whole])
    before = await committed(api)
    found = await asyncio.gather(*(decide(api, mail, "warehouse") for _, mail, _ in whole))
    assert {item["outcome"] for item in found} == {"allow"}
    assert len({item["decision_id"] for item in found}) == 32
    assert await committed(api) - before <= 6
    for _, mail, _ in whole[:4]:
        assert len(await audited(api, mail, destination="warehouse")) == 1


async def test_a_thousand_at_once(api: Api) -> None:
    whole = await people(api, 50)
    questions = [question(whole[n % 50][1], "warehouse") for n in range(1_000)]
    found = await decide_all(api, questions)
    assert [item["profile_id"] for item in found[:50]] == [item["profile_id"] for item in found[950:]]
    assert len({item["decision_id"] for item in found}) == 1_000
    assert (await api.get("/v1/audit/verify")).json["ok"] is True
