"""Feature spaces in service, and the comparison of their answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dubl.types.library import Reference
from dubl.types.match import Outcome
from dubl.types.video import Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """A feature space in service: its model as in verdicts, and its samplings.

    They are for queries, for the second pass of queries, and for references.
    """

    id: str
    model_id: str
    query: Sampling
    second_pass: Sampling
    reference: Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceSwitch:
    """A switch to another answering space, at `created_at`.

    previous_id: the space before it; empty: that of `model.weights`. by: id of the key. rollback:
    whether the switch went back to the previous space.
    """

    number: int
    space_id: str
    previous_id: str
    created_at: str
    by: str = ""
    note: str = ""
    rollback: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """The verdict of the other space on a check.

    `agrees`: the same outcome and, unless that is unique, a reference in common.
    """

    check_id: str
    space_id: str
    model_id: str
    outcome: Outcome
    probability: float
    top_reference_id: str
    agrees: bool
    created_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Summary of one space's shadows: their number, the number that agree, and the number of each
    pair of differing outcomes (answered, shadow)."""

    count: int = 0
    agreed: int = 0
    differing: Mapping[tuple[Outcome, Outcome], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceState:
    """A feature space in service: whether it answers, how many references it holds, how many it
    lacks that another space holds, and its comparison with the answers while it gave none."""

    space_id: str
    model_id: str
    answers: bool
    references: int
    missing: int
    comparison: Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingReference:
    """A reference that a space lacks. `path`: where the indexing job finds its file; empty where
    nobody knows."""

    reference: Reference
    path: str
