"""Sends webhooks about finished jobs, from the ledger's outbox."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from dubl.contract import bodies
from dubl.engine.ledger import LedgerClient
from dubl.errors import CheckNotFound, DublError
from dubl.ledger.job_queue import JobQueue
from dubl.ledger.ledger import Ledger
from dubl.ledger.outbox import Outbox
from dubl.settings import Settings
from dubl.types import Delivery, Job, JobKind
from dubl.webhooks.sending import Answer, max_attempts, next_delay_s, post
from dubl.webhooks.signing import signed_headers, signing_key
from serve_app.api.jobs import job_body

logger = logging.getLogger(__name__)

POLL_S = 2.0  # seconds between two looks at the outbox; chosen
AT_ONCE = 32  # concurrent deliveries; chosen
AT_ONCE_TO_ONE = 4  # of them to one receiver: a slow one leaves room for others; chosen
LEASE_MARGIN_S = 30.0  # seconds beyond webhooks.timeout_s; chosen


class WebhookSender:
    """One for each ingress replica. Each delivery is handed to one of them at a time."""

    def __init__(self, ledger: LedgerClient, settings: Settings) -> None:
        self._ledger = ledger
        self._settings = settings.webhooks
        self._policy = settings.policy
        self._allow_private = settings.media.allow_private_addresses
        secret = settings.webhooks.secret.get_secret_value()
        self._key = signing_key(secret) if secret else b""
        self._max_attempts = max_attempts(give_up_s=settings.webhooks.give_up_s)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook")
        self._under_way: dict[asyncio.Task[None], Delivery] = {}
        self._sending: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts sending; does nothing without a secret, as then no job has an address."""
        if self._key:
            self._sending = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Begins no further deliveries."""
        if self._sending is not None:
            self._sending.cancel()

    async def _run(self) -> None:
        while True:
            try:
                await self._begin_due()
            except DublError as exc:
                logger.error("webhooks wait: %s", exc.detail)
            except Exception:  # the loop must outlive whatever Serve raises
                logger.exception("webhooks wait")
            # The next looks when a place is free, so no delivery waits for the slowest.
            await asyncio.wait(
                {*self._under_way, asyncio.create_task(asyncio.sleep(POLL_S))},
                return_when=asyncio.FIRST_COMPLETED,
            )

    async def _begin_due(self) -> None:
        """Begins deliveries that are due, as far as places are free."""
        due = await self._ledger.ask(
            Outbox.claim,
            limit=AT_ONCE - len(self._under_way),
            lease_s=self._settings.timeout_s + LEASE_MARGIN_S,
            under_way=[delivery.url for delivery in self._under_way.values()],
            at_once_to_one=AT_ONCE_TO_ONE,
            max_attempts=self._max_attempts,
        )
        for delivery in due:
            task = asyncio.create_task(self._deliver(delivery))
            self._under_way[task] = delivery
            task.add_done_callback(self._under_way.pop)

    async def _deliver(self, delivery: Delivery) -> None:
        """One attempt. If its end cannot be recorded, the next one begins after its lease."""
        try:
            answer = await self._sent(delivery)
        except Exception as exc:  # whatever it is, the attempt counts and the last one ends it
            logger.exception("webhook %s", delivery.id)
            answer = Answer(status=0, error=f"the service failed: {type(exc).__name__}")
        try:
            await self._record(delivery, answer)
        except DublError as exc:
            logger.error("webhook %s will be sent again: %s", delivery.id, exc.detail)

    async def _sent(self, delivery: Delivery) -> Answer:
        body = await self._body(await self._ledger.ask(JobQueue.get, delivery.job_id))
        send = partial(
            post,
            delivery.url,
            body,
            signed_headers(body, message_id=delivery.id, key=self._key),
            timeout_s=self._settings.timeout_s,
            allow_private=self._allow_private,
        )
        return await asyncio.get_running_loop().run_in_executor(self._threads, send)

    async def _record(self, delivery: Delivery, answer: Answer) -> None:
        if not answer.error:
            await self._ledger.ask(Outbox.delivered, delivery, status=answer.status)
            return
        retry_in_s = next_delay_s(delivery.attempts, give_up_s=self._settings.give_up_s)
        level = logging.ERROR if retry_in_s is None else logging.WARNING
        logger.log(level, "webhook %s of job %s: %s", delivery.id, delivery.job_id, answer.error)
        await self._ledger.ask(
            Outbox.failed,
            delivery,
            status=answer.status,
            error=answer.error,
            retry_in_s=retry_in_s,
        )

    async def _body(self, job: Job) -> bytes:
        """{"type": "check.done", "timestamp": …, "data": {"job": …, "check": …}}.

        It is derived from the finished job, so all attempts send the same.
        """
        check = None
        if job.kind is JobKind.CHECK and job.result_id:
            try:
                found = await self._ledger.ask(Ledger.get_check, job.result_id)
            except CheckNotFound:
                logger.warning("the verdict of job %s is gone", job.id)
            else:
                least = self._policy.review_probability
                check = bodies.Check.of(found, min_probability=least, by_policy=True)
        event = bodies.WebhookEvent(
            type=f"{job.kind.value}.{job.state.value}",
            timestamp=job.finished_at,
            data=bodies.EventData(job=job_body(job), check=check),
        )
        return event.model_dump_json().encode()
