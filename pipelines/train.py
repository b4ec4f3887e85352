"""Trains networks: the descriptor on pictures and the comparator on clips, both without labels;
the comparator on a user's own labeled pairs, the whitening of an own ResNet50, and the network that
describes sound.

    python -m pipelines.train pack --config configs/train_descriptor.yaml --output runs/pack
    python -m pipelines.train descriptor --config configs/train_descriptor.yaml --output runs/d
    python -m pipelines.train measure --weights runs/d/export --pack runs/pack
    python -m pipelines.train comparator --config configs/train_comparator.yaml --output runs/c
    python -m pipelines.train pairs --pairs pairs.csv --output runs/p
    python -m pipelines.train whitening --backbone resnet50.pth --output runs/w \\
        --config configs/train_comparator.yaml
    python -m pipelines.train sound --output runs/s --clips data/videos

docs/extend/training.md says what each makes, of what, and what to do with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Protocol

import typer

from dubl.assembly import make_decoder, make_embedder
from dubl.errors import DublError
from dubl.models.compact import load_compact
from dubl.plots import require_plots
from dubl.settings import load_settings
from dubl.training.comparator_run import ComparatorRun
from dubl.training.config import ComparatorConfig, TrainingConfig, parse_config
from dubl.training.datasets import Pack, build_pack
from dubl.training.descriptor_run import DescriptorRun
from dubl.training.loop import require_fresh
from dubl.training.pair_run import STEPS, PairRun, read_pairs
from dubl.training.sound_run import SoundRunSettings, train_sound
from dubl.training.validation import extract, make_yardstick
from dubl.training.validation import measure as measure_frames
from dubl.training.whitening_run import fit_own_whitening

ConfigOption = Annotated[Path, typer.Option(help="Training configuration, YAML.")]
OutputOption = Annotated[Path, typer.Option(help="Folder for data, checkpoints and the result.")]
ResumeOption = Annotated[bool, typer.Option(help="Continue from the last checkpoint.")]
WorkersOption = Annotated[int, typer.Option(min=1, help="Number of training processes, with Ray.")]

app = typer.Typer(add_completion=False)


class Run(Protocol):
    """A run in a folder, which continues from the checkpoint there."""

    def run(self, *, resume: bool) -> Path: ...


@app.command()
def descriptor(
    config: ConfigOption,
    output: OutputOption,
    resume: ResumeOption = False,
    workers: WorkersOption = 1,
) -> None:
    """Trains the frame network; weights and card go to OUTPUT/export."""
    with _reported():
        settings = parse_config(TrainingConfig, config.read_text(encoding="utf-8"))
        _train(partial(DescriptorRun, settings), output.resolve(), resume=resume, workers=workers)


@app.command()
def pack(config: ConfigOption, output: OutputOption) -> None:
    """Packs the pictures of a descriptor's configuration into OUTPUT, for any number of runs."""
    with _reported():
        settings = parse_config(TrainingConfig, config.read_text(encoding="utf-8"))
        build_pack(settings.data, output, seed=settings.run.seed)
        _tell(output)


@app.command()
def measure(
    weights: Annotated[Path, typer.Option(help="Folder with weights and card.")],
    pack: Annotated[Path, typer.Option(help="Folder that `pack` made, or a run's own.")],
) -> None:
    """Measures how well a frame network finds edited frames of the clips that a pack holds out."""
    with _reported():
        network = load_compact(weights)
        qualities = measure_frames(partial(extract, network), make_yardstick(Pack(pack)))
        for name, quality in qualities.items():
            typer.echo(
                f"{name:16} recall@1 {quality.recall_at_1:.3f}  micro-AP {quality.micro_ap:.3f}"
                f"  recall at precision .95 {quality.recall_at_p95:.3f}"
            )


@app.command()
def comparator(
    config: ConfigOption,
    output: OutputOption,
    resume: ResumeOption = False,
    workers: WorkersOption = 1,
) -> None:
    """Trains attention and comparator; comparator.safetensors and its card go to OUTPUT/export."""
    with _reported():
        settings = parse_config(ComparatorConfig, config.read_text(encoding="utf-8"))
        _train(partial(ComparatorRun, settings), output.resolve(), resume=resume, workers=workers)


@app.command()
def whitening(
    backbone: Annotated[Path, typer.Option(help="ResNet50 weights in torchvision's layout.")],
    config: ConfigOption,
    output: OutputOption,
) -> None:
    """Fits the whitening of a ResNet50 to the clips of a comparator's configuration; OUTPUT becomes
    a model's folder."""
    with _reported():
        settings = parse_config(ComparatorConfig, config.read_text(encoding="utf-8"))
        _tell(fit_own_whitening(backbone, settings, output))


@app.command()
def sound(
    output: OutputOption,
    clips: Annotated[
        list[Path] | None, typer.Option(help="Folder with a manifest.json; may be repeated.")
    ] = None,
) -> None:
    """Trains the network for sound on sounds made by rules and those of training clips; OUTPUT
    becomes a model's folder."""
    with _reported():
        _tell(train_sound(output, SoundRunSettings(), clips=clips or ()))


@app.command()
def pairs(
    pairs: Annotated[Path, typer.Option(help="CSV with the columns query, reference, label.")],
    output: OutputOption,
    weights: Annotated[str, typer.Option(help="Model to start from.")] = "dubl-compact",
    steps: Annotated[int, typer.Option(help="Steps of eight pairs each.")] = STEPS,
) -> None:
    """Fits comparator and calibration to labeled pairs; OUTPUT becomes a model's folder."""
    with _reported():
        require_plots()
        labeled = read_pairs(pairs)
        settings = load_settings(None, [f"model.weights={weights}"])
        run = PairRun(
            settings, output, decoder=make_decoder(settings), embedder=make_embedder(settings)
        )
        _tell(run.run(labeled, steps=steps))


def _train(prepare: Callable[[Path], Run], output: Path, *, resume: bool, workers: int) -> None:
    """Does what `prepare` gives for the output folder: here, or on several workers."""
    require_plots()
    if not resume:
        require_fresh(output)
    if workers == 1:
        _tell(prepare(output).run(resume=True))
        return
    from pipelines.train_workers import train_on_workers  # Ray takes seconds to import

    def train() -> Path:
        return prepare(output).run(resume=True)

    _tell(train_on_workers(train, output=output, workers=workers))


def _tell(result: Path) -> None:
    typer.echo(f"the result is in {result}")


@contextmanager
def _reported() -> Iterator[None]:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    try:
        yield
    except (DublError, OSError) as exc:
        typer.echo(f"training failed: {exc}", err=True)
        raise typer.Exit(code=1) from exc


if __name__ == "__main__":
    app()
