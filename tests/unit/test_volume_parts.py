"""Neighbourhoods, what an import goes on from, how it tells, and rows of an export."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from service.errors import FieldError, StartRefused
from service.model.changes import KeptConsent, KeptId, KeptIdentifier, ObserveLink, Revocation
from service.model.evidence import Assertion, ConsentRecord, Hand, Link
from service.model.identifiers import AssertionId, IdentifierKey, LinkId, ProfileId
from service.volume import tables
from service.volume.checkpoint import Checkpoint, digest_of
from service.volume.columns import Columns
from service.volume.items import Numbered, Refusal
from service.volume.neighbourhoods import batches, neighbourhoods, parted
from service.volume.progress import Shown, told
from service.volume.rows import Broken

K = IdentifierKey


def numbered(*pairs: str) -> list[Numbered]:
    """Links `ab` between identifiers a and b."""
    links = []
    for row, (a, b) in enumerate(pairs):
        link = ObserveLink(LinkId(a + b), K(f"x:{a}"), K(f"x:{b}"), "deterministic", 1.0, "s", "r", observed_at=0)
        links.append(Numbered(row, link))
    return links


def rows(components: list[list[Numbered]]) -> list[list[int]]:
    return [[one.row for one in component] for component in components]


def test_neighbourhoods_are_connected_components_in_order() -> None:
    assert rows(neighbourhoods(numbered("ab", "cd", "ef", "bc", "fe"))) == [[0, 1, 3], [2, 4]]
    assert neighbourhoods([]) == []


def test_what_touches_something_known_goes_the_ordinary_way() -> None:
    new, others = parted(numbered("ab", "cd", "bc", "ef"), {K("x:d")})
    assert rows(new) == [[3]]
    assert [one.row for one in others] == [0, 1, 2]


def test_batches_hold_whole_neighbourhoods() -> None:
    found = batches(neighbourhoods(numbered("ab", "bc", "de", "fg", "gh", "hi")), 3)
    assert rows(found) == [[0, 1, 2], [3, 4, 5]]
    assert rows(batches(neighbourhoods(numbered("ab", "bc", "cd", "ef")), 2)) == [[0, 1, 2], [3]]


# ---- checkpoint


def test_a_checkpoint_goes_on_and_forgets_what_came_after_it(tmp_path: Path) -> None:
    errors = tmp_path / "deep" / "refused.jsonl"
    first = Checkpoint(errors, "d")
    first.refuse([Refusal(3, (FieldError("/a", "is wrong"),))])
    first.keep(10)
    first.refuse([Refusal(12, (FieldError("/b", "is wrong"),))])
    assert len(errors.read_bytes().splitlines()) == 2
    again = Checkpoint(errors, "d")
    assert (again.rows, again.refused) == (10, 1)
    assert [orjson.loads(line)["row"] for line in errors.read_bytes().splitlines()] == [3]
    again.refuse((), [Broken(9, "is no row")])
    again.end()
    assert orjson.loads(errors.read_bytes().splitlines()[1])["line"] == 9
    assert [path.name for path in errors.parent.iterdir()] == ["refused.jsonl"]
    assert errors.stat().st_mode & 0o077 == 0


def test_another_import_begins_anew(tmp_path: Path) -> None:
    errors = tmp_path / "refused.jsonl"
    first = Checkpoint(errors, "d")
    first.refuse([Refusal(3, ())])
    first.keep(10)
    other = Checkpoint(errors, "e")
    assert (other.rows, other.refused, errors.read_bytes()) == (0, 0, b"")
    other.end()
    assert not errors.exists(), "no file where no row was refused"


def test_the_digest_tells_files_maps_and_graphs_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a")
    same = digest_of(path, Columns(), "g")
    assert digest_of(path, Columns(), "g") == same
    assert len({same, digest_of(path, Columns(), "h"), digest_of(path, Columns(constants={"rule": "r"}), "g")}) == 3
    path.write_text("ab")
    assert digest_of(path, Columns(), "g") != same
    with pytest.raises(StartRefused):
        digest_of(tmp_path / "none.csv", Columns(), "g")


# ---- progress


def test_times_left_are_told_as_one_says_them() -> None:
    assert (told(4.4), told(100), told(7_200)) == ("4 s", "2 min", "2.0 h")


def test_without_a_terminal_lines_are_said_now_and_then() -> None:
    now, said = [100.0], list[str]()
    with Shown("a.csv", 1_000, 100, said.append, lambda: now[0]) as shown:
        now[0] += 1
        shown.advance(100, 0)
        assert said == []
        now[0] += 9
        shown.advance(350, 2)
    assert said == ["550 of about 1,000 rows, 45 rows/s, 10 s left, 2 refused"]


# ---- tables

RECORD = ConsentRecord("advertising", "", "denied", 5, "cmp", None, None, 7, "con_1", '{"v":1}')
KEY = K("crm_id:with:colons")


def test_rows_of_an_export_come_back_as_they_were() -> None:
    link = Link(
        LinkId("l"), K("a:1"), K("b:2"), "probabilistic", 0.5, "s", "r", None, 4, 3, None, "{}",
        retracted_at=9, reviewed="same",
    )  # fmt: skip
    assert tables.link_of(tables.link_cells(link, "profile_size")) == link
    assert tables.link_cells(link, "profile_size")["reason"] == "profile_size"
    kept = KeptIdentifier(KEY, 1, None, ("a", "b"), (RECORD,))
    assert tables.identifier_of(tables.identifier_cells(kept, ProfileId("prf_1"))) == kept
    consent = KeptConsent(KEY, RECORD)
    assert tables.consent_of(tables.consent_cells(consent)) == consent
    given = KeptId(ProfileId("prf_1"), KEY)
    assert tables.id_of(tables.profile_cells(given, KEY, None, [])) == given
    revocation = Revocation("rev_1", KEY, "linking", ("p",), None, "s", 1, 2, "why", "key:1", (ProfileId("prf_1"),))
    assert tables.revocation_of(tables.revocation_cells(revocation)) == revocation
    sides = (frozenset({K("a:1")}), frozenset({K("b:2")}))
    for hand in (None, Hand(8, ProfileId("prf_1"), K("a:1"))):
        split = Assertion(AssertionId("ast"), "different", 8, 1_000, sides=sides, hand=hand, reason="x", actor="y")
        assert tables.assertion_of(tables.assertion_cells(split)) == split


def test_times_are_told_as_the_columns_take_them() -> None:
    told_row = tables.told(tables.LINKS, {"observed_at": 1, "expires_at": None, "rule": "r"})
    assert told_row == {"observed_at": "1970-01-01 00:00:00.001", "expires_at": None, "rule": "r"}
