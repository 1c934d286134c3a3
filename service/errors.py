"""Every error of the service, as one tree.

    FabricError                      code, detail, errors, extra, retry_after_s
    ├── Malformed                    the call can't be read
    │   ├── MalformedJson
    │   ├── PersonalValueInUrl
    │   └── PurposeRequired
    ├── Invalid                      it can be read, and says something that can't be; with pointers
    │   ├── IncompatibleSchema
    │   ├── PolicyExamplesFail       a policy's own examples do not hold
    │   ├── MatchingOff, MatchingKeyUnknown
    │   └── UnreadableWebhook        well signed; kept for inspection
    ├── IdempotencyKeyReused
    ├── NotAuthenticated
    ├── NotAllowed
    ├── Unknown                      nothing of that name
    │   ├── UnknownIdentifier, UnknownProfile, UnknownLink, UnknownAssertion, UnknownReview, UnknownRevocation,
    │   │   UnknownDecision, UnknownPolicy, UnknownAudience, UnknownEvent, UnknownQuarantined, UnknownSchema,
    │   │   UnknownDelivery, UnknownDestination, UnknownRecord, UnknownModel, UnknownReplay
    │   ├── UnknownProvider, UnknownSubjectRequest
    ├── Erased                       there was an answer, and it named a person who is erased
    ├── Conflict                     against what is in force now
    │   ├── AssertedDifferent, ProfileTooLarge, ReviewClosed, RequestInProgress, WebhookIdReused,
    │   │   NothingToRollBack, SchemaExists, SubjectRequestIdReused, GapTooLarge, Inconclusive, PolicyMoved
    ├── TooLarge                     over a limit of the service
    │   ├── BodyTooLarge, TooManyItems
    ├── UnsupportedMedia
    ├── NotNow                       the same call may succeed later; always with retry_after_s
    │   ├── Busy, RateLimited, NotYetEnforced, StoreUnavailable
    ├── Internal                     a defect of the service
    └── StartError                   the service can't start: one clear line, no trace
        ├── LocalStoreError, StartRefused

    BadValue(ValueError)             a value that its type refuses; becomes Invalid once its pointer is known

`detail`, messages and `extra` are read by callers and written to logs: no value of a person belongs in them. What an
error means in HTTP is said in one table, in `service.api.errors`; here is nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, NamedTuple, TypeAlias

JSON: TypeAlias = bool | int | float | str | list["JSON"] | dict[str, "JSON"] | None


class FieldError(NamedTuple):
    """One thing wrong with one place of a request. `pointer` is an RFC 6901 JSON pointer, "" for the whole."""

    pointer: str
    message: str


class FabricError(Exception):
    """The root. `code` is stable and snake case; `detail` is one sentence for a person, without personal values."""

    code: ClassVar[str] = "error"
    says: ClassVar[str] = "The call failed."
    retry_after_s: int | None = None

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Iterable[FieldError] = (),
        extra: Mapping[str, JSON] | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        self.detail = detail or self.says
        self.errors = tuple(errors)
        self.extra: Mapping[str, JSON] = extra or {}
        if retry_after_s is not None:
            self.retry_after_s = retry_after_s
        super().__init__(self.detail)

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"

    @property
    def pointed(self) -> tuple[FieldError, ...]:
        """What is wrong, as errors of fields: at least one, of the whole where none is named."""
        return self.errors or (FieldError("", self.detail),)


class BadValue(ValueError):
    """A value that its type refuses. The text is shown to callers, so it names what is expected, never the value."""


# ---- the call can't be read


class Malformed(FabricError):
    """The request can't be read."""

    code = "malformed"
    says = "The request can't be read."


class MalformedJson(Malformed):
    """The body is not JSON as the service accepts it."""

    code = "malformed_json"
    says = "The body is not valid JSON."


class PersonalValueInUrl(Malformed):
    """A plain e-mail address or phone number in a path or query, where proxies would log it."""

    code = "personal_value_in_url"
    says = "A plain personal value may not be sent in a URL. Send its digest, or send it in a body."


class PurposeRequired(Malformed):
    """A key that may only activate has to say what for."""

    code = "purpose_required"
    says = "This key may look up only for a named purpose. Add `purpose`."


# ---- it can be read, and says something that can't be


class Invalid(FabricError):
    """Something in the request can't be; `errors` says what and where."""

    code = "invalid"
    says = "The request is not valid."

    @classmethod
    def at(cls, pointer: str, message: str) -> Invalid:
        """One field is wrong: `raise Invalid.at("/a/value", "is blocked")`."""
        return cls(errors=(FieldError(pointer, message),))


class MatchingOff(Invalid):
    """The policy in force has no section `matching`."""

    code = "matching_off"
    says = "The policy in force has no matching, so records are not taken."


class MatchingKeyUnknown(Invalid):
    """The encoding key is not the one that the records in the graph were encoded with."""

    code = "matching_key_unknown"
    says = (
        "The encoding key of this instance is not the one of the records there are. Nothing is compared until it is "
        "set, or a new one is put in force under a higher MATCHING_KEY_VERSION."
    )


class UnreadableWebhook(Invalid):
    """A webhook is well signed, and its body can't be read or says something that can't be."""

    code = "unreadable_webhook"
    says = "The webhook is signed as it must be and can't be read. It is kept for inspection."


class PolicyExamplesFail(Invalid):
    """Examples that a policy holds itself to come out otherwise; it can't be put in force."""

    code = "policy_examples_fail"
    says = "The policy's own examples do not hold under it."


class IncompatibleSchema(Invalid):
    """A version of a schema changes more than its number says; the pointers say what."""

    code = "incompatible_schema"
    says = "The schema changes more than its version number allows."


class IdempotencyKeyReused(FabricError):
    """The same Idempotency-Key came with another body before."""

    code = "idempotency_key_reused"
    says = "This Idempotency-Key was used for another request."


# ---- who may


class NotAuthenticated(FabricError):
    """No key, an unreadable one, or one that is not known."""

    code = "not_authenticated"
    says = "A valid key is needed: `Authorization: Bearer KEY`."


class NotAllowed(FabricError):
    """The key is known, its roles do not allow this."""

    code = "not_allowed"
    says = "The roles of this key do not allow this."


# ---- nothing of that name


class Unknown(FabricError):
    """What the request names does not exist."""

    code = "not_found"
    says = "There is nothing here."


class UnknownIdentifier(Unknown):
    """The service has not seen this identifier."""

    code = "unknown_identifier"
    says = "This identifier is not known."


class UnknownProfile(Unknown):
    """This profile id was never handed out."""

    code = "unknown_profile"
    says = "This profile id is not known."


class UnknownLink(Unknown):
    """There is no link of this id."""

    code = "unknown_link"
    says = "This link is not known."


class UnknownAssertion(Unknown):
    """There is no assertion of this id."""

    code = "unknown_assertion"
    says = "This assertion is not known."


class UnknownReview(Unknown):
    """There is no review of this id."""

    code = "unknown_review"
    says = "This review is not known."


class UnknownRevocation(Unknown):
    """There is no revocation of this id."""

    code = "unknown_revocation"
    says = "This revocation is not known."


class UnknownProvider(Unknown):
    """No webhooks are taken under this name."""

    code = "unknown_provider"
    says = "No webhooks are taken from a provider of this name."


class UnknownDecision(Unknown):
    """There is no decision of this id."""

    code = "unknown_decision"
    says = "This decision is not known."


class UnknownPolicy(Unknown):
    """There is no policy of this version."""

    code = "unknown_policy"
    says = "This version of the policy is not known."


class UnknownEvent(Unknown):
    """No event of this source and id."""

    code = "unknown_event"
    says = "There is no event of this source and id."


class UnknownReplay(Unknown):
    """No replay of this id."""

    code = "unknown_replay"
    says = "There is no replay of this id."


class UnknownQuarantined(Unknown):
    """Nothing in quarantine under this id."""

    code = "unknown_quarantined"
    says = "There is nothing in quarantine under this id."


class UnknownSchema(Unknown):
    """No schema of this type and version."""

    code = "unknown_schema"
    says = "There is no schema of this type and version."


class UnknownAudience(Unknown):
    """The policy names no audience so."""

    code = "unknown_audience"
    says = "The policy has no audience of this name."


class UnknownDelivery(Unknown):
    """There is no delivery of this id."""

    code = "unknown_delivery"
    says = "This delivery is not known."


class UnknownDestination(Unknown):
    """The policy names no destination so, or none that the service serves itself."""

    code = "unknown_destination"
    says = "The policy has no destination of this name with a `delivery` block."


class UnknownRecord(Unknown):
    """No record of this source is kept of this identifier."""

    code = "unknown_record"
    says = "There is no record of this identifier from this source."


class UnknownModel(Unknown):
    """No model of matching has this name and version."""

    code = "unknown_model"
    says = "There is no model of this name and version."


class UnknownSubjectRequest(Unknown):
    """There is no request of this id, or it has no results."""

    code = "unknown_subject_request"
    says = "This request is not known, or has nothing to be read."


class Erased(FabricError):
    """What is asked for, or sent, is about a person who has been erased."""

    code = "erased"
    says = "This answer named a person who has been erased."


# ---- against what is in force


class Conflict(FabricError):
    """The request contradicts what is in force."""

    code = "conflict"
    says = "The request contradicts what is in force."


class AssertedDifferent(Conflict):
    """A steward said that these are different people; the assertion is named."""

    code = "asserted_different"
    says = "A steward's assertion says that these are different people. Undo it first."

    def __init__(self, assertion_id: str) -> None:
        super().__init__(extra={"assertion_id": assertion_id})


class ProfileTooLarge(Conflict):
    """The result would hold more identifiers than the policy allows."""

    code = "profile_too_large"

    def __init__(self, max_profile_size: int) -> None:
        super().__init__(f"The profile would hold more than {max_profile_size} identifiers.")


class ReviewClosed(Conflict):
    """Another verdict was given on this pair before."""

    code = "review_closed"
    says = "Another verdict was given on this review. Undo its assertion to take it back."


class WebhookIdReused(Conflict):
    """The same webhook-id came with another body before."""

    code = "webhook_id_reused"
    says = "This webhook-id was used for another webhook."


class SchemaExists(Conflict):
    """A version of a schema was published with other content; versions are never changed."""

    code = "schema_exists"
    says = "This version exists with other content. Published versions are never changed."


class NothingToRollBack(Conflict):
    """No version was in force before this one."""

    code = "nothing_to_roll_back"
    says = "No version of the policy was in force before this one."


class SubjectRequestIdReused(Conflict):
    """The same subject_request_id came with another body before."""

    code = "subject_request_id_reused"
    says = "This subject_request_id was used for another request."


class GapTooLarge(Conflict):
    """The old stack and the new path differ by more than the policy tolerates."""

    code = "gap_too_large"
    says = "The old stack and the new path differ by more than `max_gap`. The figures say where."


class Inconclusive(Conflict):
    """Too little was compared for a step."""

    code = "inconclusive"
    says = "Less than `min_compared` was compared, so that nothing can be said."


class PolicyMoved(Conflict):
    """Another version of the policy was put in force meanwhile."""

    code = "policy_moved"
    says = "Another version of the policy was put in force meanwhile. Send the request again."
    retry_after_s = 1


class RequestInProgress(Conflict):
    """The first request under this Idempotency-Key is still running."""

    code = "request_in_progress"
    says = "The first request under this Idempotency-Key is still running. Send it again later."
    retry_after_s = 1


# ---- over a limit, or in another language


class TooLarge(FabricError):
    """Over a limit of the service."""

    code = "too_large"
    says = "The request is too large."


class BodyTooLarge(TooLarge):
    """The body holds more bytes than the service reads."""

    code = "body_too_large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"The body is larger than {limit_bytes} bytes.")


class TooManyItems(TooLarge):
    """A batch holds more items than the service takes at once."""

    code = "too_many_items"

    def __init__(self, limit: int = 1000) -> None:
        super().__init__(f"The batch holds more than {limit} items.")


class UnsupportedMedia(FabricError):
    """The body is not declared to be JSON in UTF-8."""

    code = "unsupported_media"
    says = "The body must be sent as application/json in UTF-8."


# ---- the same call may succeed later


class NotNow(FabricError):
    """Not possible at the moment; the same call may succeed after `retry_after_s`."""

    code = "not_now"
    says = "This is not possible at the moment."
    retry_after_s = 1


class Busy(NotNow):
    """A queue of the service is full."""

    code = "overloaded"
    says = "The service has more to do than it can take. Send the request again later."


class RateLimited(NotNow):
    """This key sent more than its share."""

    code = "rate_limited"
    says = "This key sends more requests than it may. Send the request again later."

    def __init__(self, wait_s: int = 1) -> None:
        super().__init__()
        self.retry_after_s = wait_s


class NotYetEnforced(NotNow):
    """Committed, but not yet true on every instance."""

    code = "not_yet_enforced"
    says = (
        "The change is stored and not yet in force everywhere. Send the request again under the same Idempotency-Key."
    )


class StoreUnavailable(NotNow):
    """The graph can't be reached."""

    code = "store_unavailable"
    says = "A store of the service can't be reached."


class Internal(FabricError):
    """A defect of the service. What happened is in the log, under the request id."""

    code = "internal_error"
    says = "The service failed. The request id finds the cause in its log."


# ---- the service can't start


class StartError(FabricError):
    """The service can't start; `detail` is the one line that its operator reads."""

    code = "start_error"
    says = "The service can't start."

    def __str__(self) -> str:
        return self.detail


class LocalStoreError(StartError):
    """A local Neo4j or Redis could not be fetched, started or reached."""

    code = "local_store_error"


class StartRefused(StartError):
    """What the service was given to start with does not fit: settings, keys, migrations, stores of another run."""

    code = "start_refused"


def error_classes(root: type[FabricError] = FabricError) -> Iterator[type[FabricError]]:
    """All classes below `root`, itself included."""
    yield root
    for child in root.__subclasses__():
        yield from error_classes(child)
