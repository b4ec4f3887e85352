"""The answering feature space, and the switch to the other one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dubl.assembly import make_evidence_store
from dubl.engine.flow import Lane, Steps
from dubl.engine.ledger import LedgerClient
from dubl.errors import EvidenceNotKept, NotFound, StateConflict
from dubl.ledger.spaces import Spaces
from dubl.settings import Settings
from dubl.types import Comparison, MissingReference, Reference, SpaceState, SpaceSwitch

if TYPE_CHECKING:
    from dubl.index.spaces import Holding

logger = logging.getLogger(__name__)


class FeatureSpaces:
    """The feature spaces in service, each with a lane of the graph."""

    def __init__(self, steps: Steps, ledger: LedgerClient, settings: Settings) -> None:
        self._steps = steps
        self._ledger = ledger
        self._kept = make_evidence_store(settings)

    async def answering(self) -> Lane:
        """The answering space, for requests without a job. The ledger is asked only if there are
        two."""
        lanes = self._steps.lanes
        return lanes[0] if len(lanes) == 1 else self._steps.lane(await self._current())

    async def states(self, *, since: str = "") -> Sequence[SpaceState]:
        current = self._steps.lane(await self._current())
        compared = await self._ledger.ask(Spaces.comparisons, since=since)
        holdings: Mapping[str, Holding] = await self._steps.librarian.holdings.remote()
        return [
            SpaceState(
                space_id=lane.space.id,
                model_id=lane.space.model_id,
                answers=lane is current,
                references=holdings[lane.space.id].references,
                missing=holdings[lane.space.id].missing,
                comparison=compared.get(lane.space.id, Comparison()),
            )
            for lane in self._steps.lanes
        ]

    async def history(self) -> Sequence[SpaceSwitch]:
        return await self._ledger.ask(Spaces.history)

    async def missing(
        self, space_id: str, *, after_id: str, limit: int
    ) -> Sequence[MissingReference]:
        self._require(space_id)
        ask = self._steps.librarian.missing
        found: Sequence[Reference] = await ask.remote(space_id, after_id, limit)
        return await asyncio.to_thread(lambda: [self._located(one) for one in found])

    async def switch(self, space_id: str, *, force: bool, by: str, note: str) -> SpaceSwitch:
        self._require(space_id)
        lacking = next(one.missing for one in await self.states() if one.space_id == space_id)
        if lacking and not force:
            raise StateConflict(
                f"feature space '{space_id}' lacks {lacking} references: fill it "
                "(`dubl spaces missing` lists them), or switch with force",
                context={"missing": lacking},
            )
        current = self._steps.lane(await self._current()).space.id
        made = await self._ledger.ask(
            Spaces.switch, space_id, previous_id=current, by=by, note=note
        )
        logger.warning("feature space %s answers now; before it: %s", space_id, current)
        return made

    async def rollback(self, *, by: str, note: str) -> SpaceSwitch:
        history = await self.history()
        if history and not history[0].rollback:
            self._require(history[0].previous_id)
        made = await self._ledger.ask(Spaces.rollback, by=by, note=note)
        logger.warning("feature space %s answers again", made.space_id)
        return made

    async def _current(self) -> str:
        return await self._ledger.ask(Spaces.current)

    def _require(self, space_id: str) -> None:
        if space_id not in {lane.space.id for lane in self._steps.lanes}:
            raise NotFound(
                f"feature space '{space_id}' is not in service: it is neither that of "
                "model.weights nor that of candidate.weights"
            )

    def _located(self, reference: Reference) -> MissingReference:
        try:
            path = self._kept.reference(reference.id).video_path
        except EvidenceNotKept:
            path = ""
        known = reference.source.startswith("/") or "://" in reference.source
        return MissingReference(
            reference=reference, path=path or (reference.source if known else "")
        )
