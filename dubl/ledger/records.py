"""Rows of the ledger's tables as frozen objects. Each column is named once, by a field."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_type_hints

from pydantic import TypeAdapter

from dubl.ledger.database import Connection, Database, Row, Value
from dubl.types import (
    ApiKey,
    AuditEntry,
    Check,
    Delivery,
    Hold,
    Job,
    LibraryPolicy,
    Page,
    PagePosition,
    Quarantine,
    Review,
    Shadow,
    SpaceSwitch,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Kept = TypeVar("Kept", bound="DataclassInstance")
NOTHING: Mapping[str, str] = MappingProxyType({})
PLAIN = (str, int, float, bool)


def within(libraries: Sequence[str], column: str = "libraries") -> Mapping[str, Value]:
    """The condition that rows are of these libraries alone; none if they are empty: all.

    Rows of no library are about all of them.
    """
    if not libraries:
        return {}
    return {f"{column} <> ARRAY[]::VARCHAR[] AND {column} <@ ?::VARCHAR[]": list(libraries)}


def between(first: str, last: str, column: str = "created_at") -> Mapping[str, Value]:
    """The condition that texts, as of times, are in a range; either end may be a beginning, as of a
    day, or empty."""
    ends = {f"{column} >= ?": first.rstrip("Z"), f"{column} <= ?": last and f"{last.rstrip('Z')}~"}
    return {condition: value for condition, value in ends.items() if value}  # "~": sorts last


def marks(values: Sequence[object]) -> str:
    """Placeholders of values."""
    return ", ".join("?" for _ in values)


class Records(Generic[Kept]):
    """A table, or a query in brackets, with rows of one dataclass."""

    def __init__(
        self,
        kind: type[Kept],
        source: str,
        *,
        json: Collection[str] = (),
        renamed: Mapping[str, str] = NOTHING,
        absent: Collection[str] = (),
    ) -> None:
        """json: fields stored as JSON text. renamed: columns of fields with another name. absent:
        fields without a column.
        """
        hints = get_type_hints(kind)
        self._kind, self._source = kind, source
        self._fields = [one.name for one in fields(kind) if one.name not in absent]
        self._readers = [_reader(hints[name], name in json) for name in self._fields]
        self._writers = [_writer(hints[name], name in json) for name in self._fields]
        self._names = [renamed.get(name, name) for name in self._fields]
        self.columns = ", ".join(self._names)

    def object(self, row: Row) -> Kept:
        """The object of one row's values, in the order of `columns`."""
        cells = zip(self._fields, self._readers, row, strict=True)
        return self._kind(**{name: read(value) for name, read, value in cells})

    def objects(self, rows: Iterable[Row]) -> tuple[Kept, ...]:
        return tuple(self.object(row) for row in rows)

    def select(self, rest: str = "") -> str:
        """The statement whose rows `object` reads; `rest` follows the table's name."""
        return f"SELECT {self.columns} FROM {self._source} {rest}"

    def put(
        self,
        connection: Connection,
        kept: Kept,
        *,
        extra: Mapping[str, Value] = NOTHING,
        replace: bool = False,
    ) -> None:
        """Adds a row, with `extra` columns that are not fields.

        With `replace` it replaces the row with the same key, the first column.
        """
        statement = self._insertion(extra)
        if replace:
            names = [*self._names, *extra]
            changes = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
            statement += f" ON CONFLICT ({names[0]}) DO UPDATE SET {changes}"
        connection.execute(statement, self._values(kept, extra))

    def put_all(self, connection: Connection, kept: Sequence[Kept]) -> None:
        """Adds rows, in one statement."""
        if kept:
            more = f", ({marks(self._names)})" * (len(kept) - 1)
            values = [value for one in kept for value in self._values(one, NOTHING)]
            connection.execute(self._insertion(NOTHING) + more, values)

    def add(
        self, connection: Connection, kept: Kept, *, extra: Mapping[str, Value] = NOTHING
    ) -> bool:
        """Adds a row unless its key, the first column, exists; returns whether it was added."""
        key = self._names[0]
        statement = f"{self._insertion(extra)} ON CONFLICT ({key}) DO NOTHING RETURNING {key}"
        return connection.execute(statement, self._values(kept, extra)).fetchone() is not None

    def _insertion(self, extra: Mapping[str, Value]) -> str:
        names = [*self._names, *extra]
        return f"INSERT INTO {self._source} ({', '.join(names)}) VALUES ({marks(names)})"

    def _values(self, kept: Kept, extra: Mapping[str, Value]) -> Sequence[Any]:
        cells = zip(self._fields, self._writers, strict=True)
        return [*(write(getattr(kept, name)) for name, write in cells), *extra.values()]

    def newest(
        self, database: Database, conditions: Mapping[str, Value], *, limit: int, cursor: str
    ) -> Page[Kept]:
        """A page, newest first, of a table with `id` and `created_at`.

        `conditions` maps SQL with one placeholder to its value. Ids are selected first: a sort over
        all columns would read every verdict. Raises InvalidRequest for an invalid cursor.
        """
        parts, values = list(conditions), list(conditions.values())
        if cursor:
            after = PagePosition.from_cursor(cursor)
            parts.append("(created_at, id) < (?, ?)")
            values += [after.created_at, after.id]
        where = f"WHERE {' AND '.join(parts)}" if parts else ""
        order = "ORDER BY created_at DESC, id DESC"
        sought = [
            PagePosition(created_at=str(created_at), id=str(identity))
            for created_at, identity in database.rows(
                f"SELECT created_at, id FROM {self._source} {where} {order} LIMIT ?",
                [*values, limit + 1],
            )
        ]
        ids = [one.id for one in sought[:limit]]
        among = f"id IN ({marks(ids) or 'NULL'})"
        found = database.rows(self.select(f"WHERE {among} {order}"), ids)
        more = len(sought) > limit
        return Page(items=self.objects(found), next_cursor=sought[limit - 1].cursor if more else "")


def _reader(hint: type, as_json: bool) -> Callable[[object], object]:
    """The conversion of a column's value to a field's."""
    if as_json:
        adapter: TypeAdapter[object] = TypeAdapter(hint)
        return adapter.validate_json  # type: ignore[return-value]
    return hint if isinstance(hint, type) else TypeAdapter(hint).validate_python


def _writer(hint: type, as_json: bool) -> Callable[[object], object]:
    """The conversion of a field's value to a column's."""
    if hint in PLAIN:
        return lambda value: value
    adapter: TypeAdapter[object] = TypeAdapter(hint)
    if as_json:
        return lambda value: adapter.dump_json(value).decode()
    return lambda value: adapter.dump_python(value, mode="json")


JOBS = Records(Job, "jobs", json=("request", "callbacks"), absent=("progress", "space_id"))
CHECKS = Records(Check, "checks", json=("verdict",))
DELIVERIES = Records(Delivery, "deliveries")
REVIEWS = Records(Review, "reviews")
HOLDS = Records(Hold, "holds", renamed={"by": "by_key"})
QUARANTINES = Records(Quarantine, "quarantines")
POLICIES = Records(LibraryPolicy, "library_policies")
KEYS = Records(ApiKey, "api_keys")
SWITCHES = Records(SpaceSwitch, "spaces", renamed={"by": "by_key"})
SHADOWS = Records(Shadow, "shadows")
AUDIT = Records(AuditEntry, "audit")
