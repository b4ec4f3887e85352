"""What time brings: files that crashes left in the spool and expired evidence are removed, matches
with unanswered disputes released.

Unfinished jobs need no care: their leases expire.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from dubl.assembly import make_evidence_store, make_spool
from dubl.contract.orders import order_of
from dubl.engine.repeated import repeated
from dubl.ledger.clock import utc_now
from dubl.ledger.ledger import Ledger
from dubl.settings import Settings

logger = logging.getLogger(__name__)

# An upload is not known to the ledger before its last byte has arrived.
MIN_AGE_S = 3600.0


class Reconciler:
    """Removes spooled files without a job and expired evidence, and releases matches with
    unanswered disputes, at start and from time to time.

    There is one in a cluster, beside the ledger.
    """

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        self._ledger = ledger
        self._spool = make_spool(settings)
        self._kept = make_evidence_store(settings)
        self._retention = settings.retention
        self._interval_s = settings.serve.reconcile_interval_s
        self._keep_dead_s = settings.serve.keep_dead_s
        # A link's download belongs to a running attempt.
        self._min_age_s = max(MIN_AGE_S, 2 * settings.serve.job_timeout_s)

    async def run(self) -> None:
        cleaning = partial(asyncio.to_thread, self.clean)
        await repeated(cleaning, every_s=self._interval_s, name="cleaning of spool and evidence")

    def clean(self) -> None:
        self.sweep()
        self.delete_expired()
        if released := self._ledger.reviews.release_unanswered():
            logger.info("released %d matches whose dispute nobody answered in time", released)

    def delete_expired(self) -> None:
        """Deletes checks, jobs, webhooks and evidence after their time."""
        held = [one.check_id for one in self._ledger.retention.holds()]
        self._kept.sweep(retention_s=self._retention.evidence_s, held=held)
        deleted = self._ledger.retention.sweep(self._retention)
        if deleted:
            logger.info("deleted %d checks, jobs and webhooks after their time", deleted)

    def sweep(self) -> int:
        """Removes old files of the spool without a job; returns their number."""
        kept = self._ledger.jobs.with_input(dead_since=utc_now(plus_s=-self._keep_dead_s))
        uploads = [file for job in kept if (file := order_of(job).file) is not None]
        return self._spool.remove_older_than(self._min_age_s, keep=uploads)
