"""Where `serve run serve_app.app:build_app config=FILE` and serve_config.yaml start."""

# Without `from __future__ import annotations`: Serve reads the builder's annotation as a class to
# make its typed argument.
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict
from ray import serve
from ray.serve import Application

from dubl.settings import Settings, load_settings
from serve_app.deployments import (
    Decoder,
    Embedder,
    Ingress,
    Librarian,
    Reranker,
    Retriever,
)
from serve_app.ledger_deployment import Ledger

MAX_ONGOING_REQUESTS = 1024


class AppArgs(BaseModel):
    """`config`: path of the settings, from the current folder or from those that Dubl ships."""

    model_config = ConfigDict(extra="forbid")

    config: str = "configs/local.yaml"


def build_app(args: AppArgs) -> Application:
    """The graph from a settings file and the environment."""
    return bind_graph(load_settings(args.config))


def bind_graph(settings: Settings) -> Application:
    """The graph of deployments; the ingress knows them all, they know nothing of each other."""
    steps = (Decoder, Embedder, Retriever, Reranker, Librarian, Ledger)
    handles = [_bound(step, settings) for step in steps]
    ingress = [settings, *handles]
    if settings.serve.broker == "rabbitmq":
        ingress.append(_consumer(settings, handles))
    return _bound(Ingress, *ingress)


def _bound(step: type, *arguments: object) -> Application:
    # Nothing is reserved without serve_config.yaml, so that the graph fits on a laptop. Queues are
    # bounded by what the ingress admits, not by Serve, whose refusals are plain text.
    return serve.deployment(
        step, ray_actor_options={"num_cpus": 0}, max_ongoing_requests=MAX_ONGOING_REQUESTS
    ).bind(*arguments)


def _consumer(settings: Settings, handles: Sequence[Application]) -> Application:
    from ray.serve.task_consumer import task_consumer

    from serve_app.broker import task_config  # Celery is loaded only where it is used
    from serve_app.consumer import Consumer

    consumer = task_consumer(task_processor_config=task_config(settings))(Consumer)
    return serve.deployment(
        consumer,
        name=Consumer.__name__,
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=settings.serve.max_concurrent_jobs,
    ).bind(settings, *handles)
