"""Files, their statements, and what folder and graph say about each other: no graph is needed for these."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.graph.migration_files import (
    AppliedMigration,
    MigrationFile,
    MigrationRefused,
    compare,
    parse,
    read_folder,
    refuse_unless_consistent,
    split_statements,
)

ONE = "CREATE CONSTRAINT one IF NOT EXISTS FOR (n:One) REQUIRE n.key IS UNIQUE;\n"


def folder_of(path: Path, *names: str) -> Path:
    for name in names:
        (path / name).write_text(f"MERGE (n:Thing {{from: '{name}'}});\n")
    return path


def recorded(files: list[MigrationFile]) -> list[AppliedMigration]:
    return [AppliedMigration(f.version, f.name, f.checksum, f.chain, 1_700_000_000_000 + f.version) for f in files]


def refusal(files: list[MigrationFile], applied: list[AppliedMigration]) -> str:
    with pytest.raises(MigrationRefused) as caught:
        refuse_unless_consistent(files, compare(files, applied))
    text = str(caught.value)
    assert "\n" not in text
    return text


# --- the folder -------------------------------------------------------------------------------------------------------


def test_reads_files_by_version_with_checksum_and_chain(tmp_path: Path) -> None:
    folder_of(tmp_path, "V0002__second.cypher", "V0001__first_of_all.cypher", "README.md")
    first, second = read_folder(tmp_path)
    assert (first.version, first.name) == (1, "V0001__first_of_all")
    assert first.checksum == hashlib.sha256((tmp_path / "V0001__first_of_all.cypher").read_bytes()).hexdigest()
    assert first.chain == hashlib.sha256(first.checksum.encode()).hexdigest()
    assert second.chain == hashlib.sha256((first.chain + second.checksum).encode()).hexdigest()


def test_line_ends_of_a_checkout_change_no_checksum(tmp_path: Path) -> None:
    path = tmp_path / "V0001__one.cypher"
    path.write_bytes(ONE.encode())
    before = read_folder(tmp_path)
    path.write_bytes(ONE.replace("\n", "\r\n").encode())
    assert read_folder(tmp_path) == before


@pytest.mark.parametrize(
    "name",
    [
        "V001__one.cypher",
        "V00001__one.cypher",
        "v0001__one.cypher",
        "V0001_one.cypher",
        "V0001__One.cypher",
        "V0001__one-two.cypher",
        "V0001__one__two.cypher",
        "V0001__.cypher",
        "V0001__one.cypher.bak",
        "V0001__one.cql",
        "V\u0660\u0660\u0660\u0661__one.cypher",
        "readme.md",
        ".DS_Store",
        "V0000__zero.cypher",
    ],
)
def test_refuses_a_name_that_does_not_fit(tmp_path: Path, name: str) -> None:
    folder_of(tmp_path, "V0001__first.cypher", name)
    with pytest.raises(MigrationRefused) as caught:
        read_folder(tmp_path)
    assert name.removesuffix(".cypher") in str(caught.value)


def test_refuses_a_folder_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "V0001__one.cypher").mkdir()
    with pytest.raises(MigrationRefused, match=r"V0001__one\.cypher"):
        read_folder(tmp_path)


def test_refuses_two_files_of_one_version(tmp_path: Path) -> None:
    folder_of(tmp_path, "V0001__one.cypher", "V0001__other.cypher")
    with pytest.raises(MigrationRefused, match="version 0001: V0001__one and V0001__other"):
        read_folder(tmp_path)


def test_refuses_no_folder_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(MigrationRefused, match="does not exist"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(MigrationRefused, match="holds no migration"):
        read_folder(tmp_path)


def test_refuses_a_file_without_bound(tmp_path: Path) -> None:
    (tmp_path / "V0001__long.cypher").write_text("//" + "x" * 1_048_576)
    with pytest.raises(MigrationRefused, match="larger than 1048576 bytes"):
        read_folder(tmp_path)


# --- statements -------------------------------------------------------------------------------------------------------


def test_cuts_at_line_ends_and_looks_past_strings_names_and_comments() -> None:
    text = """\
// a head; with a ';' and an apostrophe's end
CREATE CONSTRAINT one IF NOT EXISTS
  FOR (n:One) REQUIRE n.key IS UNIQUE;   // said; done;

MERGE (n:`odd;
name`) SET n.a = 'one;
two', n.b = "it's;
", n.c = 'it\\'s;
' /* a block;
*/ ;
MATCH (n:One) CALL (n) { SET n.x = 1 } IN 2 CONCURRENT TRANSACTIONS OF 100 ROWS;
// the end;
"""
    first, second, third = split_statements("V0001__x", text)
    assert (first.line, first.kind) == (2, "schema")
    assert first.text.endswith("REQUIRE n.key IS UNIQUE")
    assert (second.line, second.kind) == (5, "content")
    assert second.text.startswith("MERGE (n:`odd;\nname`)")
    assert second.text.endswith("' /* a block;\n*/")
    assert (third.line, third.kind) == (11, "batched")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no statement"),
        ("// nothing;\n", "holds no statement"),
        ("RETURN 1", "does not end with ';'"),
        ("RETURN 1;\nRETURN 2\n", "does not end with ';'"),
        ("RETURN 1; RETURN 2;\n", "line 1: text behind ';'"),
        ("RETURN 1;\n;\n", "line 2: an empty statement"),
        ("RETURN 1;\n\nRETURN 'a;\n", "line 3: ' is never closed"),
        ("RETURN `a;\n", "line 1: ` is never closed"),
        ("/* RETURN 1;\n", "line 1: /\\* is never closed"),
        ("RETURN '\\u0027';\n", "u escape"),
        ("\ufeffRETURN 1;\n", "byte order mark"),
        ("RETURN 1;\rRETURN 2;\n", "carriage return"),
        ("CREATE INDEX i FOR (n:A) ON (n.b);\n", "line 1: a constraint or index needs IF NOT EXISTS"),
        ("\n\nCREATE CONSTRAINT c FOR (n:A) REQUIRE n.b IS UNIQUE;\n", "line 3: .* IF NOT EXISTS"),
        ("create fulltext\n index i for (n:A) on each [n.b];\n", "IF NOT EXISTS"),
        ("CREATE INDEX i /* IF NOT EXISTS */ FOR (n:A) ON (n.b);\n", "IF NOT EXISTS"),
        ("CREATE INDEX `IF NOT EXISTS` FOR (n:A) ON (n.b);\n", "IF NOT EXISTS"),
        ("DROP CONSTRAINT c;\n", "needs IF EXISTS"),
        ("CREATE (n:Thing);\n", "use MERGE"),
        ("MATCH (a:A) CREATE p = (a)-[:R]->(:B);\n", "use MERGE"),
        ("INSERT (n:Thing);\n", "use MERGE"),
    ],
)
def test_refuses_what_could_not_run_twice_or_be_read(text: str, said: str) -> None:
    with pytest.raises(MigrationRefused, match=said) as caught:
        parse("V0007__x", text.encode())
    assert "V0007__x" in str(caught.value)


def test_refuses_what_is_not_utf8() -> None:
    with pytest.raises(MigrationRefused, match="not UTF-8"):
        parse("V0001__x", b"RETURN '\xff';\n")


@pytest.mark.parametrize(
    "text",
    [
        "MERGE (n:A {k: 1}) ON CREATE SET n.x = 1;",
        "MATCH (n:A) SET n.create = (1), n.text = 'CREATE (x)';",
        "CREATE LOOKUP INDEX look IF NOT EXISTS FOR (n) ON EACH labels(n);",
        "DROP INDEX old IF EXISTS;",
    ],
)
def test_accepts_what_can_run_twice(text: str) -> None:
    assert len(parse("V0001__x", text.encode())) == 1


PIECES = st.sampled_from(
    ["RETURN 1", "'a;\n'", '"b;\n"', "`c;\n`", "// d;'\n", '/* e;\n" */', "\n", " ", "'\\''", '"\\""', "``", "'/*'"]
)


@given(st.lists(st.lists(PIECES, max_size=8), min_size=1, max_size=5))
def test_joined_statements_come_apart_as_they_went_in(bodies: list[list[str]]) -> None:
    texts = ["RETURN 0 " + "".join(body) for body in bodies]
    cut = split_statements("V0001__x", "".join(f"{text};\n" for text in texts))
    assert [statement.text for statement in cut] == [text.strip() for text in texts]


# --- folder and graph -------------------------------------------------------------------------------------------------


@pytest.fixture
def three(tmp_path: Path) -> list[MigrationFile]:
    return read_folder(folder_of(tmp_path, "V0001__a.cypher", "V0002__b.cypher", "V0003__c.cypher"))


def test_a_fresh_graph_has_all_pending(three: list[MigrationFile]) -> None:
    statuses = compare(three, [])
    assert [(s.version, s.state, s.applied_at) for s in statuses] == [
        (1, "pending", None),
        (2, "pending", None),
        (3, "pending", None),
    ]
    refuse_unless_consistent(three, statuses)


def test_an_up_to_date_graph_has_all_applied(three: list[MigrationFile]) -> None:
    statuses = compare(three, recorded(three))
    assert [(s.state, s.applied_at) for s in statuses] == [("applied", 1_700_000_000_000 + v) for v in (1, 2, 3)]
    refuse_unless_consistent(three, statuses)


def test_a_changed_file_is_named_and_no_other(tmp_path: Path, three: list[MigrationFile]) -> None:
    applied = recorded(three)
    (tmp_path / "V0002__b.cypher").write_text("MERGE (n:Else);\n")
    files = read_folder(tmp_path)
    assert [s.state for s in compare(files, applied)] == ["applied", "changed", "applied"]
    assert refusal(files, applied) == "V0002__b: its content is not what was applied"


def test_a_renamed_file_is_named_with_both_names(tmp_path: Path, three: list[MigrationFile]) -> None:
    applied = recorded(three)
    (tmp_path / "V0002__b.cypher").rename(tmp_path / "V0002__bee.cypher")
    files = read_folder(tmp_path)
    assert [s.state for s in compare(files, applied)] == ["applied", "renamed", "applied"]
    assert refusal(files, applied) == "V0002__bee: it was applied under the name V0002__b"


def test_reordered_files_are_named_as_such(tmp_path: Path, three: list[MigrationFile]) -> None:
    applied = recorded(three)
    b, c = tmp_path / "V0002__b.cypher", tmp_path / "V0003__c.cypher"
    b.rename(tmp_path / "V0003__b.cypher")
    c.rename(tmp_path / "V0002__c.cypher")
    text = refusal(read_folder(tmp_path), applied)
    assert "V0002__c: reordered: its content was applied as V0003__c" in text
    assert "V0003__b: reordered: its content was applied as V0002__b" in text


def test_a_missing_file_is_named(tmp_path: Path, three: list[MigrationFile]) -> None:
    applied = recorded(three)
    (tmp_path / "V0002__b.cypher").unlink()
    files = read_folder(tmp_path)
    assert [s.state for s in compare(files, applied)] == ["applied", "missing", "applied"]
    assert refusal(files, applied) == "V0002__b: it was applied to this graph and its file is missing"


def test_a_newer_graph_is_named_with_what_this_code_knows(three: list[MigrationFile]) -> None:
    text = refusal(three[:2], recorded(three))
    assert text == "V0003__c: the graph is newer than this code, whose last migration is V0002__b"


def test_a_gap_is_named(tmp_path: Path) -> None:
    files = read_folder(folder_of(tmp_path, "V0001__a.cypher", "V0003__c.cypher"))
    assert "version 0002 is missing in the folder" in refusal(files, [])


def test_one_slipped_in_before_an_applied_one_is_named(three: list[MigrationFile]) -> None:
    applied = recorded(three)
    del applied[1]
    assert refusal(three, applied) == "V0002__b: it was never applied, but V0003__c after it was"


def test_a_tampered_chain_is_named(three: list[MigrationFile]) -> None:
    applied = recorded(three)
    applied[1] = AppliedMigration(2, applied[1].name, applied[1].checksum, "0" * 64, 0)
    assert refusal(three, applied).startswith("V0002__b: the graph's record of it does not follow from those before it")


def test_a_long_list_of_problems_is_cut(tmp_path: Path) -> None:
    files = read_folder(folder_of(tmp_path, *(f"V{v:04}__x.cypher" for v in range(1, 10))))
    applied = [AppliedMigration(f.version, "V0000__y", f.checksum, f.chain, 0) for f in files]
    assert refusal(files, applied).endswith("; and 4 more")
