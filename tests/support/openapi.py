"""The HTTP contract as OpenAPI: `make openapi` writes the copy that is committed."""

from __future__ import annotations

import json
from pathlib import Path

from dubl.settings import load_settings
from serve_app.api.http import make_http_app
from tests.support.fake_keys import FakeKeys
from tests.support.fake_service import FakeService

COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"


def contract() -> str:
    """The document as text, keys in order."""
    app = make_http_app(FakeService(), load_settings(environment={}), keys=FakeKeys())
    return json.dumps(app.openapi(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    COMMITTED.write_text(contract(), encoding="utf-8")
