"""Keys and passwords: those that were set, else generated once into the data folder, readable by the owner only."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Final

import orjson

from service.clock import random_bytes, random_token
from service.errors import StartRefused
from service.local.data_dir import write_private
from service.settings import ROLES, Settings

API_KEYS_FILE: Final = "api-keys.json"
WEBHOOK_SECRETS_FILE: Final = "webhook-secrets.json"
IDENTITY_KEY_FILE: Final = "identity-key"


def api_keys(settings: Settings) -> dict[str, list[str]]:
    """Key to its roles. Generated: one key a role, in `DATA_DIR/api-keys.json`. Raises StartRefused if damaged."""
    if settings.api_keys is not None:
        return settings.api_keys
    path = settings.data_dir / API_KEYS_FILE
    if not path.exists():
        _write_json(path, {random_token(24): [role] for role in ROLES})
    return _read_lists(path)


def webhook_secrets(settings: Settings) -> dict[str, list[str]]:
    """Provider to its secrets. Generated: one for "standard", in `DATA_DIR/webhook-secrets.json`; else the same."""
    if settings.webhook_secrets is not None:
        return settings.webhook_secrets
    path = settings.data_dir / WEBHOOK_SECRETS_FILE
    if not path.exists():
        _write_json(path, {"standard": ["whsec_" + base64.b64encode(random_bytes(32)).decode()]})
    return _read_lists(path)


def identity_key(settings: Settings) -> str:
    """The secret under birth ids and pseudonyms. Generated: base64 of 32 bytes, in `DATA_DIR/identity-key`."""
    if settings.identity_key is not None:
        return settings.identity_key.get_secret_value()
    return _kept_text(settings.data_dir / IDENTITY_KEY_FILE, base64.b64encode(random_bytes(32)).decode())


def store_password(folder: Path) -> str:
    """The password of the local store in `folder`, URL-safe, kept in its file `password`."""
    return _kept_text(folder / "password", random_token(24))


def _kept_text(path: Path, fresh: str) -> str:
    if not path.exists():
        write_private(path, fresh.encode() + b"\n")
    found = path.read_text(encoding="ascii", errors="replace").strip()
    if not found:
        raise StartRefused(f"{path} is empty; put it back from a backup, or start with another DATA_DIR")
    return found


def _write_json(path: Path, found: dict[str, list[str]]) -> None:
    write_private(path, orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def _read_lists(path: Path) -> dict[str, list[str]]:
    try:
        found = orjson.loads(path.read_bytes())
        sound = isinstance(found, dict) and all(
            isinstance(entry, list) and all(isinstance(item, str) for item in entry) for entry in found.values()
        )
    except (OSError, orjson.JSONDecodeError):
        sound = False
    if not sound:
        raise StartRefused(f"{path} is not a JSON object of lists; repair it, or remove it to have it generated anew")
    return {str(name): list(entry) for name, entry in found.items()}
