"""Measures the quality of a model on a suite with known truth, and writes a report.

    python -m pipelines.evaluate --set suite/ --out report/ --peers
    python -m pipelines.evaluate --benchmark vsc2022 train/ --out report/
    python -m pipelines.evaluate --library clips/ --set suite/ --out report/

A suite is a folder as pipelines.make_attacks writes it: references/, queries/ and truth.json
(dubl/evaluation/suite.py). A benchmark is a folder as its authors publish it
(dubl/evaluation/public.py). The report is a folder with report.md, its pictures, tables of all
pairs and queries as Parquet, matches.csv in the layout of VSC2022, and summary.json.

A library is a folder of clips with a manifest.json (dubl/evaluation/scale). Each clip is asked
about without itself, and each copy of a suite made of the clips, while the library grows. The
report is scale.md and scale.json. OUT keeps the answers, so that the same command continues.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from dubl.errors import InvalidRequest
from dubl.evaluation.benchmark.findings import judge
from dubl.evaluation.benchmark.run import run_suite
from dubl.evaluation.peers import Peers, available_peers
from dubl.evaluation.public import BENCHMARKS, read_benchmark
from dubl.evaluation.report.writing import REPORT, write_report
from dubl.evaluation.scale.asking import Growth
from dubl.evaluation.scale.figures import PAGE, write_scale
from dubl.evaluation.scale.run import measure_scale
from dubl.evaluation.suite import SuiteTruth, load_truth
from dubl.plots import require_plots
from dubl.settings import Settings, load_settings
from pipelines.cli.options import CONFIG, JobConfig, job

NO_PEERS = Peers(ready=(), skipped={})
UNFINISHED = 3  # exit code of a measurement that has to be continued


Suites = Annotated[
    list[Path] | None,
    typer.Option("--set", help="folder of a suite; with --library, copies of its clips"),
]
Benchmark = Annotated[
    tuple[str, Path] | None,
    typer.Option(metavar="NAME DIR", help=f"a public benchmark: {', '.join(BENCHMARKS)}"),
]
Libraries = Annotated[
    list[Path] | None, typer.Option("--library", help="folder of clips with a manifest.json")
]
Sizes = Annotated[str, typer.Option(help="sizes of the growing library, in clips")]
Crowd = Annotated[
    Path | None, typer.Option(help="tar file of pictures, for distractors in feature space")
]
CrowdSizes = Annotated[str, typer.Option(help="sizes of the library with distractors")]
Minutes = Annotated[float, typer.Option(help="stop then; the same command continues")]


def main(
    out: Annotated[Path, typer.Option(help="folder for the report")],
    suites: Suites = None,
    benchmark: Benchmark = None,
    libraries: Libraries = None,
    sizes: Sizes = "30,300,1000",
    crowd: Crowd = None,
    crowd_sizes: CrowdSizes = "10000,100000",
    minutes: Minutes = float("inf"),
    weights: Annotated[str, typer.Option(help="name of shipped weights, or their folder")] = "",
    config: JobConfig = CONFIG,
    options: Annotated[
        list[str] | None, typer.Option("--set-option", help="section.key=value, over the settings")
    ] = None,
    peers: Annotated[bool, typer.Option("--peers", help="measure other methods too")] = False,
) -> None:
    """Asks about every query of a suite, a benchmark or a library, and writes a page to OUT."""
    chosen = [f"model.weights={weights}"] if weights else []
    with job():
        settings = load_settings(config, [*chosen, *(options or [])])
        if libraries:
            growth = Growth(
                real=_numbers(sizes),
                photographs=crowd,
                crowds=_numbers(crowd_sizes) if crowd else (),
            )
            _measure_scale(out, libraries, suites or [], settings, growth, minutes)
            return
        require_plots()
        with TemporaryDirectory(prefix="dubl-evaluate-") as home:
            folder, truth = _opened(suites or [], benchmark, Path(home))
            run = run_suite(folder, truth, settings, home=Path(home))
            findings = judge(folder, run, available_peers() if peers else NO_PEERS)
            write_report(out, findings)
    for name, estimate in findings.figures.items():
        typer.echo(f"{name:42} {estimate.value:7.3f}  {estimate.low:.3f} to {estimate.high:.3f}")
    typer.echo(f"\n{out / REPORT}")


def _measure_scale(
    out: Path,
    folders: Sequence[Path],
    suites: Sequence[Path],
    settings: Settings,
    growth: Growth,
    minutes: float,
) -> None:
    findings = measure_scale(
        folders, suites, settings, home=out.resolve(), growth=growth, minutes=minutes
    )
    if findings is None:
        typer.echo("time ran out; the same command continues")
        raise typer.Exit(UNFINISHED)
    write_scale(out, findings)
    typer.echo(out / PAGE)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(sorted(int(one) for one in text.split(",") if one))
    except ValueError as exc:
        raise InvalidRequest(f"'{text}' is no list of numbers") from exc


def _opened(
    suites: Sequence[Path], benchmark: tuple[str, Path] | None, home: Path
) -> tuple[Path, SuiteTruth]:
    """The folder to read videos from, and what is true of them."""
    if len(suites) == 1 and benchmark is None:
        return suites[0], load_truth(suites[0])
    if benchmark is not None and not suites:
        name, folder = benchmark
        return home / name, read_benchmark(name, folder, home / name)
    raise InvalidRequest("name either one suite (--set), a benchmark or a library")


if __name__ == "__main__":
    typer.run(main)
