"""What the console's files may do: nothing but talk to the service that they came from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from serve_app.web.console import STATIC
from tests.support.fake_service import FakeService


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    return TestClient(FakeService(tmp_path).app())


@pytest.mark.parametrize("path", ["/", "/console/main.js", "/console/style.css"])
def test_every_file_comes_with_a_policy_that_allows_nothing_else(
    client: TestClient, path: str
) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_all_that_a_module_imports_is_there(client: TestClient) -> None:
    for module in STATIC.glob("*.js"):
        for name in re.findall(r'from "\./([\w.]+)"', module.read_text(encoding="utf-8")):
            assert client.get(f"/console/{name}").status_code == 200, (module.name, name)


def test_no_file_names_another_host() -> None:
    for file in STATIC.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]", text), file.name


def test_both_languages_have_the_same_words() -> None:
    words = [
        set(re.findall(r'"([\w.]+)":', (STATIC / f"text.{name}.js").read_text(encoding="utf-8")))
        for name in ("en", "ru")
    ]
    assert words[0] == words[1]


def test_files_outside_the_console_are_not_served(client: TestClient) -> None:
    assert client.get("/console/../console.py").status_code == 404
    assert client.get("/console/%2e%2e/console.py").status_code == 404
