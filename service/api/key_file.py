"""A file of keys that may change while the service runs: digests only, with expiry and a share of requests.

    [{"name": "crm loader", "sha256": "…64 hexadecimal digits…", "roles": ["collector"],
      "expires_at": "2027-01-01T00:00:00Z", "rate": 200}]

`python -m service new-key collector --name "crm loader" --days 90` prints a key once, and the entry for the file.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from pathlib import Path
from typing import Any, Final

import orjson
import structlog

from service.api.auth import ROLES, Caller, Keyring
from service.errors import StartRefused
from service.model.times import parse_rfc3339

log = structlog.get_logger()
LOOK_EVERY_S: Final = 2.0
FIELDS: Final = frozenset({"name", "sha256", "roles", "expires_at", "rate"})
_DIGEST = re.compile(r"[0-9a-f]{64}")


def callers_in(content: bytes, secret: bytes) -> dict[bytes, Caller]:
    """SHA-256 of a key → who has it. Raises ValueError, which names the entry by its place and no value."""
    try:
        entries = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise ValueError("is not JSON") from None
    if not isinstance(entries, list):
        raise ValueError("is not a list")
    found: dict[bytes, Caller] = {}
    for place, entry in enumerate(entries):
        digest, caller = _caller(entry, place, secret)
        found[digest] = caller
    return found


def _caller(entry: Any, place: int, secret: bytes) -> tuple[bytes, Caller]:
    if not isinstance(entry, dict) or not FIELDS.issuperset(entry):
        raise ValueError(f"entry {place} has other fields than {', '.join(sorted(FIELDS))}")
    digest, roles, rate = entry.get("sha256"), entry.get("roles"), entry.get("rate")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ValueError(f"entry {place} has no sha256 of 64 hexadecimal digits")
    if not isinstance(roles, list) or not roles or not all(role in ROLES for role in roles):
        raise ValueError(f"entry {place} has no list of roles, out of {', '.join(sorted(ROLES))}")
    if rate is not None and (not isinstance(rate, int) or isinstance(rate, bool) or rate < 1):
        raise ValueError(f"entry {place} has a rate that is not a whole number of requests a second")
    expires = entry.get("expires_at")
    try:
        expires_at_ms = None if expires is None else parse_rfc3339(expires)
    except (TypeError, ValueError):
        raise ValueError(f"entry {place} expires at what is no RFC 3339 time") from None
    raw = bytes.fromhex(digest)
    name = hmac.new(secret, b"caller\0" + raw, hashlib.sha256).hexdigest()[:6]
    return raw, Caller(f"key:{name}", frozenset(roles), expires_at_ms, rate)


class KeyFile:
    """Reads the file at the start and whenever it changes. One that can't be read then changes nothing."""

    def __init__(self, path: Path, keyring: Keyring, secret: bytes) -> None:
        self._path = path
        self._keyring = keyring
        self._secret = secret
        self._seen: tuple[int, int, int] | None = None
        self._task: asyncio.Task[None] | None = None

    def read(self) -> bool:
        """Take the keys in where the file is another one than before. Raises OSError, ValueError."""
        state = self._path.stat()
        seen = (state.st_mtime_ns, state.st_size, state.st_ino)
        if seen == self._seen:
            return False
        self._keyring.replace(callers_in(self._path.read_bytes(), self._secret))
        self._seen = seen
        return True

    def start(self) -> None:
        """Raises StartRefused for a file that can't be read."""
        try:
            self.read()
        except OSError as error:
            raise StartRefused(f"KEYS_FILE can't be read: {error.strerror}") from None
        except ValueError as error:
            raise StartRefused(f"KEYS_FILE {error}") from None
        self._task = asyncio.create_task(self._look(), name="key file")

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _look(self) -> None:
        said: str | None = None
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                if await asyncio.to_thread(self.read):
                    log.info("keys_read")
                said = None
            except (OSError, ValueError) as error:
                why = str(error) if not isinstance(error, OSError) else str(error.strerror)
                if why != said:
                    log.error("keys_not_read", why=why)
                said = why
