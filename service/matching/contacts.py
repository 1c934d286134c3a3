"""Phone numbers and mail addresses."""

from __future__ import annotations

import re

import phonenumbers

from service.matching.text import is_junk, plain

_NO_DIGIT = re.compile(r"\D+")
_DIGITS_MIN, _DIGITS_MAX = 6, 15
_RUNS = ("01234567890123456789", "98765432109876543210")
_OFFICES = """
noreply no-reply donotreply none na null test nobody unknown noemail nomail info office contact admin support sales mail
email hello webmaster postmaster abuse anonymous
"""
_NOBODY = frozenset(_OFFICES.split())
_DOTLESS = frozenset(("gmail.com", "googlemail.com"))


def phone_of(text: str, country: str) -> str:
    """Country code and national number; the digits without leading zeros where the country is not known; '' for junk.

    `country`: two letters in lower case, or anything else for none.
    """
    digits = _NO_DIGIT.sub("", text)
    if not _DIGITS_MIN <= len(digits) <= _DIGITS_MAX:
        return ""
    bare = digits.strip("0")
    if len(set(bare[-6:])) < 2 or any(bare in run for run in _RUNS):
        return ""
    region = country.upper() if len(country) == 2 else None
    try:
        number = phonenumbers.parse("+" + digits[2:] if text.strip().startswith("00") else text, region)
    except phonenumbers.NumberParseException:
        return digits.lstrip("0")
    return f"{number.country_code}{number.national_number}"


def email_of(text: str) -> str:
    """The address in lower case without a `+tag`; '' for junk, and for addresses of an office rather than a person."""
    local, at, domain = text.strip().lower().rpartition("@")
    local = local.split("+", 1)[0].strip()
    if not at or not local or "." not in domain.strip(".") or any(mark.isspace() for mark in local + domain):
        return ""
    if local in _NOBODY or is_junk(plain(local)):
        return ""
    if domain in _DOTLESS:
        local, domain = local.replace(".", ""), "gmail.com"
    return f"{local}@{domain}"
