"""Fetching a published model: files appear whole or not at all, and none is fetched twice."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
import pytest
import torch

from dubl.errors import WeightsUnavailable
from dubl.models import published as published_module
from dubl.models.fetching import fetch_file, fetch_model
from dubl.models.presets import PRESETS, RESNET50
from tests.unit.models.published_files import published, write_files

PRESET = PRESETS["s2vs_dns"]


def packed(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def client(content: bytes, status: int = 200) -> httpx.Client:
    handler = httpx.MockTransport(lambda _: httpx.Response(status, content=content))
    return httpx.Client(transport=handler)


def refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no route", request=request)


def test_a_fetched_file_lies_in_the_folder(tmp_path: Path) -> None:
    content = packed(published("s2vs_dns"))
    fetch_file(PRESET.file, tmp_path / "weights", client(content))
    assert (tmp_path / "weights/s2vs_dns.pth").read_bytes() == content


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
        fetch_file(PRESET.file, tmp_path, answer, limit_bytes=limit_bytes)
    assert list(tmp_path.iterdir()) == []


def test_another_resnet_than_the_published_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="does not begin with 0676ba61"):
        fetch_file(RESNET50, tmp_path, client(packed({"conv1.weight": torch.zeros(1)})))
    assert list(tmp_path.iterdir()) == []


def test_unreachable_host_says_where_to_put_the_file(tmp_path: Path) -> None:
    session = httpx.Client(transport=httpx.MockTransport(refuse))
    with pytest.raises(WeightsUnavailable, match=r"cannot be fetched.*visil\.pth"):
        fetch_model(PRESETS["visil"], tmp_path, client=session)


def test_files_brought_by_hand_need_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files("s2vs_dns", tmp_path)
    monkeypatch.setattr(published_module, "check_published", lambda *_: None)  # random weights
    session = httpx.Client(transport=httpx.MockTransport(refuse))
    folder = fetch_model(PRESET, tmp_path, client=session)
    assert folder == tmp_path / "s2vs_dns"
    assert {path.name for path in folder.iterdir()} == {
        "card.json",
        "weights.safetensors",
        "comparator.json",
        "comparator.safetensors",
    }
