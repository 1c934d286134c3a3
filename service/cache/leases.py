"""Leases: why a slow reader can't store an old value.

A reader that misses puts a random token into the field, reads the graph and stores its value only if the token is
still there. A writer removes the whole hash after its commit and before its answer. So either the reader took its
lease after that removal, then it reads the new state; or before, then its token is gone and its value is refused.

A lease has an end of life only so that a reader that died does not block the field: past it another reader may take
over. It decides nothing about the truth of a value, which only the token does; a late reader whose token is still in
place may store, since nobody dropped the key meanwhile. Times of leases are those of the Redis server.

The hash lives as long as the shortest-lived of its values (`!until`), at most `value_life_ms`; while it holds nothing
but leases, as long as the youngest of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha1
from typing import Final

from service.cache.keys import life_digits, redis_key, usable_prefix
from service.cache.lane import packed
from service.cache.limits import CacheLimits
from service.model.cached import Fill

TOKEN_BYTES: Final = 16

_NOW: Final = b"""
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local held = redis.call('HGET', KEYS[1], ARGV[1])
"""

# KEYS: hash. ARGV: field, token, life of a lease (ms), prefix of a usable value, the reader's time (ms).
# Gives the value that is there, 1 for a lease, 0 if another holds it.
LEASE_SCRIPT: Final = (
    _NOW
    + b"""
if held then
  if string.byte(held, 1) == 76 then
    if tonumber(string.sub(held, 2, 16)) > now then return 0 end
  elseif string.sub(held, 1, 19) == ARGV[4]
      and tonumber(string.sub(held, 20, 34)) > math.max(now, tonumber(ARGV[5])) then
    return held
  end
end
local ends = now + tonumber(ARGV[3])
redis.call('HSET', KEYS[1], ARGV[1], string.format('L%015d', ends) .. ARGV[2])
if redis.call('HEXISTS', KEYS[1], '!until') == 0 then
  redis.call('PEXPIREAT', KEYS[1], string.format('%d', ends))
end
return 1
"""
)

# KEYS: hash. ARGV: field, token, value with its header, end of its life (ms), longest life (ms).
# Gives 1 if stored, 0 if refused: the token is gone, or the value's time is over.
FILL_SCRIPT: Final = (
    _NOW
    + b"""
if not held or string.byte(held, 1) ~= 76 or string.sub(held, 17) ~= ARGV[2] then return 0 end
local ends = math.min(now + tonumber(ARGV[5]), tonumber(ARGV[4]))
if ends <= now then
  redis.call('HDEL', KEYS[1], ARGV[1])
  return 0
end
local had = redis.call('HGET', KEYS[1], '!until')
if had then ends = math.min(ends, tonumber(had)) end
local digits = string.format('%d', ends)
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3], '!until', digits)
redis.call('PEXPIREAT', KEYS[1], digits)
return 1
"""
)

_LEASE_SHA: Final = sha1(LEASE_SCRIPT, usedforsecurity=False).hexdigest()
_FILL_SHA: Final = sha1(FILL_SCRIPT, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class ServerMarks:
    """What tells one life of a server from another: see `keys`. Both shortened."""

    run_id: bytes
    replication_id: bytes


def load_commands() -> list[bytes]:
    """Commands that make both scripts known to a server."""
    return [packed("SCRIPT", "LOAD", script) for script in (LEASE_SCRIPT, FILL_SCRIPT)]


def lease_commands(
    wanted: Sequence[tuple[str, str]],
    tokens: Sequence[bytes],
    policy_version: int,
    now_ms: int,
    marks: ServerMarks,
    limits: CacheLimits,
) -> bytes:
    """One script call per wanted (identifier, purpose), each with its token."""
    prefix = usable_prefix(policy_version, marks.replication_id)
    return b"".join(
        packed(
            "EVALSHA",
            _LEASE_SHA,
            1,
            redis_key(identifier, marks.run_id),
            purpose,
            token,
            limits.lease_life_ms,
            prefix,
            now_ms,
        )
        for (identifier, purpose), token in zip(wanted, tokens, strict=True)
    )


def fill_commands(fills: Sequence[Fill], marks: ServerMarks, limits: CacheLimits) -> bytes:
    """One script call per fill."""
    commands: list[bytes] = []
    for fill in fills:
        ends = life_digits(fill.expires_at_ms)
        stored = usable_prefix(fill.policy_version, marks.replication_id) + ends + fill.value
        key = redis_key(fill.lease.identifier, marks.run_id)
        lease = fill.lease
        commands.append(
            packed("EVALSHA", _FILL_SHA, 1, key, lease.purpose, lease.token, stored, ends, limits.value_life_ms)
        )
    return b"".join(commands)


def drop_command(identifiers: Sequence[str], marks: ServerMarks) -> bytes:
    """One UNLINK of the hashes of `identifiers`."""
    return packed("UNLINK", *(redis_key(identifier, marks.run_id) for identifier in identifiers))
