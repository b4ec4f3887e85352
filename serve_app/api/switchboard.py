"""What the HTTP layer asks about feature spaces; part of Service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dubl.types import Comparison, Reference, SpaceSwitch


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceState:
    """A feature space in service: whether it answers, how many references it holds, how many it
    lacks that another space holds, and its comparison with the answers while it gave none."""

    space_id: str
    model_id: str
    answers: bool
    references: int
    missing: int
    comparison: Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingReference:
    """A reference that a space lacks. `path`: where the indexing job finds its file; empty where
    nobody knows."""

    reference: Reference
    path: str


class Switchboard(Protocol):
    """Which feature space answers. Methods raise dubl.errors."""

    async def states(self, *, since: str = "") -> Sequence[SpaceState]:
        """That of model.weights first; comparisons since then (UTC, as the ledger writes it)."""
        ...

    async def history(self) -> Sequence[SpaceSwitch]:
        """Newest first."""
        ...

    async def missing(
        self, space_id: str, *, after_id: str, limit: int
    ) -> Sequence[MissingReference]:
        """In the order of ids. Raises NotFound."""
        ...

    async def switch(self, space_id: str, *, force: bool, by: str, note: str) -> SpaceSwitch:
        """Raises NotFound; StateConflict when it answers already or, without `force`, lacks
        references."""
        ...

    async def rollback(self, *, by: str, note: str) -> SpaceSwitch:
        """Raises StateConflict."""
        ...
