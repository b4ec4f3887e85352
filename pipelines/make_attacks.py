"""Writes an attack suite: edited copies, strangers and hard negatives with their truth.

python -m pipelines.make_attacks --videos videos/ --out suite/ --edits crop,splice,speed:0.8
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from dubl.errors import InvalidRequest
from dubl.evaluation.attack_suite import SuiteOptions, write_suite
from dubl.evaluation.suite import SuiteRoles, draw_roles, find_videos
from dubl.footage.edits.registry import REGISTRY, UNSEEN
from pipelines.cli.options import job


def _list_edits(asked: bool) -> None:
    if asked:
        for edit in (*REGISTRY.values(), *UNSEEN.values()):
            measured = " (for measuring alone)" if edit.name in UNSEEN else ""
            typer.echo(f"{edit.name:16} {edit.summary}{measured}")
        raise typer.Exit


def main(
    videos: Annotated[Path, typer.Option(help="folder of videos, read with its subfolders")],
    out: Annotated[Path, typer.Option(help="output folder; missing or empty")],
    edits: Annotated[
        str,
        typer.Option(
            help="names, separated by commas, optionally with a strength: crop:0.8; unseen: those "
            "that nothing is fitted to"
        ),
    ] = ",".join(REGISTRY),
    seed: Annotated[int, typer.Option(help="the same seed gives the same suite")] = 0,
    per_reference: Annotated[int, typer.Option(help="edits for each reference; 0: all")] = 4,
    stranger_share: Annotated[
        float, typer.Option(help="share of videos used as strangers, which also provide footage")
    ] = 0.25,
    negative_share: Annotated[
        float, typer.Option(help="share of the videos cut up for hard negatives")
    ] = 0.1,
    references: Annotated[
        Path | None, typer.Option(help="text file with names of references; the rest are strangers")
    ] = None,
    longest_s: Annotated[float, typer.Option(help="longest part of a query, seconds")] = 60.0,
    max_side: Annotated[int, typer.Option(help="longer side of queries, pixels")] = 640,
    _listing: Annotated[
        bool,
        typer.Option(
            "--list-edits", help="list the edits and exit", callback=_list_edits, is_eager=True
        ),
    ] = False,
) -> None:
    """Writes OUT/references, OUT/queries and OUT/truth.json."""
    options = SuiteOptions(
        edits=tuple(UNSEEN if edits == "unseen" else (name.strip() for name in edits.split(","))),
        per_reference=per_reference,
        longest_s=longest_s,
        max_side=max_side,
        seed=seed,
    )
    with job():
        found = find_videos(videos)
        roles = (
            _named_roles(found, references)
            if references
            else draw_roles(
                found, stranger_share=stranger_share, negative_share=negative_share, seed=seed
            )
        )
        truth = write_suite(out, roles, options=options)
    attacks = Counter(query.attack for query in truth.queries.values())
    typer.echo(f"{len(truth.references)} references, {len(truth.queries)} queries in {out}")
    typer.echo(", ".join(f"{name} {count}" for name, count in sorted(attacks.items())))


def _named_roles(found: list[Path], listing: Path) -> SuiteRoles:
    names = set(listing.read_text(encoding="utf-8").split())
    missing = names - {path.name for path in found}
    if missing:
        raise InvalidRequest(f"unknown references: {', '.join(sorted(missing))}")
    return SuiteRoles(
        references=tuple(path for path in found if path.name in names),
        strangers=tuple(path for path in found if path.name not in names),
    )


if __name__ == "__main__":
    typer.run(main)
