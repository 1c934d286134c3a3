"""Settings: defaults, where values come from, and errors that name the variable but never the value."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import pytest

from service.local.data_dir import claimed, in_use, remove_run_file, write_private, write_run_file
from service.local.secrets import api_keys, identity_key, store_password, webhook_secrets
from service.settings import ROLES, Settings, SettingsRefused, load_settings

SECRET = "hunter2-hunter2-hunter2"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_defaults_are_those_of_the_contract(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = load_settings()
    assert (found.host, found.port, found.sample) == ("127.0.0.1", 8080, True)
    assert found.data_dir == tmp_path / ".local"
    assert found.cache_dir == tmp_path / "cache" / "identity-fabric"
    unset = (
        found.neo4j_uri,
        found.redis_url,
        found.api_keys,
        found.webhook_secrets,
        found.identity_key,
        found.policy_file,
    )
    assert unset == (None,) * len(unset)
    assert found.transaction_timeout_ms == 10_000


def test_values_come_from_the_environment_and_empty_ones_count_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "18080")
    monkeypatch.setenv("SAMPLE", "0")
    monkeypatch.setenv("NEO4J_URI", "")
    monkeypatch.setenv("API_KEYS", '{"k": ["steward", "privacy"]}')
    found = load_settings()
    assert (found.port, found.sample, found.neo4j_uri) == (18080, False, None)
    assert found.api_keys == {"k": ["steward", "privacy"]}


def test_what_is_given_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "18080")
    assert load_settings({"port": 0}).port == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", SECRET),
        ("PORT", "70000"),
        ("SAMPLE", SECRET),
        ("NEO4J_HEAP_MB", SECRET),
        ("NEO4J_HEAP_MB", "1"),
        ("LOG_LEVEL", SECRET),
        ("IDENTITY_KEY", "hunter2"),
        ("API_KEYS", SECRET),
        ("API_KEYS", f'{{"{SECRET}": "admin"}}'),
        ("API_KEYS", f'{{"{SECRET}": []}}'),
        ("API_KEYS", f'{{"{SECRET}": ["king"]}}'),
        ("API_KEYS", f'{{"{SECRET}": ["admin"], "{SECRET}": ["steward"]}}'),
        ("API_KEYS", "{}"),
        ("WEBHOOK_SECRETS", f'{{"standard": ["{SECRET}"]}}'),
        ("WEBHOOK_SECRETS", f'{{"standard": ["whsec_{SECRET}!"]}}'),
    ],
)
def test_a_bad_value_is_one_line_with_the_name_and_without_the_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsRefused) as caught:
        load_settings()
    assert caught.value.detail.startswith(f"{name} ")
    assert "\n" not in caught.value.detail
    assert "hunter2" not in caught.value.detail
    assert caught.value.__cause__ is None


def test_a_graph_of_ones_own_needs_its_identity_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEO4J_URI", "bolt://127.0.0.1:1")
    with pytest.raises(SettingsRefused, match=r"^IDENTITY_KEY "):
        load_settings()
    monkeypatch.setenv("IDENTITY_KEY", base64.b64encode(bytes(32)).decode())
    assert load_settings().neo4j_uri == "bolt://127.0.0.1:1"


def test_secrets_stay_out_of_the_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IDENTITY_KEY", "NEO4J_PASSWORD", "REDIS_URL"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("API_KEYS", f'{{"{SECRET}": ["admin"]}}')
    secret = "whsec_" + base64.b64encode(SECRET.encode()).decode()
    monkeypatch.setenv("WEBHOOK_SECRETS", json.dumps({"standard": [secret]}))
    assert SECRET not in repr(load_settings())
    assert secret not in repr(load_settings())


def test_keys_are_generated_once_for_the_owner_only(tmp_path: Path) -> None:
    settings = load_settings({"data_dir": tmp_path})
    keys, secrets, key = api_keys(settings), webhook_secrets(settings), identity_key(settings)
    assert sorted(roles for [roles] in keys.values()) == sorted(ROLES)
    assert all(len(found) >= 32 for found in keys)
    [secret] = secrets["standard"]
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert len(base64.b64decode(key)) == 32
    assert (api_keys(settings), webhook_secrets(settings), identity_key(settings)) == (keys, secrets, key)
    assert {mode_of(path) for path in tmp_path.iterdir()} == {0o600}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["api-keys.json", "identity-key", "webhook-secrets.json"]


def test_keys_that_were_set_are_used_and_nothing_is_written(tmp_path: Path) -> None:
    given = {"k": ["admin"]}
    settings = load_settings({"data_dir": tmp_path, "api_keys": given, "identity_key": SECRET})
    assert api_keys(settings) == given
    assert identity_key(settings) == SECRET
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"[", b"[1]", b'{"a": 1}'])
def test_a_damaged_file_of_keys_is_never_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "api-keys.json").write_bytes(content)
    with pytest.raises(Exception, match=r"api-keys\.json is not a JSON object of lists"):
        api_keys(load_settings({"data_dir": tmp_path}))
    assert (tmp_path / "api-keys.json").read_bytes() == content


def test_a_password_is_kept_beside_its_store(tmp_path: Path) -> None:
    assert store_password(tmp_path) == store_password(tmp_path)
    assert mode_of(tmp_path / "password") == 0o600


def test_a_private_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert (path.read_bytes(), mode_of(path), list(tmp_path.iterdir())) == (b"new", 0o600, [path])


def test_one_service_holds_a_data_folder(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "data"
    assert not in_use(folder)
    with claimed(folder):
        assert mode_of(folder) == 0o700
        assert in_use(folder)
        with pytest.raises(Exception, match=r"another service .* is running on"), claimed(folder):
            pass
    assert not in_use(folder)
    with claimed(folder):
        pass


def test_run_json_is_as_the_contract_says(tmp_path: Path) -> None:
    path = write_run_file(
        tmp_path,
        base_url="http://127.0.0.1:8080",
        neo4j_uri="bolt://127.0.0.1:1",
        neo4j_user="neo4j",
        neo4j_password="p",
        redis_url="redis://127.0.0.1:2",
        identity_key="k",
    )
    found = json.loads(path.read_text())
    assert path == tmp_path / "run.json"
    assert mode_of(path) == 0o600
    assert sorted(found) == ["base_url", "identity_key", "neo4j", "pid", "redis_url"]
    assert found["neo4j"] == {"uri": "bolt://127.0.0.1:1", "user": "neo4j", "password": "p"}
    remove_run_file(tmp_path)
    remove_run_file(tmp_path)
    assert not path.exists()
