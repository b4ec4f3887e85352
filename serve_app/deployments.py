"""The engine's steps as deployments. Each sets up its logs and metrics, and starts background work.

serve_app/app.py binds them to a graph; their placement (replicas, CPUs, GPUs, queues) is in
serve_config.yaml. The ledger has its own module, as only it loads DuckDB.
"""

from __future__ import annotations

from ray import serve

from dubl.engine import librarian, steps
from dubl.settings import Settings
from dubl.types import FrameClip, VideoFeatures
from serve_app.log import use_serve_log
from serve_app.shell import ServeShell


class Decoder(steps.Decoder):
    def __init__(self, settings: Settings) -> None:
        use_serve_log()
        super().__init__(settings, ServeShell())


class Embedder(steps.Embedder):
    """Embeds in batches over requests."""

    def __init__(self, settings: Settings) -> None:
        use_serve_log()
        super().__init__(settings)
        self.embed.set_max_batch_size(settings.serve.embed_batch_clips)
        self.embed.set_batch_wait_timeout_s(settings.serve.embed_batch_wait_s)

    @serve.batch
    async def embed(self, clips: list[FrameClip]) -> list[VideoFeatures]:
        return await self.embed_all(clips)


class Retriever(steps.Retriever):
    def __init__(self, settings: Settings) -> None:
        use_serve_log()
        super().__init__(settings, ServeShell())


class Reranker(steps.Reranker):
    def __init__(self, settings: Settings) -> None:
        use_serve_log()
        super().__init__(settings)


class Librarian(librarian.Librarian):
    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc]  # Serve awaits it
        use_serve_log()
        super().__init__(settings, ServeShell())
        self.start()
