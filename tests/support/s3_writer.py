"""One of several writers to a library in an object store: `python -m tests.support.s3_writer URI
COUNT` registers references 0…COUNT-1 one by one and prints how many of them it made."""

from __future__ import annotations

import sys

from dubl.assembly import make_store
from dubl.settings import load_settings
from tests.support.stored_videos import random_entry


def main(uri: str, count: int) -> None:
    settings = load_settings(overrides=[f"index.uri={uri}"])
    store = make_store(settings)
    entries = [
        random_entry(settings, f"r{number}", seed=number, frames=4) for number in range(count)
    ]
    made = sum(
        registration.created for entry in entries for registration in store.register([entry])
    )
    sys.stdout.write(f"{made}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
