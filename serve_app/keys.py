"""Keys and copies of the ledger, for the HTTP layer; the address that Serve listens on."""

from __future__ import annotations

import uuid
from pathlib import Path

import ray
from ray.serve._private.constants import SERVE_CONTROLLER_NAME, SERVE_NAMESPACE

from dubl.ledger.api_keys import ApiKeys, root_key
from dubl.ledger.ledger import Ledger
from dubl.settings import Settings
from dubl.types import ApiKey
from serve_app.ledger_client import LedgerClient


class LedgerAdmin:
    """Asks the ledger's deployment. Fulfills the HTTP layer's AdminService."""

    def __init__(self, ledger: LedgerClient, settings: Settings) -> None:
        """Raises ConfigurationError for a root key that is none."""
        self._ledger = ledger
        self._spool_dir = settings.spool_dir
        token = settings.access.root_key.get_secret_value()
        self._root = (root_key(token),) if token else ()

    async def list_keys(self) -> tuple[ApiKey, ...]:
        return (*await self._ledger.ask(ApiKeys.list), *self._root)

    async def add_key(self, key: ApiKey) -> None:
        await self._ledger.ask(ApiKeys.add, key)

    async def revoke_key(self, key_id: str) -> ApiKey:
        return await self._ledger.ask(ApiKeys.revoke, key_id)

    async def count_job(self, key_id: str, day: str) -> int:
        return await self._ledger.ask(ApiKeys.count_job, key_id, day)

    async def copy_ledger(self) -> Path:
        path = self._spool_dir / f"{uuid.uuid4().hex}.ledger"
        await self._ledger.ask(Ledger.copy_to, path)
        return path


async def http_host() -> str:
    """The address that this cluster's Serve proxies listen on."""
    controller = ray.get_actor(SERVE_CONTROLLER_NAME, namespace=SERVE_NAMESPACE)
    options = await controller.get_http_config.remote()
    return str(options.host or "")
