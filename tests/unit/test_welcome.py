"""The lines to paste: they are sound shell, they find the key, and they show none."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from service.local.secrets import API_KEYS_FILE
from service.model.identifiers import AssertionId
from service.settings import Settings, load_settings
from service.welcome import lines_to_paste

BASE = "http://127.0.0.1:8080"
MERGE = AssertionId("ast_Z99K-qx6tu963_-8e7WG")
KINDS = [(False, None), (True, None), (True, MERGE)]


def generated(data_dir: Path) -> Settings:
    return load_settings({"data_dir": data_dir, "api_keys": None})


def pasted(lines: list[str]) -> list[str]:
    return [line.strip() for line in lines if line.startswith("  ")]


@pytest.mark.parametrize(("sample", "merge"), KINDS)
def test_there_are_a_key_line_and_three_curl_lines(tmp_path: Path, sample: bool, merge: AssertionId | None) -> None:
    key, *curls = pasted(lines_to_paste(generated(tmp_path), BASE, sample=sample, merge=merge))
    assert key.startswith("KEY=")
    assert len(curls) == 3
    for line in curls:
        assert line.startswith("curl -s ")
        words = shlex.split(line)
        assert any(word.startswith(f"{BASE}/v1/") for word in words)
        if "-d" in words:
            assert json.loads(words[words.index("-d") + 1])
    check = subprocess.run(["bash", "-n"], input="\n".join([key, *curls]), text=True, capture_output=True, check=False)
    assert check.returncode == 0, check.stderr


def test_the_wrong_merge_of_the_sample_is_undone_by_name(tmp_path: Path) -> None:
    lines = lines_to_paste(generated(tmp_path), BASE, sample=True, merge=MERGE)
    assert any(f"{BASE}/v1/assertions/{MERGE}/undo" in line for line in lines)


def test_the_key_line_finds_the_admins_key_in_a_folder_of_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    (folder / API_KEYS_FILE).write_text('{"k-one": ["steward"], "k-two": ["admin"]}')
    lines = lines_to_paste(generated(folder), BASE, sample=False, merge=None)
    assert not any("k-two" in line for line in lines)
    (key, *_) = pasted(lines)
    shell = subprocess.run(["bash", "-c", f'{key}; echo "$KEY"'], text=True, capture_output=True, check=True)
    assert shell.stdout.strip() == "k-two"


def test_with_keys_of_ones_own_it_says_how_to_use_one_and_shows_none(tmp_path: Path) -> None:
    settings = load_settings({"data_dir": tmp_path, "api_keys": {"a-secret-key": ["admin"]}})
    lines = lines_to_paste(settings, BASE, sample=False, merge=None)
    assert not any("a-secret-key" in line for line in lines)
    assert any("API_KEYS" in line for line in lines)
