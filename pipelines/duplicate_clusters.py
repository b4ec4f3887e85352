"""From confirmed pairs to clusters, and the video of a cluster to keep. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dubl.types import Reference
from pipelines.duplicate_pairs import ComparedPair

# Encoders round durations; within this a copy is as long as its original.
SAME_DURATION_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Videos that are copies of each other, or of parts of each other; the keeper first."""

    members: tuple[Reference, ...]
    pairs: tuple[ComparedPair, ...]

    @property
    def keeper(self) -> Reference:
        return self.members[0]


def connected(pairs: Iterable[ComparedPair]) -> list[list[ComparedPair]]:
    """Pairs by connected component, in order of the smallest id in each."""
    parents: dict[str, str] = {}
    confirmed = list(pairs)
    for pair in confirmed:
        first, second = sorted((_root(parents, pair.a), _root(parents, pair.b)))
        parents[second] = first
    components: dict[str, list[ComparedPair]] = {}
    for pair in confirmed:
        components.setdefault(_root(parents, pair.a), []).append(pair)
    return [components[root] for root in sorted(components)]


def make_cluster(
    pairs: Sequence[ComparedPair], references: Mapping[str, Reference]
) -> Cluster | None:
    """The cluster of a component; nothing when fewer than two of its videos are still there."""
    ids = {identity for pair in pairs for identity in (pair.a, pair.b)} & references.keys()
    if len(ids) < 2:
        return None
    members = [references[identity] for identity in ids]
    longest_s = max(member.duration_s for member in members)
    members.sort(key=lambda member: _rank(member, longest_s))
    return Cluster(
        members=tuple(members),
        pairs=tuple(pair for pair in pairs if {pair.a, pair.b} <= ids),
    )


def picture_size(reference: Reference) -> tuple[int, int]:
    """Width and height as the indexing job noted them; zeros for references from elsewhere."""
    width, height = reference.metadata.get("width"), reference.metadata.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) else (0, 0)


def _rank(member: Reference, longest_s: float) -> tuple[bool, float, int, str, str]:
    """Longest first (those within a second of the longest are alike), then the largest picture,
    then the oldest registration."""
    shorter = member.duration_s < longest_s - SAME_DURATION_S
    width, height = picture_size(member)
    lack_s = longest_s - member.duration_s if shorter else 0.0
    return shorter, lack_s, -width * height, member.created_at, member.id


def _root(parents: dict[str, str], identity: str) -> str:
    root = identity
    while parents.setdefault(root, root) != root:
        root = parents[root]
    while parents[identity] != root:
        parents[identity], identity = root, parents[identity]
    return root
