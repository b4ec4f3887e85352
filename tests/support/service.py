"""The real service for integration tests, and what tests ask of it."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import httpx

WAIT = {"Prefer": "wait=120"}


class Client:
    """Plain calls over HTTP."""

    def __init__(self, address: str) -> None:
        self.http = httpx.Client(base_url=address, timeout=180)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def register(self, path: Path, **fields: str) -> httpx.Response:
        with path.open("rb") as file:
            return self.http.post(
                "/v1/references", files={"file": (path.name, file)}, data=fields, headers=WAIT
            )

    def check(self, path: Path, **fields: str) -> httpx.Response:
        with path.open("rb") as file:
            return self.http.post(
                "/v1/checks", files={"file": (path.name, file)}, data=fields, headers=WAIT
            )
