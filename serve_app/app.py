"""Where `serve run serve_app.app:build_app config=FILE` and serve_config.yaml start."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict
from ray.serve import Application

from dubl.settings import Settings, load_settings
from serve_app.deployments import (
    Decoder,
    Embedder,
    Ingress,
    Ledger,
    Librarian,
    Reranker,
    Retriever,
)

PROJECT = Path(__file__).resolve().parent.parent


class AppArgs(BaseModel):
    """`config`: path of the settings, from the current folder or from the project's."""

    model_config = ConfigDict(extra="forbid")

    config: str = "configs/local.yaml"


def build_app(args: AppArgs) -> Application:
    """The graph from a settings file and the environment."""
    path = Path(args.config)
    return bind_graph(load_settings(path if path.exists() else PROJECT / path))


def bind_graph(settings: Settings) -> Application:
    """The graph of deployments; the ingress knows them all, they know nothing of each other."""
    return Ingress.bind(
        settings,
        Decoder.bind(settings),
        Embedder.bind(settings),
        Retriever.bind(settings),
        Reranker.bind(settings),
        Librarian.bind(settings),
        Ledger.bind(settings),
    )
