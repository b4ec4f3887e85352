"""Fair shares of what is bounded: no key takes all, and a place is left for the next one.

A key may hold a share (`serve.key_share`) of the places that no other key holds, at least one. With
three quarters, one key alone may hold 75 % of all, each of two 43 %, each of three 30 %. Requests
without a key, where none is required, have no share.
"""

from __future__ import annotations

from collections.abc import Mapping

from dubl.errors import RateLimited

RETRY_AFTER_S = 5  # seconds; chosen


def has_its_share(key_id: str, held: int, *, others: int, places: int, share: float) -> bool:
    """Whether a key that holds `held` places may hold no further one; others hold `others`."""
    return bool(key_id) and held >= max(1, int(share * (places - others)))


def require_share(
    key_id: str, held: int, *, others: int, places: int, share: float, of: str
) -> None:
    """Raises RateLimited if the key may hold no further place."""
    if has_its_share(key_id, held, others=others, places=places, share=share):
        raise RateLimited(
            f"the key has its share of {of}: {held} of {places}",
            context={"retry_after_s": RETRY_AFTER_S},
        )


def keys_at_their_share(held: Mapping[str, int], *, places: int, share: float) -> list[str]:
    """Those of the holders, by key, that may hold no further place."""
    total = sum(held.values())
    return [
        key_id
        for key_id, count in held.items()
        if has_its_share(key_id, count, others=total - count, places=places, share=share)
    ]
