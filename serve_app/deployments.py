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

        # Serve has one queue for each function. A method would share it with the embedder of
        # another feature space in this process, and one network would get the other's clips.
        @serve.batch(
            max_batch_size=settings.serve.embed_batch_clips,
            batch_wait_timeout_s=settings.serve.embed_batch_wait_s,
        )
        async def embed(clips: list[FrameClip]) -> list[VideoFeatures]:
            return await self.embed_all(clips)

        self.embed = embed  # type: ignore[method-assign]


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
