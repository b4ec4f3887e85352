"""What people ask about matches, for the client that waits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TypeVar

from dubl.client import operations
from dubl.client.guard import Calibration, LibraryPolicy, Quarantine
from dubl.client.models import (
    Evidence,
    FrameFound,
    Match,
    Page,
    Review,
    ReviewItem,
)
from dubl.client.operations import Operation

Result = TypeVar("Result")


class Desk(ABC):
    @abstractmethod
    def _ask(self, operation: Operation[Result]) -> Result: ...

    def nearest(self, check_id: str, *, m: int = 5) -> tuple[Match, ...]:
        """The nearest references to a checked video, however far."""
        return self._ask(operations.list_nearest(check_id, m=m))

    def search_frame(
        self, file: Path | str, *, time_s: float = 0.0, library: str = "", limit: int = 10
    ) -> tuple[FrameFound, ...]:
        """References that show a picture: an image, or the frame of a video at `time_s`."""
        return self._ask(
            operations.search_frame(Path(file), time_s=time_s, library=library, limit=limit)
        )

    def get_evidence(self, check_id: str, reference_id: str) -> Evidence:
        return self._ask(operations.get_evidence(check_id, reference_id))

    def download(self, address: str) -> bytes:
        """A picture at an address that evidence named."""
        return self._ask(operations.get_bytes(address))

    def review_queue(
        self, *, state: str = "open", limit: int = 50, cursor: str = ""
    ) -> Page[ReviewItem]:
        return self._ask(operations.review_queue(state=state, limit=limit, cursor=cursor))

    def list_reviews(
        self, *, check_id: str = "", reference_id: str = "", limit: int = 50, cursor: str = ""
    ) -> Page[Review]:
        return self._ask(
            operations.list_reviews(
                check_id=check_id, reference_id=reference_id, limit=limit, cursor=cursor
            )
        )

    def review(
        self, check_id: str, reference_id: str, *, decision: str, reviewer: str = "", note: str = ""
    ) -> Review:
        """`decision`: confirmed, rejected, licensed, reopened or comment."""
        pair = {"check_id": check_id, "reference_id": reference_id}
        said = {"decision": decision, "reviewer": reviewer, "note": note}
        return self._ask(operations.review({**pair, **said}))

    def list_quarantines(self, *, status: str = "") -> tuple[Quarantine, ...]:
        """References that suddenly matched far more than usual, newest first."""
        return self._ask(operations.list_quarantines(status=status))

    def decide_quarantine(
        self, reference_id: str, *, decision: str, reviewer: str = "", note: str = ""
    ) -> Quarantine:
        """`decision`: release or keep."""
        said = {"decision": decision, "reviewer": reviewer, "note": note}
        return self._ask(operations.decide_quarantine({"reference_id": reference_id, **said}))

    def get_library_policy(self, library: str) -> LibraryPolicy:
        """The thresholds that hold for matches with this library's references."""
        return self._ask(operations.library_policy(library))

    def calibrate_library(
        self, library: str, *, least_decisions: int = 30, adopt: bool = True
    ) -> Calibration:
        """Fits a library's thresholds to what people decided of its matches."""
        wanted = {"least_decisions": least_decisions, "adopt": adopt}
        return self._ask(operations.calibrate(library, wanted))
