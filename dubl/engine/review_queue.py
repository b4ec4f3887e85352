"""The review queue with what only the library knows: titles and owners of the references."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from dubl.contract import bodies
from dubl.contract.queries import QueueQuery
from dubl.engine.engine import Engine
from dubl.engine.handles import Handle
from dubl.errors import InvalidRequest
from dubl.ledger.reviews import Reviews
from dubl.types import Facet, Page, QueueFilter, Reference

PAGE = 500  # references read at once
MAX_OWNED = 5000  # references of one owner, as ids in one statement; chosen
MAX_TITLED = 500  # references whose title has the text, the newest ones; chosen


async def read_queue(
    engine: Engine, query: QueueQuery, *, libraries: Sequence[str] = ()
) -> bodies.ReviewQueue:
    """A page of the queue. `libraries`: only of checks in these alone.

    Raises InvalidRequest for a wrong cursor, or an owner of too many references.
    """
    librarian = engine.steps.librarian
    least = query.min_probability
    wanted = QueueFilter(
        **query.model_dump(
            exclude={"q", "owner", "min_probability", "sort", "facets", "limit", "cursor"}
        ),
        min_probability=engine.settings.policy.review_probability if least is None else least,
        by_policy=least is None,
        text=query.q,
        titled=await _titled(librarian, query, libraries) if query.q else (),
        references=await _owned(librarian, query, libraries) if query.owner else None,
        libraries=tuple(libraries),
    )
    page = await engine.ledger.ask(
        Reviews.queue, wanted, sort=query.sort, limit=query.limit, cursor=query.cursor
    )
    counts = await engine.ledger.ask(Reviews.counts, wanted, facets=query.facets)
    matched = counts.facets.get(Facet.REFERENCE, {})
    ids = {*matched, *(item.reference_id for item in page.items)}
    known = await _known(librarian, ids, libraries=libraries)
    facets = {facet.value: _values(found) for facet, found in counts.facets.items()}
    if query.facets:
        facets[Facet.REFERENCE.value] = _values(matched, known)
        facets["owner"] = _values(_by_owner(matched, known))
    return bodies.ReviewQueue(
        items=tuple(
            bodies.ReviewItem.of(item, known.get(item.reference_id)) for item in page.items
        ),
        next_cursor=page.next_cursor,
        counts={name.value: count for name, count in counts.states.items()},
        facets=facets,
    )


def _seen(query: QueueQuery, libraries: Sequence[str]) -> Sequence[str]:
    """The libraries whose references are looked at; an empty name: all."""
    named = [query.library] if query.library else libraries or [""]
    return [name for name in named if not libraries or name in libraries]


async def _titled(
    librarian: Handle, query: QueueQuery, libraries: Sequence[str]
) -> tuple[str, ...]:
    found: list[str] = []
    for library in _seen(query, libraries):
        page = await librarian.list.remote(library, query.owner, query.q, MAX_TITLED, "")
        found += [one.id for one in page.items]
    return tuple(found[:MAX_TITLED])


async def _owned(librarian: Handle, query: QueueQuery, libraries: Sequence[str]) -> tuple[str, ...]:
    found: list[str] = []
    left, cursor = list(_seen(query, libraries)), ""
    while len(found) <= MAX_OWNED:
        if not left:
            return tuple(found)
        page: Page[Reference] = await librarian.list.remote(left[0], query.owner, "", PAGE, cursor)
        found += [one.id for one in page.items]
        cursor = page.next_cursor
        if not cursor:
            left.pop(0)
    raise InvalidRequest(
        f"'{query.owner}' owns more than {MAX_OWNED} references. Name a `library` or a "
        "`reference_id`, too."
    )


async def _known(
    librarian: Handle, reference_ids: Collection[str], *, libraries: Sequence[str]
) -> Mapping[str, Reference]:
    """By id. An id of a deleted reference may be that of another library's by now."""
    if not reference_ids:
        return {}
    found: Sequence[Reference] = await librarian.existing.remote(sorted(reference_ids))
    return {one.id: one for one in found if not libraries or one.library in libraries}


def _by_owner(matched: Mapping[str, int], known: Mapping[str, Reference]) -> Mapping[str, int]:
    owners: Counter[str] = Counter()
    for reference_id, count in matched.items():
        if reference_id in known and known[reference_id].owner:
            owners[known[reference_id].owner] += count
    return dict(owners.most_common())


def _values(
    counts: Mapping[str, int], known: Mapping[str, Reference] | None = None
) -> tuple[bodies.FacetValue, ...]:
    return tuple(
        bodies.FacetValue(
            value=value,
            title=known[value].title if known and value in known else "",
            count=count,
        )
        for value, count in counts.items()
    )
