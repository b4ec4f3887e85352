"""The contract never changes by accident."""

from __future__ import annotations

import inspect
import json
import re

from dubl.client import operations
from tests.support.openapi import COMMITTED, contract


def test_the_contract_is_the_committed_one() -> None:
    assert json.loads(contract()) == json.loads(COMMITTED.read_text(encoding="utf-8")), (
        "the HTTP contract has changed; if that is meant: make openapi"
    )


def test_every_path_that_the_client_uses_is_in_the_contract() -> None:
    paths = [re.sub(r"{[^}]*}", "*", path) for path in json.loads(contract())["paths"]]
    source = inspect.getsource(operations)
    used = {re.sub(r"{[^}]*}", "*", path) for path in re.findall(r'"(/v1/[^"]*)"', source)}
    assert len(used) >= 8
    assert used <= set(paths), used - set(paths)
