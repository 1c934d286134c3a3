"""What a model looks at: the fields, those of an address each beside what it depends on.

Who has moved has another street, suburb and postcode at once, and who lives in one suburb has its city in common with
all of it: taken for independent these would count again and again. So a street, a suburb and a city are looked at
separately where the place agrees, where it differs, and where it is not told; a house number by its street. Mail
addresses are made of names, so those of namesakes are alike: they are looked at by how many of both names agree.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from service.matching.compare import Levels
from service.matching.fields import CLOSE, FIELDS, MISSING, PERSON_FIELDS

CONTEXTS = ("unknown", "differs", "agrees")
_UNKNOWN, _DIFFERS, _AGREES = range(3)
# What a field depends on: the first of these that both records tell.
_DEPENDS: dict[str, tuple[str, ...]] = {
    "suburb": ("postcode",),
    "city": ("postcode", "suburb"),
    "street": ("postcode", "suburb", "city"),
    "house_number": ("street", "postcode", "suburb", "city"),
}
NAMES_AGREE = ("no name", "one name", "both names")
ALONE = tuple(name for name in FIELDS if name not in _DEPENDS and name != "email")
FEATURES = (
    *ALONE,
    *(f"{name}, {context}" for name in _DEPENDS for context in CONTEXTS),
    *(f"email, {context}" for context in NAMES_AGREE),
)
FIELD_OF = tuple(FIELDS.index(feature.split(",")[0]) for feature in FEATURES)
NAMESAKES = FEATURES.index("email, both names")  # hardly any random pair is of namesakes
PERSONAL = [FEATURES.index(name) for name in PERSON_FIELDS]


def features(levels: Levels) -> Levels:
    """Pairs x FEATURES, of pairs x FIELDS. A field that depends on another is missing in all contexts but its own."""
    found = np.zeros((len(levels), len(FEATURES)), dtype=np.uint8)
    for i, alone in enumerate(ALONE):
        found[:, i] = levels[:, FIELDS.index(alone)]
    contexts = [(name, _context(levels, others)) for name, others in _DEPENDS.items()]
    contexts.append(("email", _names(levels)))
    at = len(ALONE)
    for name, context in contexts:
        own = levels[:, FIELDS.index(name)]
        for which in range(len(CONTEXTS)):
            found[:, at] = np.where(context == which, own, MISSING)
            at += 1
    return found


def _names(levels: Levels) -> npt.NDArray[np.int8]:
    """How many of both names agree."""
    agree = [levels[:, FIELDS.index(name)] >= CLOSE for name in ("given_name", "family_name")]
    return agree[0].astype(np.int8) + agree[1]


def _context(levels: Levels, others: tuple[str, ...]) -> npt.NDArray[np.int8]:
    found = np.full(len(levels), _UNKNOWN, dtype=np.int8)
    for name in reversed(others):
        other = levels[:, FIELDS.index(name)]
        found[other != MISSING] = _DIFFERS
        found[other >= CLOSE] = _AGREES
    return found
