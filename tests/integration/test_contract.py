"""The contract held against the real service: its stores meet whatever text a client may send."""

from __future__ import annotations

import hypothesis
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import APIOperation

# What submits is held against the service in memory: here it would only fill the queue.
METHODS = ["GET", "PATCH", "DELETE"]
EXAMPLES = 15


def test_no_request_meets_a_server_error(address: str) -> None:
    # One test for all operations: Schemathesis' own fixtures do not go with pytest 9.
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json").include(method=METHODS)
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 20
    for operation in operations:
        hold(operation)


def hold(operation: APIOperation) -> None:
    @hypothesis.settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
    @hypothesis.given(case=operation.as_strategy())
    def ask(case: schemathesis.Case) -> None:
        case.validate_response(case.call(), checks=[not_a_server_error])

    ask()
