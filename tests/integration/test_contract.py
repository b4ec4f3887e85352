"""The contract held against the real service: its stores meet whatever text a client may send."""

from __future__ import annotations

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema

# What submits is held against the service in memory: here it would only fill the queue.
METHODS = ["GET", "PATCH", "DELETE"]
EXAMPLES = 15


@pytest.fixture
def real_contract(address: str) -> BaseSchema:
    return schemathesis.openapi.from_url(f"{address}/openapi.json")


contract = schemathesis.pytest.from_fixture("real_contract").include(method=METHODS)


@contract.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
def test_no_request_meets_a_server_error(case: schemathesis.Case) -> None:
    case.validate_response(case.call(), checks=[not_a_server_error])
