"""Refusals outlive the database they were recorded in."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from service.errors import StartRefused
from service.local.backup import backup, restore
from service.local.data_dir import claimed
from service.local.journal import FILE, Journal
from service.model.evidence import ConsentRecord
from service.model.identifiers import IdentifierKey


def withdrawn(purpose: str, at: int) -> ConsentRecord:
    return ConsentRecord(purpose, "GDPR", "withdrawn", at, "cmp")


def test_what_was_appended_is_read_after_a_number(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run")
    journal.append(3, [(IdentifierKey("crm_id:a"), withdrawn("advertising", 10))])
    journal.append(5, [(IdentifierKey("crm_id:b"), withdrawn("analytics", 20))])
    assert [(r.seq, r.key, r.record.purpose) for r in journal.refusals(3)] == [(5, "crm_id:b", "analytics")]
    assert len(journal.refusals(0)) == 2
    assert journal.refusals(0)[0].record.at == 10


def test_a_line_cut_short_by_a_crash_is_no_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(1, [(IdentifierKey("crm_id:a"), withdrawn("advertising", 10))])
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'{"seq": 2, "identif')
    assert [refusal.seq for refusal in journal.refusals(0)] == [1]
    for seq in (3, 4):
        journal.append(seq, [(IdentifierKey("crm_id:a"), withdrawn("advertising", 10))])
    assert [refusal.seq for refusal in journal.refusals(0)] == [1, 3, 4]


def test_it_is_for_its_owner_only(tmp_path: Path) -> None:
    Journal(tmp_path).append(1, [(IdentifierKey("crm_id:a"), withdrawn("advertising", 10))])
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) & 0o077 == 0


def graph_in(folder: Path, text: str) -> None:
    (folder / "neo4j").mkdir(parents=True, exist_ok=True)
    (folder / "neo4j" / "store").write_text(text)
    (folder / "sealed").mkdir(exist_ok=True)
    (folder / "sealed" / "sealed.sqlite").write_text(text)
    (folder / "identity-key").write_text("secret")


def test_a_restore_puts_the_graph_back_and_leaves_the_journal_alone(tmp_path: Path) -> None:
    run, archive = tmp_path / "run", tmp_path / "yesterday.tar.gz"
    graph_in(run, "yesterday")
    backup(run, archive)
    assert stat.S_IMODE(archive.stat().st_mode) & 0o077 == 0
    graph_in(run, "today")
    Journal(run).append(9, [(IdentifierKey("crm_id:a"), withdrawn("advertising", 10))])
    former = restore(run, archive)
    assert (run / "neo4j" / "store").read_text() == "yesterday"
    assert (run / "sealed" / "sealed.sqlite").read_text() == "yesterday"
    assert (run / "sealed.before-restore" / "sealed.sqlite").read_text() == "today"
    assert former is not None
    assert (former / "store").read_text() == "today"
    assert [refusal.seq for refusal in Journal(run).refusals(8)] == [9]


def test_neither_touches_a_folder_that_a_service_runs_on(tmp_path: Path) -> None:
    run, archive = tmp_path / "run", tmp_path / "a.tar.gz"
    graph_in(run, "now")
    backup(run, archive)
    with claimed(run):
        for refused in (lambda: backup(run, tmp_path / "b.tar.gz"), lambda: restore(run, archive)):
            with pytest.raises(StartRefused):
                refused()
    assert not (tmp_path / "b.tar.gz").exists()


def test_what_is_no_backup_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    run = tmp_path / "run"
    graph_in(run, "now")
    (tmp_path / "junk").write_text("no archive")
    with pytest.raises(StartRefused):
        restore(run, tmp_path / "junk")
    assert (run / "neo4j" / "store").read_text() == "now"
