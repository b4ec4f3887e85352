"""serve_config.yaml agrees with the graph and with the settings it points to."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import ServeDeploySchema

from dubl.settings import load_settings
from serve_app.broker import QueueLengthPolicy

PROJECT = Path(__file__).resolve().parents[2]
CONFIG = yaml.safe_load((PROJECT / "serve_config.yaml").read_text())
(APPLICATION,) = CONFIG["applications"]
DEPLOYMENTS = {item["name"]: item for item in APPLICATION["deployments"]}
SETTINGS = load_settings(PROJECT / APPLICATION["args"]["config"], environment={})


def test_ray_accepts_the_file() -> None:
    assert ServeDeploySchema.model_validate(CONFIG).applications[0].name == "dubl"


def test_every_deployment_is_placed() -> None:
    assert sorted(DEPLOYMENTS) == [
        "Decoder",
        "Embedder",
        "Ingress",
        "Ledger",
        "Librarian",
        "Reranker",
        "Retriever",
    ]


def test_the_embedder_asks_for_a_gpu_and_scales() -> None:
    embedder = DEPLOYMENTS["Embedder"]
    assert embedder["ray_actor_options"]["num_gpus"] == 1
    assert embedder["autoscaling_config"]["max_replicas"] > 1


def test_requests_are_taken_and_answered_while_an_ingress_is_replaced() -> None:
    ingress = DEPLOYMENTS["Ingress"]
    assert ingress["num_replicas"] > 1
    assert ingress["graceful_shutdown_timeout_s"] > SETTINGS.serve.max_wait_s


def test_there_is_one_writer_and_one_ledger() -> None:
    assert DEPLOYMENTS["Librarian"]["num_replicas"] == DEPLOYMENTS["Ledger"]["num_replicas"] == 1


@pytest.mark.parametrize("name", sorted(DEPLOYMENTS))
def test_autoscaling_can_fire(name: str) -> None:
    deployment = DEPLOYMENTS[name]
    scaling = deployment.get("autoscaling_config")
    if scaling is not None:
        assert scaling["target_ongoing_requests"] <= deployment["max_ongoing_requests"]


def test_a_full_batch_fits_into_the_embedders_queue() -> None:
    assert DEPLOYMENTS["Embedder"]["max_ongoing_requests"] >= SETTINGS.serve.embed_batch_clips


def test_the_configuration_with_rabbitmq_adds_consumers_that_scale_with_their_queue() -> None:
    config = yaml.safe_load((PROJECT / "serve_config_rabbitmq.yaml").read_text())
    deployed = ServeDeploySchema.model_validate(config).applications[0]
    *others, consumer = deployed.deployments
    assert [item.name for item in others] == list(DEPLOYMENTS)
    settings = load_settings(PROJECT / "configs" / "rabbitmq.yaml", environment={})
    assert settings.serve.broker == "rabbitmq"
    # Serve runs as many tasks at once in a consumer as it may have requests.
    assert consumer.max_ongoing_requests == settings.serve.max_concurrent_jobs
    policy = AutoscalingConfig.model_validate(consumer.autoscaling_config).policy
    assert policy.get_policy() is QueueLengthPolicy
