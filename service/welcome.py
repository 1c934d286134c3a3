"""What a person who started the service reads when it is up: where it answers, and lines to paste."""

from __future__ import annotations

import shlex
from typing import Any

import orjson

from service.errors import FabricError
from service.local.secrets import API_KEYS_FILE
from service.model.identifiers import AssertionId
from service.sample.load import SampleServices, sample_is_there, wrong_merge
from service.settings import Settings

_READABLE = " | python3 -m json.tool"


async def welcome(settings: Settings, base_url: str, services: SampleServices) -> list[str]:
    """The lines, without any key. With the sample in the graph they show something of it; without, they link first."""
    there, merge = False, None
    try:
        there = await sample_is_there(services)
        merge = await wrong_merge(services) if there else None
    except FabricError:
        pass  # the graph is away: readiness says so
    return lines_to_paste(settings, base_url, sample=there, merge=merge)


def lines_to_paste(settings: Settings, base_url: str, *, sample: bool, merge: AssertionId | None) -> list[str]:
    """What is to be pasted is indented, the key's line first. `merge`: the sample's wrong one, while it is in force."""
    return [
        f"Identity Fabric answers at {base_url}   (its API: {base_url}/docs)",
        *_key_lines(settings),
        *(_of_sample(base_url, merge) if sample else _of_empty_graph(base_url)),
        "Ctrl-C ends it, its Neo4j and its Redis.",
    ]


def _key_lines(settings: Settings) -> list[str]:
    """How to set KEY: from the file of generated keys, or to one that its owner knows."""
    if settings.api_keys is not None:
        return [
            "the keys are those in API_KEYS; put one that has the role admin into KEY, then paste the lines below it",
            "  KEY='your key here'",
        ]
    path = settings.data_dir / API_KEYS_FILE
    code = 'import json,sys; print(next(k for k, r in json.load(open(sys.argv[1])).items() if "admin" in r))'
    return [
        f"the keys are in {path}, one for each role; the first line to paste takes the admin's",
        f"  KEY=$(python3 -c {shlex.quote(code)} {shlex.quote(str(path))})",
    ]


def _get(base_url: str, path: str) -> str:
    return f"  curl -s -H \"Authorization: Bearer $KEY\" '{base_url}{path}'{_READABLE}"


def _post(base_url: str, path: str, body: dict[str, Any]) -> str:
    sent = shlex.quote(orjson.dumps(body).decode())
    head = "-H \"Authorization: Bearer $KEY\" -H 'Content-Type: application/json'"
    return f"  curl -s {head} {base_url}{path} -d {sent}{_READABLE}"


def _of_sample(base_url: str, merge: AssertionId | None) -> list[str]:
    anna = {"namespace": "crm_id", "value": "C-1001"}
    if merge is not None:
        second = [
            "a steward merged two customers of one name; this takes it back, and both have their former ids again:",
            _post(base_url, f"/v1/assertions/{merge}/undo", {"reason": "two people of one name"}),
        ]
    else:
        tablet = {"namespace": "device_id", "value": "tablet-lind"}
        login = {"namespace": "login_id", "value": "anna.lind"}
        link = {"a": login, "b": tablet, "method": "deterministic", "source": "app", "rule": "login"}
        second = [
            "Anna logs in on the kitchen tablet, so it goes from Ben's profile to hers:",
            _post(base_url, "/v1/links", link),
        ]
    return [
        "one customer of the sample, with all that is linked to her, and how sure that is:",
        _get(base_url, "/v1/profiles?namespace=crm_id&value=C-1001"),
        *second,
        "she withdraws analytics; when this is answered, no instance uses her for it any more:",
        _post(
            base_url,
            "/v1/revocations",
            {"identifier": anna, "scope": "purposes", "purposes": ["analytics"], "source": "readme"},
        ),
    ]


def _of_empty_graph(base_url: str) -> list[str]:
    tom, phone = {"namespace": "crm_id", "value": "tom"}, {"namespace": "device_id", "value": "toms-phone"}
    link = {"a": tom, "b": phone, "method": "deterministic", "source": "crm", "rule": "login"}
    return [
        "a customer and a phone are linked, looked up, and the customer asks not to be linked:",
        _post(base_url, "/v1/links", link),
        _get(base_url, "/v1/profiles?namespace=device_id&value=toms-phone"),
        _post(base_url, "/v1/revocations", {"identifier": tom, "scope": "linking", "source": "readme"}),
    ]
