"""Dashboard and alerts ask for metrics that exist, and every alert has its page in the runbook."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import ray
import yaml
from ray.util.metrics import Histogram, Metric

from serve_app import metrics

PROJECT = Path(__file__).resolve().parents[2]
MONITORING = PROJECT / "deploy" / "monitoring"
OPERATIONS = (PROJECT / "docs" / "operate" / "operations.md").read_text(encoding="utf-8")
RULES = [
    rule
    for group in yaml.safe_load((MONITORING / "rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
DASHBOARD = json.loads((MONITORING / "grafana" / "dubl.json").read_text())
QUERIES = [
    *(rule["expr"] for rule in RULES),
    *(target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())),
]
SERIES = ("_bucket", "_count", "_sum")


def _declared() -> dict[str, Metric]:
    found = [value for value in vars(metrics).values() if isinstance(value, Metric)]
    return {metric.info["name"]: metric for metric in found}


def _series(metric: Metric) -> list[str]:
    name = metric.info["name"]
    return [f"{name}{end}" for end in SERIES] if isinstance(metric, Histogram) else [name]


def test_what_is_asked_for_is_told() -> None:
    series = {name for metric in _declared().values() for name in _series(metric)}
    asked = {name for query in QUERIES for name in re.findall(r"\bdubl_[a-z_0-9]+", query)}
    assert asked
    assert asked - series == set()


def test_what_is_told_is_shown() -> None:
    shown = " ".join(QUERIES)
    assert [name for name in _declared() if name not in shown] == []


def test_labels_that_are_asked_for_are_there() -> None:
    for metric in _declared().values():
        name, labels = metric.info["name"], {"le", *metric.info["tag_keys"]}
        for query in QUERIES:
            for asked in re.findall(rf"\b{name}(?:_bucket|_count)?\{{([^}}]*)\}}", query):
                assert set(re.findall(r"(\w+)!?=~?", asked)) <= labels, query


def test_rays_own_metrics_still_have_these_names() -> None:
    package = Path(ray.__file__).parent
    sources = [*package.glob("serve/**/*.py"), *package.glob("dashboard/modules/reporter/*.py")]
    text = "\n".join(source.read_text(encoding="utf-8") for source in sources)
    asked = {name for query in QUERIES for name in re.findall(r"\bray_([a-z_]+)", query)}
    known = {name for name in asked if f'"{name.removesuffix("_bucket")}"' in text}
    assert asked - known == set()


def test_recorded_series_are_recorded() -> None:
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    asked = {name for query in QUERIES for name in re.findall(r"\bdubl:[a-z_:0-9]+", query)}
    assert asked == recorded


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_every_alert_has_its_entry_in_the_runbook(alert: dict[str, object]) -> None:
    name = str(alert["alert"])
    assert f"\n### {name}\n" in OPERATIONS
    assert alert["annotations"]["runbook"] == f"docs/operate/operations.md#{name.lower()}"


def test_every_metric_stands_in_the_table() -> None:
    assert [name for name in _declared() if f"`{name}" not in OPERATIONS] == []


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is absent (prometheus)")
def test_prometheus_takes_the_rules_and_alerts_fire_when_they_should() -> None:
    for command in (
        ["check", "rules", "rules.yml"],
        ["test", "rules", "rules_test.yml"],
        ["check", "config", "--syntax-only", "prometheus.yml"],
    ):
        done = subprocess.run(
            ["promtool", *command], cwd=MONITORING, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
