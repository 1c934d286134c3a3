"""Has models trained: in the background of an instance, on records drawn from the graph, one after another.

That a model is being trained stands in the graph, so a training that was cut off begins again at the next start, and
on the same records comes to the same model. How far it has come only the instance knows that does it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import orjson
import structlog

from service.commands.records import RecordReader
from service.commands.rest import Rest
from service.commands.scoring import ModelScorer
from service.commands.write_path import WritePath
from service.errors import FabricError, UnknownModel
from service.matching.encode import Encoded
from service.matching.model import BUILT_IN, Model, built_in
from service.matching.pairs import sample_of
from service.matching.train import Refused, train
from service.model.changes import Origin
from service.model.identifiers import IdentifierKey, Pair
from service.model.matching_models import EndTraining, KeptModel
from service.model.records import Dossier

log = structlog.get_logger()
LOOK_EVERY_S: Final = 2.0
PAGE: Final = 1_000
JUDGED_MAX: Final = 1_000
LINKED_FROM: Final = 0.9
_SEED: Final = 20_261_124
_ORIGIN: Final = Origin("service:matching")


class ModelStore(Protocol):
    """Models as they are kept. Raises StoreUnavailable."""

    async def model(self, name: str, version: int) -> KeptModel | None:
        """One version."""

    async def models(self, after: str, limit: int) -> Sequence[KeptModel]:
        """Models by name, after one."""

    async def unfinished(self) -> Sequence[KeptModel]:
        """Those whose training has not ended, the oldest first."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a model agrees with stewards: on how many pairs, and of those that it would link and that are one person,
    the share that is both. None where there is nothing to divide by.
    """

    pairs: int
    precision: float | None
    recall: float | None


def built_in_model() -> KeptModel:
    """What comes with the service, as if it were kept."""
    model = built_in()
    return KeptModel(model.name, model.version, "ready", 0, 0, 0, None, model.expected_matches)


class Models:
    """Knows models by name, each read once."""

    def __init__(self, store: ModelStore) -> None:
        self.store = store
        self._read: dict[str, Model] = {BUILT_IN: built_in()}

    async def kept(self, name: str, version: int) -> KeptModel:
        """One version as it is kept. Raises UnknownModel."""
        found = built_in_model() if f"{name}/{version}" == BUILT_IN else await self.store.model(name, version)
        if found is None:
            raise UnknownModel()
        return found

    async def ready(self, full_name: str) -> Model | None:
        """A model that can be used; None for one that can't, or that there is not."""
        known = self._read.get(full_name)
        if known is None:
            name, _, version = full_name.partition("/")
            kept = await self.store.model(name, int(version))
            if kept is None or kept.document is None:
                return None
            known = self._read[full_name] = Model.from_json(orjson.loads(kept.document))
        return known


async def agreement_of(model: Model, reader: RecordReader) -> Agreement:
    """How a model agrees with what stewards said of pairs that both have records."""
    judged = await reader.judged(JUDGED_MAX)
    keys = sorted({end for pair in judged for end in pair})
    dossiers = await reader.dossiers(keys) if keys else {}
    scorer, told = ModelScorer(model), 0
    both = linked = same = 0
    for pair, is_same in judged.items():
        confidence = _confidence(scorer, dossiers, pair)
        if confidence is None:
            continue
        told += 1
        links = confidence >= LINKED_FROM
        linked, same, both = linked + links, same + is_same, both + (links and is_same)
    return Agreement(told, round(both / linked, 6) if linked else None, round(both / same, 6) if same else None)


def _confidence(scorer: ModelScorer, dossiers: dict[IdentifierKey, Dossier], pair: Pair) -> float | None:
    one, other = dossiers.get(pair[0]), dossiers.get(pair[1])
    if one is None or other is None:
        return None
    likenesses = scorer.likenesses([(a.encoding, b.encoding) for a in one.records for b in other.records])
    return max((like.confidence for like in likenesses if like.comparable), default=None)


class Trainer:
    """Runs in the background of every instance."""

    def __init__(self, write_path: WritePath, store: ModelStore, reader: RecordReader, key_version: int) -> None:
        self._write_path = write_path
        self._store = store
        self._reader = reader
        self._key_version = key_version
        self._progress: dict[str, float] = {}
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._rest = Rest()

    def start(self) -> None:
        """Begin to look."""
        self._rest = Rest()
        self._task = asyncio.create_task(self._work(), name="train models")

    async def stop(self) -> None:
        """Stop; what is not done begins again at the next start."""
        if self._task is not None:
            self._woken.set()
            await self._rest.end(self._task)

    def wake(self) -> None:
        """Look at once."""
        self._woken.set()

    def progress(self, model: str) -> float | None:
        """How much of a training is done, 0 to 1, where this instance does it."""
        return self._progress.get(model)

    async def _work(self) -> None:
        while not self._rest.is_over:
            try:
                for kept in (await self._store.unfinished())[:1]:
                    await self._train(kept)
                    self._woken.set()  # another may wait
            except FabricError:
                pass  # a store is away; readiness shows it
            except Exception:
                log.exception("training_failed")
            self._woken.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), LOOK_EVERY_S)

    async def _train(self, kept: KeptModel) -> None:
        self._progress[kept.model] = 0.0
        try:
            records, population = await self._drawn(kept.sample)
            made = await asyncio.to_thread(self._made, kept, records, population)
        except ValueError as error:
            log.error("training_refused", model=kept.model, error=type(error).__name__)
            made = Refused("the records there are can't be compared with each other")
        if isinstance(made, Refused):
            change = EndTraining(kept.name, kept.version, None, made.reason, made.expected_matches)
        else:
            document = orjson.dumps(made.to_json()).decode()
            change = EndTraining(kept.name, kept.version, document, None, made.expected_matches)
        await self._write_path.submit([change], _ORIGIN, lambda _: (200, b""))
        self._progress.pop(kept.model, None)

    async def _drawn(self, sample: int) -> tuple[list[Encoded], int]:
        """At most so many records at random, of the encoding key in force, and how many there are of all."""
        found: list[Encoded] = []
        after = ""
        while True:
            page = await self._reader.page(after, PAGE)
            for dossier in page:
                encoded = (Encoded.from_bytes(record.encoding) for record in dossier.records)
                found += [one for one in encoded if one.version == self._key_version]
            if len(page) < PAGE:
                return sample_of(found, sample, _SEED), len(found)
            after = page[-1].key

    def _made(self, kept: KeptModel, records: list[Encoded], population: int) -> Model | Refused:
        def note(done: float) -> None:
            self._progress[kept.model] = done

        return train(
            records, seed=_SEED, name=kept.name, version=kept.version, population=population or None, progress=note
        )
