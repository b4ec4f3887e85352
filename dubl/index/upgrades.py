"""The version of the library's tables, and the steps that bring older ones to this one.

A change of the tables is a new step at the end of `UPGRADES`; a step that was released never
changes, and may run twice: a process can die between a step and the record of it. The table
`schema_version` has one row a step that the library has had.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
from lancedb.db import DBConnection
from lancedb.table import Table

from dubl.errors import StoreTooNew
from dubl.index.clock import RisingClock
from dubl.index.schema import REFERENCES, SCHEMA_VERSION_TABLE, schema_version_schema

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """What leads to `version` from the one before; it is given the `references` table."""

    version: int
    apply: Callable[[Table], None]


def _add_rights(references: Table) -> None:
    """Two columns for what owners want; rows are not rewritten."""
    wanted = (pa.field("rights_action", pa.string()), pa.field("min_copied_s", pa.float64()))
    absent = [field for field in wanted if field.name not in references.schema.names]
    if absent:
        references.add_columns(absent)


# Version 1, which has no `schema_version`, knew no rights.
UPGRADES = (Upgrade(version=2, apply=_add_rights),)
SCHEMA_VERSION = UPGRADES[-1].version


def stored_version(connection: DBConnection, names: set[str], *, uri: str) -> int:
    """0 where none is recorded; `names` are those of the tables. Raises StoreTooNew."""
    if SCHEMA_VERSION_TABLE not in names:
        return 0
    rows = connection.open_table(SCHEMA_VERSION_TABLE).search().select(["version"]).to_arrow()
    stored = max(rows["version"].to_pylist(), default=0)
    if stored > SCHEMA_VERSION:
        raise StoreTooNew(
            f"the library at {uri} has version {stored} of its tables, this program knows "
            f"{SCHEMA_VERSION}",
            context={"stored_version": stored, "known_version": SCHEMA_VERSION},
        )
    return int(stored)


def upgrade(connection: DBConnection, stored: int, *, uri: str) -> None:
    """Runs the steps that come after `stored`, in order, and records each. Callers hold the lock
    of a folder."""
    references = connection.open_table(REFERENCES)
    versions = connection.create_table(
        SCHEMA_VERSION_TABLE, schema=schema_version_schema(), exist_ok=True
    )
    clock = RisingClock()
    for step in UPGRADES:
        if step.version <= stored:
            continue
        step.apply(references)
        versions.add([{"version": step.version, "created_at": clock.next()}])
        logger.info("the library at %s has version %d of its tables", uri, step.version)
