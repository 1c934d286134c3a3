"""Schemas of events, compiled once for each version. Published ones never change, so what is known stays true."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

import orjson

from service.events.validation import Compiled, compiled_builtin


class SchemaStore(Protocol):
    """Published schemas as they are kept. Raises StoreUnavailable."""

    async def schemas(self, names: Collection[str]) -> dict[str, str]:
        """Name (`page_view/1-0-0`) → document, of those names that there are."""

    async def schema_names(self) -> list[str]:
        """Every name that was published here."""

    async def versions_of(self, kind: str) -> dict[str, str]:
        """Name → document, of every version of one type."""


class SchemaBook:
    """The built-in schemas, and those published here as they are asked for."""

    def __init__(self, store: SchemaStore) -> None:
        self._store = store
        self._compiled = compiled_builtin()
        self._builtin = frozenset(self._compiled)

    @property
    def known(self) -> Mapping[str, Compiled]:
        """Name → what is known so far; `learn` first."""
        return self._compiled

    def is_builtin(self, name: str) -> bool:
        """Whether a version comes with the service."""
        return name in self._builtin

    async def learn(self, names: Collection[str]) -> None:
        """Have these at hand, those that there are. What is not known is asked for each time: it may be published
        anywhere at any moment.
        """
        missing = [name for name in names if name not in self._compiled]
        if missing:
            for name, document in (await self._store.schemas(missing)).items():
                self.add(name, document)

    def add(self, name: str, document: str) -> None:
        """Note a published version. Raises NotASchema."""
        if name not in self._compiled:
            self._compiled[name] = Compiled(orjson.loads(document))

    async def names(self) -> list[str]:
        """Every version that there is, in order."""
        return sorted({*self._builtin, *await self._store.schema_names()})

    async def of_type(self, kind: str) -> dict[str, Compiled]:
        """Name → schema, of every version of one type."""
        for name, document in (await self._store.versions_of(kind)).items():
            self.add(name, document)
        return {name: found for name, found in self._compiled.items() if name.startswith(f"{kind}/")}
