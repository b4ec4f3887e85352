"""RabbitMQ, through Ray Serve's asynchronous tasks: a message names a job in the ledger.

Messages are only a fast path. A lost, repeated or late message changes nothing: the ledger decides
who may run a job, and whether it has ended.

Queues are quorum queues: replicated where RabbitMQ has several nodes, and the only kind that counts
how often a message was handed out. RabbitMQ 4.3 refuses queues that are neither durable nor
exclusive, and limits of messages per channel; Celery asks for neither with quorum queues.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from ray.serve.schema import CeleryAdapterConfig, TaskProcessorConfig

from dubl.errors import ConfigurationError, needs_extra
from dubl.settings import Settings, load_settings

with needs_extra():
    from celery.bootsteps import StartStopStep
    from kombu.exceptions import OperationalError
    from ray.serve.async_inference_autoscaling_policy import AsyncInferenceAutoscalingPolicy
    from ray.serve.task_consumer import instantiate_adapter_from_config
    from ray.serve.task_processor import CeleryTaskProcessorAdapter

logger = logging.getLogger(__name__)

RUN_JOB = "run_job"
CONNECT_TIMEOUT_S = 3  # seconds; chosen
DEAD_SUFFIX = "-dead"
QUORUM = {"x-queue-type": "quorum"}


class DeadQueue(StartStopStep):  # type: ignore[misc]  # Celery is untyped
    """Declares the queue where RabbitMQ puts messages that were handed out too often."""

    requires = ("celery.worker.consumer.connection:Connection",)

    def start(self, parent: Any) -> None:
        """At each connection of a worker."""
        name = parent.app.main + DEAD_SUFFIX
        channel = parent.connection.default_channel
        channel.queue_declare(name, durable=True, auto_delete=False, arguments=QUORUM)


class QuorumAdapter(CeleryTaskProcessorAdapter):  # type: ignore[misc]  # Ray is untyped
    """Ray's adapter of Celery, with a quorum queue and a limit of deliveries.

    The exchange is a topic, as Celery delays messages of quorum queues through those alone.
    """

    def initialize(self, *arguments: Any) -> None:
        """As Ray's."""
        super().initialize(*arguments)
        name = self._config.queue_name
        self._app.conf.task_queues[name] |= {
            "exchange_type": "topic",
            "queue_arguments": QUORUM
            | {
                "x-delivery-limit": self._config.max_retries,
                "x-dead-letter-exchange": "",  # the one that knows each queue by its name
                "x-dead-letter-routing-key": name + DEAD_SUFFIX,
            },
        }
        self._app.steps["consumer"].add(DeadQueue)


def task_config(settings: Settings) -> TaskProcessorConfig:
    """The configuration of tasks. Raises ConfigurationError without an address."""
    url = settings.serve.broker_url.get_secret_value()
    if not url:
        raise ConfigurationError(
            "serve.broker is rabbitmq: set DUBL__SERVE__BROKER_URL in the environment"
        )
    results = settings.data_dir / "task-results"
    results.mkdir(parents=True, exist_ok=True)
    return TaskProcessorConfig(
        queue_name=settings.serve.broker_queue,
        max_retries=settings.serve.job_tries,  # as many deliveries as the ledger gives tries
        adapter=QuorumAdapter,
        adapter_config=CeleryAdapterConfig(
            broker_url=url,
            backend_url=f"file://{results}",
            app_custom_config={
                # A message is taken when there is a free hand for it, so that others may take it.
                "worker_prefetch_multiplier": 1,
                "worker_hijack_root_logger": False,
                "broker_connection_retry_on_startup": True,
                "broker_connection_max_retries": None,
                "broker_connection_timeout": CONNECT_TIMEOUT_S,
                "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0.1},
            },
            # Results are the ledger's.
            task_custom_config={"ignore_result": True},
        ),
    )


class Dispatcher:
    """Sends jobs to the consumers."""

    def __init__(self, settings: Settings) -> None:
        self._adapter = instantiate_adapter_from_config(task_config(settings))

    async def send(self, job_id: str, delay_s: float = 0.0) -> None:
        """Sends a job. If the broker fails, that is only logged: consumers find overdue jobs
        themselves."""
        try:
            await asyncio.to_thread(self._send, job_id, delay_s)
        except (OperationalError, OSError) as exc:
            logger.error("job %s could not be sent, consumers will find it: %s", job_id, exc)

    def _send(self, job_id: str, delay_s: float) -> None:
        options = {"countdown": delay_s} if delay_s else {}
        self._adapter.enqueue_task_sync(RUN_JOB, args=[job_id], **options)


class QueueLengthPolicy(AsyncInferenceAutoscalingPolicy):  # type: ignore[misc]  # Ray is untyped
    """The number of consumers follows the queue's length.

    Addresses come from the settings, as serve_config.yaml must not hold passwords. Ray reads the
    length from RabbitMQ's HTTP API (`…/api/`), for named virtual hosts only.
    """

    def __init__(self, config: str, poll_interval_s: float = 5.0) -> None:
        serve = load_settings(config).serve
        super().__init__(
            broker_url=serve.broker_url.get_secret_value(),
            queue_name=serve.broker_queue,
            rabbitmq_management_url=serve.broker_management_url.get_secret_value() or None,
            poll_interval_s=poll_interval_s,
        )
