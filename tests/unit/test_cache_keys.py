"""Keys, headers and commands of the cache, without a server."""

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from service.cache import keys
from service.cache.address import parse_address

RUN_ID = b"0123456789abcdef"
REPLICATION_ID = b"89abcdef"
TIMES = st.integers(min_value=0, max_value=keys.ENDLESS_MS - 1)
VERSIONS = st.integers(min_value=0, max_value=keys.POLICY_VERSION_MAX)


@given(st.text(min_size=1), st.text())
def test_read_command_is_what_the_client_library_packs(identifier: str, purpose: str) -> None:
    field = purpose.encode("utf-8", "surrogatepass")
    packed = hiredis.pack_command((b"HGET", keys.redis_key(identifier, RUN_ID), field))  # type: ignore[arg-type]
    assert keys.read_command(identifier, purpose, RUN_ID) == packed


@given(st.from_regex(r"[a-z_]{1,12}:[ -~]{1,40}", fullmatch=True))
def test_slot_is_the_same_under_every_server(identifier: str) -> None:
    assert key_slot(keys.redis_key(identifier, RUN_ID)) == key_slot(keys.redis_key(identifier, b"f" * 16))


@given(st.text(), st.text())
def test_different_identifiers_have_different_keys(one: str, other: str) -> None:
    assert (keys.redis_key(one, RUN_ID) == keys.redis_key(other, RUN_ID)) == (one == other)


@given(st.binary(max_size=50), VERSIONS, VERSIONS, TIMES, TIMES)
def test_value_is_usable_under_its_own_version_until_its_time_is_over(
    value: bytes, written: int, asked: int, ends: int, now: int
) -> None:
    stored = keys.usable_prefix(written, REPLICATION_ID) + keys.life_digits(ends) + value
    found = keys.value_of(stored, keys.usable_prefix(asked, REPLICATION_ID), keys.life_digits(now))
    assert found == (value if written == asked and ends > now else None)


def test_value_from_before_a_promotion_is_not_usable() -> None:
    stored = keys.usable_prefix(1, REPLICATION_ID) + keys.life_digits(None) + b"old"
    assert keys.value_of(stored, keys.usable_prefix(1, b"00000000"), keys.life_digits(0)) is None


@given(st.integers(max_value=-1) | st.integers(min_value=keys.POLICY_VERSION_MAX + 1))
def test_policy_version_out_of_range_is_refused(version: int) -> None:
    with pytest.raises(ValueError, match="policy version"):
        keys.usable_prefix(version, REPLICATION_ID)


@pytest.mark.parametrize(
    ("value", "version"), [(b"7", 7), (None, None), (b"", None), (b"-1", None), (b"x", None), (b"9" * 11, None)]
)
def test_active_policy_version_is_read_or_unknown(value: bytes | None, version: int | None) -> None:
    assert keys.policy_version_of(value) == version


def test_urls_of_every_kind() -> None:
    plain = parse_address("redis://user:p%40ss@db.example:6380/3")
    assert (plain.host, plain.port, plain.db, plain.login) == ("db.example", 6380, 3, ("user", "p@ss"))
    assert plain.tls is None
    assert parse_address("redis://:secret@localhost").login == ("secret",)
    assert parse_address("rediss://localhost:6390").tls is not None
    assert parse_address("unix:///run/redis.sock?db=2").path == "/run/redis.sock"
    assert "p@ss" not in repr(plain)


@pytest.mark.parametrize("url", ["http://localhost", "redis://localhost?unheard_of=1", "localhost:6379"])
def test_wrong_url_is_a_value_error(url: str) -> None:
    with pytest.raises(ValueError, match="Redis URL"):
        parse_address(url)
