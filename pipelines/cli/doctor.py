"""`dubl doctor`: finds problems of an installation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dubl.assembly import space_settings
from dubl.errors import ConfigurationError, DublError
from pipelines.cli.options import DATA, FAILED, AsJson, Key, Url, command_settings, connected
from pipelines.cli.show import print_json
from pipelines.diagnosis import (
    Finding,
    State,
    fine,
    from_error,
    look_at_cluster,
    look_at_data,
    look_at_machine,
    look_at_model,
    look_at_service,
    port,
)

MARKS = {State.OK: "ok     ", State.NOTE: "note   ", State.PROBLEM: "PROBLEM"}
COLORS = {State.OK: typer.colors.GREEN, State.NOTE: typer.colors.YELLOW}


def doctor(
    data: Annotated[Path, typer.Option(help="the service's data folder")] = DATA,
    config: Annotated[Path | None, typer.Option(help="the service's settings file")] = None,
    url: Url = "",
    host: Annotated[
        str, typer.Option(help="address on which the service will listen")
    ] = "127.0.0.1",
    number: Annotated[int, typer.Option("--port", help="port of the service")] = 8000,
    cluster: Annotated[
        str, typer.Option(envvar="RAY_ADDRESS", help="address of a Ray cluster to examine")
    ] = "",
    as_json: AsJson = False,
    key: Key = "",
) -> None:
    """Examines Python, packages, weights, decoder, network, data folder, port and memory.

    With --url it also examines a service, with --cluster a cluster. Exit code 1 means a problem;
    notes are not problems.
    """
    findings = []
    for finding in _findings(data, config, url, key, host, number, cluster):
        findings.append(finding)
        if as_json:
            print_json(asdict(finding))
        else:
            _tell(finding)
    problems = sum(finding.state is State.PROBLEM for finding in findings)
    if not as_json:
        typer.echo(f"\n{problems} problems" if problems != 1 else "\n1 problem")
    raise typer.Exit(FAILED if problems else 0)


def _findings(
    data: Path, config: Path | None, url: str, key: str, host: str, number: int, cluster: str
) -> Iterator[Finding]:
    yield from look_at_machine()
    try:
        settings = command_settings(data, config)
    except ConfigurationError as exc:
        yield from_error("settings", exc, "dubl/settings.py lists all keys.")
        return
    yield fine("settings", str(config) if config else "the defaults")
    try:
        spaces = space_settings(settings)
    except DublError as exc:
        yield from_error("candidate", exc)
        spaces = (settings,)
    for each in spaces:
        yield from look_at_model(each)
    yield from look_at_data(settings, spaces)
    if url:
        with connected(url, key) as client:
            yield from look_at_service(client)
    else:
        yield port(host, number)
    if cluster:
        yield look_at_cluster(cluster)


def _tell(finding: Finding) -> None:
    mark = typer.style(MARKS[finding.state], fg=COLORS.get(finding.state, typer.colors.RED))
    typer.echo(f"{mark}  {finding.topic:14} {finding.text}")
    if finding.advice:
        typer.echo(f"{'':25}{finding.advice}")
