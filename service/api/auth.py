"""Keys and roles: who calls, and what they may.

The keyring keeps digests of the keys, not the keys. A key is found by its digest: a dictionary compares SHA-256 values
that nobody can steer without knowing the key, so how long that takes says nothing about any key. Headers that were
accepted before are remembered as they came, at most 256 of them, which makes the usual case one dictionary look-up;
refused ones are not remembered, so a stranger can neither fill nor empty that memory.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from service.clock import now_ms
from service.errors import NotAllowed, NotAuthenticated, StartRefused

ACTIVATION: Final = "activation"
COLLECTOR: Final = "collector"
STEWARD: Final = "steward"
PRIVACY: Final = "privacy"
ADMIN: Final = "admin"
ROLES: Final = frozenset({ACTIVATION, COLLECTOR, STEWARD, PRIVACY, ADMIN})

REMEMBERED_MAX: Final = 256
HEADER_LENGTH_MAX: Final = 4096

_BEARER = re.compile(rb"bearer +([\x21-\x7e]+) *", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. `name` (`key:1a2b3c`) is for logs and the audit, and reveals nothing of the key."""

    name: str
    roles: frozenset[str]
    expires_at_ms: int | None = None
    rate: int | None = None
    """Requests a second over all instances; None: what is set for all keys."""


class Keyring:
    """The keys of the service. `secret` keys the callers' names, so that they are the same on every instance.

    Those of the environment stay; those of a file are replaced as a whole when it changes, see `service.api.key_file`.
    """

    __slots__ = ("_callers", "_kept", "_now_ms", "_remembered", "_used")

    def __init__(
        self, roles_by_key: Mapping[str, Collection[str]], secret: bytes, now_ms: Callable[[], int] = now_ms
    ) -> None:
        """Raises StartRefused for an empty or unprintable key, no roles, or a role that does not exist."""
        self._callers: dict[bytes, Caller] = {}
        self._remembered: dict[bytes | str, Caller] = {}
        self._now_ms = now_ms
        self._used: dict[str, int] = {}
        for key, roles in roles_by_key.items():
            raw = key.encode("utf-8", "surrogatepass")
            if not _BEARER.fullmatch(b"bearer " + raw) or len(raw) > HEADER_LENGTH_MAX - 16:
                raise StartRefused("API_KEYS: a key must be printable ASCII without blanks.")
            if isinstance(roles, str) or not roles or not ROLES.issuperset(roles):
                raise StartRefused(f"API_KEYS: each key has a list of roles, out of {', '.join(sorted(ROLES))}.")
            name = hmac.new(secret, b"caller\0" + raw, hashlib.sha256).hexdigest()[:6]
            self._callers[hashlib.sha256(raw).digest()] = Caller(f"key:{name}", frozenset(roles))
        self._kept = dict(self._callers)

    def replace(self, callers: Mapping[bytes, Caller]) -> None:
        """From now on these are the keys beside those of the environment: SHA-256 of a key → who has it."""
        self._callers = {**callers, **self._kept}
        self._remembered = {}

    @property
    def last_used(self) -> dict[str, int]:
        """Caller's name → when it was last let in by this instance (ms)."""
        return dict(self._used)

    def known(self, authorization: bytes | str | None) -> Caller | None:
        """The caller behind a header, None for a stranger."""
        try:
            return self.roles_of(authorization)
        except NotAuthenticated:
            return None

    def roles_of(self, authorization: bytes | str | None) -> Caller:
        """The caller behind an Authorization header, `Bearer KEY`. Raises NotAuthenticated for anything else."""
        if authorization is None:
            raise NotAuthenticated
        caller = self._remembered.get(authorization)
        if caller is None:
            caller = self._find(authorization)
        now = self._now_ms()
        if caller.expires_at_ms is not None and caller.expires_at_ms <= now:
            raise NotAuthenticated
        self._used[caller.name] = now
        return caller

    def _find(self, authorization: bytes | str) -> Caller:
        raw = authorization if isinstance(authorization, bytes) else authorization.encode("utf-8", "surrogatepass")
        match = _BEARER.fullmatch(raw) if len(raw) <= HEADER_LENGTH_MAX else None
        caller = self._callers.get(hashlib.sha256(match[1]).digest()) if match else None
        if caller is None:
            raise NotAuthenticated
        if len(self._remembered) >= REMEMBERED_MAX:
            self._remembered.clear()
        self._remembered[authorization] = caller
        return caller


def require(caller: Caller, *roles: str) -> None:
    """Raises NotAllowed unless the caller has one of the roles; an admin may everything."""
    if ADMIN not in caller.roles and caller.roles.isdisjoint(roles):
        raise NotAllowed


def only_activates(caller: Caller) -> bool:
    """Whether activation is the only role of the caller that allows look-ups, so that it must name a purpose."""
    roles = caller.roles
    return ACTIVATION in roles and STEWARD not in roles and ADMIN not in roles
