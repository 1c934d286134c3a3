"""A file of keys that changes while the service runs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import orjson
import pytest

from service.api.auth import Keyring
from service.api.key_file import KeyFile, callers_in
from service.errors import NotAuthenticated, StartRefused


def entry(key: str, **more: object) -> dict[str, object]:
    return {"name": "n", "sha256": hashlib.sha256(key.encode()).hexdigest(), "roles": ["steward"]} | more


def write(path: Path, *entries: object) -> None:
    draft = path.with_suffix(".new")
    draft.write_bytes(orjson.dumps(entries))
    draft.replace(path)


def test_keys_are_exchanged_without_a_start(tmp_path: Path) -> None:
    now = 1_000
    ring = Keyring({"k-env": ["admin"]}, b"s", lambda: now)
    path = tmp_path / "keys.json"
    write(path, entry("old"))
    file = KeyFile(path, ring, b"s")
    assert file.read() and not file.read()
    old = ring.roles_of("Bearer old")
    write(path, entry("old"), entry("new", rate=5, expires_at="1970-01-01T00:00:02Z"))
    assert file.read()
    new = ring.roles_of("Bearer new")
    assert ring.roles_of("Bearer old").name == old.name != new.name and new.rate == 5
    assert ring.last_used == {old.name: 1_000, new.name: 1_000}
    write(path, entry("new", expires_at="1970-01-01T00:00:02Z"))
    assert file.read()
    for gone in ("Bearer old", "Bearer stranger"):
        with pytest.raises(NotAuthenticated):
            ring.roles_of(gone)
    assert ring.roles_of("Bearer k-env").roles == {"admin"} and ring.known("Bearer old") is None
    now = 2_000
    with pytest.raises(NotAuthenticated):
        ring.roles_of("Bearer new")


@pytest.mark.parametrize(
    "content",
    [
        b"x",
        b"{}",
        b"[1]",
        *(orjson.dumps([entry("k") | more]) for more in ({"roles": []}, {"roles": ["king"]}, {"sha256": "k"})),
        *(orjson.dumps([entry("k") | more]) for more in ({"key": "k"}, {"rate": 0}, {"expires_at": "soon"})),
    ],
)
def test_what_is_no_file_of_keys_says_why_and_changes_nothing(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^(is not|entry 0)"):
        callers_in(content, b"s")
    ring, path = Keyring({}, b"s"), tmp_path / "keys.json"
    write(path, entry("k-good"))
    file = KeyFile(path, ring, b"s")
    file.read()
    path.write_bytes(content)
    with pytest.raises(ValueError):
        file.read()
    assert ring.roles_of("Bearer k-good").roles == {"steward"}
    with pytest.raises(StartRefused):
        KeyFile(path, ring, b"s").start()


def test_no_key_is_in_what_is_kept() -> None:
    ring = Keyring({"k-very-secret": ["admin"]}, b"s")
    assert b"k-very-secret" not in repr([ring._callers, ring._kept]).encode()
