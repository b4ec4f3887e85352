"""What the HTTP layer asks about feature spaces; part of Service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dubl.types import MissingReference, SpaceState, SpaceSwitch


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
