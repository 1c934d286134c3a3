"""The chain names the first entry that was touched, and the file of checkpoints can't be touched unseen."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.commands.checkpoints import Checkpoint
from service.graph.audit import Chain, ChainLink
from service.local.checkpoints import FILE, SignedCheckpoints, announce_restore

CHAIN = Chain(b"a secret of this test")
START = ChainLink(0, "")
Row = dict[str, Any]


def entries(count: int) -> list[Row]:
    bodies = [{"actor": "key:1", "action": "decision", "outcome": str(n), "purpose": None} for n in range(count)]
    _, rows = CHAIN.extend(START, bodies, 1_800_000_000_000)
    return rows


def first_bad(rows: list[Row]) -> int | None:
    return CHAIN.first_bad(rows, START)[1]


def test_an_untouched_chain_holds_whatever_its_turns() -> None:
    rows = entries(9)
    assert first_bad(rows) is None
    end, bad = CHAIN.first_bad(rows[:4], START)
    assert bad is None and CHAIN.first_bad(rows[4:], end) == (ChainLink(9, rows[-1]["hash"]), None)
    assert first_bad([{name: value for name, value in row.items() if value is not None} for row in rows]) is None


@given(st.integers(2, 12), st.data())
def test_the_first_touched_entry_is_named(count: int, data: st.DataObject) -> None:
    rows = entries(count)
    at = data.draw(st.integers(0, count - 1))
    seq = at + 1
    field = data.draw(st.sampled_from(["actor", "outcome", "at", "hash", "prev_hash", "new"]))
    changed = [dict(row) for row in rows]
    changed[at][field] = "other"
    assert first_bad(changed) == seq
    removed = rows[:at] + rows[at + 1 :]
    assert first_bad(removed) == (seq if at < count - 1 else None)  # a cut tail is seen by the head
    other = data.draw(st.integers(0, count - 1))
    low, high = sorted((at, other))
    if low != high:
        swapped = [dict(row) for row in rows]
        swapped[low], swapped[high] = swapped[high] | {"seq": low + 1}, swapped[low] | {"seq": high + 1}
        assert first_bad(swapped) == low + 1


@given(st.integers(1, 8), st.data())
def test_an_entry_put_in_without_the_key_is_named_itself(count: int, data: st.DataObject) -> None:
    rows = entries(count)
    at = data.draw(st.integers(0, count))
    before = rows[at - 1]["hash"] if at else ""
    forged = Chain(b"a guess").extend(ChainLink(at, before), [{"actor": "me", "action": "x"}], 1_800_000_000_000)[1]
    later = [row | {"seq": row["seq"] + 1} for row in rows[at:]]
    assert first_bad(rows[:at] + forged + later) == at + 1


# ---- the file


def file_in(folder: Path, secret: bytes = b"secret") -> SignedCheckpoints:
    return SignedCheckpoints(folder, secret, folder)


def made(*seqs: int) -> list[Checkpoint]:
    return [Checkpoint(seq, f"{seq:064x}", "2026-11-24T10:00:00.000Z") for seq in seqs]


def test_checkpoints_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = file_in(tmp_path / "run")
    assert file.read().checkpoints == () and file.read().last == 0
    file.append(made(10, 20))
    file.append(made(20, 30))  # another process may have been faster
    assert list(file.read().checkpoints) == made(10, 20, 30)
    assert stat.S_IMODE((tmp_path / "run" / FILE).stat().st_mode) == 0o600


@given(st.integers(0, 4), st.sampled_from(["change", "remove", "insert", "swap", "junk"]))
def test_a_touched_line_breaks_the_file_from_there(tmp_path_factory: pytest.TempPathFactory, at: int, how: str) -> None:
    folder = tmp_path_factory.mktemp("file")
    file_in(folder).append(made(1, 2, 3, 4, 5, 6))
    lines = (folder / FILE).read_bytes().splitlines(keepends=True)
    match how:
        case "change":
            lines[at] = orjson.dumps(orjson.loads(lines[at]) | {"hash": "0" * 64}) + b"\n"
        case "remove":
            del lines[at]
        case "insert":
            file_in(folder / "other", b"another").append(made(9))
            lines.insert(at, (folder / "other" / FILE).read_bytes())
        case "swap":
            lines[at], lines[at + 1] = lines[at + 1], lines[at]
        case _:
            lines[at] = b"[]\n"
    (folder / FILE).write_bytes(b"".join(lines))
    kept = file_in(folder).read()
    assert (list(kept.checkpoints), kept.broken_after) == (made(*range(1, at + 1)), at)
    file_in(folder).append(made(7))
    assert file_in(folder).read().broken_after == at
    assert (folder / FILE).read_bytes().startswith(b"".join(lines))


def test_a_line_cut_short_by_a_crash_is_no_line(tmp_path: Path) -> None:
    file = file_in(tmp_path)
    file.append(made(1, 2))
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole + b'{"seq": 3, "ha')
    assert file.read().broken_after is None and file.read().last == 2
    file.append(made(3))
    assert list(file.read().checkpoints) == made(1, 2, 3) and file.read().broken_after is None


def test_an_announced_restore_takes_back_what_was_vouched_for(tmp_path: Path) -> None:
    file = file_in(tmp_path)
    file.append(made(10, 20, 30))
    assert not file.restore_announced()
    announce_restore(tmp_path)
    assert file.restore_announced()
    file.accept_restore(14)
    assert not file.restore_announced()
    assert list(file.read().checkpoints) == made(10)
    file.append(made(20))
    assert list(file.read().checkpoints) == made(10, 20)


def test_another_key_does_not_read_it(tmp_path: Path) -> None:
    file_in(tmp_path).append(made(1))
    assert file_in(tmp_path, b"another").read().broken_after == 0
