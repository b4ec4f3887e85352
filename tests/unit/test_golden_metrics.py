"""Metrics against golden numbers: results of the benchmarks' own code on random inputs.

Every case of every metrics*.json in the folder of `--golden` is run. Gate: 1e-12.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from dubl.evaluation.metrics.detection import average_precision, grouped_average_precision
from dubl.evaluation.metrics.segments import ScoredSegment, gains_ap, segment_gains
from dubl.evaluation.metrics.vcsl import VcslPair, vcsl_precision_recall, vcsl_report

METRICS = 1e-12

Record = dict[str, Any]


class Case(NamedTuple):
    """One case of one file: a group's name, with /index where the group is a list."""

    path: Path
    name: str


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "metric_case" in metafunc.fixturenames:
        folder = Path(metafunc.config.getoption("--golden"))
        metafunc.parametrize("metric_case", list(parameters(folder)))


def parameters(folder: Path) -> Iterator[object]:
    """Cases, or what says that there is none: a skip without files, a failure for an empty file."""
    paths = sorted(folder.glob("metrics*.json"))
    if not paths:
        skip = pytest.mark.skip(reason=f"no golden numbers: {folder} holds no metrics*.json")
        yield pytest.param(None, marks=skip, id="absent")
    for path in paths:
        for name in metric_names(path) or [""]:
            yield pytest.param(Case(path, name), id=f"{path.stem}:{name or 'no-case'}")


def metric_names(path: Path) -> list[str]:
    groups = json.loads(path.read_text(encoding="utf-8"))
    return [
        f"{name}/{index}" if isinstance(value, list) else name
        for name, value in groups.items()
        if name in METRIC_CHECKS
        for index in range(len(value) if isinstance(value, list) else 1)
    ]


def check_pair_ap(entry: Record) -> None:
    truth = {(query, reference) for query, reference in entry["gt"]}
    relevant = np.array([(query, reference) in truth for query, reference, _ in entry["pred"]])
    scores = np.array([score for *_, score in entry["pred"]], dtype=np.float64)
    found = grouped_average_precision(relevant, scores, positives=len(truth))
    assert found == pytest.approx(entry["canonical_ap"], rel=0, abs=METRICS)


def check_segment_ap(entry: Record) -> None:
    rows = [
        [dict(zip(entry["fields"], row, strict=True)) for row in entry[s]] for s in ("pred", "gt")
    ]
    predictions, truth = (
        [
            ScoredSegment(
                query_id=row["query_id"],
                reference_id=row["ref_id"],
                axes=((row["query_start"], row["query_end"]), (row["ref_start"], row["ref_end"])),
                score=row.get("score", 1.0),
            )
            for row in side
        ]
        for side in rows
    )
    found = gains_ap([segment_gains(predictions, truth)])
    assert found == pytest.approx(entry["segment_ap"], rel=0, abs=METRICS)


def check_vcsl(entry: Record) -> None:
    pairs = [VcslPair(predicted=case["pred"], truth=case["gt"]) for case in entry["cases"]]
    for pair, case in zip(pairs, entry["cases"], strict=True):
        wanted = (case["precision"], case["recall"])
        assert vcsl_precision_recall(pair) == pytest.approx(wanted, rel=0, abs=METRICS)
    report = vcsl_report(pairs)
    for name in {"precision", "recall", "f1"} & entry.keys():
        assert getattr(report, name) == pytest.approx(entry[name], rel=0, abs=METRICS), name


def check_fivr(entry: Record) -> None:
    values = [
        average_precision(
            np.array(one["y"], bool), np.array(one["s"], float), positives=one["n_gt"]
        )
        for one in entry["queries"]
    ]
    for value, record in zip(values, entry["queries"], strict=True):
        if "ap" in record:
            assert value == pytest.approx(record["ap"], rel=0, abs=METRICS)
    if "mAP" in entry:
        asked = [value for value, one in zip(values, entry["queries"], strict=True) if one["n_gt"]]
        assert np.mean(asked) == pytest.approx(entry["mAP"], rel=0, abs=METRICS)


METRIC_CHECKS: dict[str, Callable[[Record], None]] = {
    "vsc_pair_uap": check_pair_ap,
    "vsc_segment_ap": check_segment_ap,
    "vcsl": check_vcsl,
    "fivr": check_fivr,
}


def test_golden_metrics(metric_case: Case) -> None:
    assert metric_case.name, f"{metric_case.path.name} holds no case that this test understands"
    name, _, index = metric_case.name.partition("/")
    value = json.loads(metric_case.path.read_text(encoding="utf-8"))[name]
    METRIC_CHECKS[name](value[int(index)] if index else value)
