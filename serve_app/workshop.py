"""Builds what works on jobs, over the handles of the steps."""

from __future__ import annotations

from dubl.settings import Settings
from serve_app.flow import Flow, Steps
from serve_app.ledger_client import LedgerClient
from serve_app.runner import JobRunner, Schedule
from serve_app.work import Work

# A lost ledger is back sooner; its jobs are kept meanwhile.
PATIENCE_S = 120.0


def make_runner(steps: Steps, settings: Settings, *, schedule: Schedule | None) -> JobRunner:
    ledger = LedgerClient(steps.ledger, patience_s=PATIENCE_S)
    flow = Flow(steps, settings)
    work = Work(steps=steps, flow=flow, ledger=ledger, settings=settings)
    return JobRunner(ledger=ledger, work=work, settings=settings.serve, schedule=schedule)
