"""SQL predicates for the tables; every value from outside passes through `quoted`."""

from __future__ import annotations

from collections.abc import Iterable

from dubl.types import PagePosition


def quoted(text: str) -> str:
    """A string literal: in DataFusion's SQL only the quote itself needs doubling."""
    return "'" + text.replace("'", "''") + "'"


def equals(column: str, value: str) -> str:
    return f"{column} = {quoted(value)}"


def among(column: str, values: Iterable[str]) -> str:
    """`column IN (…)`; false for no values."""
    literals = ", ".join(quoted(value) for value in values)
    return f"{column} IN ({literals})" if literals else "false"


def not_among(column: str, values: Iterable[str]) -> str:
    literals = ", ".join(quoted(value) for value in values)
    return f"{column} NOT IN ({literals})" if literals else "true"


def contains(columns: Iterable[str], text: str) -> str:
    """Whether one of the columns has `text` in it, whatever the case."""
    needle = quoted(text.lower())
    return any_of(f"contains(lower({column}), {needle})" for column in columns)


def after(position: PagePosition) -> str:
    """Rows behind a position of a listing ordered by created_at, id, newest first."""
    created_at, identity = quoted(position.created_at), quoted(position.id)
    return f"created_at < {created_at} OR (created_at = {created_at} AND id < {identity})"


def all_of(predicates: Iterable[str]) -> str:
    """Their conjunction; empty for none, which stands for no filter."""
    return " AND ".join(f"({predicate})" for predicate in predicates if predicate)


def any_of(predicates: Iterable[str]) -> str:
    return " OR ".join(f"({predicate})" for predicate in predicates)
