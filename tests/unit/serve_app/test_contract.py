"""Whatever a client sends within the contract, and beside it, no request meets a server error."""

from __future__ import annotations

import tempfile
from pathlib import Path

import hypothesis
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance

from tests.support.fake_service import FakeService

EXAMPLES = 25

app = FakeService(Path(tempfile.mkdtemp(prefix="dubl-contract-"))).app()
contract = schemathesis.openapi.from_asgi("/openapi.json", app)


@contract.parametrize()
@hypothesis.settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
def test_no_request_meets_a_server_error(case: schemathesis.Case) -> None:
    answer = case.call()
    case.validate_response(answer, checks=[not_a_server_error, content_type_conformance])
