"""Keys in memory, for tests of the HTTP layer."""

from __future__ import annotations

import collections
import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dubl.errors import KeyNotFound
from dubl.ledger.api_keys import make_key
from dubl.types import ApiKey, Scope


class FakeKeys:
    def __init__(self) -> None:
        self.keys: dict[str, ApiKey] = {}
        self.jobs: collections.Counter[tuple[str, str]] = collections.Counter()
        self.listings = 0

    def issue(
        self,
        *scopes: Scope,
        libraries: Sequence[str] = (),
        requests_per_minute: int = 0,
        jobs_per_day: int = 0,
    ) -> str:
        """A token of a new key."""
        new = make_key(
            "test",
            scopes=scopes,
            libraries=libraries,
            requests_per_minute=requests_per_minute,
            jobs_per_day=jobs_per_day,
        )
        self.keys[new.key.id] = new.key
        return new.token

    async def list_keys(self) -> tuple[ApiKey, ...]:
        self.listings += 1
        return tuple(self.keys.values())

    async def add_key(self, key: ApiKey) -> None:
        self.keys[key.id] = key

    async def revoke_key(self, key_id: str) -> ApiKey:
        if key_id not in self.keys:
            raise KeyNotFound(f"there is no key '{key_id}'")
        self.keys[key_id] = dataclasses.replace(self.keys[key_id], revoked_at="now")
        return self.keys[key_id]

    async def copy_ledger(self) -> Path:
        path = Path(tempfile.mkdtemp()) / "copy.ledger"
        path.write_bytes(b"the ledger")
        return path

    async def count_job(self, key_id: str, day: str) -> int:
        self.jobs[key_id, day] += 1
        return self.jobs[key_id, day]
