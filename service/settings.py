"""Everything that can be set from the environment, with its unit and its default.

A value that does not fit ends the start in one line that names the variable and never repeats the value: what was set
may be a secret in the wrong place.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.errors import StartRefused

ROLES: Final = ("admin", "activation", "collector", "steward", "privacy")
IDENTITY_KEY_CHARS_MIN: Final = 16
_SECRET_PREFIX = "whsec_"
_SECRET_FORMS = ("bearer:", "basic:", "mtls:", "hmac-sha1:")

_Lists = dict[str, list[str]] | None


class SettingsRefused(StartRefused):
    """An environment variable does not fit. `detail` names it, never its value."""

    code = "settings_refused"


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("names one entry twice")
    return found


def _lists_by_name(value: object) -> object:
    """A JSON object of lists of text, as `API_KEYS` and `WEBHOOK_SECRETS` are."""
    if value is None:
        return None
    found = value
    if isinstance(value, str):
        try:
            found = json.loads(value, object_pairs_hook=_no_duplicates)
        except json.JSONDecodeError as error:
            raise ValueError(f"is not JSON (character {error.pos + 1})") from None
    lists = isinstance(found, dict) and all(
        name and isinstance(entry, list) and entry and all(isinstance(item, str) for item in entry)
        for name, entry in found.items()
    )
    if not lists or not found:
        raise ValueError("must be a JSON object of non-empty lists of text")
    return found


def _known_roles(value: _Lists) -> _Lists:
    if any(role not in ROLES for roles in (value or {}).values() for role in roles):
        raise ValueError(f"gives a key a role that does not exist; roles are {', '.join(ROLES)}")
    return value


def _sound_secrets(value: _Lists) -> _Lists:
    """The base64 of those that have it; the other forms are read by whoever verifies with them."""
    for secret in (secret for secrets in (value or {}).values() for secret in secrets):
        if secret.startswith(_SECRET_FORMS):
            continue
        try:
            sound = secret.startswith(_SECRET_PREFIX) and base64.b64decode(secret[len(_SECRET_PREFIX) :], validate=True)
        except binascii.Error:
            sound = False
        if not sound:
            raise ValueError(f"holds a secret that is not {_SECRET_PREFIX} followed by base64, nor of another form")
    return value


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


def _cache_home() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home and Path(home).is_absolute() else Path.home() / ".cache") / "identity-fabric"


_Folder = Annotated[Path, AfterValidator(_absolute)]
ApiKeys = Annotated[_Lists, NoDecode, BeforeValidator(_lists_by_name), AfterValidator(_known_roles)]
WebhookSecrets = Annotated[_Lists, NoDecode, BeforeValidator(_lists_by_name), AfterValidator(_sound_secrets)]


def _texts_by_name(value: object) -> object:
    """A JSON object of texts, as `DESTINATION_SECRETS` is."""
    if value is None:
        return None
    found = value
    if isinstance(value, str):
        try:
            found = json.loads(value, object_pairs_hook=_no_duplicates)
        except json.JSONDecodeError as error:
            raise ValueError(f"is not JSON (character {error.pos + 1})") from None
    if not isinstance(found, dict) or not all(name and isinstance(text, str) and text for name, text in found.items()):
        raise ValueError("must be a JSON object of non-empty texts")
    return found


DestinationSecrets = Annotated[dict[str, str] | None, NoDecode, BeforeValidator(_texts_by_name)]

_PACKAGE: Final = Path(__file__).parent
_PACKAGED: Final = _PACKAGE / "_graph_migrations"
MIGRATIONS_FOLDER: Final = _PACKAGED if _PACKAGED.is_dir() else _PACKAGE.parent / "graph_migrations"
"""Within an installed package, else beside it in the checkout."""


class Settings(BaseSettings):
    """One attribute for each environment variable, which has its name in upper case. An empty one counts as not set."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True, validate_default=True
    )

    # ---- what callers reach

    host: str = Field("127.0.0.1", min_length=1, description="address to serve on")
    port: int = Field(8080, ge=0, le=65_535, description="port to serve on; 0 takes a free one")
    sample: bool = Field(True, description="load the sample into an empty graph")
    api_keys: ApiKeys = Field(None, repr=False, description="JSON object, key to list of roles; generated if not set")
    keys_file: _Folder | None = Field(None, description="JSON file of more keys, as digests; read again as it changes")
    rate_limit: int = Field(0, ge=0, description="requests a second that one key may send, over all instances; 0: any")
    unknown_per_minute: int = Field(
        60_000, ge=0, description="identifiers nobody knows that one key may look up in a minute; 0: any"
    )
    webhook_secrets: WebhookSecrets = Field(
        None, repr=False, description="JSON object, provider to list of secrets; generated if not set"
    )
    policy_file: _Folder | None = Field(
        None, description="policy activated on first start; the built-in one if not set"
    )
    identity_key: SecretStr | None = Field(
        None,
        min_length=IDENTITY_KEY_CHARS_MIN,
        description="the secret under birth ids and pseudonyms; generated if not set, required with NEO4J_URI",
    )
    matching_key: SecretStr | None = Field(
        None,
        min_length=16,
        description="the secret under which records are encoded; derived from IDENTITY_KEY if not set",
    )
    matching_key_file: _Folder | None = Field(None, description="a file that holds MATCHING_KEY instead")
    matching_key_version: int = Field(
        1, ge=1, le=65_535, description="raise it to put another MATCHING_KEY in force; then send records again"
    )
    checkpoint_every: int = Field(
        1_000, ge=1, le=1_000_000, description="audit entries from one checkpoint to the next"
    )
    tls_cert_file: _Folder | None = Field(None, description="certificate chain to serve HTTPS with, PEM")
    tls_key_file: _Folder | None = Field(None, description="private key of that certificate, PEM")
    tls_client_ca_file: _Folder | None = Field(None, description="only clients with a certificate of these are served")
    max_body_bytes: int = Field(8 << 20, ge=1 << 10, le=1 << 30, description="largest request body, in bytes")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least severe log line written")

    # ---- what is sent

    destination_secrets: DestinationSecrets = Field(
        None, repr=False, description="JSON object, name to secret; the policy names one for each destination"
    )
    egress_allow: str | None = Field(
        None, description="hosts that may be reached, with commas between; the built-in receivers' own if not set"
    )
    egress_allow_private: bool = Field(
        False, description="also reach addresses of one's own network, by plain HTTP too"
    )
    delivers: bool = Field(True, description="send deliveries from this instance")

    # ---- where things are kept

    data_dir: _Folder = Field(Path(".local"), description="everything a local run writes")
    checkpoint_dir: _Folder | None = Field(
        None, description="where checkpoints of the audit are kept; DATA_DIR if not set"
    )
    cache_dir: _Folder = Field(
        default_factory=_cache_home, description="fetched programs, shared by all data folders of this user"
    )

    sealed_dir: _Folder | None = Field(
        None, description="where what is old is moved to out of the graph; shared by all instances; DATA_DIR/sealed"
    )
    keep_days: int = Field(
        90,
        ge=0,
        le=36_500,
        description="days that audit, feed and past states stay in the graph; 0 moves nothing",
    )

    events_uri: str | None = Field(
        None, min_length=1, description="the record of events: a folder or s3://bucket/prefix; DATA_DIR/events"
    )

    # ---- stores of one's own

    neo4j_uri: str | None = Field(None, description="use this Neo4j instead of a local one")
    neo4j_user: str = Field("neo4j", min_length=1, description="user name at NEO4J_URI")
    neo4j_password: SecretStr | None = Field(None, description="password at NEO4J_URI")
    neo4j_database: str = Field("neo4j", min_length=1, description="database at NEO4J_URI")
    redis_url: SecretStr | None = Field(None, description="use this Redis instead of a local one")
    store_wait_ms: int = Field(
        10_000, ge=0, description="how long a store of one's own may take to answer at the start, ms"
    )

    # ---- limits of the local stores

    neo4j_heap_mb: int = Field(512, ge=256, le=65_536, description="heap of the local Neo4j, MB")
    neo4j_pagecache_mb: int = Field(256, ge=16, le=1_048_576, description="page cache of the local Neo4j, MB")
    redis_memory_mb: int = Field(256, ge=16, le=1_048_576, description="memory for values in the local Redis, MB")
    neo4j_start_ms: int = Field(180_000, ge=5_000, description="how long the local Neo4j may take to answer, ms")
    neo4j_stop_ms: int = Field(10_000, ge=1_000, le=25_000, description="how long the local Neo4j may take to end, ms")

    # ---- limits in the graph

    transaction_timeout_ms: int = Field(10_000, ge=100, description="longest transaction, ms")
    lock_timeout_ms: int = Field(5_000, ge=100, description="longest wait for a lock in the graph, ms")
    acquisition_timeout_ms: int = Field(5_000, ge=100, description="longest wait for a connection to the graph, ms")
    read_timeout_ms: int = Field(5_000, ge=100, description="longest read in the graph for a look-up, ms")
    graph_connections_max: int = Field(32, ge=4, le=1_000, description="connections to the graph of one instance")

    # ---- limits of one instance

    redis_timeout_ms: int = Field(250, ge=10, description="longest wait for an answer of Redis, ms")
    drop_timeout_ms: int = Field(1_500, ge=10, description="longest wait until cached values are dropped, ms")
    retry_budget_ms: int = Field(20_000, ge=0, description="how long a change is tried while the graph is away, ms")
    queue_changes_max: int = Field(50_000, ge=1, description="changes that may wait for a turn; more are refused, 503")
    requests_max: int = Field(2_000, ge=1, description="requests under way in one instance; more are refused, 503")
    request_timeout_ms: int = Field(60_000, ge=100, description="longest time for one request, ms")

    @model_validator(mode="after")
    def _fits_together(self) -> Settings:
        if self.neo4j_uri is not None and self.identity_key is None:
            raise ValueError("IDENTITY_KEY is required with NEO4J_URI: set it to the key that this graph was made with")
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("TLS_CERT_FILE and TLS_KEY_FILE belong together")
        if self.tls_client_ca_file is not None and self.tls_cert_file is None:
            raise ValueError("TLS_CLIENT_CA_FILE needs TLS_CERT_FILE and TLS_KEY_FILE")
        if self.lock_timeout_ms > self.transaction_timeout_ms:
            raise ValueError("LOCK_TIMEOUT_MS must not be longer than TRANSACTION_TIMEOUT_MS")
        return self

    @property
    def seals(self) -> bool:
        """Whether old rows are moved: with a Neo4j of one's own only to a folder that was named for it."""
        return self.keep_days > 0 and (self.neo4j_uri is None or self.sealed_dir is not None)

    @property
    def record_uri(self) -> str | None:
        """Where events are recorded; with a Neo4j of one's own only where a place was named: all instances share it."""
        if self.events_uri is not None:
            return self.events_uri
        return str(self.data_dir / "events") if self.neo4j_uri is None else None


def load_settings(given: Mapping[str, object] | None = None) -> Settings:
    """Settings from the environment; `given` (attribute to value) goes before it. Raises SettingsRefused."""
    try:
        return Settings(**(dict(given) if given else {}))  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsRefused("; ".join(_line(dict(found)) for found in error.errors())) from None


def _line(found: dict[str, object]) -> str:
    """One error without the value: its name and what was expected."""
    place = found["loc"]
    says = str(found["msg"]).removeprefix("Value error, ")
    if not isinstance(place, tuple) or not place:
        return says
    if found["type"] != "value_error":
        says = says[:1].lower() + says[1:]
        says = "must be" + says.removeprefix("input should be") if says.startswith("input should be") else says
        says = says.partition(", unable to parse")[0]
    return f"{str(place[0]).upper()} {says}"
