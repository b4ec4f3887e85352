"""The contract held against the real service: its stores meet whatever text a client may send."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import APIOperation

CONTRACT = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"
# What submits is held against the service in memory: here it would only fill the queue.
METHODS = ["GET", "PATCH", "DELETE"]
EXAMPLES = 15
SCHEMA = schemathesis.openapi.from_path(CONTRACT).include(method=METHODS)
OPERATIONS = [result.ok() for result in SCHEMA.get_all_operations()]


# Schemathesis' own fixtures do not go with pytest 9.
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_no_request_meets_a_server_error(operation: APIOperation, address: str) -> None:
    @hypothesis.settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
    @hypothesis.given(case=operation.as_strategy())
    def ask(case: schemathesis.Case) -> None:
        answer = case.call(base_url=address)
        case.validate_response(answer, checks=[not_a_server_error])

    ask()
