"""Keyed encodings: what is stored of a record instead of its values, and what is compared.

Each becomes a keyed token of its value (64 bits), and for what is close, a Bloom filter of the letter pairs of a text
(128 bits, two a pair), or tokens of a number with one digit left out, or two neighbours in order. Without the key
neither can be made from a guess. Equal values have equal tokens, so frequencies show: keep the key away from the store.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from operator import add
from string import ascii_lowercase
from typing import Literal

import numpy as np
import orjson

from service.matching.blocking import blocking_values
from service.matching.fields import FIELDS, Normal
from service.matching.names import root_of

Keep = Literal["encoded", "plain"]

TOKENS = (
    "given_name",
    "root",
    "family_name",
    "birth_date",
    "birth_swapped",
    "house_number",
    "street",
    "suburb",
    "postcode",
    "city",
    "country",
    "phone",
    "email",
)
BLOOMS = ("given_name", "family_name", "street", "suburb", "city", "email")
BIRTH_MARKS, HOUSE_MARKS, POSTCODE_MARKS, PHONE_MARKS = 8, 5, 7, 8  # longer ones are compared as a whole
BIRTH_PARTS = 3  # a birth date without its year, its month, its day
CODE = np.dtype(
    [
        ("present", "<u2"),
        ("token", "<u8", (len(TOKENS),)),
        ("bloom", "<u8", (len(BLOOMS), 2)),
        ("birth", "<u2", (BIRTH_MARKS + 1,)),
        ("parts", "<u2", (BIRTH_PARTS,)),
        ("house", "<u2", (HOUSE_MARKS + 2,)),
        ("postcode", "<u2", (POSTCODE_MARKS + 1,)),
        ("region", "<u2"),
        ("phone", "<u4", (PHONE_MARKS + 1,)),
    ]
)
_NO_TOKEN, _NO_BLOOM = bytes(8), bytes(16)
# Both names, so that swapped ones are found; a birth date and the same with day and month swapped.
_DOMAINS = {"given_name": "name", "family_name": "name", "birth_swapped": "birth_date"}
_TOKEN_DOMAINS = [(name, _DOMAINS.get(name, name)) for name in TOKENS]
_BLOOM_DOMAINS = [(name, _DOMAINS.get(name, name)) for name in BLOOMS]
_HEAD = struct.Struct("<BHB")
_FORMAT = 1
_PHONE_DIGITS = 8  # from the end, so that a country code that is left out makes no difference
KEY_BYTES_MIN = 16
_BLOOM_BITS = 128


@dataclass(frozen=True, slots=True)
class Encoded:
    """One record as it is stored and compared.

    `version`: of the key; records of two versions are not comparable. `code`: CODE.itemsize bytes. `keys`: blocking
    keys of 8 bytes each. `plain`: the values in one spelling where the policy keeps them, else None.
    """

    version: int
    code: bytes
    keys: tuple[bytes, ...]
    plain: Mapping[str, str] | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that have a value, in the order of FIELDS."""
        present = int.from_bytes(self.code[:2], "little")
        return tuple(name for i, name in enumerate(FIELDS) if present >> i & 1)

    def to_bytes(self) -> bytes:
        """As it is stored: under 600 bytes unless values are kept."""
        plain = b"" if self.plain is None else orjson.dumps(dict(self.plain), option=orjson.OPT_SORT_KEYS)
        return _HEAD.pack(_FORMAT, self.version, len(self.keys)) + self.code + b"".join(self.keys) + plain

    @classmethod
    def from_bytes(cls, stored: bytes) -> Encoded:
        """What `to_bytes` gave. Raises ValueError for anything else."""
        if len(stored) < _HEAD.size + CODE.itemsize:
            raise ValueError("an encoding is cut short")
        form, version, count = _HEAD.unpack_from(stored)
        at = _HEAD.size + CODE.itemsize
        end = at + 8 * count
        if form != _FORMAT or len(stored) < end:
            raise ValueError("an encoding of another form")
        keys = tuple(stored[i : i + 8] for i in range(at, end, 8))
        plain = orjson.loads(stored[end:]) if len(stored) > end else None
        return cls(version, stored[_HEAD.size : at], keys, plain)


class Encoder:
    """Makes encodings under one key. The same values give the same encoding, under another key an unrelated one."""

    def __init__(self, key: bytes, version: int = 1, keep: Keep = "encoded") -> None:
        """`key`: at least KEY_BYTES_MIN bytes, secret. `version`: 0 to 65,535. Raises ValueError for others."""
        if len(key) < KEY_BYTES_MIN:
            raise ValueError(f"an encoding key has at least {KEY_BYTES_MIN} bytes")
        if not 0 <= version < 1 << 16:
            raise ValueError("a key's version is between 0 and 65535")
        self.version = version
        self.keep = keep
        self._key = blake2b(key, digest_size=32, person=b"matching").digest()
        self._pairs: dict[str, dict[str, int]] = {_DOMAINS.get(name, name): {} for name in BLOOMS}

    def _token(self, domain: str, value: str, nbytes: int = 8) -> bytes:
        """Bytes that stand for a value within a domain."""
        return blake2b(f"{domain}\x1f{value}".encode(), digest_size=nbytes, key=self._key).digest()

    def _bloom(self, domain: str, text: str) -> bytes:
        """A filter of the letter pairs of each word, its ends marked; of an initial only the mark and the letter."""
        known, bits = self._pairs[domain], 0
        for word in text.split():
            marked = f"^{word}$" if len(word) > 1 else f"^{word}"
            for pair in map(add, marked, marked[1:]):
                found = known.get(pair)
                bits |= self._learned(domain, pair) if found is None else found
        return bits.to_bytes(16, "little")

    def _learned(self, domain: str, pair: str) -> int:
        """The bits of a letter pair, kept from then on."""
        digest = self._token("pair", f"{domain}\x1f{pair}")
        found = 1 << digest[0] % _BLOOM_BITS | 1 << digest[1] % _BLOOM_BITS
        self._pairs[domain][pair] = found
        return found

    def _near(self, domain: str, value: str, marks: int, nbytes: int) -> bytes:
        """Tokens of `value` with one of at most `marks` marks left out, and one of its marks in order.

        Two values that differ in one mark, or in the order of theirs, have a token in the same place in common.
        """
        if not value or len(value) > marks:
            return bytes((marks + 1) * nbytes)
        left_out = [self._token(domain, f"{value[:i]}?{value[i + 1 :]}", nbytes) for i in range(len(value))]
        left_out.append(bytes((marks - len(value)) * nbytes))
        left_out.append(self._token(domain, "".join(sorted(value)), nbytes))
        return b"".join(left_out)

    def encode(self, normal: Normal) -> Encoded:
        """The encoding of a record that is not empty."""
        get = normal.get
        birth, phone = get("birth_date"), get("phone")[-_PHONE_DIGITS:]
        given, street = get("given_name"), get("street")
        compared = {
            **normal.values,
            "root": root_of(given),
            "birth_swapped": birth[:4] + birth[6:] + birth[4:6],
            "phone": phone,
        }
        present = sum(1 << i for i, name in enumerate(FIELDS) if name in normal.values)
        tokens = [
            self._token(domain, value) if (value := compared.get(name)) else _NO_TOKEN
            for name, domain in _TOKEN_DOMAINS
        ]
        texts = {**normal.values, "street": street.split("|")[0], "email": get("email").split("@")[0]}
        blooms = [
            self._bloom(domain, text) if (text := texts.get(name)) else _NO_BLOOM for name, domain in _BLOOM_DOMAINS
        ]
        code = b"".join((present.to_bytes(2, "little"), *tokens, *blooms, self._near_numbers(birth, phone, normal)))
        keys = tuple(self._token("block", value) for value in blocking_values(normal))
        return Encoded(self.version, code, keys, normal.values if self.keep == "plain" else None)

    def _near_numbers(self, birth: str, phone: str, normal: Normal) -> bytes:
        house, postcode = normal.get("house_number"), normal.get("postcode")
        nothing = bytes(2)
        return b"".join(
            (
                self._near("birth~", birth, BIRTH_MARKS, 2),
                b"".join(self._token("part", part, 2) for part in _parts(birth)) or nothing * BIRTH_PARTS,
                self._near("house~", house, HOUSE_MARKS, 2),
                self._token("house~", house.rstrip(ascii_lowercase), 2) if house else nothing,
                self._near("postcode~", postcode, POSTCODE_MARKS, 2),
                self._token("region", f"{len(postcode)}{postcode[:-2]}", 2) if postcode else nothing,
                self._near("phone~", phone, PHONE_MARKS, 4),
            )
        )


def _parts(birth: str) -> Iterator[str]:
    if birth:
        yield "-" + birth[4:]
        yield birth[:4] + "-" + birth[6:]
        yield birth[:6] + "-"
