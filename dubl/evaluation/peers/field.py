"""Runs peers on a suite: decodes once, describes with each, scores all pairs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dubl.assembly import make_decoder
from dubl.errors import InputError, ResourceError
from dubl.evaluation.benchmark.answers import AnsweredQuery, ScoredQuery
from dubl.evaluation.peers.methods import Described, Peer
from dubl.evaluation.suite_truth import QUERIES, REFERENCES, find_video
from dubl.media.sources import local_source
from dubl.settings import Settings
from dubl.types import Sampling

logger = logging.getLogger(__name__)

# All of these hashes shrink the picture to 144 pixels or fewer, whatever its shape.
SAMPLING = Sampling(rate_hz=1.0, min_frames=1, frame_size=256, resize="squash")
LOGGED_EACH = 50

Descriptions = dict[str, dict[str, Described]]


def score_suite(
    suite: Path,
    queries: Sequence[AnsweredQuery],
    references: Sequence[str],
    peers: Sequence[Peer],
    settings: Settings,
) -> Mapping[str, list[ScoredQuery]]:
    """All queries with their scores, by peer. Videos that cannot be decoded have no score."""
    theirs = _describe(suite / REFERENCES, references, peers, settings)
    asked = _describe(suite / QUERIES, [query.name for query in queries], peers, settings)
    return {
        peer.name: [_scored(query, peer, asked[peer.name], theirs[peer.name]) for query in queries]
        for peer in peers
    }


def _describe(
    folder: Path, names: Sequence[str], peers: Sequence[Peer], settings: Settings
) -> Descriptions:
    """Descriptions by peer and video."""
    decoder = make_decoder(settings)
    found: Descriptions = {peer.name: {} for peer in peers}
    for count, name in enumerate(names, 1):
        try:
            path = find_video(folder, name)
            source = local_source(path, name=name, sha256="")
            frames = decoder.decode(source, sampling=SAMPLING).frames
        except (InputError, ResourceError) as exc:
            logger.warning("peers could not read %s: %s", name, exc.detail)
            continue
        for peer in peers:
            found[peer.name][name] = peer.describe(frames)
        if count % LOGGED_EACH == 0 or count == len(names):
            logger.info("peers, %s: %d of %d", folder.name, count, len(names))
    return found


def _scored(
    query: AnsweredQuery,
    peer: Peer,
    asked: Mapping[str, Described],
    theirs: Mapping[str, Described],
) -> ScoredQuery:
    names = list(theirs) if query.name in asked else []
    scores = np.zeros(0)
    if names:
        scores = peer.scores(asked[query.name], [theirs[name] for name in names])
    return ScoredQuery(
        name=query.name,
        attack=query.attack,
        expected=query.expected,
        references=tuple(names),
        scores=scores,
    )
