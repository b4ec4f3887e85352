"""What the demo calls right, wrong, and left to a person."""

from __future__ import annotations

import pytest

from dubl.contract.bodies import Check, Context, Match, Ruling, Segment
from dubl.evaluation.suite import TrueMatch, TrueQuery
from dubl.rights.terms import Action
from pipelines.demo import Asked

COPY = TrueQuery(attack="trim", matches=(TrueMatch(reference="a", q=(0.0, 5.0), r=(3.0, 8.0)),))
STRANGER = TrueQuery(attack="stranger", matches=())
RULING = Ruling(
    action=Action.BLOCK,
    licensed=False,
    counts=True,
    quarantined=False,
    reason="no license is registered",
    reason_code="no_license",
    copied_s=5.0,
    excluded_s=0.0,
    common_s=0.0,
)
WHOLE = {"query_start_s": 0, "query_end_s": 5, "reference_start_s": 3.2, "reference_end_s": 8.1}


def asked(
    truth: TrueQuery, outcome: str, *, reference: str = "a", segment: dict[str, float] = WHOLE
) -> Asked:
    shown = Segment(**segment, similarity=0.9, speed=1.0, reversed=False)
    match = Match(
        reference_id=reference,
        library="main",
        similarity=0.9,
        probability=0.9,
        agreement=None,
        rejected=False,
        segments=(shown,),
        rights=RULING,
    )
    answer = Check(
        id="c",
        status="done",
        outcome=outcome,
        probability=0.9,
        matches=(match,),
        libraries=(),
        query_name="q",
        query_sha256="",
        created_at="",
        model_id="m",
        policy_version="1",
        index_version=1,
        earlier_id=None,
        action=Action.BLOCK,
        context=Context(channel=None, territory=None, time=None),
        damaged=False,
        timings_ms={},
    )
    return Asked(name="q", truth=truth, answer=answer, seconds=1.0)


def test_a_copy_found_with_its_seconds_is_right() -> None:
    assert not asked(COPY, "duplicate").wrong


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (asked(COPY, "review"), "called review"),
        (asked(COPY, "unique"), "called unique"),
        (asked(COPY, "duplicate", reference="b"), "copy is of a"),
        (asked(COPY, "duplicate", segment={**WHOLE, "reference_end_s": 10}), "seconds are"),
        (asked(STRANGER, "duplicate"), "stranger was called a duplicate"),
    ],
)
def test_what_is_wrong_is_named(answer: Asked, problem: str) -> None:
    assert problem in answer.wrong


def test_a_stranger_in_doubt_is_left_to_a_person() -> None:
    assert asked(STRANGER, "review").undecided
    assert not asked(STRANGER, "review").wrong
    assert not asked(STRANGER, "unique").undecided
    assert not asked(COPY, "review").undecided
