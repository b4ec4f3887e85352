"""The files in deploy/ agree with the program, with each other, and with the schemas of what reads
them. KubeRay's fields are those of its ray.io/v1 definitions (1.4 and later)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from dubl.settings import load_settings
from pipelines.local_server import LOOPBACK
from tests.support.s3 import running_s3

PROJECT = Path(__file__).resolve().parents[2]
DEPLOY = PROJECT / "deploy"
KUBERAY = DEPLOY / "kuberay"
KUBERNETES = "1.32"
SERVE_CONFIG = yaml.safe_load((PROJECT / "serve_config_rabbitmq.yaml").read_text())
COMPOSE = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
OVERLAYS = ("cpu", "gpu")

CLUSTER = {
    "authOptions",
    "autoscalerOptions",
    "enableInTreeAutoscaling",
    "gcsFaultToleranceOptions",
    "headGroupSpec",
    "rayVersion",
    "workerGroupSpecs",
}
HEAD = {"rayStartParams", "template"}
WORKER = {*HEAD, "groupName", "replicas", "minReplicas", "maxReplicas"}
SERVICE = {"rayClusterConfig", "serveConfigV2", "upgradeStrategy"}
JOB = {
    "backoffLimit",
    "entrypoint",
    "rayClusterSpec",
    "shutdownAfterJobFinishes",
    "ttlSecondsAfterFinished",
}


def _documents() -> list[dict[str, object]]:
    paths = sorted([*KUBERAY.glob("base/*.yaml"), *KUBERAY.glob("jobs/*.yaml")])
    found = [one for path in paths for one in yaml.safe_load_all(path.read_text())]
    return [document for document in found if document["kind"] != "Kustomization"]


def _settings(variables: dict[str, str]) -> None:
    """Every DUBL__ name is a setting: load_settings refuses others."""
    load_settings("configs/rabbitmq.yaml", environment=variables)


def _pod(template: dict[str, object]) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, **template}
    kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def _cluster(spec: dict[str, object]) -> None:
    assert spec.keys() <= CLUSTER
    assert spec["headGroupSpec"].keys() <= HEAD
    _pod(spec["headGroupSpec"]["template"])
    for group in spec["workerGroupSpecs"]:
        assert group.keys() == WORKER
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
        _pod(group["template"])


@pytest.mark.parametrize("document", _documents(), ids=lambda document: document["kind"])
def test_kubernetes_takes_every_document(document: dict[str, object]) -> None:
    spec = document.get("spec", {})
    if document["kind"] == "RayService":
        assert spec.keys() <= SERVICE
        _cluster(spec["rayClusterConfig"])
    elif document["kind"] == "RayJob":
        assert spec.keys() <= JOB
        _cluster(spec["rayClusterSpec"])
    else:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_the_ray_version_is_the_pinned_one() -> None:
    (pinned,) = re.findall(r'"ray\[.*\]==([\d.]+)"', (PROJECT / "pyproject.toml").read_text())
    told = re.findall(r"rayVersion: (\S+)", "".join(p.read_text() for p in KUBERAY.rglob("*.yaml")))
    assert told == [pinned] * len(told) != []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_serves_what_serve_config_says(overlay: str) -> None:
    patch = yaml.safe_load((KUBERAY / "overlays" / overlay / "serve.yaml").read_text())
    served = yaml.safe_load(patch["spec"]["serveConfigV2"])
    ServeDeploySchema.model_validate(served)
    wanted = yaml.safe_load(yaml.safe_dump(SERVE_CONFIG))
    wanted["http_options"]["host"] = "0.0.0.0"
    deployments = {item["name"]: item for item in wanted["applications"][0]["deployments"]}
    # The ledger runs where its volume is mounted.
    deployments["Ledger"]["ray_actor_options"]["resources"] = {"ledger": 1}
    if overlay == "cpu":
        deployments["Embedder"]["ray_actor_options"] = {"num_cpus": 1}
    assert served == wanted


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is absent")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kustomize_builds_the_overlay(overlay: str) -> None:
    command = ["kubectl", "kustomize", KUBERAY / "overlays" / overlay]
    built = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    documents = {document["kind"]: document for document in yaml.safe_load_all(built)}
    spec = documents["RayService"]["spec"]
    _cluster(spec["rayClusterConfig"])
    groups = [group["groupName"] for group in spec["rayClusterConfig"]["workerGroupSpecs"]]
    assert groups == (["cpu", "gpu"] if overlay == "gpu" else ["cpu"])
    assert "applications" in spec["serveConfigV2"]


def test_the_head_comes_back_to_its_cluster_where_an_overlay_asks_for_it() -> None:
    """By the component that every overlay shows, since it needs a Redis."""
    component = KUBERAY / "head-redis"
    (patch,) = yaml.safe_load((component / "kustomization.yaml").read_text())["patches"]
    spec = yaml.safe_load((component / patch["path"]).read_text())["spec"]["rayClusterConfig"]
    assert spec.keys() <= CLUSTER
    assert spec["gcsFaultToleranceOptions"]["redisAddress"]
    secret = spec["gcsFaultToleranceOptions"]["redisPassword"]["valueFrom"]["secretKeyRef"]
    assert secret["name"] == "dubl"
    for overlay in OVERLAYS:
        text = (KUBERAY / "overlays" / overlay / "kustomization.yaml").read_text()
        shown = yaml.safe_load(text.replace("# components", "components"))
        (path,) = shown["components"]
        assert (KUBERAY / "overlays" / overlay / path).resolve() == component


def test_settings_in_the_environment_exist() -> None:
    config_map = yaml.safe_load((KUBERAY / "base" / "settings.yaml").read_text())["data"]
    assert all(isinstance(value, str) for value in config_map.values())
    _settings(config_map)
    _settings(COMPOSE["services"]["app"]["environment"])


def test_github_takes_the_workflows() -> None:
    workflows = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))
    schema = ["--builtin-schema", "vendor.github-workflows"]
    checked = subprocess.run(
        [Path(sys.executable).with_name("check-jsonschema"), *schema, *workflows],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_compose_names_what_is_there() -> None:
    services = COMPOSE["services"]
    example = (DEPLOY / "compose" / "example.env").read_text()
    known = set(re.findall(r"^(\w+)=", example, flags=re.MULTILINE))
    asked = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose" / "compose.yaml").read_text()))
    assert asked == known
    for service in services.values():
        assert set(service.get("depends_on", ())) <= services.keys()
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in COMPOSE["volumes"] or (DEPLOY / "compose" / source).is_file(), volume


def test_compose_makes_its_bucket_however_often_it_starts(tmp_path: Path) -> None:
    python, *arguments = COMPOSE["services"]["bucket"]["command"]
    assert python == "python"
    with running_s3(tmp_path, bucket=None) as store:
        here = [each.replace("s3:9000", f"{LOOPBACK}:{store.port}") for each in arguments]
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, *here], env=os.environ | store.environment, check=False
            )
            assert done.returncode == 0
        assert store.buckets() == ["dubl"]


def test_the_image_is_made_of_what_is_there_and_runs_as_nobody_special() -> None:
    text = (DEPLOY / "image" / "Dockerfile").read_text()
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", text, flags=re.MULTILINE):
        assert all((PROJECT / source).exists() for source in sources.split()), sources
    stages = text.split("\nFROM ")
    assert "\nUSER 1000:1000\n" in stages[-1]
    assert "HEALTHCHECK" in stages[-1]
    ignored = (PROJECT / ".dockerignore").read_text().split()
    assert not {"dubl", "serve_app", "pipelines", "configs", "requirements", "deploy"} & {*ignored}


@pytest.mark.parametrize(
    "program",
    ["serve_app.app", "serve_app.main", "pipelines.cli.main", "pipelines.index_archive"],
)
def test_the_image_for_cpus_which_lacks_torch_can_start(program: str) -> None:
    absent = "import sys; sys.modules['torch'] = None; import importlib"
    command = [sys.executable, "-c", f"{absent}; importlib.import_module('{program}')"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("variant", ["cpu", "cuda"])
def test_the_image_has_the_packages_that_the_tests_ran_with(variant: str) -> None:
    def pins(name: str) -> set[str]:
        text = (PROJECT / "requirements" / name).read_text()
        return set(re.findall(r"^([a-z0-9._-]+==[^ ;]+)", text, flags=re.MULTILINE))

    assert pins(f"{variant}.txt") <= pins("lock.txt")


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is absent")
def test_hadolint_has_nothing_to_say() -> None:
    file = DEPLOY / "image" / "Dockerfile"
    done = subprocess.run(["hadolint", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is absent")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = (DEPLOY / "systemd" / "dubl.service").read_text(encoding="utf-8")
    path = tmp_path / "dubl.service"
    path.write_text(unit.replace("/opt/dubl/bin/dubl", "/bin/true"), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_starts_a_service_with_keys() -> None:
    unit = (DEPLOY / "systemd" / "dubl.service").read_text(encoding="utf-8")
    (command,) = re.findall(r"^ExecStart=(.*)$", unit, flags=re.MULTILINE)
    words = command.split()
    assert words[:2] == ["/opt/dubl/bin/dubl", "serve"]
    assert load_settings(overrides=[words[words.index("--set") + 1]]).access.keys == "required"
    assert "KillMode=mixed" in unit
