"""How keys, fields and values look in Redis.

One hash per identifier, one field per purpose. A key names the server process that it was written to:

    idf:{email_sha256:ab12…}4f0c21d97a5be308
         identifier         run id of the server

The braces make the identifier alone decide the Redis Cluster slot. A field holds either

    V policy version (10 digits) replication id (8) end of life (15 digits, ms) value …     a value
    L end of life (15 digits, ms) token (16 bytes)                                         a lease

Two marks keep old values from coming back, because one would not do:

- The *run id* is new with every server process, so a server restarted from a snapshot, or a replica promoted in
  place of a dead one, has no values under the keys that are asked for.
- The *replication id* is new with every promotion. A primary that was demoted, took over the data of its former
  replica and was promoted again keeps its run id, and can have got back a value whose drop was never replicated. All
  instances connected to one process agree on the run id, so it may be part of the key that a drop must find; the
  replication id can differ between them for a moment, so it is only part of what makes a value usable.
"""

from typing import Final

POLICY_VERSION_MAX: Final = 9_999_999_999
ENDLESS_MS: Final = 999_999_999_999_999

_USABLE_LENGTH: Final = 1 + 10 + 8
HEADER_LENGTH: Final = _USABLE_LENGTH + 15
LIFE_SLICE: Final = slice(_USABLE_LENGTH, HEADER_LENGTH)


def redis_key(identifier: str, run_id: bytes) -> bytes:
    """The Redis key of `identifier` (`namespace:value`) on the server process with this (shortened) run id."""
    return b"idf:{%b}%b" % (identifier.encode("utf-8", "surrogatepass"), run_id)


def read_command(identifier: str, purpose: str, run_id: bytes) -> bytes:
    """HGET of one value in Redis's wire format. Written out here because it is the hottest line of the product."""
    name = identifier.encode("utf-8", "surrogatepass")
    field = purpose.encode("utf-8", "surrogatepass")
    return b"*3\r\n$4\r\nHGET\r\n$%d\r\nidf:{%b}%b\r\n$%d\r\n%b\r\n" % (
        len(name) + len(run_id) + 6,
        name,
        run_id,
        len(field),
        field,
    )


def usable_prefix(policy_version: int, replication_id: bytes) -> bytes:
    """What a stored value must begin with to be usable under this policy version. ValueError out of range."""
    if not 0 <= policy_version <= POLICY_VERSION_MAX:
        raise ValueError("policy version out of range")
    return b"V%010d%b" % (policy_version, replication_id)


def life_digits(at_ms: int | None) -> bytes:
    """A time (ms since epoch; None for never) as 15 digits that compare like the numbers."""
    return b"%015d" % (ENDLESS_MS if at_ms is None else min(max(at_ms, 0), ENDLESS_MS))


def value_of(stored: bytes, prefix: bytes, now: bytes) -> bytes | None:
    """The value in a stored field if it begins with `prefix` and lives beyond `now` (`life_digits`), else None."""
    if stored.startswith(prefix) and stored[LIFE_SLICE] > now:
        return stored[HEADER_LENGTH:]
    return None


def policy_version_of(value: bytes | None) -> int | None:
    """The version held by the value of `POLICY_KEY`; None for no value or an unreadable one."""
    if value is None or not value.isdigit():
        return None
    version = int(value)
    return version if version <= POLICY_VERSION_MAX else None
