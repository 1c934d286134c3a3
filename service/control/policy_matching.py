"""Section `matching` of the policy document: which model, what of records is kept and compared."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from service.model.records import FIELDS, Matching
from service.model.records import Field as RecordField

MODEL: Final = r"^[a-z][a-z0-9_]{0,63}/[1-9][0-9]{0,8}$"
MAX_CANDIDATES_MAX: Final = 100


class MatchingRules(BaseModel):
    """How records are compared. `max_candidates`: records that share a blocking key with more than so many others'
    find nobody by it. `keep_above`: pairs at or above it become links.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Annotated[str, StringConstraints(pattern=MODEL)] = "people/1"
    keep: Literal["encoded", "plain"] = "encoded"
    fields: Annotated[list[RecordField], Field(min_length=1, max_length=len(FIELDS))] = list(FIELDS)
    max_candidates: Annotated[int, Field(ge=1, le=MAX_CANDIDATES_MAX)] = 20
    keep_above: Annotated[float, Field(gt=0, le=1)] = 0.5


def matching_of(rules: MatchingRules | None) -> Matching | None:
    """The section, compiled; None where matching is off."""
    if rules is None:
        return None
    name, _, version = rules.model.partition("/")
    fields = tuple(sorted(set(rules.fields), key=FIELDS.index))
    return Matching(name, version, rules.keep, fields, rules.max_candidates, rules.keep_above)
