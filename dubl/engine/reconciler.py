"""What a crash may leave behind in the spool, and what was kept for people long enough. Unfinished
jobs need no care: their leases end."""

from __future__ import annotations

import asyncio
import logging

from dubl.assembly import make_kept_videos, make_spool
from dubl.contract.orders import upload_of
from dubl.errors import StoreUnavailable
from dubl.ledger.clock import utc_now
from dubl.ledger.ledger import Ledger
from dubl.settings import Settings

logger = logging.getLogger(__name__)

# An upload is not known to the ledger before its last byte has arrived.
MIN_AGE_S = 3600.0


class Reconciler:
    """Removes spooled files that belong to no job, and kept videos after their time, at start and
    from time to time. It stands beside the ledger: one in a cluster."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        self._ledger = ledger
        self._spool = make_spool(settings)
        self._kept = make_kept_videos(settings)
        self._interval_s = settings.serve.reconcile_interval_s
        self._keep_dead_s = settings.serve.keep_dead_s
        # A link's download belongs to a running attempt.
        self._min_age_s = max(MIN_AGE_S, 2 * settings.serve.job_timeout_s)

    async def run(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.sweep)
                await asyncio.to_thread(self._kept.sweep)
            except (StoreUnavailable, OSError) as exc:
                logger.error("spool and kept videos were not cleaned, to be tried again: %s", exc)
            await asyncio.sleep(self._interval_s)

    def sweep(self) -> int:
        """Removes old files of the spool without a job; how many."""
        kept = self._ledger.jobs.kept(dead_since=utc_now(plus_s=-self._keep_dead_s))
        uploads = [upload for job in kept if (upload := upload_of(job)) is not None]
        return self._spool.remove_older_than(self._min_age_s, keep=uploads)
