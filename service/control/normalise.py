"""Identifiers as the policy wants them: normalised, checked, refused where the value can be nobody's."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from service.control.policy_document import fold
from service.model.identifiers import Identifier
from service.model.policy import Namespace, Policy

VALUE_LENGTH_MAX = 512
BLANKS = " \t\r\n\u00a0\u3000"
"""What may stand around a value. Other things that Python strips are control characters, and refused."""
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_ZEROS = re.compile(r"[0\-{}:.\s+()/]*0[0\-{}:.\s+()/]*", re.ASCII)
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


class Refused(ValueError):
    """The identifier can't be taken. `field` is `namespace` or `value`; the text names the rule, never the value."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def _clean(value: str) -> str:
    value = value.strip(BLANKS)
    if not value.isascii():
        if any(unicodedata.category(character) in _UNSEEN for character in value):
            raise Refused("value", "holds a control or invisible character")
        value = unicodedata.normalize("NFC", value)
    elif not value.isprintable():
        raise Refused("value", "holds a control or invisible character")
    if not value:
        raise Refused("value", "is empty")
    return _short(value)


def _short(value: str) -> str:
    if len(value) > VALUE_LENGTH_MAX:
        raise Refused("value", f"is longer than {VALUE_LENGTH_MAX} characters")
    return value


def _blocked(value: str, policy: Policy) -> bool:
    folded = fold(value)
    return folded in policy.blocked_values or _ZEROS.fullmatch(folded) is not None


def _digest_of(value: str, namespace: Namespace, policy: Policy, *, plain: bool) -> str:
    if plain:
        value = value.casefold() if namespace.fold_case else value
        if namespace.kind == "person" and "phone" in namespace.name:
            value = re.sub(r"[\s().\-/]", "", value)
        if _blocked(value, policy):
            raise Refused("value", "is a blocked value")
        value = hashlib.sha256(value.encode()).hexdigest()
    else:
        value = value.lower()
        if not _DIGEST.fullmatch(value):
            raise Refused("value", "is not a SHA-256 digest in hexadecimal")
    if value in policy.blocked_digests or _ZEROS.fullmatch(value):
        raise Refused("value", "is the digest of a blocked value")
    return value


def accepts(key: str, policy: Policy) -> bool:
    """Whether an identifier that was taken once would be taken again: its namespace, pattern and blocked values."""
    namespace, _, value = key.partition(":")
    try:
        return normalise(namespace, value, policy).key == key
    except Refused:
        return False


def normalise(namespace: str, value: str, policy: Policy, *, plain: bool = False) -> Identifier:
    """The identifier that `value` stands for in `namespace`.

    `plain`: a value of a hashed namespace that is not a digest yet; it is digested here and kept nowhere. Raises
    Refused, whose text never repeats the value.
    """
    rules = policy.namespaces.get(namespace)
    if rules is None:
        raise Refused("namespace", "is not a namespace of the policy")
    value = _clean(value)
    if plain and not rules.hashed:
        raise Refused("plain", "is only for namespaces that keep digests")
    if rules.hashed:
        return Identifier(namespace, _digest_of(value, rules, policy, plain=plain))
    if rules.fold_case:
        value = _short(unicodedata.normalize("NFC", value.casefold()))  # folding may lengthen and take apart
    if _blocked(value, policy):
        raise Refused("value", "is a blocked value")
    if rules.pattern is not None and not rules.pattern.search(value):
        raise Refused("value", "does not match the pattern of its namespace")
    return Identifier(namespace, value)
