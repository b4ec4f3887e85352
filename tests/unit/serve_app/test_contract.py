"""Whatever a client sends within the contract, and beside it, no request meets a server error."""

from __future__ import annotations

import tempfile
from pathlib import Path

import hypothesis
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance

from dubl.media.kinds import FINGERPRINT_TYPE
from tests.support.fake_service import FakeService

EXAMPLES = 25

app = FakeService(Path(tempfile.mkdtemp(prefix="dubl-contract-"))).app()


@schemathesis.serializer(FINGERPRINT_TYPE)
def any_bytes(_: object, value: object) -> bytes:
    """Bytes as they are; whatever else is tried as a body, as text."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


contract = schemathesis.openapi.from_asgi("/openapi.json", app)


@contract.parametrize()
@hypothesis.settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
def test_no_request_meets_a_server_error(case: schemathesis.Case) -> None:
    answer = case.call()
    case.validate_response(answer, checks=[not_a_server_error, content_type_conformance])
