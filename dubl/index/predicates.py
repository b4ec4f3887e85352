"""SQL predicates for the tables. Every untrusted value passes through `quoted`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dubl.types import PagePosition


def quoted(text: str) -> str:
    """A string literal. In DataFusion's SQL only quotes must be escaped, by doubling."""
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


def of_times(column: str, keys: Sequence[tuple[str, str]]) -> str:
    """Rows with one of the keys: a name in `column`, and the row's `created_at`.

    A name alone does not say which row is meant: it may be deleted and written again by others.
    """
    names = among(column, [name for name, _ in keys])  # which an index finds
    both = among(f"created_at || ' ' || {column}", [f"{at} {name}" for name, at in keys])
    return all_of([names, both])


def contains(columns: Iterable[str], text: str) -> str:
    """Whether any of the columns contains `text`, ignoring case."""
    needle = quoted(text.lower())
    return any_of(f"contains(lower({column}), {needle})" for column in columns)


def after(position: PagePosition) -> str:
    """Rows after a position of a listing by created_at and id, newest first."""
    created_at, identity = quoted(position.created_at), quoted(position.id)
    return f"created_at < {created_at} OR (created_at = {created_at} AND id < {identity})"


def all_of(predicates: Iterable[str]) -> str:
    """The conjunction of all non-empty predicates; empty means no filter."""
    return " AND ".join(f"({predicate})" for predicate in predicates if predicate)


def any_of(predicates: Iterable[str]) -> str:
    return " OR ".join(f"({predicate})" for predicate in predicates)
