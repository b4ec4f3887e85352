"""Claims about the steps as deployments."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from types import SimpleNamespace

import pytest

from dubl.engine import steps
from dubl.settings import load_settings
from serve_app.deployments import Embedder


def test_two_feature_spaces_in_one_process_never_share_a_batch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def embed_all(self: steps.Embedder, clips: list[str]) -> list[tuple[object, str]]:
        return [(self, clip) for clip in clips]

    monkeypatch.setattr(steps.Embedder, "embed_all", embed_all)
    replica = SimpleNamespace(_deployment_config=SimpleNamespace(max_ongoing_requests=100))
    monkeypatch.setattr("ray.serve.get_replica_context", lambda: replica)
    settings = load_settings(overrides=[f"data_dir={tmp_path}"], environment={})

    async def asked() -> None:
        first, second = Embedder(settings), Embedder(settings)
        calls = (each.embed(clip) for clip in "abc" for each in (first, second))
        found = await asyncio.gather(*calls)
        assert found == [(each, clip) for clip in "abc" for each in (first, second)]

    async def collected() -> None:
        gc.collect()

    asyncio.run(asked())
    # Serve's queues make an event loop when they are collected without one, and leave it open.
    asyncio.run(collected())
