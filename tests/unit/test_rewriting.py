"""Recorded texts without somebody who was erased, in the graph and in what was moved out of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import orjson
import pytest

from service.commands.sealing import SealedStay, SealedTurn, SealedView, Stretch
from service.control.rewriting import events_without, mentions, view_without
from service.local.remains import files_with
from service.local.sealed import FILE, SqliteSealed
from service.model.identifiers import IdentifierKey

GONE, STAYS = IdentifierKey("email_sha256:" + "ab" * 32), IdentifierKey("crm_id:stays-1")


def view(*members: str, **more: object) -> str:
    return orjson.dumps({"m": [[key, 1, 2, ["crm"]] for key in members], "e": [], "at": 3, **more}).decode()


def test_a_view_keeps_the_others_and_the_links_among_them() -> None:
    text = view("crm_id:a", GONE, "crm_id:b", e=[[0, 1, 0.9], [0, 2, 0.8], [1, 2, 0.7]], h=[GONE, "household_id:h"])
    found = orjson.loads(view_without(text, GONE) or "")
    assert [member[0] for member in found["m"]] == ["crm_id:a", "crm_id:b"]
    assert found["e"] == [[0, 1, 0.8]] and found["h"] == ["household_id:h"]
    assert view_without(view(GONE), GONE) is None


def test_events_lose_the_name_and_the_reason_that_was_about_it() -> None:
    moved = {"type": "identifiers.moved", "identifiers": [GONE, STAYS], "cause": {"reason": "said so", "actor": "x"}}
    about = {"type": "assertion", "profiles": [], "cause": {"reason": f"is {GONE[13:]}"}}
    other = {"type": "profile.created", "identifiers": [STAYS], "cause": {"reason": "fine"}}
    found = [orjson.loads(item) for item in events_without([orjson.dumps(moved).decode()], GONE)]
    assert found[0]["identifiers"] == [STAYS] and found[0]["cause"] == {"reason": "", "actor": "x"}
    told = events_without([orjson.dumps(event).decode() for event in (about, other)], GONE)
    assert [orjson.loads(item)["cause"]["reason"] for item in told] == ["", "fine"]


@pytest.mark.parametrize(
    "text", ["tom@example.com", " TOM@Example.com ", '{"email":"Tom@example.com"}', "<tom@example.com>"]
)
def test_a_plain_value_is_found_by_its_digest(text: str) -> None:
    key = IdentifierKey("email_sha256:" + hashlib.sha256(b"tom@example.com").hexdigest())
    assert mentions(text.encode(), key)
    assert not mentions(b"tim@example.com", key)
    assert mentions(key[13:].upper().encode(), key)
    assert not mentions(b"\xff\xfe", key)


async def test_what_was_moved_out_of_the_graph_forgets(tmp_path: Path) -> None:
    sealed = SqliteSealed(tmp_path)
    await sealed.forget([GONE])
    assert not (tmp_path / FILE).exists()
    told = orjson.dumps({"type": "identifiers.moved", "identifiers": [GONE, STAYS], "cause": {"reason": "r"}}).decode()
    await sealed.add(
        Stretch(
            "past",
            0,
            99,
            views=[SealedView("prf_1", 1, 5, view(GONE, STAYS)), SealedView("prf_2", 5, 9, view(GONE))],
            stays=[
                SealedStay(GONE, "prf_1", 1, 5),
                SealedStay(GONE, "prf_2", 5, 9),
                SealedStay(STAYS, "prf_1", 1, 5),
            ],
        )
    )
    await sealed.add(Stretch("turns", 0, 7, turns=[SealedTurn(7, 3, [told], ["prf_1"])]))
    assert GONE.encode() in (tmp_path / FILE).read_bytes()
    await sealed.forget([GONE])
    assert await sealed.members_at("prf_1", 3) == [STAYS] and await sealed.members_at("prf_2", 6) == []
    assert [orjson.loads(text)["m"][0][0] for text in (await sealed.views_at(["prf_1", "prf_2"], 3)).values()] == [
        STAYS
    ]
    assert await sealed.views_at(["prf_2"], 6) == {}
    [turn] = await sealed.turns_after(0, 7, 10)
    assert orjson.loads(turn.items[0])["identifiers"] == [STAYS]
    sealed.close()
    assert not files_with(tmp_path, [GONE[13:].encode()])[GONE[13:].encode()]
