"""`kill -9` of everything while profiles follow a change of policy: they go on where they were, to the same result."""

from __future__ import annotations

import copy
import time
from pathlib import Path

from tests.service.instances import Client, Json, fresh, link
from tests.service.test_two_processes import running

PEOPLE = 1_500


def resolution(client: Client, wait: int = 0) -> Json:
    """How far profiles have come."""
    found: Json = client.get("/v1/policies/active", wait=wait).json["resolution"]
    return found


def test_profiles_follow_after_everything_was_killed(tmp_path: Path) -> None:
    people = [(fresh(), fresh("email_sha256"), fresh("email_sha256")) for _ in range(PEOPLE)]
    sent = [link(customer, mail) for customer, *mails in people for mail in mails]
    with running(tmp_path / "data") as first:
        client = first.ready()
        for start in range(0, len(sent), 1_000):
            assert client.post("/v1/links", {"links": sent[start : start + 1_000]}).status == 200
        document = copy.deepcopy(client.get("/v1/policies/active").json["policy"])
        document["namespaces"]["email_sha256"]["max_per_profile"] = 1
        version = client.post("/v1/policies", document).json["version"]
        began = client.post(f"/v1/policies/{version}/activate", {}).json["resolution"]
        assert began["state"] == "running" and began["total"] >= 3 * PEOPLE
        while resolution(client)["done"] < 500:
            time.sleep(0.02)
        client.http.close()
        first.kill_everything()
    with running(tmp_path / "data") as again:
        client = again.ready()
        active = client.get("/v1/policies/active").json
        assert active["version"] == version
        came = resolution(client, 60)
        assert came["state"] == "done" and came["done"] == came["total"] == began["total"]
        for _, one, two in people[:: PEOPLE // 20]:
            assert client.lookup(one).json["profile_id"] != client.lookup(two).json["profile_id"]
        assert client.get("/v1/audit/verify").json["ok"]
        client.http.close()
