"""Published weights: every layout loads, and a download appears whole or not at all."""

from __future__ import annotations

import argparse
import io
import os
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import torch

from dubl.errors import WeightsUnavailable
from dubl.models.limac import REGION_CHANNELS, LimacExtractor
from dubl.models.presets import (
    PRESETS,
    build_limac,
    fetch,
    load_limac,
    load_preset,
    read_published,
)
from dubl.models.visil import Visil


class Forbidden:
    """Stands for code in a pickle."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return (os.system, ("true",))


def published(name: str) -> dict[str, object]:
    """A file's content in the authors' layout, with random weights."""
    state = Visil(PRESETS[name].config).state_dict()
    if name.startswith("visil"):
        return {key.replace("visil_head.", "video_comperator."): v for key, v in state.items()}
    return {"model": state, "args": argparse.Namespace(dims=512), "global_step": 3}


def packed(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def client(content: bytes, status: int = 200) -> httpx.Client:
    handler = httpx.MockTransport(lambda _: httpx.Response(status, content=content))
    return httpx.Client(transport=handler)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_published_layout_loads(name: str, tmp_path: Path) -> None:
    content = published(name)
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    network = load_preset(name, path)
    assert not network.training
    assert network.config == PRESETS[name].config
    state = content.get("model", content)
    assert isinstance(state, dict)
    head = "video_comperator." if name.startswith("visil") else "visil_head."
    assert torch.equal(network.visil_head.conv1.weight, state[f"{head}conv1.weight"])


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    torch.save(published("visil"), tmp_path / "weights.pth")
    with pytest.raises(WeightsUnavailable, match="weights of s2vs_dns"):
        load_preset("s2vs_dns", tmp_path / "weights.pth")


def test_files_that_would_run_code_are_refused(tmp_path: Path) -> None:
    torch.save({"model": Forbidden()}, tmp_path / "weights.pth")
    with pytest.raises(WeightsUnavailable, match="does not hold weights"):
        read_published(tmp_path / "weights.pth")


def test_reading_permits_namespaces_only_while_it_lasts(tmp_path: Path) -> None:
    torch.save(published("s2vs_dns"), tmp_path / "weights.pth")
    read_published(tmp_path / "weights.pth")
    assert argparse.Namespace not in torch.serialization.get_safe_globals()


def test_unknown_name_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="s2vs_vcdb"):
        fetch("s2vs", tmp_path)


def test_fetched_weights_lie_in_the_folder_and_load(tmp_path: Path) -> None:
    content = packed(published("s2vs_dns"))
    path = fetch("s2vs_dns", tmp_path / "weights", client=client(content))
    assert path == tmp_path / "weights" / "s2vs_dns.pth"
    assert path.read_bytes() == content
    load_preset("s2vs_dns", path)


@pytest.mark.parametrize(
    ("answer", "limit_bytes", "message"),
    [
        (client(b"not here", 404), 1000, "put it at"),
        (client(b"x" * 2000), 1000, "more than 1000 bytes"),
        (client(b"<html>sign in first</html>"), 1000, "does not hold weights"),
    ],
)
def test_failed_download_leaves_no_file(
    answer: httpx.Client, limit_bytes: int, message: str, tmp_path: Path
) -> None:
    with pytest.raises(WeightsUnavailable, match=message):
        fetch("s2vs_dns", tmp_path, client=answer, limit_bytes=limit_bytes)
    assert list(tmp_path.iterdir()) == []


def test_unreachable_host_says_where_to_put_the_file(tmp_path: Path) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route", request=request)

    session = httpx.Client(transport=httpx.MockTransport(refuse))
    with pytest.raises(WeightsUnavailable, match=r"cannot be fetched.*visil\.pth"):
        fetch("visil", tmp_path, client=session)


def test_extractor_loads_in_both_layouts_and_from_its_two_sources(tmp_path: Path) -> None:
    extractor = LimacExtractor(components=4)
    state = extractor.state_dict()
    torch.save(state, tmp_path / "s2vs.pth")
    theirs = {"0.": "normalizer.", "1.0.cnn.": "cnn.", "1.1.": "pca."}
    renamed = {
        theirs[prefix] + key.removeprefix(prefix): value
        for key, value in state.items()
        for prefix in theirs
        if key.startswith(prefix)
    }
    torch.save(renamed | {"cnn.fc.bias": torch.zeros(1000)}, tmp_path / "dns.pth")
    trunk = {k.removeprefix("1.0.cnn."): v for k, v in state.items() if k.startswith("1.0.cnn.")}
    torch.save(trunk | {"fc.bias": torch.zeros(1000)}, tmp_path / "resnet50.pth")
    pca = {
        "mean": torch.zeros(REGION_CHANNELS),
        "d": torch.arange(REGION_CHANNELS, 0, -1.0),
        "V": torch.eye(REGION_CHANNELS),
    }
    torch.save(pca, tmp_path / "pca.pth")
    built = build_limac(tmp_path / "resnet50.pth", tmp_path / "pca.pth", components=4)
    for loaded in (load_limac(tmp_path / "s2vs.pth"), load_limac(tmp_path / "dns.pth"), built):
        key = "1.0.cnn.layer4.2.conv3.weight"
        assert torch.equal(loaded.state_dict()[key], state[key])
        assert loaded.state_dict()["1.1.DVt"].shape == (REGION_CHANNELS, 4)
