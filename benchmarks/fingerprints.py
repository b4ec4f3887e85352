"""Checks by fingerprint beside checks by video: uploads saved, equal verdicts, bytes, CPU.

    python -m benchmarks.fingerprints SUITE [QUERIES]

SUITE: a suite of pipelines.make_attacks. Each query is asked in both ways on one data folder.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.usage import ProcessTree
from dubl.contract.bodies import Check
from dubl.evaluation.suite import QUERIES, REFERENCES, find_video, load_truth
from dubl.fingerprints import Fingerprinter
from dubl.local.client import LocalClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One query, asked by its fingerprint and by its file. CPU seconds, bytes."""

    name: str
    duration_s: float
    first: Check
    whole: Check
    first_cpu_s: float
    whole_cpu_s: float
    first_bytes: int
    whole_bytes: int

    @property
    def saved(self) -> bool:
        return self.first.needs is None

    @property
    def same(self) -> bool:
        best = [{one.reference_id for one in each.matches[:1]} for each in (self.first, self.whole)]
        return self.first.outcome == self.whole.outcome and best[0] == best[1]


def pairs(suite: Path, folder: Path, most: int) -> Iterator[Pair]:
    truth, tree = load_truth(suite), ProcessTree(os.getpid())
    names = sorted(truth.queries)
    names = names[:: max(1, len(names) // most)][:most]
    with LocalClient(folder / "data") as dubl:
        for name in truth.references:
            dubl.register(find_video(suite / REFERENCES, name), id=name)
        with Fingerprinter() as maker:
            files = {name: find_video(suite / QUERIES, name) for name in names}
            made = {name: maker.write(file, folder) for name, file in files.items()}
        dubl.check(files[names[0]])  # loads all that is needed
        for name in names:
            began = tree.cpu_s()
            first = dubl.check(made[name])
            between = tree.cpu_s()
            whole = dubl.check(files[name])
            yield Pair(
                name=name,
                duration_s=truth.queries[name].duration_s,
                first=first,
                whole=whole,
                first_cpu_s=between - began,
                whole_cpu_s=tree.cpu_s() - between,
                first_bytes=made[name].stat().st_size,
                whole_bytes=files[name].stat().st_size,
            )


def figures(found: list[Pair]) -> dict[str, float]:
    saved = [one for one in found if one.saved]
    rates = sorted(one.first_bytes / max(one.duration_s, 0.1) for one in found)
    cpu = sum(one.whole_cpu_s for one in found)
    return {
        "queries": len(found),
        "uploads_saved": len(saved) / len(found),
        "saved_and_other_verdict": sum(not one.same for one in saved),
        "fingerprint_bytes_a_second_median": median(rates),
        "fingerprint_bytes_a_second_most": rates[-1],
        "fingerprint_bytes": sum(one.first_bytes for one in found),
        "file_bytes": sum(one.whole_bytes for one in found),
        "sent_bytes_fingerprint_first": sum(
            one.first_bytes + (0 if one.saved else one.whole_bytes) for one in found
        ),
        "whole_cpu_s": cpu / len(found),
        "fingerprint_cpu_s": sum(one.first_cpu_s for one in found) / len(found),
        "fingerprint_cpu_share": sum(one.first_cpu_s for one in found) / cpu,
        "cpu_share_fingerprint_first": sum(
            one.first_cpu_s + (0 if one.saved else one.whole_cpu_s) for one in found
        )
        / cpu,
    }


def main() -> None:
    most = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for one in pairs(Path(sys.argv[1]), Path(folder), most):
            found.append(one)
            sys.stderr.write(
                f"{one.name}: {one.first.outcome} {one.first.probability:.3f} "
                f"{one.first.needs or '-'} | {one.whole.outcome} {one.whole.probability:.3f} "
                f"| {one.first_cpu_s:.2f} {one.whole_cpu_s:.2f} CPU s\n"
            )
    sys.stdout.write(json.dumps(figures(found), indent=1) + "\n")


if __name__ == "__main__":
    main()
