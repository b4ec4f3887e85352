"""Measures the quality of a model on a suite with known truth, and writes a report.

    python -m pipelines.evaluate --set suite/ --out report/ --peers
    python -m pipelines.evaluate --benchmark vsc2022 train/ --out report/

A suite is a folder as pipelines.make_attacks writes it: references/, queries/ and truth.json
(dubl/evaluation/suite.py). A benchmark is a folder as its authors publish it
(dubl/evaluation/public). The report is a folder with report.md, its pictures, tables of all pairs
and queries as Parquet, matches.csv in the layout of VSC2022, and summary.json.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from dubl.errors import InvalidRequest
from dubl.evaluation.benchmark.findings import judge
from dubl.evaluation.benchmark.run import run_suite
from dubl.evaluation.peers import Peers, available_peers
from dubl.evaluation.public.benchmarks import BENCHMARKS, read_benchmark
from dubl.evaluation.report.writing import REPORT, write_report
from dubl.evaluation.suite import SuiteTruth, load_truth
from dubl.plots import require_plots
from dubl.settings import load_settings
from pipelines.cli.options import CONFIG, JobConfig, job

NO_PEERS = Peers(ready=(), skipped={})


def main(
    out: Annotated[Path, typer.Option(help="folder for the report")],
    suite: Annotated[Path | None, typer.Option("--set", help="folder of a suite")] = None,
    benchmark: Annotated[
        tuple[str, Path] | None,
        typer.Option(metavar="NAME DIR", help=f"a public benchmark: {', '.join(BENCHMARKS)}"),
    ] = None,
    weights: Annotated[str, typer.Option(help="name of shipped weights, or their folder")] = "",
    config: JobConfig = CONFIG,
    options: Annotated[
        list[str] | None, typer.Option("--set-option", help="section.key=value, over the settings")
    ] = None,
    peers: Annotated[bool, typer.Option("--peers", help="measure other methods too")] = False,
) -> None:
    """Asks about every query of the set or benchmark and writes OUT/report.md."""
    chosen = [f"model.weights={weights}"] if weights else []
    with job():
        require_plots()
        settings = load_settings(config, [*chosen, *(options or [])])
        with TemporaryDirectory(prefix="dubl-evaluate-") as home:
            folder, truth = _opened(suite, benchmark, Path(home))
            run = run_suite(folder, truth, settings, home=Path(home))
            findings = judge(folder, run, available_peers() if peers else NO_PEERS)
            write_report(out, findings)
    for name, estimate in findings.figures.items():
        typer.echo(f"{name:42} {estimate.value:7.3f}  {estimate.low:.3f} to {estimate.high:.3f}")
    typer.echo(f"\n{out / REPORT}")


def _opened(
    suite: Path | None, benchmark: tuple[str, Path] | None, home: Path
) -> tuple[Path, SuiteTruth]:
    """The folder to read videos from, and what is true of them."""
    if suite is not None and benchmark is None:
        return suite, load_truth(suite)
    if benchmark is not None and suite is None:
        name, folder = benchmark
        return home / name, read_benchmark(name, folder, home / name)
    raise InvalidRequest("name either a suite (--set) or a benchmark (--benchmark)")


if __name__ == "__main__":
    typer.run(main)
