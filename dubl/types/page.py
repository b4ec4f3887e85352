"""Listings in pages."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from dubl.errors import InvalidRequest

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Item]):
    """One page of a listing; `next_cursor` is empty on the last page."""

    items: tuple[Item, ...]
    next_cursor: str

    @classmethod
    def empty(cls) -> Self:
        return cls(items=(), next_cursor="")


@dataclass(frozen=True, slots=True, kw_only=True)
class PagePosition:
    """The end of a page in a listing by time, newest first; a cursor is its opaque text."""

    created_at: str
    id: str

    @property
    def cursor(self) -> str:
        text = json.dumps([self.created_at, self.id])
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def from_cursor(cls, cursor: str) -> Self:
        """The position in a cursor. Raises InvalidRequest for any other text."""
        try:
            padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
            match json.loads(base64.urlsafe_b64decode(padded)):
                case [str() as created_at, str() as identity]:
                    (created_at + identity).encode()  # no halves of surrogate pairs
                    return cls(created_at=created_at, id=identity)
        except (ValueError, RecursionError) as exc:
            raise InvalidRequest("the cursor is invalid. Use next_cursor of a page.") from exc
        raise InvalidRequest("the cursor is invalid. Use next_cursor of a page.")
