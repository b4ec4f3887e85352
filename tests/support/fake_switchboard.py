"""A Switchboard in memory: two spaces, of which the second lacks a reference."""

from __future__ import annotations

from collections.abc import Sequence

from dubl.errors import NotFound, StateConflict
from dubl.types import Comparison, MissingReference, Outcome, Reference, SpaceState, SpaceSwitch

OLD, NEW = "aaaaaaaaaaaa", "bbbbbbbbbbbb"


class FakeSwitchboard:
    """`lacking`: ids of references that the new space lacks."""

    def __init__(self) -> None:
        self.switches: list[SpaceSwitch] = []
        self.lacking = ["ref-1", "ref-2"]
        self.since: list[str] = []

    async def states(self, *, since: str = "") -> Sequence[SpaceState]:
        self.since.append(since)
        current = self.switches[0].space_id if self.switches else OLD
        compared = Comparison(count=9, agreed=7, differing={(Outcome.DUPLICATE, Outcome.UNIQUE): 2})
        return [
            SpaceState(
                space_id=space_id,
                model_id=f"model@{space_id}",
                answers=space_id == current,
                references=5 - lacking,
                missing=lacking,
                comparison=comparison,
            )
            for space_id, lacking, comparison in (
                (OLD, 0, Comparison()),
                (NEW, len(self.lacking), compared),
            )
        ]

    async def history(self) -> Sequence[SpaceSwitch]:
        return self.switches

    async def missing(
        self, space_id: str, *, after_id: str, limit: int
    ) -> Sequence[MissingReference]:
        _require(space_id)
        found = [one for one in self.lacking if one > after_id] if space_id == NEW else []
        return [
            MissingReference(reference=_reference(one), path="/films/1.mp4" if "1" in one else "")
            for one in found[:limit]
        ]

    async def switch(self, space_id: str, *, force: bool, by: str, note: str) -> SpaceSwitch:
        _require(space_id)
        if self.lacking and not force:
            raise StateConflict(f"feature space '{space_id}' lacks {len(self.lacking)} references")
        return self._append(space_id, OLD if space_id == NEW else NEW, by, note, rollback=False)

    async def rollback(self, *, by: str, note: str) -> SpaceSwitch:
        if not self.switches:
            raise StateConflict("there is no earlier switch to roll back")
        last = self.switches[0]
        return self._append(last.previous_id, last.space_id, by, note, rollback=True)

    def _append(
        self, space_id: str, previous_id: str, by: str, note: str, *, rollback: bool
    ) -> SpaceSwitch:
        made = SpaceSwitch(
            number=len(self.switches) + 1,
            space_id=space_id,
            previous_id=previous_id,
            created_at="2026-01-02T03:04:05.000Z",
            by=by,
            note=note,
            rollback=rollback,
        )
        self.switches.insert(0, made)
        return made


def _require(space_id: str) -> None:
    if space_id not in (OLD, NEW):
        raise NotFound(f"feature space '{space_id}' is not in service")


def _reference(reference_id: str) -> Reference:
    return Reference(
        id=reference_id,
        library="main",
        title="",
        owner="",
        metadata={},
        source="1.mp4",
        sha256="0" * 64,
        duration_s=8.0,
        frame_count=8,
        created_at="2026-01-02T03:04:05.000Z",
    )
