"""The HTTP contract as OpenAPI: `make openapi` writes the copy that is committed."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tests.support.fake_service import FakeService

COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"


def contract() -> str:
    """The document as text, keys in order."""
    with tempfile.TemporaryDirectory() as folder:
        app = FakeService(Path(folder)).app()
    return json.dumps(app.openapi(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    COMMITTED.write_text(contract(), encoding="utf-8")
