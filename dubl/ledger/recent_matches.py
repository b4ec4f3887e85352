"""Upper bounds of recent matches of references, in memory.

Only references that may be flooded are then counted exactly in the ledger.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

MORE = 1.05  # times as many matches as at the last look


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bound:
    matches: float
    until: str


class RecentMatches:
    """Recent matches. Times are texts that sort by time.

    The counts are never too low: an upload that is checked again counts again, and late matches
    count longer.
    """

    def __init__(self) -> None:
        self._matches: deque[tuple[str, str]] = deque()
        self._counts: Counter[str] = Counter()
        self._bounds: dict[str, _Bound] = {}
        self._latest = ""

    def note(self, reference_ids: Iterable[str], *, at: str) -> None:
        self._latest = max(self._latest, at)
        for reference_id in reference_ids:
            self._matches.append((self._latest, reference_id))
            self._counts[reference_id] += 1

    def forget(self, *, before: str) -> None:
        while self._matches and self._matches[0][0] < before:
            _, reference_id = self._matches.popleft()
            self._counts[reference_id] -= 1
            if not self._counts[reference_id]:
                del self._counts[reference_id]

    def looked_at(self, reference_id: str, *, least: float, until: str) -> None:
        """Records an exact count: no other is needed before `until`, nor before there are `least`
        matches and clearly more than now.
        """
        matches = max(least, MORE * self._counts[reference_id])
        self._bounds[reference_id] = _Bound(matches=matches, until=until)

    def may_be_flooded(self, reference_id: str, *, least: int, now: str) -> bool:
        count = self._counts[reference_id]
        bound = self._bounds.get(reference_id)
        if bound is not None and bound.until <= now:
            del self._bounds[reference_id]
            bound = None
        return count >= (least if bound is None else bound.matches)
