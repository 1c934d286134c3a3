"""Assembly of matching: the encoding key, the models, and what encodes, scores and trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from service.commands.matching_key import EncodingKey, derived, put_in_force
from service.commands.policies import Policies
from service.commands.records import Records, equipped
from service.commands.scoring import ModelScorer
from service.commands.training import Models, Trainer
from service.commands.write_path import WritePath
from service.control.link_ids import link_ids_under
from service.errors import StartRefused, StoreUnavailable
from service.graph.dossier_reader import GraphDossiers
from service.graph.driver import AsyncDriver
from service.graph.models import GraphModels
from service.model.policy import Policy
from service.settings import Settings

KEY_CHARS_MIN = 16


@dataclass(frozen=True, slots=True)
class MatchingParts:
    """What the rest of the service is given."""

    records: Records
    models: Models
    trainer: Trainer


class MatchingAssembly:
    """Made before the policy is read, since a policy names a model; completed once there is a write path."""

    def __init__(self, settings: Settings, secret: bytes, driver: AsyncDriver, database: str) -> None:
        self._settings = settings
        self._secret = secret
        self._link_ids = link_ids_under(secret)
        self._reader = GraphDossiers(driver, database)
        self.models = Models(GraphModels(driver, database))

    async def equip(self, policy: Policy) -> Policy:
        """The policy with the model that it names. Raises StoreUnavailable where there is none of that name."""
        if policy.matching is None:
            return policy
        model = await self.models.ready(policy.matching.model)
        if model is None:
            raise StoreUnavailable("The policy names a model of matching that is not there.")
        return equipped(policy, ModelScorer(model, policy.matching.fields), self._link_ids)

    async def complete(self, policies: Policies, write_path: WritePath, say: Callable[[str], None]) -> MatchingParts:
        """Everything, with the encoding key in force, if it is the graph's. Raises StartRefused for an unusable one."""
        key = encoding_key(self._settings, self._secret)
        in_force = await put_in_force(self._reader, key)
        if not in_force:
            say(
                "The encoding key is not the one that records in the graph were encoded with: records are refused and "
                "nothing is compared until MATCHING_KEY is that one, or MATCHING_KEY_VERSION is raised for a new one."
            )
        records = Records(key.secret, key.version, self._secret, self._reader, policies.active, in_force=in_force)
        trainer = Trainer(write_path, self.models.store, self._reader, key.version)
        return MatchingParts(records, self.models, trainer)


def encoding_key(settings: Settings, secret: bytes) -> EncodingKey:
    """The key that is set, in a file or as it is, or the one derived from the identity key. Raises StartRefused."""
    text = None if settings.matching_key is None else settings.matching_key.get_secret_value()
    if settings.matching_key_file is not None:
        try:
            text = settings.matching_key_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise StartRefused("MATCHING_KEY_FILE can't be read") from None
    if text is not None and len(text) < KEY_CHARS_MIN:
        raise StartRefused(f"MATCHING_KEY has fewer than {KEY_CHARS_MIN} characters")
    return EncodingKey(derived(secret) if text is None else text.encode(), settings.matching_key_version)
