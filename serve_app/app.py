"""The entry point of `serve run serve_app.app:build_app config=FILE` and serve_config.yaml."""

# Without `from __future__ import annotations`: Serve reads the builder's annotation as a class to
# make its typed argument.
from pydantic import BaseModel, ConfigDict
from ray import serve
from ray.serve import Application

from dubl.assembly import make_space, space_settings
from dubl.engine.flow import Lane, Steps
from dubl.settings import Settings, load_settings
from serve_app.deployments import Decoder, Embedder, Librarian, Reranker, Retriever
from serve_app.ingress import Ingress

MAX_ONGOING_REQUESTS = 1024  # of the ingress; chosen above serve.max_requests


class AppArgs(BaseModel):
    """`config`: path of the settings, in the current folder or among the shipped files."""

    model_config = ConfigDict(extra="forbid")

    config: str = "configs/local.yaml"


def build_app(args: AppArgs) -> Application:
    """The graph from a settings file and the environment."""
    return bind_graph(load_settings(args.config))


def bind_graph(settings: Settings) -> Application:
    """The graph of deployments. The ingress knows all of them; they do not know each other.

    A candidate in the settings has its own steps: CandidateEmbedder and so on.
    """
    from serve_app.ledger_deployment import Ledger  # DuckDB comes with it

    steps = Steps(
        decoder=_bound(Decoder, settings),
        lanes=tuple(_lane(each) for each in space_settings(settings)),
        librarian=_bound(Librarian, settings),
        ledger=_bound(Ledger, settings),
    )
    ingress = [settings, steps]
    if settings.serve.broker == "rabbitmq":
        ingress.append(_consumer(settings, steps))
    return _bound(Ingress, *ingress)


def bind_whole(settings: Settings) -> Application:
    """The same steps in one deployment, for one machine: decoding has processes of its own."""
    return _bound(Ingress, settings)


def _lane(settings: Settings) -> Lane:
    prefix = "Candidate" if settings.is_challenger else ""
    return Lane(
        space=make_space(settings),
        embedder=_bound(Embedder, settings, prefix=prefix),
        retriever=_bound(Retriever, settings, prefix=prefix),
        reranker=_bound(Reranker, settings, prefix=prefix),
    )


def _bound(step: type, *arguments: object, prefix: str = "") -> Application:
    # Nothing is reserved without serve_config.yaml, so that the graph fits on a laptop. Queues are
    # bounded by what the ingress admits, not by Serve, whose refusals are plain text.
    return serve.deployment(
        step,
        name=f"{prefix}{step.__name__}",
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=MAX_ONGOING_REQUESTS,
    ).bind(*arguments)


def _consumer(settings: Settings, steps: Steps) -> Application:
    from ray.serve.task_consumer import task_consumer

    from serve_app.broker import task_config  # Celery is loaded only where it is used
    from serve_app.consumer import Consumer

    consumer = task_consumer(task_processor_config=task_config(settings))(Consumer)
    return serve.deployment(
        consumer,
        name=Consumer.__name__,
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=settings.serve.max_concurrent_jobs,
    ).bind(settings, steps)
