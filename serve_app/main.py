"""Starts the service on one machine with the embedded default: `python -m serve_app.main`."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import threading
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from dubl.assembly import make_ledger
from dubl.errors import ConfigurationError, DublError, StoreHeld
from dubl.ledger.api_keys import root_key
from dubl.ledger.service_lock import held_folder
from dubl.settings import Settings, load_settings
from serve_app.api.start_rules import keys_required, require_admin_key
from serve_app.lean import SETUP_HOOK, be_quiet, leave_out_pandas, leave_out_processes

LOOPBACK = "127.0.0.1"


def serve_locally(
    config: Annotated[Path, typer.Option(help="settings file")] = Path("configs/local.yaml"),
    data: Annotated[Path, typer.Option(help="folder of the library and the ledger")] = Path("data"),
    host: Annotated[str, typer.Option(help="address to listen on")] = LOOPBACK,
    port: Annotated[int, typer.Option(min=0, max=65535, help="port to listen on")] = 8000,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value, may be repeated")
    ] = None,
) -> None:
    """Runs until SIGTERM or Ctrl-C. A restart with the same data folder continues all jobs."""
    address = f"http://{host}:{port}"
    try:
        settings = load_settings(config, [f"data_dir={data}", *(overrides or [])])
        _require_free(host, port)
        with held_folder(settings.data_dir, address):
            if keys_required(settings.access, host):
                _require_admin_key(settings, host)
            _serve(settings, host, port)
    except DublError as exc:
        hint = "" if isinstance(exc, StoreHeld) else exc.hint
        typer.echo(f"{exc.code}: {exc.detail} {hint}".rstrip(), err=True)
        raise typer.Exit(code=2) from exc


def _serve(settings: Settings, host: str, port: int) -> None:
    typer.echo("starting, this takes about a minute")
    # Ray is told before it is imported: replicas reserve no GPU here, but may see one; usage
    # statistics are not sent; a busy machine may take longer than 30 s to start a node.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # One machine needs no other address than loopback, on which Ray's metrics ask for no token.
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "180")
    os.environ.setdefault("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "60")
    # Else uvicorn replaces a proxy's address by one that the request names.
    if settings.access.trusted_proxy.peers:
        os.environ["FORWARDED_ALLOW_IPS"] = ""
    # Logs are in the data folder, once.
    os.environ.setdefault("RAY_SERVE_LOG_TO_STDERR", "0")
    be_quiet()
    leave_out_pandas()
    import ray
    from ray import serve

    leave_out_processes()
    # Sockets live in this folder and their paths are limited to 107 bytes.
    session = tempfile.mkdtemp(prefix="dubl-", dir="/tmp")
    logs = settings.data_dir / "logs"
    try:
        ray.init(
            address="local",
            include_dashboard=False,
            runtime_env={"worker_process_setup_hook": SETUP_HOOK},
            _temp_dir=session,
        )
        keep_token_private()
        stopped = _stop_signal()
        from serve_app.app import bind_graph, bind_whole

        serve.start(http_options={"host": host, "port": port})
        bind = bind_whole if settings.serve.broker == "embedded" else bind_graph
        serve.run(bind(settings), logging_config={"logs_dir": str(logs), "encoding": "JSON"})
        typer.echo(
            f"Dubl answers on http://{host}:{port} (console: /console, API: /docs), data in "
            f"{settings.data_dir}, logs in {logs}"
        )
        stopped.wait()
        typer.echo("stopping")
        serve.shutdown()
    finally:
        ray.shutdown()
        shutil.rmtree(session, ignore_errors=True)


def keep_token_private() -> None:
    """Ray makes its token as readable as any file."""
    token = Path.home() / ".ray" / "auth_token"
    if token.is_file():
        token.chmod(0o600)


def _require_admin_key(settings: Settings, host: str) -> None:
    """Raises early what the ingress would raise much later."""
    token = settings.access.root_key.get_secret_value()
    if token:
        root_key(token)  # raises for one that is none
        return
    with closing(make_ledger(settings)) as ledger:
        require_admin_key(ledger.keys.list(), host)


def _require_free(host: str, port: int) -> None:
    """Raises ConfigurationError if the address is in use; Serve would report it much later."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            raise ConfigurationError(f"cannot listen on {host}:{port}: {exc.strerror}") from exc


def _stop_signal() -> threading.Event:
    """An event set by SIGTERM or Ctrl-C. Call it after ray.init, which sets its own handlers."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    return stopped


if __name__ == "__main__":
    typer.run(serve_locally)
