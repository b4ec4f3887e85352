"""A process that registers videos beside others: URI, name of the writer, number of rounds."""

from __future__ import annotations

import sys

from dubl.index.store import LibraryStore
from tests.unit.index.videos import SETTINGS, SPEC, entry

BATCH = 5


def main(uri: str, name: str, rounds: int) -> None:
    """Every round has ids that both writers have, bytes that both have under ids of their own, and
    a video that only one has."""
    store = LibraryStore(uri, spec=SPEC, settings=SETTINGS)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for number in range(rounds):
        entries = [entry(f"both {number} {place}", seed=number) for place in range(BATCH)]
        entries.append(entry(f"{name} {number}", sha256=f"bytes {number}", seed=number))
        entries.append(entry(f"only {name} {number}", seed=number))
        for registration in store.register(entries):
            sys.stdout.write(f"{registration.reference.id}\n")
        if number % 3 == 0:
            store.optimize()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
