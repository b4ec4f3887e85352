"""A registration and a check without a service: `python installed_check.py FOLDER` prints where
Dubl was loaded from and the outcome. It runs with what is installed, not with the checkout."""

from __future__ import annotations

import sys
from pathlib import Path

import dubl
import serve_app.web
from dubl.assembly import (
    make_decoder,
    make_embedder,
    make_reranker,
    make_retriever,
    make_store,
    model_id,
    query_sampling,
    reference_sampling,
)
from dubl.footage.scenes import generate_library
from dubl.index.store import Entry
from dubl.matching.decision import decide
from dubl.media.sources import open_path
from dubl.settings import load_settings
from dubl.types import ReferenceDraft


def check(folder: Path) -> str:
    """The outcome for a video that was registered just before."""
    (video,) = generate_library(
        folder / "videos", count=1, seed=3, size=(160, 90), shortest_s=6, longest_s=7
    )
    settings = load_settings(
        "configs/local.yaml",
        [f"data_dir={folder / 'data'}", f"media.allowed_roots=[{folder}]"],
    )
    source = open_path(str(video), settings=settings.media)
    decoder, embedder = make_decoder(settings), make_embedder(settings)
    reference = decoder.decode(source, sampling=reference_sampling(settings))
    query = decoder.decode(source, sampling=query_sampling(settings))
    features, asked = embedder.embed([reference, query])
    draft = ReferenceDraft(id="one")
    make_store(settings).register([Entry(draft=draft, source=source, features=features)])
    matches = make_reranker(settings).rerank(asked, make_retriever(settings).retrieve(asked))
    verdict = decide(matches, settings.policy, model_id=model_id(settings))
    return verdict.outcome.value


if __name__ == "__main__":
    page = Path(str(serve_app.web.__file__)).parent / "static" / "index.html"
    sys.stdout.write(f"{dubl.__file__}\n{page.is_file()}\n{check(Path(sys.argv[1]))}\n")
